"""Recognise pictures with boxes: COCO, YOLO with data.yaml or a list of classes, VOC, and the competition's JSON."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from data_loader.detection.formats.yolo import CLASS_LISTS, label_name, read_names
from data_loader.formats.csv_reader import Rows
from data_loader.prepare.look import PRETRAINED, Look, Proposal, Recogniser, common_folder, counted, side_of

LABELS, IMAGES = "labels", "images"
_OBJECT = re.compile(r"<object>\s*<name>(.*?)</name>", re.DOTALL)


class Boxes(NamedTuple):
    """One file or folder of annotations: its side, the part of a config that reads it, and its numbers."""

    side: str | None
    reader: dict[str, Any]
    classes: Counter[str]
    pictures: int


# Formats ------------------------------------------------------------------------------------------------------------


def coco(look: Look) -> Proposal | None:
    """Recognise JSON files with images, annotations and categories."""
    found = []
    for name in look.named(".json"):
        content = _json(look.data_dir / name)
        if not isinstance(content, dict) or not {"images", "categories"} <= set(content):
            continue
        images, categories, boxes = (_objects(content, key) for key in ("images", "categories", "annotations"))
        names = {one.get("id"): str(one.get("name")) for one in categories}
        counts = Counter(names[key] for one in boxes if (key := one.get("category_id")) in names)
        classes = Counter({name: counts.get(name, 0) for name in names.values()})
        root = _root(look, name, [str(one.get("file_name")) for one in images])
        reader = {"type": "CocoReader", "args": {"file": name, "root": root}}
        found.append(Boxes(_side(look, name, root), reader, classes, len(images)))
    return _proposal("coco", look, found, "CocoSubmission")


def competition(look: Look) -> Proposal | None:
    """Recognise JSON files with `annotations` of `file_name` and `objects`."""
    found = []
    for name in look.named(".json"):
        content = _json(look.data_dir / name)
        entries = _objects(content, "annotations") if isinstance(content, dict) and "images" not in content else []
        entries = [one for one in entries if isinstance(one.get("objects"), list)]
        if not entries:
            continue
        classes = Counter(str(item.get("class")) for one in entries for item in one["objects"] if isinstance(item, dict))
        root = _root(look, name, [str(one.get("file_name")) for one in entries])
        reader = {"type": "CompetitionJsonReader", "args": {"file": name, "root": root}}
        found.append(Boxes(_side(look, name, root), reader, classes, len(entries)))
    return _proposal("competition-json", look, found, "CompetitionJsonSubmission")


def yolo(look: Look) -> Proposal | None:
    """Recognise a text file for each picture, with the names of the classes in data.yaml or in a list."""
    texts = {name for name in look.files if name.endswith(".txt") and posixpath.basename(name) not in CLASS_LISTS}
    places = _labelled(look, texts)
    named = next((name for name in look.named(".yaml", ".yml")), None) or next(
        (name for name in look.named(".txt", ".names") if posixpath.basename(name) in CLASS_LISTS), None
    )
    if not places or (look.file is not None and named is None):
        return None
    names = read_names(look.data_dir / named) if named is not None else []
    found = []
    for (root, labels), pictures in _joined(look, places):
        numbers = _numbers(look, [label_name(picture) for picture in pictures])
        if not numbers:
            continue
        known = names or [f"class {number}" for number in range(max(numbers) + 1)]
        classes = Counter({name: numbers.get(number, 0) for number, name in enumerate(known)})
        reader = {"type": "YoloReader", "args": {"root": root, "labels": labels, "names": named or known}}
        found.append(Boxes(look.side(f"{root}/x"), reader, classes, len(pictures)))
    proposal = _proposal("yolo", look, found, None)
    if proposal is not None and not names:
        proposal.remarks["data_loader.args.classes"] = "nothing names the classes: write their names here and in `names`"
    return proposal


def voc(look: Look) -> Proposal | None:
    """Recognise an XML file for each picture."""
    by_folder: dict[str, list[str]] = {}
    for name in look.named(".xml"):
        by_folder.setdefault(posixpath.dirname(name), []).append(name)
    found = []
    for folder, names in sorted(by_folder.items()):
        texts = [text for name in names if "<annotation" in (text := _text(look.data_dir / name))]
        if not texts:
            continue
        classes = Counter(name.strip() for text in texts for name in _OBJECT.findall(text))
        first = 0 if any(re.search(r"<[xy]min>\s*0(\.0*)?\s*<", text) for text in texts) else 1
        pictures = [match[1].strip() for text in texts if (match := re.search(r"<filename>(.*?)</filename>", text, re.DOTALL))]
        root = _root(look, names[0], pictures)
        args = {"annotations": folder or ".", "root": root, "first_pixel": first}
        found.append(Boxes(_side(look, names[0], root), {"type": "VocReader", "args": args}, classes, len(texts)))
    proposal = _proposal("voc", look, found, None)
    if proposal is not None:
        proposal.remarks["data_loader.args.reader"] = "first_pixel is 0 if a box begins at 0, else 1 as in VOC's own files"
    return proposal


# Parts --------------------------------------------------------------------------------------------------------------


def _labelled(look: Look, texts: set[str]) -> dict[tuple[str, str], list[str]]:
    """Return (folder of pictures, folder of labels) -> the pictures with a text file, as they would lie beside it."""
    places: dict[tuple[str, str], list[str]] = {}
    for picture in look.pictures:
        beside = next((place for place in _label_folders(picture) if label_name(place) in texts), None)
        if beside is not None:
            places.setdefault(_roots(picture, beside), []).append(beside)
    return places


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except OSError:
        return ""


def _objects(content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects of a list in a JSON object, none if there is no such list."""
    values = content.get(key)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _root(look: Look, name: str, pictures: list[str]) -> str:
    """Return the folder to which the names of pictures in a file are relative."""
    folder = posixpath.dirname(name)
    listed = look.listed(Rows(["file"], [[picture] for picture in pictures], [], []), folder)
    return listed.root if listed is not None else folder or "."


