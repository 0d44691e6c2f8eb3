"""Recognise pictures with labels: a folder for each class, labels in file names, tables, the lists of CelebA."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from data_loader.attributes.labels import Label
from data_loader.formats.celeba_reader import ATTRIBUTES, PARTITION, PEOPLE, rows_of
from data_loader.formats.csv_reader import Rows
from data_loader.prepare.look import (
    PERSON_WORDS,
    PRETRAINED,
    SIDE_COLUMNS,
    Listed,
    Look,
    Proposal,
    Recogniser,
    common_folder,
    counted,
    number_column,
    side_of,
)

MOST_CLASSES = 100  # of a label; more are people, or texts of their own
SHOWN = 6  # labels that are printed
LISTED = 50  # largest number of classes that a config lists
FEW = 12  # largest number of different numbers that are classes
RACES = {"0": "white", "1": "black", "2": "asian", "3": "indian", "4": "others"}
_UTK = r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_[^/]*"
_MASKS = r"(?P<person>[^_/]+)_(?P<gender>male|female)_(?P<race>[^_/]+)_(?P<age>\d+)/(?P<shot>mask|incorrect_mask|normal)\d*\.\w+"
_SOURCE = re.compile(r"(.+)\.rf\.[0-9a-f]+\.\w+")  # Roboflow's augmented copies of one picture
AGE = {"classes": ["under 30", "30 to 59", "60 and over"], "bins": [30, 60]}
LABEL_KEY = "data_loader.args.labels"
Side = tuple[str, list[str], list[str]]  # column of the side, and its values for training and for validation


class Table(NamedTuple):
    """A table that names pictures."""

    name: str
    rows: Rows
    listed: Listed

    @property
    def folder(self) -> str:
        """The folder of the file below the data folder; empty for the data folder itself."""
        return posixpath.dirname(self.name)

    def values(self, column: str) -> list[str]:
        """Return the fields of a column."""
        place = self.rows.names.index(column)
        return [row[place] for row in self.rows.rows]

    def side(self, look: Look) -> str | None:
        """Return the side that the file or most of its pictures are of, None for no side."""
        words = re.split(r"[^a-z0-9]+", posixpath.splitext(self.name)[0].lower())
        named = next((side for word in reversed(words) if (side := side_of(word)) is not None), None)
        of_pictures = Counter(look.side(picture) for picture in self.listed.pictures if picture is not None)
        return of_pictures.most_common(1)[0][0] or named

    def reader(self) -> dict[str, Any]:
        """Return the part of a config that reads the table."""
        args: dict[str, Any] = {"file": self.name, "path_column": self.listed.column, "root": self.listed.root}
        return {"type": "CsvReader", "args": {**args, **({"suffix": self.listed.suffix} if self.listed.suffix else {})}}


def tables(look: Look) -> list[Table]:
    """Return the CSV files that name pictures."""
    found = []
    for name in look.named(".csv", ".tsv"):
        rows = look.table(name)
        if rows is not None and (listed := look.listed(rows, posixpath.dirname(name))) is not None:
            found.append(Table(name, rows, listed))
    return found


# Formats ------------------------------------------------------------------------------------------------------------


def class_folders(look: Look) -> Proposal | None:
    """Recognise a folder for each class, below folders for the sides or not."""
    if look.file is not None or len(look.to_train) < 2:
        return None
    root = common_folder(look.to_train)
    below = [picture if root == "." else picture[len(root) + 1 :] for picture in look.to_train]
    classes = Counter(name.split("/")[0] for name in below if "/" in name)
    if len(classes) < 2 or sum(classes.values()) < 0.9 * len(below) or are_people(look, root, classes):
        return None
    pattern, lines, args = r"(?P<label>[^/]+)/.+", [], {}
    sources = sum(_SOURCE.fullmatch(name) is not None for name in below)
    if sources > 0.9 * len(below):
        pattern = r"(?P<label>[^/]+)/(?P<source>.+)\.rf\.[0-9a-f]+\.\w+"
        lines.append("copies    names of Roboflow's augmented copies: those of one picture stay together")
    ignore = {"ignore": "[^/]+"} if any("/" not in name for name in below) else {}
    args["reader"] = {"type": "PatternReader", "args": {"root": root, "pattern": pattern, **ignore}}
    if "valid" in look.sides and (valid := common_folder(look.sides["valid"])) != ".":
        args["valid_reader"] = {"type": "PatternReader", "args": {"root": _above(valid, classes), "pattern": pattern}}
    if "test" in look.sides:
        args["test_reader"] = _test_folder(look, classes, pattern)
    proposal = Proposal("class-folders", "attributes", 1, lines, args)
    return _finished(proposal, look, {"label": (classes, None)}, "source" if sources > 0.9 * len(below) else None)


def _above(folder: str, classes: Mapping[str, int]) -> str:
    """Return the folder above a folder that is of a class itself, because only one class has pictures there."""
    return posixpath.dirname(folder) if posixpath.basename(folder) in classes else folder


def _test_folder(look: Look, classes: Mapping[str, int], pattern: str) -> dict[str, Any]:
    root = _above(common_folder(look.sides["test"]), classes)
    below = {posixpath.relpath(picture, root).split("/")[0] for picture in look.sides["test"] if picture.count("/")}
    labelled = below <= set(classes)
    return {"type": "PatternReader", "args": {"root": root, "pattern": pattern if labelled else ".*"}}


def are_people(look: Look, root: str, folders: Mapping[str, int]) -> bool:
    """Return whether the folders are of people: their names begin the names of their pictures, or they are many and small."""
    if "valid" in look.sides:
        below = [posixpath.relpath(picture, common_folder(look.sides["valid"])).split("/")[0] for picture in look.sides["valid"]]
        if set(below) & set(folders):
            return False  # the same people would be on both sides
    prefix = "" if root == "." else f"{root}/"
    named = sum(posixpath.basename(name).startswith(f"{name[len(prefix) :].split('/')[0]}_") for name in look.to_train)
    if named > 0.9 * len(look.to_train) and len(folders) > 2:
        return True
    return len(folders) > MOST_CLASSES or (len(folders) > 20 and sum(folders.values()) < 30 * len(folders))


def utk_names(look: Look) -> Proposal | None:
    """Recognise UTKFace: age, gender and race in the name of each picture."""
    pattern = re.compile(_UTK)
    matches = [pattern.fullmatch(posixpath.basename(name)) for name in look.to_train]
    good = [match for match in matches if match is not None]
    if look.file is not None or len(good) < 0.5 * len(matches) or len(good) < 2:
        return None
    odd = len(matches) - len(good)
    reader = {"root": common_folder(look.to_train), "pattern": f"(?:.*/)?{_UTK}"}
    lines = [f"odd names {odd:,} pictures without age_gender_race in their name are left out"] if odd else []
    ignore = {"ignore": rf"(?!(?:.*/)?{re.sub(r'[?]P<[a-z]+>', '', _UTK)}$).*"} if odd else {}
    args = {"reader": {"type": "PatternReader", "args": {**reader, **ignore}}}
    labels: Labels = {
        "age": (Counter(match["age"] for match in good), AGE),
        "gender": (Counter(match["gender"] for match in good), _named({"0": "male", "1": "female"})),
        "race": (Counter(match["race"] for match in good), _named(RACES)),
    }
    return _finished(Proposal("utkface-names", "attributes", 2, lines, args), look, labels, None)


def _named(values: dict[str, str]) -> dict[str, Any]:
    """Return the config of a label whose texts stand for classes."""
    return {"classes": list(values.values()), "values": values}


def mask_names(look: Look) -> Proposal | None:
    """Recognise the mask competition: a folder `id_gender_race_age` for each person, with mask1.jpg to normal.jpg in it."""
    root = common_folder(look.to_train) if look.to_train else "."
    pattern = re.compile(_MASKS)
    matches = [pattern.fullmatch(posixpath.relpath(name, root)) for name in look.to_train]
    good = [match for match in matches if match is not None]
    if look.file is not None or len(good) < max(2, 0.9 * len(matches)):
        return None
    odd = {"ignore": rf"(?!{re.sub(r'[?]P<[a-z]+>', '', _MASKS)}$).*"} if len(good) < len(matches) else {}
    args: dict[str, Any] = {"reader": {"type": "PatternReader", "args": {"root": root, "pattern": _MASKS, **odd}}}
    shots = {"column": "shot", **_named({"mask": "worn", "incorrect_mask": "incorrect", "normal": "not worn"})}
    labels: Labels = {
        "mask": (Counter(match["shot"] for match in good), shots),
        "gender": (Counter(match["gender"] for match in good), {"classes": ["male", "female"]}),
        "age": (Counter(match["age"] for match in good), AGE),
    }
    people = len({match["person"] for match in good})
    lines = [f"people    {people:,}, by the number in the folder's name"]
    proposal = Proposal("mask-names", "attributes", 2, lines, args)
    _add_test(proposal, [table for table in tables(look) if table.side(look) == "test"])
    return _finished(proposal, look, labels, "person")


def csv_labels(look: Look) -> Proposal | None:
    """Recognise a table with a row for each picture and columns of labels; also columns of 0 and 1 for each class."""
    found = [(table, labels_of(table)) for table in tables(look)]
    training = [(table, labels) for table, labels in found if labels and table.side(look) in ("train", None)]
    if not training:
        training = [(table, labels) for table, labels in found if labels and look.file is not None]
    if not training:
        return None
    table, labels = max(training, key=lambda one: (one[0].listed.share, len(one[0].rows.rows)))
    proposal = Proposal("csv", "attributes", 3, [], {"reader": table.reader()})
    missing = table.listed.pictures.count(None)
    if missing:
        proposal.lines.append(f"missing   {missing:,} rows whose picture is not there")
        proposal.args["unreadable"] = "skip"
        proposal.remarks["data_loader.args.unreadable"] = "rows whose picture is not there are left out, and reported"
    group = next((name for name in table.rows.names if _names_people(name) and _repeats(table.values(name))), None)
    if group:
        proposal.lines.append(f"people    {len(set(table.values(group))):,} in the column {group}")
    side = _side_column(table)
    for other, others in found:
        if other is not table and other.side(look) == "valid" and set(labels) <= set(others or {}) and side is None:
            proposal.args["valid_reader"] = other.reader()
    _add_test(proposal, [other for other, _ in found if other is not table and other.side(look) == "test"])
    if len(labels) > 1:
        proposal.remarks[LABEL_KEY] = "columns that could be labels; take out what is none, with its term below"
    return _finished(proposal, look, labels, group, side)


def celeba(look: Look) -> Proposal | None:
    """Recognise the lists of CelebA: attributes of 1 and -1, with the partition and the people beside them if they are there."""
    name = next((name for name in look.named(".txt") if posixpath.basename(name) == ATTRIBUTES), None)
    if name is None:
        return None
    columns, rows = rows_of(look.data_dir / name)
    folder = posixpath.dirname(name)
    listed = look.listed(Rows(["file"], [[row[0]] for row in rows], [], []), folder)
    beside = {key: posixpath.join(folder, file) for key, file in (("partition", PARTITION), ("people", PEOPLE))}
    there = {key: file for key, file in beside.items() if file in look.files}
    args = {"file": name, "root": listed.root if listed is not None else folder or ".", **there}
    labels: Labels = {
        column: (Counter(row[place] for row in rows), _named({"-1": "no", "1": "yes"})) for place, column in enumerate(columns, 1)
    }
    proposal = Proposal("celeba", "attributes", 3, [], {"reader": {"type": "CelebaReader", "args": args}})
    side = ("part", ["train"], ["valid"]) if "partition" in there else None
    return _finished(proposal, look, labels, "person" if "people" in there else None, side)


# Columns ------------------------------------------------------------------------------------------------------------

Labels = dict[str, tuple[Counter[str], dict[str, Any] | None]]  # label -> counts of its texts, and its config


def labels_of(table: Table) -> Labels:
    """Return the columns that could be labels."""
    labels: Labels = {}
    side = _side_column(table)
    for name in table.rows.names:
        if name == table.listed.column or _names_people(name) or (side is not None and name == side[0]):
            continue
        values = [value.strip() for value in table.values(name)]
        counts = Counter(value for value in values if value)
        if (known := _as_label(name, counts, len(values))) is not None:
            labels[name] = (counts, known)
    return _one_of(table, list(labels)) or labels


def _one_of(table: Table, columns: Sequence[str]) -> Labels:
    """Return one label whose classes are the columns, if every row has a 1 in one of them and a 0 in all others; else nothing."""
    ones = [[float(value or "nan") if number_column([value]) else -1.0 for value in table.values(name)] for name in columns]
    rows = list(zip(*ones, strict=True))
    if len(columns) < 2 or not all(sorted(row) == [0.0] * (len(columns) - 1) + [1.0] for row in rows):
        return {}
    return {"label": (Counter(columns[row.index(1.0)] for row in rows), {"classes": list(columns)})}


def _as_label(name: str, counts: Counter[str], rows: int) -> dict[str, Any] | None:
    """Return the config of a column as a label, None if it is none: constant, an id, or free text."""
    if len(counts) < 2:
        return None
    if number_column(counts):
        return _of_numbers(name, counts, rows)
    return classes_of(counts) if len(counts) <= MOST_CLASSES and len(counts) * 2 <= max(4, rows) else None


def _of_numbers(name: str, counts: Counter[str], rows: int) -> dict[str, Any] | None:
    values = {text: float(text) for text in counts}
    if set(values.values()) in ({0.0, 1.0}, {-1.0, 1.0}):
        return {"classes": ["no", "yes"], "values": {text: "yes" if number > 0 else "no" for text, number in values.items()}}
    if "age" in name.lower() and max(values.values()) > FEW:
        return dict(AGE)
    if len(counts) <= FEW:
        return classes_of(counts)
    if len(counts) == rows or name.lower() in ("id", "index", "idx", "no"):
        return None
    ordered = sorted(number for text, number in values.items() for _ in range(counts[text]))
    borders = sorted({ordered[len(ordered) // 3], ordered[2 * len(ordered) // 3]} - {ordered[0]})
    names = [f"below {borders[0]:g}", *(f"from {border:g}" for border in borders)] if borders else []
    return {"classes": names, "bins": borders} if borders else None


def classes_of(counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the config of a label whose texts are its classes."""
    names = sorted(counts, key=lambda text: (float(text), text)) if number_column(counts) else sorted(counts)
    return {"classes": names if len(names) <= LISTED else "data"}


