"""Runs for the app to look at: synthetic pictures, and predictions as a model of middling quality would make them.

    python -m tests.app_world FOLDER

makes them below FOLDER; `streamlit run` in it shows them.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch

from base.predictions import Predictions
from base.run_folder import FOLDS, GROUP, OUT_OF_FOLD, RunFolder
from base.table import SampleTable
from data_loader.attributes.synthetic import write_masks
from data_loader.detection.synthetic import write_drivers
from data_loader.verification.synthetic import write_verify
from tests.helpers import ROOT
from utils import config, files

MASKS, FACES, DRIVERS = "masks/20260301-101500-aaaa", "faces/20260302-101500-bbbb", "drivers/20260303-101500-cccc"
EARLIER, JOINED = "masks/20260228-090000-dddd", "masks/20260227-080000-eeee"
LABELS = {"mask": ["worn", "incorrect", "not worn"], "gender": ["male", "female"], "age": ["under 30", "30 to 59", "60 and over"]}
SHOTS = {"incorrect_mask": 1, "normal": 2}
CLASSES = ["eye_closed", "eye_opened", "mouth_opened", "mouth_closed", "face", "phone", "cigar"]


def write_run(
    saved: Path, label: str, values: dict[str, Any], epochs: list[dict[str, float]], status: str = "finished"
) -> RunFolder:
    """The folders of a run that has ended, without a checkpoint worth the name."""
    run = RunFolder.at(saved / "models" / label)
    run.models.mkdir(parents=True)
    run.log.mkdir(parents=True)
    files.write_json(run.models / "config.json", values)
    files.write_json(run.models / "source.json", {"split_hash": files.hash_json(values.get("data_loader", label))})
    files.write_json(run.models / "status.json", {"status": status})
    (run.models / "last.pth").write_bytes(b"none")
    lines = [json.dumps({"kind": "epoch", "epoch": number, **scores}) for number, scores in enumerate(epochs, 1)]
    (run.log / "log.jsonl").write_text("\n".join(lines) + "\n")
    return run


def learning(epochs: int, seed: int = 0, best: float = 0.8) -> list[dict[str, float]]:
    """Scores of a training that goes as trainings go."""
    draw = np.random.default_rng(seed)
    rise = best * (1 - np.exp(-np.arange(1, epochs + 1) / 6)) + draw.normal(0, 0.012, epochs)
    return [
        {"train/loss": float(1.6 * (1 - value) + 0.1), "val/loss": float(1.7 * (1 - value) + 0.25 + draw.normal(0, 0.02)),
         "val/accuracy": float(value + 0.03), "val/f1": float(value)}
        for value in rise
    ]  # fmt: skip


def probabilities(truth: np.ndarray, classes: int, seed: int, sure: float = 2.2) -> np.ndarray:
    """(N, K) float32: softmax of noise, the true class ahead by `sure` on average; the middle class is the hardest."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 1.1, (len(truth), classes))
    logits[np.arange(len(truth)), truth] += np.where(truth == 1, 0.7, 1.0) * sure
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def write_result(run: RunFolder, name: str, samples: SampleTable, prediction: dict[str, Any], **manifest: Any) -> Path:
    """An evaluation as test.py leaves it."""
    folder = run.log / name
    folder.mkdir(parents=True)
    order = np.argsort(samples.ids(), kind="stable")
    pieces = {key: value[torch.from_numpy(order)] if isinstance(value, torch.Tensor) else [value[row] for row in order]
              for key, value in prediction.items()}  # fmt: skip
    samples = samples.take(order)
    samples.write(folder / "samples.parquet")
    said = {"split": name.partition("-")[0], "checkpoints": [], "fitted": {}, "data_dir": str(samples.root), **manifest}
    Predictions.of(samples.ids(), pieces).write(folder / "predictions.parquet", said)
    return folder


# Masks --------------------------------------------------------------------------------------------------------------


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


# Faces --------------------------------------------------------------------------------------------------------------


def faces_run(saved: Path, data: Path) -> RunFolder:
    """Embeddings of the validation pictures, and the pairs."""
    run = write_run(saved, FACES, {"name": "faces", "trainer": {"monitor": "max val/accuracy"}}, learning(9, 2, 0.9))
    with (data / "validate/validate_label.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = sorted({row[key] for row in rows for key in ("image1", "image2")})
    group = _people(names, rows)
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(max(group) + 1, 64))
    embedding = centres[group] + draw.normal(0, 1.3, (len(names), 64))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    columns = {"id": names, "path": names, "group": [f"p{number}" for number in group]}
    pairs = {"image1": [row["image1"] for row in rows], "image2": [row["image2"] for row in rows],
             "same": np.array([row["label"] == "0" for row in rows], np.int8)}  # fmt: skip
    samples = SampleTable(data / "validate", pa.table(columns), {"pairs": pa.table(pairs)})
    given = {"embedding": torch.from_numpy(embedding.astype(np.float32))}
    write_result(run, "valid-best", samples, given, classes={}, fitted={"PairScores": {"threshold/cosine": 0.25}})
    return run