def _side(look: Look, name: str, root: str) -> str | None:
    words = re.split(r"[^a-z0-9]+", name.lower())
    return look.side(f"{root}/x") or next((side for word in words if (side := side_of(word)) is not None), None)


def _label_folders(picture: str) -> list[str]:
    """Return where a picture's text file may be: beside it, or below `labels` in place of `images` anywhere in its path."""
    parts = picture.split("/")
    swapped = ["/".join([*parts[:place], LABELS, *parts[place + 1 :]]) for place, part in enumerate(parts[:-1]) if part == IMAGES]
    return [*swapped, picture]


def _roots(picture: str, label: str) -> tuple[str, str]:
    """Return the folders of a picture and of its text file, of the same depth."""
    return posixpath.dirname(picture) or ".", posixpath.dirname(label) or "."


def _joined(look: Look, places: dict[tuple[str, str], list[str]]) -> list[tuple[tuple[str, str], list[str]]]:
    """Return the folders of pictures and text files of each side, with the paths of its text files."""
    sides: dict[str | None, list[tuple[str, str]]] = {}
    for root, labels in sorted(places):
        sides.setdefault(look.side(f"{root}/x"), []).append((root, labels))
    joined = []
    for several in sides.values():
        root, labels = (posixpath.commonpath(folders) or "." for folders in zip(*several, strict=True))
        joined.append(((root, labels), [picture for place in several for picture in places[place]]))
    return joined


def _numbers(look: Look, names: list[str]) -> Counter[int]:
    """Return class number -> number of boxes; empty if the files are no lines of numbers."""
    numbers: Counter[int] = Counter()
    for name in names:
        for line in _text(look.data_dir / name).splitlines():
            fields = line.split()
            if fields and (len(fields) < 5 or not re.fullmatch(r"\d{1,6}(\.0*)?", fields[0])):
                return Counter()
            if fields:
                numbers[int(float(fields[0]))] += 1
    return numbers


