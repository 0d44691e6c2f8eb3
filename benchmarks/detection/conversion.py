"""Measure time and memory of converting box annotations of 273,224 pictures: from the competition's JSON to a table and to YOLO.

    python -m benchmarks.detection.conversion [--images 273224] [--folder FOLDER]

The annotations are random; the pictures are links to a few small JPEGs, whose headers are read as usual. Each step runs in
its own process; its peak of resident memory is printed beside that of a process that only imports. The balanced subset by
the original's rules is compared with a slow reference that reads the JSON as Python objects.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CLASSES = ("eye_opened", "eye_closed", "mouth_opened", "mouth_closed", "face", "phone", "cigar")
SHARES = (0.55, 0.35, 0.15, 0.8, 0.98, 0.06, 0.05)  # share of the pictures that show each class
RULES = [
    {"any": ["cigar", "phone"]},
    {"all": ["eye_closed", "mouth_closed"]},
    {"all": ["eye_closed", "mouth_opened"]},
    {"all": ["mouth_opened"], "keep_every": 3},
]
SIZES = ((360, 480), (270, 480), (480, 480), (480, 320))  # height, width
LINKS = 20_000  # links to one file; some disks allow at most 65,000


def write_data(folder: Path, images: int) -> None:
    """Write `images/`, `labels.json` and `names.txt`."""
    rng, pictures = np.random.default_rng(0), folder / "images"
    pictures.mkdir(parents=True)
    (folder / "names.txt").write_text("\n".join(CLASSES))
    present = rng.random((images, len(CLASSES))) < SHARES
    corners = np.sort(rng.random((images, len(CLASSES), 2, 2)), axis=2)  # lower and upper, x and y
    with (folder / "labels.json").open("w") as file:
        for row in range(images):
            height, width = SIZES[row % len(SIZES)]
            name = f"{row:012x}.jpg"
            source = folder / f"source-{row % len(SIZES)}-{row // LINKS}.jpg"
            if not source.exists():
                cv2.imwrite(str(source), np.zeros((height, width, 3), np.uint8))
            os.link(source, pictures / name)
            boxes = np.round(corners[row] * [width - 2, height - 2] + [[0, 0], [2, 2]], 1).reshape(-1, 4).tolist()
            objects = [{"class": CLASSES[n], "position": boxes[n]} for n in np.flatnonzero(present[row]).tolist()]
            file.write(('{"annotations": [' if row == 0 else ", ") + json.dumps({"file_name": name, "objects": objects}))
        file.write("]}\n")


def only_import(folder: Path) -> str:
    """Import the reader only: the memory that every step needs."""
    import data_loader.detection.formats.competition_json  # noqa: F401

    return ""


def to_table(folder: Path) -> str:
    """Read the JSON into a table, with every check; return a line about the table."""
    from data_loader.detection.formats.competition_json import CompetitionJsonReader

    table = CompetitionJsonReader("labels.json", "images").read(folder)
    return f"{len(table):,} pictures in {table.columns.nbytes / 2**20:.0f} MB of columns"


def to_yolo(folder: Path) -> str:
    """Run the convert command; return the number of files as text."""
    from laurel import command

    places = ["--annotations", folder / "labels.json", "--images", folder / "images", "--names", folder / "names.txt"]
    words = ["--from", "competition", "--to", "yolo", "-o", folder / "yolo", *places]
    command("convert", [str(word) for word in words])
    return f"{len(os.listdir(folder / 'yolo')):,} files"


def to_subset(folder: Path) -> str:
    """Choose the balanced subset; return a line with its class counts, or exit if they differ from the reference's."""
    from base.detection.objects import class_counts
    from data_loader.detection import subset
    from data_loader.detection.formats.competition_json import CompetitionJsonReader

    table = CompetitionJsonReader("labels.json", "images").read(folder).sorted()
    start = time.perf_counter()
    kept = table.take(subset.chosen(table, [subset.Rule.model_validate(rule) for rule in RULES], CLASSES))
    seconds = time.perf_counter() - start
    counts = dict(zip(CLASSES, class_counts(kept, CLASSES), strict=True))
    if (len(kept), counts) != slow_subset(folder):
        raise SystemExit(f"the subset differs from the reference: {len(kept)} {counts} and {slow_subset(folder)}")
    return f"{len(kept):,} pictures chosen in {seconds:.1f} s, class counts equal to the reference's: {counts}"


def slow_subset(folder: Path) -> tuple[int, dict[str, int]]:
    """Return the number of pictures and the class counts of the subset, computed rule by rule and picture by picture."""
    entries = sorted(json.loads((folder / "labels.json").read_text())["annotations"], key=lambda entry: str(entry["file_name"]))
    kept: set[int] = set()
    for rule in RULES:
        fitting = 0
        for row, entry in enumerate(entries):
            names = {item["class"] for item in entry["objects"]}
            if names & set(rule.get("any", ())) or ("all" in rule and set(rule["all"]) <= names):
                if fitting % rule.get("keep_every", 1) == 0:
                    kept.add(row)
                fitting += 1
    counts = Counter(item["class"] for row in kept for item in entries[row]["objects"])
    return len(kept), {name: counts[name] for name in CLASSES}


def measured(step: Callable[[Path], str], folder: Path, answer: Any) -> None:
    """Run a step in this process; send its seconds, its peak memory in MiB and the text that it returns."""
    start = time.perf_counter()
    text = step(folder)
    answer.send((time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, text))


def main() -> int:
    """Print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=273_224)
    parser.add_argument("--folder", type=Path, help="for the data; default: a temporary one")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write_data(folder / "data", options.images)
        size = (folder / "data" / "labels.json").stat().st_size / 2**20
        print(f"{options.images:,} pictures, {size:.0f} MB of JSON", flush=True)
        for step in (only_import, to_table, to_yolo, to_subset):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=measured, args=(step, folder / "data", theirs))
            process.start()
            theirs.close()
            try:
                seconds, peak, text = ours.recv()
            except EOFError:
                return 1
            process.join()
            print(f"{step.__name__:<12} {seconds:7.1f} s {peak:7.0f} MB peak  {text}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
