"""`trainer.deterministic`: an operation that is not reproducible is named before the run begins, or else ends it with a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.helpers import launch, run_folders
from trainer.runs import run
from trainer.training.supervised import SupervisedTrainer
from utils.errors import RunError, UserError


@pytest.fixture
def unrehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without a rehearsal, as those that are resumed."""
    monkeypatch.setattr(run, "rehearse", lambda *given: [])


def test_the_operation_is_named_in_one_line_before_the_run_begins(
    tiny_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: object) -> dict[str, torch.Tensor]:
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))  # writes in no order that is fixed
        return {}

    monkeypatch.setattr(SupervisedTrainer, "train_step", step)
    with pytest.raises(UserError, match="trainer.deterministic: the operation put_ is not reproducible") as raised:
        launch(tiny_config({"trainer.deterministic": True}))
    assert "\n" not in str(raised.value) and not run_folders(tmp_path)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("unrehearsed")
def test_an_operation_of_a_gpu_is_named_from_what_torch_says_there(
    tiny_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: object) -> dict[str, torch.Tensor]:
        raise RuntimeError(
            "adaptive_max_pool2d_backward_cuda does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True)'. You can turn off determinism just for this operation, …"
        )

    monkeypatch.setattr(SupervisedTrainer, "train_step", step)
    with pytest.raises(RunError, match="the operation adaptive_max_pool2d_backward_cuda is not reproducible on"):
        launch(tiny_config())


@pytest.mark.usefixtures("unrehearsed")
def test_other_errors_stay_as_they_are(tiny_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: object) -> dict[str, torch.Tensor]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(SupervisedTrainer, "train_step", step)
    with pytest.raises(RuntimeError, match="^out of memory$"):
        launch(tiny_config())