def _names_people(column: str) -> bool:
    return any(word in column.lower() for word in PERSON_WORDS)


def _repeats(values: Sequence[str]) -> bool:
    return 1 < len(set(values)) < len(values) and all(values)


def _side_column(table: Table) -> tuple[str, list[str], list[str]] | None:
    """Return the column that names the sides, and its texts for training and for validation; None if there is none."""
    for name in table.rows.names:
        texts = sorted(set(table.values(name)))
        sides = {side: [text for text in texts if side_of(text) == side] for side in ("train", "valid")}
        if name.lower() in SIDE_COLUMNS and sides["train"] and sides["valid"]:
            return name, sides["train"], sides["valid"]
    return None


def _add_test(proposal: Proposal, several: Sequence[Table]) -> None:
    """Add the reader of the samples to predict: of the table with a column to be filled in, which gets a submission, if any."""
    to_fill = {table.name: _to_fill(table) for table in several}
    sample = max(several, key=lambda table: bool(to_fill[table.name]), default=None)
    if sample is None:
        return
    answers = to_fill[sample.name]
    proposal.args["test_reader"] = sample.reader()
    asked = f", {answers[0]} to be filled in" if answers else ""
    proposal.lines.append(f"test set  {len(sample.rows.rows):,} rows of {sample.name}{asked}")
    if answers:
        args = {"sample": sample.name, "id_column": sample.listed.column, "answer_column": answers[0]}
        args["file"] = posixpath.basename(sample.name)
        proposal.rest["submission"] = {"type": "CombinedClassSubmission", "args": args}
        remark = "one number for all labels, the last one fastest: put the labels into the order of the competition"
        proposal.remarks["submission"] = remark


