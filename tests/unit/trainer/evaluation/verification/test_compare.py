"""The paired comparison of verification: on the same pairs and answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from base.evaluation import Evaluation, Manifest
from base.predictions import Predictions
from base.table import SampleTable
from base.verification.pairs import IDENTITY, Pairs, add_pairs
from trainer.evaluation.compare import compare, verdict
from utils.errors import UserError

IDS = list("abcdef")


def evaluation(folder: Path, same: tuple[int, ...] = (1, 0, 1, 0), second: tuple[int, ...] = (1, 2, 3, 5), people: str = "001122",
               distance: str = "cosine") -> Evaluation:  # fmt: skip
    """Return six vectors and four pairs of them, the first pictures of which are a, b, c and e."""
    columns = {"id": IDS, "path": IDS, IDENTITY: np.array([int(one) for one in people])}
    pairs = Pairs(np.array([0, 1, 2, 4]), np.array(second), np.array(same, np.int8))
    vectors = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    metrics = [{"type": "PairScores", "args": {"distance": distance, "rates": [], "pictures": 0}}]
    manifest = Manifest("valid", metrics=metrics, monitor="max val/auc")
    table = add_pairs(SampleTable.from_columns(Path("/"), columns), pairs)
    return Evaluation(folder, Predictions.of(IDS, {"embedding": vectors}), manifest, table)


def test_two_distances_are_compared_on_one_list_of_pairs(tmp_path: Path) -> None:
    found = compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", distance="euclidean")])
    assert verdict(found, "auc").startswith("no difference shown")


def test_pairs_whose_answer_differs_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 of 4 answers are not those of .*: b and c \(same, there different\)"):
        compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", same=(1, 1, 1, 0))])


def test_other_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is of other pairs than in .*: 1 missing \(b and c\), 1 more \(b and d\)"):
        compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", second=(1, 3, 3, 5))])


def test_the_number_of_a_person_does_not_matter_but_who_is_the_same_does(tmp_path: Path) -> None:
    compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", people="553344")])
    with pytest.raises(UserError, match=r"recall@1: 1 of 6 answers are not those of .*: f \(f, there e\)"):
        compare([evaluation(tmp_path / "a")], [evaluation(tmp_path / "b", people="001123")])
