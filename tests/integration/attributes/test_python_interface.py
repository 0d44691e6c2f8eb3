"""The Python interface on attributes: train, load, predict and evaluate in one process, in threads, with any MPLBACKEND."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import laurel
from inspection.runs import Run
from tests.helpers import ROOT, launch, run, run_folders
from utils.errors import UserError

Config = Callable[..., Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, masks_folder: Path) -> Run:
    """A run that `laurel.train` made."""
    from tests.attributes.tiny import write_config

    folder = tmp_path_factory.mktemp("interface")
    return laurel.train(write_config(folder, masks_folder, {}), epochs=1, device="cpu")


def weights_of(folder: Path) -> dict[str, list[Any]]:
    """Return the weights in a run's last checkpoint."""
    state = torch.load(folder / "last.pth", weights_only=True)["model"]
    return {name: tensor.tolist() for name, tensor in state.items()}


@pytest.fixture
def pictures(masks_folder: Path) -> list[Path]:
    return sorted(masks_folder.rglob("*.jpg"))[:3]


def test_training_returns_the_run_with_its_scores(trained: Run) -> None:
    assert trained.status == "finished"
    assert (trained.folder / "best.pth").is_file()
    assert trained.best == pytest.approx(trained.scores[trained.monitor.name])


def test_the_short_changes_and_the_values_by_key_reach_the_config(tiny_config: Config) -> None:
    made = laurel.train(tiny_config(), epochs=1, name="mine", set={"seed": 7, "trainer.early_stop": 5}, device="cpu")
    config = made.config
    assert (config["name"], config["seed"], config["trainer"]["epochs"], config["trainer"]["early_stop"]) == ("mine", 7, 1, 5)