def _to_fill(table: Table) -> list[str]:
    """Return the columns beside the pictures that say the same in every row."""
    others = [name for name in table.rows.names if name != table.listed.column]
    return [name for name in others if len(set(table.values(name))) == 1]


# The whole config ---------------------------------------------------------------------------------------------------


def _finished(proposal: Proposal, look: Look, labels: Labels, group: str | None, side: Side | None = None) -> Proposal:
    """Return the proposal with the labels, the split, and the sections that train it."""
    known = {name: config or classes_of(counts) for name, (counts, config) in labels.items()}
    shown = [f"label     {name}: {counted(_by_class(counts, known[name]))}" for name, (counts, _) in list(labels.items())[:SHOWN]]
    more = [f"labels    {len(labels) - SHOWN} more"] if len(labels) > SHOWN else []
    proposal.lines[:0] = [*shown, *more]
    args = proposal.args
    args["labels"] = known
    least = min(min(counts.values()) for counts, _ in labels.values())
    _add_division(proposal, {"group": group} if group else {}, side, least)
    if "test_reader" in args and "test" in look.sides and not any(line.startswith("test set") for line in proposal.lines):
        proposal.lines.append(f"test set  {len(look.sides['test']):,} pictures in {args['test_reader']['args'].get('root', '.')}")
    args["image_size"] = look.size(look.to_train or look.pictures, 128, 4)
    args["batch_size"] = 64 if len(look.pictures) > 1000 else 16
    args["train_transforms"] = [
        {"type": "Affine", "args": {"scale": [0.85, 1.15], "rotate": [-10, 10]}},
        {"type": "HorizontalFlip"},
        {"type": "RandomBrightnessContrast", "args": {"p": 0.5}},
    ]
    _add_sections(proposal, list(known))
    return proposal


