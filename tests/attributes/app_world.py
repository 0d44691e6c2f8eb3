"""Runs of attributes for the app to look at."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import torch

from base.saved.group import FOLDS
from base.saved.names import GROUP, OUT_OF_FOLD
from base.saved.run_folder import RunFolder
from base.table import SampleTable
from data_loader.attributes.synthetic import write_masks
from tests.app_world import learning, probabilities, write_result, write_run
from tests.attributes.tiny import write_config
from tests.helpers import ROOT, succeed
from utils import config, files

MASKS = "masks/20260301-101500-aaaa"
EARLIER = "masks/20260228-090000-dddd"
JOINED = "masks/20260227-080000-eeee"
LABELS = {"mask": ["worn", "incorrect", "not worn"], "gender": ["male", "female"], "age": ["under 30", "30 to 59", "60 and over"]}
SHOTS = {"incorrect_mask": 1, "normal": 2}
LINKS = [("Mistakes", MASKS), ("Fix", MASKS), ("Submission", MASKS)]  # views that show a run


def masks_samples(data: Path, part: str) -> SampleTable:
    """The synthetic masks as the loader gives them; those to predict have no labels."""
    if part == "eval":
        names = sorted(path.name for path in (data / "eval/images").glob("*.jpg"))
        return SampleTable.from_columns(data / "eval/images", {"id": names, "path": names, "ans": ["0"] * len(names)})
    paths = sorted(path.relative_to(data / "train/images").as_posix() for path in (data / "train/images").glob("*/*.jpg"))
    people, gender, _, age = zip(*(path.split("/")[0].split("_") for path in paths), strict=True)
    shots = [path.split("/")[1].removesuffix(".jpg") for path in paths]
    return SampleTable.from_columns(data / "train/images", {
        "id": paths, "path": paths, "person": people,
        "mask": np.array([SHOTS.get(shot, 0) for shot in shots], np.int16), "raw:gender": gender, "raw:age": age,
        "gender": np.array([LABELS["gender"].index(name) for name in gender], np.int16),
        "age": np.digitize(np.array(age, int), [20, 25, 30, 45, 60]).astype(np.int16),
    })  # fmt: skip


def masks_run(saved: Path, data: Path, label: str = MASKS, seed: int = 0) -> RunFolder:
    """Validation and test predictions, and a submission."""
    values = config.read(ROOT / "configs" / "masks.json").values
    values["data_loader"]["args"]["data_dir"] = str(data)
    values["optimizer"]["args"]["lr"] = 2e-3 if not seed else 1e-3
    run = write_run(saved, label, values, learning(24, seed, 0.82 - 0.04 * seed))
    samples = masks_samples(data, "train")
    fine = [0, 0, 0, 1, 1, 2]
    truth = {"mask": samples.numbers("mask"), "gender": samples.numbers("gender"), "age": np.array(fine)[samples.numbers("age")]}
    counts = {"mask": [100, 20, 20], "gender": [70, 70], "age": [10, 20, 30, 40, 20, 20]}
    said = {"classes": LABELS, "merged": {"age": fine}, "counts": counts, "data_dir": str(data)}
    guesses = [probabilities(truth[name], len(LABELS[name]), seed + place) for place, name in enumerate(truth)]
    given = dict(zip(truth, map(torch.from_numpy, guesses), strict=True))
    write_result(run, "valid-best", samples, given, **said)
    samples = masks_samples(data, "eval")
    draw = np.random.default_rng(seed)
    given = {name: torch.from_numpy(probabilities(draw.integers(0, len(names), len(samples)), len(names), seed))
             for name, names in LABELS.items()}  # fmt: skip
    folder = write_result(run, "test-best", samples.with_column("id", samples.ids()), given, **said)
    _write_submission(folder, data, samples.ids(), given)
    return run


def masks_folds(saved: Path, data: Path) -> RunFolder:
    """A group of the two runs above as if they were its folds, with what each held out."""
    group = RunFolder.at(saved / "models" / JOINED)
    members = {f"fold{fold}": {"config": {}, "start": {}, "run": f"../{label.split('/')[1]}"}
               for fold, label in enumerate((MASKS, EARLIER))}  # fmt: skip
    group.models.mkdir(parents=True)
    files.write_json(group.models / GROUP, {"kind": FOLDS, "members": members})
    files.write_json(group.models / "status.json", {"status": "finished"})
    samples = masks_samples(data, "train")
    people = samples.strings("person")
    samples = samples.with_column("fold", np.array([sorted(set(people)).index(name) % 2 for name in people], np.int16))
    guess = torch.from_numpy(probabilities(samples.numbers("mask"), len(LABELS["mask"]), 5))
    folder = write_result(group, OUT_OF_FOLD, samples, {"mask": guess}, classes={"mask": LABELS["mask"]}, split="valid")
    files.write_json(folder / "metrics.json", {"f1": 0.625})
    return group


def _write_submission(folder: Path, data: Path, ids: list[str], given: dict[str, torch.Tensor]) -> None:
    mask, gender, age = (given[name].argmax(1) for name in LABELS)
    answers = dict(zip(ids, (mask * 6 + gender * 3 + age).tolist(), strict=True))
    with (data / "eval/info.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (folder / "info.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["ImageID", "ans"], *([row["ImageID"], answers[row["ImageID"]]] for row in rows)])


def _write_twin(folder: Path) -> None:
    """One person's picture under another's name, with other bytes."""
    first, second = sorted(folder.glob("*/normal.jpg"))[:2]
    picture = cv2.imread(str(first))
    assert picture is not None
    cv2.imwrite(str(second), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])


def portrait(world: Path, number: int = 0) -> Path:
    """Return a picture to upload."""
    return sorted((world / "data/masks/eval/images").glob("*.jpg"))[number]


def write_runs(data: Path, saved: Path) -> None:
    """Write the pictures below `data` and the runs below `saved`."""
    write_masks(data / "masks", people=40, eval_people=12, seed=3, size=(96, 72))
    _write_twin(data / "masks/train/images")
    masks_run(saved, data / "masks", EARLIER, seed=1)
    masks_run(saved, data / "masks")
    masks_folds(saved, data / "masks")


def train_run(data: Path, saved: Path, folder: Path) -> None:
    """Train a run that has a model, called `tiny`. folder: takes its config, and what the script says."""
    changes = {"data_loader.args.image_size": [64, 48], "trainer.save_dir": str(saved), "trainer.epochs": 3}
    succeed(folder, "train.py", "-c", write_config(folder, data / "masks", changes))