def test_a_second_training_in_the_process_has_the_weights_of_the_command_line(tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config({"trainer.epochs": 1})
    assert launch(config) == 0
    first, second = (laurel.train(config, device="cpu").folder for _ in range(2))
    (by_command,) = set(run_folders(tmp_path)) - {first, second}
    assert weights_of(first) == weights_of(second) == weights_of(by_command)


def test_a_training_in_a_thread_has_the_same_weights(tiny_config: Config) -> None:
    config = tiny_config({"trainer.epochs": 1})
    made: list[Run] = []
    thread = threading.Thread(target=lambda: made.append(laurel.train(config, device="cpu")))
    thread.start()
    thread.join()
    assert made and made[0].status == "finished"
    assert weights_of(made[0].folder) == weights_of(laurel.train(config, device="cpu").folder)


def test_a_config_may_be_a_dictionary(tiny_config: Config) -> None:
    from utils import config

    values = config.read(tiny_config({"trainer.epochs": 1})).values
    assert laurel.train(values, device="cpu").status == "finished"


def test_a_run_goes_on_with_more_epochs(tiny_config: Config) -> None:
    made = laurel.train(tiny_config({"trainer.epochs": 1}), device="cpu")
    again = laurel.train(resume=made, epochs=2, device="cpu")
    assert again.folder == made.folder and len(again.epochs) == 2


def test_a_table_has_a_row_for_each_picture_with_the_names_of_its_classes(trained: Run, pictures: list[Path]) -> None:
    model = laurel.load(trained, device="cpu")
    table = model.predict(pictures)
    assert list(table["picture"]) == [str(path) for path in pictures]
    for label, classes in model.classes.items():
        assert set(table[label]) <= set(classes)
        assert table[f"{label}_probability"].between(0, 1).all()


def test_a_file_its_bytes_its_pixels_and_pillows_image_are_the_same_picture(trained: Run, pictures: list[Path]) -> None:
    model, path = laurel.load(trained, device="cpu"), pictures[0]
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    table = model.predict([path, str(path), path.read_bytes(), image, np.asarray(image)])
    assert len(table.drop(columns="picture").drop_duplicates()) == 1


def test_a_picture_alone_and_a_folder_are_taken(trained: Run, pictures: list[Path]) -> None:
    model = laurel.load(trained, device="cpu")
    assert len(model.predict(pictures[0])) == 1
    assert len(model.predict(pictures[0].parent)) == len(list(pictures[0].parent.iterdir()))


def test_evaluation_gives_the_scores_of_the_best_epoch(trained: Run, tmp_path: Path) -> None:
    scores = laurel.evaluate(trained, output=tmp_path / "out", device="cpu")
    assert scores and all(trained.scores[f"val/{name}"] == pytest.approx(value) for name, value in scores.items())


def test_a_model_predicts_as_the_evaluation_does(trained: Run, masks_folder: Path, tmp_path: Path) -> None:
    laurel.evaluate(trained, output=tmp_path / "out", device="cpu")
    rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    model = laurel.load(trained, device="cpu")
    table = model.predict([next(masks_folder.rglob(str(row["id"]))) for row in rows])
    for label, classes in model.classes.items():
        assert [classes.index(name) for name in table[label]] == [int(np.argmax(row[label])) for row in rows]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there is no picture to predict; give at least one"),
        ("none.jpg", r"none\.jpg: cannot be read \(No such file or directory\)"),
        (np.zeros((4, 4), np.uint8), r"picture 0: found 4x4 uint8; allowed: an array \(height, width, 3\) of uint8, in RGB"),
        (7, "found int; allowed: a file, pixels, or a list of pictures"),
    ],
    ids=["nothing", "no_file", "grey", "number"],
)
def test_what_is_no_picture_is_refused_in_one_line(trained: Run, given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        laurel.load(trained, device="cpu").predict(given)


def test_vectors_of_a_classifier_are_refused(trained: Run, pictures: list[Path]) -> None:
    with pytest.raises(UserError, match="embed: this model predicts attributes, and no vectors; take a model of verification"):
        laurel.load(trained, device="cpu").embed(pictures)


def test_the_table_of_runs_lists_the_run(trained: Run) -> None:
    table = laurel.runs(trained.folder.parents[2])
    assert trained.label in table.to_string()


def test_a_wrong_config_is_refused_with_a_line_for_each_problem(tiny_config: Config) -> None:
    with pytest.raises(UserError, match="trainer.early_stpo: unknown key"):
        laurel.check(tiny_config(), set={"trainer.early_stpo": 3})


def test_a_config_or_a_run_is_needed() -> None:
    with pytest.raises(UserError, match=r"train: give a config, or a run to go on with \(resume\)"):
        laurel.train()


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "TkAgg", "nonsense"])
def test_a_backend_of_a_notebook_stops_no_training(backend: str, tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config({"trainer.epochs": 1, "trainer.tensorboard": True})
    result = run(tmp_path, "train.py", "-c", config, "-d", "cpu", environment={"MPLBACKEND": backend})
    assert result.status == 0, result.errors


def test_the_command_predicts_into_a_table(trained: Run, pictures: list[Path], tmp_path: Path) -> None:
    import pandas as pd

    result = run(tmp_path, "laurel.py", "predict", "-r", trained.folder, *pictures, "-o", tmp_path / "out.csv", "-d", "cpu")
    assert result.status == 0, result.errors
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table["picture"]) == [str(path) for path in pictures]
    assert f"{tmp_path / 'out.csv'}: 3 rows" in result.output


def test_the_lines_of_the_readme_run(
    tiny_config: Config, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```python\n(import laurel\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for name, path in zip(("a.jpg", "b.jpg"), pictures, strict=False):
        shutil.copy(path, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    code = block.replace('"configs/demo.json"', repr(str(tiny_config()))).replace("epochs=3", "epochs=1")
    space: dict[str, Any] = {}
    exec(code, space)
    assert space["run"].status == "finished" and len(space["run"].epochs) == 1
    assert space["run"].config["optimizer"]["args"]["lr"] == 1e-3
