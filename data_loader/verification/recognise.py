"""Recognise pictures of people: a folder for each person, a table with the person of each picture, lists of pairs."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from typing import Any, NamedTuple

import cv2
import numpy as np

from data_loader.formats.pattern_reader import is_picture
from data_loader.pictures.decode import ImageError, read_image
from data_loader.prepare.look import PERSON_WORDS, PRETRAINED, Listed, Look, Proposal, Recogniser, common_folder, side_of

COMPARED = 200  # pairs of each kind that are looked at
THUMBNAIL = (24, 24)
NUMBERED = r"(?P<person>.+)_\d+\.\w+"
FOLDERS = r"(?P<person>[^/]+)/.+"


class PairList(NamedTuple):
    """A table with two columns of pictures. label: the column that says who is whom, None if there is none with two texts."""

    name: str
    first: Listed
    second: Listed
    label: str | None
    texts: list[str]  # of the label, in order of the rows

    def side(self, look: Look) -> str | None:
        """Return the side that the file's path names, or else the side of its pictures."""
        words = re.split(r"[^a-z0-9]+", self.name.lower())
        named = next((side for word in words if (side := side_of(word)) is not None), None)
        return named or next((look.side(picture) for picture in self.first.pictures if picture is not None), None)

    def reader(self, same: str | None) -> dict[str, Any]:
        """Return the part of a config that reads the list. same: what it says of one person, None for a list to predict."""
        args: dict[str, Any] = {"file": self.name, "root": self.first.root}
        args |= {"first": self.first.column, "second": self.second.column}
        args |= {"suffix": self.first.suffix} if self.first.suffix else {}
        if same is None:
            return {"type": "PairReader", "args": {**args, "label": None}}
        other = next(text for text in sorted(set(self.texts)) if text != same)
        return {"type": "PairReader", "args": {**args, "label": self.label, "same": same, "different": other}}


def pair_lists(look: Look) -> list[PairList]:
    """Return the CSV files with two columns of pictures."""
    found = []
    for name in look.named(".csv", ".tsv"):
        rows = look.table(name)
        columns = look.all_listed(rows, posixpath.dirname(name)) if rows is not None else []
        if rows is None or len(columns) < 2:
            continue
        used = {column.column for column in columns[:2]}
        texts = {other: [row[place] for row in rows.rows] for place, other in enumerate(rows.names) if other not in used}
        label = next((other for other, values in texts.items() if len(set(values)) == 2), None)
        found.append(PairList(name, columns[0], columns[1], label, texts[label] if label is not None else []))
    return found


# Formats ------------------------------------------------------------------------------------------------------------


def person_folders(look: Look) -> Proposal | None:
    """Recognise a folder for each person, below folders for the sides or not."""
    if look.file is not None or not look.to_train:
        return None
    root, folders = _folders(look)
    if len(folders) < 3 or not _are_people(look, root, folders):
        return None
    args: dict[str, Any] = {"reader": {"type": "PatternReader", "args": {"root": root, "pattern": FOLDERS}}, "identity": "person"}
    proposal = Proposal("person-folders", "verification", 1, [_people(folders)], args)
    if "valid" in look.sides:
        folder = common_folder(look.sides["valid"])
        args["valid_reader"] = {"type": "PatternReader", "args": {"root": folder, "pattern": FOLDERS}}
        proposal.lines.append(f"sides     validation is a set of its own ({folder})")
    return _finished(proposal, look, len(folders))


def person_table(look: Look) -> Proposal | None:
    """Recognise a table with the person of each picture, with lists of pairs to validate and to predict if there are any."""
    lists = pair_lists(look)
    names = {one.name for one in lists}
    best: tuple[str, Listed, str, list[str]] | None = None
    for name in look.named(".csv", ".tsv"):
        rows = look.table(name)
        if rows is None or name in names or (listed := look.listed(rows, posixpath.dirname(name))) is None:
            continue
        column = next((column for column in rows.names if _is_person(column) and column != listed.column), None)
        others = [other for other in rows.names if other not in (column, listed.column) and other.lower() not in ("id", "index")]
        if column is None or (others and look.task != "verification"):
            continue
        values = [row[rows.names.index(column)] for row in rows.rows]
        if best is None or len(values) > len(best[3]):
            best = name, listed, column, values
    if best is None:
        return None
    name, listed, column, values = best
    reader = {"file": name, "root": listed.root, "path_column": listed.column}
    reader |= {"suffix": listed.suffix} if listed.suffix else {}
    args: dict[str, Any] = {"reader": {"type": "CsvReader", "args": reader}, "identity": column}
    proposal = Proposal("person-table", "verification", 3, [_people(Counter(values))], args)
    for one in lists:
        _add_pairs(proposal, look, one)
    return _finished(proposal, look, len(set(values)))