def _add_division(proposal: Proposal, grouped: dict[str, str], side: Side | None, least: int) -> None:
    """Add the samples to validate on: a set of their own, by a column, or a share.

    grouped: the group column of the split, if there is one. least: number of samples of the rarest class.
    """
    args = proposal.args
    if "valid_reader" in args:
        args |= {"split": grouped} if grouped else {}
        proposal.lines.append(f"sides     validation is a set of its own ({args['valid_reader']['args'].get('root', '.')})")
    elif side is not None:
        args["split"] = {**grouped, "column": side[0], "train": side[1], "valid": side[2]}
        proposal.lines.append(f"sides     by the column {side[0]}")
    else:
        stratify = [name for name, label in args["labels"].items() if "bins" not in label][:2] if least > 1 else []
        args["split"] = {**grouped, **({"stratify": stratify} if stratify else {}), "valid": 0.2}


def _add_sections(proposal: Proposal, names: list[str]) -> None:
    """Add network, loss, metrics and schedule for labels of these names."""
    many = len(names) > 4  # the combined class of many labels has too many values to be scored
    proposal.rest = {
        "arch": {"type": "AttributeModel", "args": {"backbone": "resnet18", "pretrained": False}},
        "loss": {"type": "AttributeLoss", "args": {"terms": {name: {"type": "CrossEntropy"} for name in names}}},
        "metrics": [{"type": "AttributeScores", **({"args": {"combine": names[:2]}} if many else {})}],
        "optimizer": {"type": "AdamW", "args": {"lr": 1e-3, "weight_decay": 0.05}},
        "lr_scheduler": {"type": "OneCycleLR"},
        "trainer": {"epochs": 20, "monitor": "min val/loss" if many else "max val/f1"},
        **proposal.rest,
    }
    proposal.remarks["arch.args.pretrained"] = PRETRAINED
    if many:
        proposal.remarks["metrics.0"] = "the scores of all labels together are those of these two; each label has its own besides"


def _by_class(counts: Counter[str], config: dict[str, Any]) -> dict[str, int]:
    """Return class -> number of samples, in the order of the classes."""
    if config["classes"] == "data":
        return dict(counts.most_common())
    label = Label(**config)
    numbers: Counter[int | None] = Counter()
    for text, count in counts.items():
        numbers[label.number(text)] += count
    return {name: numbers[number] for number, name in enumerate(config["classes"])}


LOADER = "AttributeLoader"
FORMATS: dict[str, Recogniser] = {
    "class-folders": class_folders,
    "utkface-names": utk_names,
    "mask-names": mask_names,
    "csv": csv_labels,
    "celeba": celeba,
}
