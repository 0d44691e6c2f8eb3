"""Helpers of the writers of synthetic data sets: names and seeds of pictures, files.

The files are a pure function of the arguments. A data set appears at its folder only when it is complete: a writer that is
stopped leaves nothing there.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2

from data_loader.synthetic.canvas import Image


def require(**numbers: tuple[int, int]) -> None:
    """Raise ValueError for a number below its least value. numbers: name -> (value, least value)."""
    for name, (value, least) in numbers.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")


def digest(seed: int, *parts: object) -> str:
    """Return a name of 64 hexadecimal characters for one picture."""
    return hashlib.sha256("/".join(map(str, (seed, *parts))).encode()).hexdigest()


def seed_of(key: str) -> int:
    """Return the seed of the picture that has this digest."""
    return int(key[:12], 16)


def write_image(path: Path, image: Image) -> None:
    """Write a picture, (H, W, 3) uint8 RGB, in the format of the path's suffix; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    path.write_bytes(encoded.tobytes())


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with a header line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