def pairs_beside_people(look: Look) -> Proposal | None:
    """Recognise lists of pairs as LFW, CALFW and Kaggle write them, or as CSV, beside a folder for each person."""
    lists = pair_lists(look)
    lfw = [name for name in look.named(".txt", ".csv") if "pairs" in posixpath.basename(name).lower() and _is_lfw(look, name)]
    if (not lists and not lfw) or person_table(look) is not None:
        return None
    root, pattern, people = _named_people(look)
    if len(people) < 3:
        return None
    args: dict[str, Any] = {"reader": {"type": "PatternReader", "args": {"root": root, "pattern": pattern}}, "identity": "person"}
    proposal = Proposal("pairs", "verification", 3, [_people(people)], args)
    for one in lists:
        _add_pairs(proposal, look, one)
    _add_lfw(proposal, lfw, root)
    return _finished(proposal, look, len(people))


def _named_people(look: Look) -> tuple[str, str, Counter[str]]:
    """Return the folder of the pictures, the pattern that finds the person in a path, and the number of pictures of each person.

    The person is the folder, or the beginning of the file's name if too few pictures lie in folders.
    """
    root, folders = _folders(look)
    if len(folders) >= 3 and sum(folders.values()) >= 0.9 * len(look.to_train):
        return root, FOLDERS, folders
    matches = [re.fullmatch(NUMBERED, posixpath.basename(name)) for name in look.to_train]
    return root, rf"(?:.*/)?{NUMBERED}", Counter(match["person"] for match in matches if match is not None)


def _add_lfw(proposal: Proposal, lfw: list[str], root: str) -> None:
    """Add the lists of LFW: those of view 1 to train and validate on, another one to test on."""
    args = proposal.args
    base = {posixpath.basename(name).lower().removesuffix(".txt"): name for name in lfw}
    dev = {side: base.get(f"pairsdev{side}") for side in ("train", "test")}
    if dev["train"] and dev["test"]:
        args["reader"], args["valid_reader"] = (_lfw_reader(dev[side], root) for side in ("train", "test"))
    last = next((name for name in lfw if name not in dev.values()), None)
    if last is not None:
        args["test_reader"] = _lfw_reader(last, root)
        proposal.lines.append(f"pairs     {last}, to test on")
        if "valid_reader" not in args:
            proposal.remarks["data_loader.args.test_reader"] = "its people are trained on too, so that its scores are too good"


# Parts --------------------------------------------------------------------------------------------------------------


def _folders(look: Look) -> tuple[str, Counter[str]]:
    """Return the common folder of the pictures to train on, and the number of pictures in each folder of it."""
    root = common_folder(look.to_train)
    below = [posixpath.relpath(picture, root) for picture in look.to_train]
    return root, Counter(name.split("/")[0] for name in below if "/" in name)


def _are_people(look: Look, root: str, folders: Counter[str]) -> bool:
    """Return whether the folders are of people: asked for, named like their pictures, or many and small."""
    if look.task == "verification":
        return True
    if "valid" in look.sides:
        others = {posixpath.relpath(name, common_folder(look.sides["valid"])).split("/")[0] for name in look.sides["valid"]}
        if others & set(folders):
            return False  # the same people would be on both sides
    below = [posixpath.relpath(picture, root) for picture in look.to_train]
    named = sum(posixpath.basename(name).startswith(f"{name.split('/')[0]}_") for name in below)
    return named > 0.9 * len(below) or len(folders) > 100 or (len(folders) > 20 and len(below) < 30 * len(folders))


def _people(counts: Counter[str]) -> str:
    alone = sum(count == 1 for count in counts.values())
    return f"people    {len(counts):,} with {sum(counts.values()):,} pictures, {alone:,} of them with one"


def _is_person(column: str) -> bool:
    return any(word in column.lower() for word in PERSON_WORDS) or column.lower() in ("label", "name", "class", "pid")


def _is_lfw(look: Look, name: str) -> bool:
    """Return whether a list begins as LFW's, CALFW's or Kaggle's do."""
    try:
        with (look.data_dir / name).open(encoding="utf-8") as file:
            head = file.readline().strip()
    except (OSError, UnicodeDecodeError):
        return False
    fields = head.split()
    if fields and is_picture(fields[0]):
        return len(fields) == 2
    return (0 < len(fields) < 3 and all(field.isdecimal() for field in fields)) or head.lower().startswith("name,imagenum1")


def _lfw_reader(name: str | None, root: str) -> dict[str, Any]:
    return {"type": "LfwPairsReader", "args": {"file": name, "root": root}}