def _people(names: list[str], rows: list[dict[str, str]]) -> list[int]:
    """A number for each picture, equal where a chain of genuine pairs joins them."""
    leader = {name: name for name in names}
    for row in rows:
        if row["label"] == "0":
            old, new = leader[row["image2"]], leader[row["image1"]]
            leader = {name: new if value == old else value for name, value in leader.items()}
    order = {value: number for number, value in enumerate(dict.fromkeys(leader.values()))}
    return [order[leader[name]] for name in names]


# Drivers ------------------------------------------------------------------------------------------------------------


def drivers_run(saved: Path, data: Path) -> RunFolder:
    """Boxes with mistakes of every kind."""
    run = write_run(saved, DRIVERS, {"name": "drivers", "trainer": {"monitor": "max val/map"}}, learning(12, 3, 0.7))
    entries = json.loads((data / "train/labels.json").read_text())["annotations"]
    classes = [name for name in CLASSES if any(obj["class"] == name for entry in entries for obj in entry["objects"])]
    draw = np.random.default_rng(0)
    predicted = [_boxes(entry["objects"], classes, draw) for entry in entries]
    names = [entry["file_name"] for entry in entries]
    places = [[obj["position"] for obj in entry["objects"]] for entry in entries]
    columns = {"id": names, "path": names, "boxes": pa.array(places, pa.list_(pa.list_(pa.float64(), 4))),
               "names": [[obj["class"] for obj in entry["objects"]] for entry in entries]}  # fmt: skip
    samples = SampleTable.from_columns(data / "train/images", columns)
    given = {"boxes": [boxes for boxes, _, _ in predicted], "scores": [scores for _, scores, _ in predicted],
             "labels": [labels for _, _, labels in predicted]}  # fmt: skip
    write_result(run, "valid-best", samples, given, classes={"object": classes})
    return run


def _boxes(objects: list[dict[str, Any]], classes: list[str], draw: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Most objects found, some badly or twice or as something else, some missed, now and then one where nothing is."""
    boxes, scores, labels = [], [], []
    for thing in objects:
        chance, corner = draw.random(), np.array(thing["position"])
        label, size = classes.index(thing["class"]), np.tile(corner[2:] - corner[:2], 2)
        if chance < 0.08:
            continue
        spread = 0.25 if chance < 0.16 else 0.03
        boxes.append(corner + draw.normal(0, spread, 4) * size * 0.5)
        labels.append((label + 1) % len(classes) if 0.16 < chance < 0.2 else label)
        scores.append(draw.uniform(0.45, 0.99))
        if chance > 0.94:
            boxes.append(corner + draw.normal(0, 0.03, 4) * size)
            labels.append(label)
            scores.append(draw.uniform(0.2, 0.45))
    if draw.random() < 0.2:
        boxes.append(np.array([10.0, 10.0, 60.0, 60.0]))
        labels.append(int(draw.integers(len(classes))))
        scores.append(draw.uniform(0.1, 0.6))
    found = torch.tensor(np.array(boxes, np.float32).reshape(-1, 4))
    return found, torch.tensor(scores, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)


def _write_twin(folder: Path) -> None:
    """One person's picture under another's name, with other bytes."""
    first, second = sorted(folder.glob("*/normal.jpg"))[:2]
    picture = cv2.imread(str(first))
    assert picture is not None
    cv2.imwrite(str(second), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])


# All together -------------------------------------------------------------------------------------------------------


def write_world(folder: Path) -> Path:
    """All of the above below `folder`; returns it."""
    data, saved = folder / "data", folder / "saved"
    data.mkdir(parents=True)
    write_masks(data / "masks", people=40, eval_people=12, seed=3, size=(96, 72))
    _write_twin(data / "masks/train/images")
    write_verify(data / "faces", people=60, shots=4, pairs=160, seed=3, size=(96, 96))
    write_drivers(data / "drivers", images=40, test_images=1, seed=3, size=(180, 240))
    masks_run(saved, data / "masks", EARLIER, seed=1)
    masks_run(saved, data / "masks")
    masks_folds(saved, data / "masks")
    faces_run(saved, data / "faces")
    drivers_run(saved, data / "drivers")
    return folder


if __name__ == "__main__":
    print(write_world(Path(sys.argv[1])))
