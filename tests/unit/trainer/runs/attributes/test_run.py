"""Test one run: where it starts, what it leaves if it cannot start, and what it refuses to go on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from base.saved.run_folder import RunFolder
from trainer.experiment import build
from trainer.experiment.checking import Experiment, check
from trainer.runs import run
from trainer.runs.run import Start, load, train
from utils import config
from utils.checkpoint_names import LAST
from utils.errors import RunError, UserError

Config = Callable[..., Path]
CPU = torch.device("cpu")
NEW = Start(None, {}, [])


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, masks_folder: Path) -> Path:
    """The folder of a run of two epochs, with both checkpoints kept; not to be changed."""
    from tests.attributes.tiny import write_config

    folder = tmp_path_factory.mktemp("run")
    path = write_config(folder, masks_folder, {"trainer.keep": 2, "trainer.save_period": 1})
    return train(check(config.read(path)), NEW, CPU).folder


@pytest.fixture
def models(ended: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    saved = tmp_path / "saved"
    shutil.copytree(ended.parents[2], saved)
    return saved / "models" / ended.parent.name / ended.name


def experiment(path: Path) -> Experiment:
    return check(config.read(path))


def test_a_run_starts_from_its_newest_checkpoint(models: Path) -> None:
    start = load(models)
    assert start.folder is not None and start.folder.models == models
    assert start.state["progress"]["epoch"] == 2 and not start.notes


def test_a_damaged_newest_checkpoint_is_replaced_by_the_one_before_with_a_warning(models: Path) -> None:
    content = bytearray((models / LAST).read_bytes())
    content[len(content) // 2] ^= 1
    (models / LAST).write_bytes(content)
    for name in ("best.pth", "checkpoint-epoch2.pth"):
        (models / name).unlink(missing_ok=True)
    start = load(models)
    assert start.state["progress"]["epoch"] == 1
    assert len(start.notes) == 1 and LAST in start.notes[0] and "checkpoint-epoch1.pth" in start.notes[0]


def test_the_newest_checkpoint_itself_goes_on_with_its_run(models: Path) -> None:
    start = load(models / LAST)
    assert start.folder is not None and start.folder.models == models


def test_an_older_checkpoint_begins_a_new_run(models: Path) -> None:
    start = load(models / "checkpoint-epoch1.pth")
    assert start.folder is None and start.state["progress"]["epoch"] == 1
    assert "a new run" in start.notes[0]


def test_a_new_run_from_an_older_checkpoint_forgets_the_best_score(models: Path, tiny_config: Config) -> None:
    start = load(models / "checkpoint-epoch1.pth")
    trainer = run._trainer(experiment(tiny_config()), _loader(tiny_config()), _folder(tiny_config()), CPU, start)
    assert trainer.monitor.best is None and trainer.progress.epoch == 1


def test_the_folder_is_named_before_the_first_step(tiny_config: Config) -> None:
    said: list[Path] = []

    def begin(folder: Path) -> None:
        said.append(folder)
        assert not (folder / LAST).exists()

    ended = train(experiment(tiny_config({"trainer.epochs": 1})), NEW, CPU, begin)
    assert said == [ended.folder] and (ended.status, ended.signal) == (0, None)


def test_a_run_that_cannot_be_built_leaves_no_folder(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **options: Any) -> None:
        raise UserError("arch: no")

    monkeypatch.setattr(build, "build_model", refuse)
    with pytest.raises(UserError, match="arch: no"):
        train(experiment(tiny_config()), NEW, CPU)
    assert not [path for path in (tmp_path / "saved").rglob("*") if path.is_file()]


def test_wrong_data_leave_no_folder(tiny_config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        train(experiment(tiny_config({"data_loader.args.data_dir": str(tmp_path / "gone")})), NEW, CPU)
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split_hash": "0" * 64}, r"data_loader: the samples or their split are not those of the checkpoint \(00000000, now"),
        ({"fingerprint": {}}, r"data_loader\.args\.\w+: what its file says is not what the checkpoint was trained with"),
    ],
    ids=["split", "data"],
)
def test_other_data_than_the_checkpoints_are_refused(
    change: dict[str, Any], message: str, models: Path, masks_folder: Path, tiny_config: Config
) -> None:
    start = load(models)
    start.state.update(change)
    with pytest.raises(UserError, match=message):
        train(check(config.from_values(start.state["config"], "x.json")), start, CPU)


def test_a_run_keeps_its_config_and_the_hash_of_its_split(models: Path) -> None:
    source = json.loads((models / "source.json").read_text())
    assert source["split_hash"] == torch.load(models / LAST, weights_only=True)["split_hash"]
    assert json.loads((models / "config.json").read_text())["name"] == "tiny"


def test_an_operation_that_is_not_reproducible_is_named(tiny_config: Config) -> None:
    class Trainer:
        def fit(self) -> int:
            raise RuntimeError("aten::bad_op does not have a deterministic implementation, but you set …")

    with pytest.raises(RunError, match=r"trainer\.deterministic: the operation aten::bad_op is not reproducible"):
        run._fit(Trainer())  # type: ignore[arg-type]


def test_another_error_of_a_run_stays_as_it_is() -> None:
    class Trainer:
        def fit(self) -> int:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="^out of memory$"):
        run._fit(Trainer())  # type: ignore[arg-type]


def _loader(path: Path) -> Any:
    return build.build_loader(experiment(path), CPU)


def _folder(path: Path) -> RunFolder:
    return RunFolder.create(path.parent / "saved", "other")
