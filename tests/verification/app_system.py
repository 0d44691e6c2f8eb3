"""A small run of verification, trained and evaluated as users do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_loader.verification.synthetic import write_verify

CONFIG, KIND = "verify_timm", "verification"
COLUMNS = ["picture", "embedding"]  # of the table that `laurel.load(run).predict(pictures)` returns
SMALL: dict[str, Any] = {
    "arch": {"args": {"backbone": "test_efficientnet"}},
    "data_loader": {
        "args": {"image_size": [32, 32], "batch_size": 8, "train_transforms": [], "eval_transforms": [],
                 "sampler": {"args": {"identities": 4, "images": 2}}},
    },
}  # fmt: skip


def write_data(folder: Path) -> None:
    """Write 16 people and 12 pairs."""
    write_verify(folder, people=16, shots=3, pairs=12, seed=1, size=(32, 32))


def answers(page: Any) -> Any:
    """Return what Predict shows of a picture."""
    return page.metric