def _add_pairs(proposal: Proposal, look: Look, one: PairList) -> None:
    """Add a list of pairs to validate on, if it says who is whom, or to predict."""
    side = one.side(look)
    if one.label is None or side == "test":
        proposal.args["test_reader"] = one.reader(None)
        proposal.lines.append(f"test set  {len(one.first.pictures):,} pairs in {one.name}")
        return
    same, sure = _same(look, one)
    proposal.args["valid_reader"] = one.reader(same)
    counts = Counter(one.texts)
    texts = ", ".join(f"{text} {counts[text]:,}" for text in sorted(counts))
    proposal.lines.append(f"pairs     {one.name}: {one.label} {texts}; {same} seems to be one person")
    proposal.remarks["data_loader.args.valid_reader"] = (
        f'"same" is what {one.label} says of one person, by {sure}: look at both pictures of a few pairs'
    )


def _same(look: Look, pairs: PairList) -> tuple[str, str]:
    """Return the text that one person probably has, and by what."""
    likeness: dict[str, list[float]] = {text: [] for text in sorted(set(pairs.texts))}
    people: dict[str, list[bool]] = {text: [] for text in likeness}
    for text, one, other in zip(pairs.texts, pairs.first.pictures, pairs.second.pictures, strict=True):
        if one is None or other is None or len(likeness[text]) >= COMPARED:
            continue
        people[text].append(_stem(one) == _stem(other))
        likeness[text].append(_alike(look, one, other))
    by_name = {text: float(np.mean(values)) if values else 0.0 for text, values in people.items()}
    if max(by_name.values()) > 0.9 and min(by_name.values()) < 0.1:
        return max(by_name, key=by_name.__getitem__), "the names of the pictures"
    by_looks = {text: float(np.mean(values)) if values else 0.0 for text, values in likeness.items()}
    return max(by_looks, key=by_looks.__getitem__), "how alike the pictures are"


def _stem(picture: str) -> str:
    folder, name = posixpath.split(picture)
    return re.sub(r"_?\d+\.\w+$", "", name) or folder


def _alike(look: Look, one: str, other: str) -> float:
    """Return the correlation of two small grey pictures, in -1..1; 0 if one cannot be read."""
    try:
        pictures = [read_image(look.data_dir / name, THUMBNAIL) for name in (one, other)]
    except ImageError:
        return 0.0
    both = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).ravel().astype(float) for picture in pictures]
    if min(values.std() for values in both) == 0:
        return 0.0
    return float(np.corrcoef(both[0], both[1])[0, 1])


def _finished(proposal: Proposal, look: Look, people: int) -> Proposal:
    """Return the proposal with the sides, and the sections that train it."""
    args = proposal.args
    identities = max(2, min(32, int(people * 0.7)))
    if "valid_reader" not in args:
        args["split"] = {"valid": 0.1 if people >= 50 else 0.3}
    args["image_size"] = look.size(look.to_train or look.pictures, 112, 4)
    args["batch_size"] = identities * 4
    args["sampler"] = {"type": "IdentitySampler", "args": {"identities": identities, "images": 4, "most": 4}}
    args["train_transforms"] = [
        {"type": "Affine", "args": {"scale": [0.85, 1.15], "rotate": [-15, 15], "border_mode": 4}},
        {"type": "HorizontalFlip"},
        {"type": "RandomBrightnessContrast", "args": {"p": 0.5}},
    ]
    term = {"type": "SupervisedContrastive", "args": {"temperature": 0.1}}
    proposal.rest = {
        "arch": {"type": "EmbeddingModel", "args": {"backbone": "resnet10t", "pretrained": False, "embedding_size": 256}},
        "loss": {"type": "EmbeddingLoss", "args": {"terms": {"embedding": term}}},
        "metrics": [{"type": "PairScores"}],
        "optimizer": {"type": "AdamW", "args": {"lr": 1e-3, "weight_decay": 0.05}},
        "lr_scheduler": {"type": "OneCycleLR"},
        "trainer": {"epochs": 20, "clip_norm": 5.0, "monitor": "max val/accuracy"},
    }
    if "test_reader" in args and args["test_reader"]["type"] == "PairReader":
        meaning = args.get("valid_reader", {}).get("args", {})
        answers = {key: meaning[key] for key in ("same", "different") if key in meaning} or {"same": "1", "different": "0"}
        proposal.rest["submission"] = {"type": "PairSubmission", "args": answers}
    proposal.remarks["arch.args.pretrained"] = PRETRAINED
    return proposal


LOADER = "EmbeddingLoader"
FORMATS: dict[str, Recogniser] = {
    "person-folders": person_folders,
    "person-table": person_table,
    "pairs": pairs_beside_people,
}
