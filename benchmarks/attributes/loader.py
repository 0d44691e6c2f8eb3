"""Measure the images per second of the masks config's loader over torchvision's ImageFolder with equivalent v2 transforms.

    python -m benchmarks.attributes.loader [DATA] [--rounds 5] [--workers 2]

DATA is a folder in the layout of configs/masks.json; without it, synthetic portraits are drawn. Both sides read the same
files with the same number of worker processes, in uint8 batches of the same size. In a first epoch both start their workers
and decode every file; in later epochs the workers run already, and our pictures are in memory.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from base.base_data_loader import BaseDataLoader
from base.contracts import RunContext
from benchmarks.pairs import line, seconds, speed_ratio
from data_loader.attributes.synthetic import write_masks
from data_loader.prepare.section import build_loader
from utils import config

CONFIG = Path(__file__).parents[2] / "configs" / "masks.json"
SIZE = (112, 84)  # height and width in the config
BATCH = 64
TARGET = 2.2


def our_loader(data: Path, workers: int) -> BaseDataLoader:
    """Return the loader of configs/masks.json, with its samples read and split."""
    changes = {"data_dir": data, "num_workers": workers, "batch_size": BATCH}
    overrides = [f"data_loader.args.{name}={value}" for name, value in changes.items()]
    loader = build_loader(config.read(CONFIG, overrides), RunContext(seed=1))
    loader.table("train")
    return loader


def their_loader(data: Path, workers: int, images: int) -> DataLoader[Any]:
    """Return a DataLoader over ImageFolder with torchvision's forms of the config's transforms, on PIL images if possible."""
    affine = v2.RandomAffine(15, (0.1, 0.1), (0.8, 1.2), (-5, 5, -5, 5), v2.InterpolationMode.BILINEAR)
    blur_or_noise = v2.RandomChoice([v2.GaussianBlur((5, 5), (0.5, 3.0)), v2.GaussianNoise(sigma=0.05)])
    transforms = v2.Compose([
        v2.Resize(SIZE),
        v2.RandomApply([affine], 0.9),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2)], 0.5),
        v2.RandomApply([v2.ColorJitter(brightness=15 / 255, saturation=20 / 255, hue=10 / 180)], 0.3),
        v2.RandomGrayscale(0.1),
        v2.PILToTensor(),
        v2.RandomApply([blur_or_noise], 0.2),
        v2.RandomErasing(0.4, scale=(0.01, 0.06)),
    ])  # fmt: skip
    folder = Subset(ImageFolder(str(data / "train" / "images"), transforms), range(images))
    ahead = 4 if workers else None
    return DataLoader(folder, BATCH, True, num_workers=workers, persistent_workers=workers > 0, prefetch_factor=ahead)


def main() -> None:
    """Print two lines, each with its images per second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="a folder in the layout of configs/masks.json")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs for each line")
    parser.add_argument("--workers", type=int, default=2, help="processes that make batches, on each side")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or Path(folder) / "masks"
        if options.data is None:
            write_masks(data, people=240, eval_people=2, seed=0, size=(256, 192))
        first_epoch(data, options.workers, options.rounds)
        later_epochs(data, options.workers, options.rounds)


def first_epoch(data: Path, workers: int, rounds: int) -> None:
    """Measure first epochs, with new loaders in every round."""
    ours = [our_loader(data, workers) for _ in range(rounds + 1)]
    images = len(ours[0].table("train"))
    theirs = [their_loader(data, workers, images) for _ in range(rounds + 1)]

    def run_ours() -> None:
        loader = ours.pop()
        exhaust(loader.train(0))
        loader.close()

    report("loader, first epoch: images/s over ImageFolder", run_ours, lambda: exhaust(theirs.pop()), images, rounds)


def later_epochs(data: Path, workers: int, rounds: int) -> None:
    """Measure later epochs, with the same loaders in every round."""
    ours, epochs = our_loader(data, workers), itertools.count()
    images = len(ours.table("train"))
    theirs = their_loader(data, workers, images)
    report(
        "loader, later epochs: images/s over ImageFolder",
        lambda: exhaust(ours.train(next(epochs))),
        lambda: exhaust(theirs),
        images,
        rounds,
    )
    ours.close()


def report(label: str, ours: Callable[[], None], theirs: Callable[[], None], images: int, rounds: int) -> None:
    """Run each side once to warm up, then measure the rounds; print the ratios and the speeds of the first runs."""
    speeds = [f"{images / seconds(side):,.0f}" for side in (ours, theirs)]
    ratios = speed_ratio(ours, theirs, rounds)
    print(line(label, ratios, TARGET), f" ({speeds[0]} and {speeds[1]} images/s at first)", flush=True)


def exhaust(batches: Any) -> None:
    """Iterate over all batches."""
    deque(batches, maxlen=0)


if __name__ == "__main__":
    main()