def _proposal(format: str, look: Look, found: list[Boxes], submission: str | None) -> Proposal | None:
    """Return the proposal for the annotations of all sides; None if none has a box."""
    sides = {boxes.side: boxes for boxes in found}
    train = sides.get("train") or sides.get(None) or (found[0] if look.file is not None and found else None)
    if train is None or not train.classes.total():
        return None
    classes = [name for name, count in train.classes.items() if count]
    unseen = [name for name, count in train.classes.items() if not count]
    lines = [f"classes   {counted(dict(train.classes.most_common()))}"]
    lines += [f"boxes     {train.classes.total():,} in {train.pictures:,} pictures"]
    lines += [f"unused    {', '.join(unseen)}: no box, left out"] if unseen else []
    args: dict[str, Any] = {"reader": train.reader, "classes": classes}
    proposal = Proposal(format, "detection", 3, lines, args)
    for boxes in found:
        boxes.reader["args"]["invalid"] = "drop"
    proposal.remarks["data_loader.args.classes"] = "boxes of other classes are left out, and counted"
    _add_division(proposal, look, train, sides.get("valid"), sides.get("test"))
    args["image_size"] = look.size(look.to_train or look.pictures, 320, 32, 64)
    args["batch_size"] = 16 if train.pictures > 200 else 4
    args["train_transforms"] = [
        {"type": "Affine", "args": {"scale": [0.8, 1.2], "translate_percent": [-0.1, 0.1], "p": 0.7}},
        {"type": "HorizontalFlip"},
        {"type": "RandomBrightnessContrast", "args": {"p": 0.5}},
    ]
    pyramid = {"backbone": "mobilenetv3_small_100", "pretrained": False, "levels": [3, 4, 5], "width": 64}
    proposal.remarks["arch.args.pyramid.pretrained"] = PRETRAINED
    proposal.rest = {
        "arch": {"type": "PointDetector", "args": {"pyramid": pyramid}},
        "loss": {"type": "AlignedLoss"},
        "metrics": [{"type": "BoxScores"}],
        "optimizer": {"type": "AdamW", "args": {"lr": 1e-3, "weight_decay": 0.05}},
        "lr_scheduler": {"type": "OneCycleLR", "args": {"pct_start": 0.1}},
        "trainer": {"epochs": 30, "validate_every": 2, "monitor": "max val/ap50", "clip_norm": 10.0},
    }
    if submission is not None and "test_reader" in args:
        proposal.rest["submission"] = {"type": submission}
    return proposal


def _add_division(proposal: Proposal, look: Look, train: Boxes, valid: Boxes | None, test: Boxes | None) -> None:
    """Add the samples to validate on, and the samples to predict: a side of their own, or a share, or a folder."""
    args, lines = proposal.args, proposal.lines
    if valid is not None and valid is not train:
        args["valid_reader"] = valid.reader
        lines.append(f"sides     validation is a set of its own ({valid.reader['args']['root']}, {valid.pictures:,} pictures)")
    else:
        args["split"] = {"stratify": ["contents"], "valid": 0.2}
        remark = '"sources": {"within": 50} and "group": "source" keep frames of one video together'
        proposal.remarks["data_loader.args.split"] = remark
    if test is not None and test is not train:
        args["test_reader"] = test.reader
    elif "test" in look.sides:
        root = common_folder(look.sides["test"])
        args["test_reader"] = {"type": "PatternReader", "args": {"root": root, "pattern": ".*"}}
    if "test_reader" in args:
        number = test.pictures if test is not None else len(look.sides["test"])
        lines.append(f"test set  {number:,} pictures in {args['test_reader']['args']['root']}")


LOADER = "DetectionLoader"
FORMATS: dict[str, Recogniser] = {"coco": coco, "yolo": yolo, "voc": voc, "competition-json": competition}
