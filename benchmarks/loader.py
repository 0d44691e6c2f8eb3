"""Images per second of the masks config's loader over torchvision's ImageFolder with equivalent v2 transforms.

    python -m benchmarks.loader [DATA] [--rounds 5] [--workers 2] [--batches 30]

DATA is a folder in the layout of configs/masks.json; without it, synthetic portraits are drawn. Both sides start from the
same files, with the same number of worker processes, and give uint8 batches of the same size.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from base.contracts import RunContext
from benchmarks.pairs import line, seconds, speed_ratio
from data_loader.image_loader import ImageLoader
from data_loader.prepare.sections import build_loader
from data_loader.synthetic import write_masks
from utils import config

ROOT = Path(__file__).parents[1]
SIZE = (112, 84)
BATCH = 64


def our_loader(data: Path, workers: int) -> ImageLoader:
    """The loader of configs/masks.json, with its samples read and split."""
    changes = {"data_dir": data, "num_workers": workers, "batch_size": BATCH}
    raw = config.read(ROOT / "configs" / "masks.json", [f"data_loader.args.{name}={value}" for name, value in changes.items()])
    loader = build_loader(raw, RunContext(seed=1))
    assert isinstance(loader, ImageLoader)
    loader.table("train")
    return loader


def their_loader(data: Path, workers: int) -> DataLoader[Any]:
    """ImageFolder with the transforms of configs/masks.json, as torchvision has them; on Pillow's pictures, which is faster."""
    affine = v2.RandomAffine(15, (0.1, 0.1), (0.8, 1.2), (-5, 5, -5, 5), v2.InterpolationMode.BILINEAR)
    transforms = v2.Compose([
        v2.Resize(SIZE),
        v2.RandomApply([affine], 0.9),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2)], 0.5),
        v2.RandomApply([v2.ColorJitter(brightness=15 / 255, saturation=20 / 255, hue=10 / 180)], 0.3),
        v2.RandomGrayscale(0.1),
        v2.PILToTensor(),
        v2.RandomApply([v2.RandomChoice([v2.GaussianBlur((5, 5), (0.5, 3.0)), v2.GaussianNoise(sigma=0.05)])], 0.2),
        v2.RandomErasing(0.4, scale=(0.01, 0.06)),
    ])  # fmt: skip
    folder = ImageFolder(str(data / "train" / "images"), transforms)
    return DataLoader(folder, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0, prefetch_factor=4 if workers else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="a folder in the layout of configs/masks.json")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs for each line")
    parser.add_argument("--workers", type=int, default=2, help="processes that make batches, on each side")
    parser.add_argument("--batches", type=int, default=30, help=f"batches of {BATCH} in a run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or Path(folder) / "masks"
        if options.data is None:
            write_masks(data, people=options.batches * BATCH // 5, eval_people=2, seed=0, size=(256, 192))
        compare(data, options.rounds, options.workers, options.batches)


def compare(data: Path, rounds: int, workers: int, batches: int) -> None:
    """Print a line for the first epoch, in which we decode, and one for later ones, in which ours are in memory."""

    def ours(loader: ImageLoader, epoch: int) -> None:
        take(loader.train(epoch), batches)

    fresh = iter([our_loader(data, workers) for _ in range(rounds)])
    theirs = iter([their_loader(data, workers) for _ in range(rounds)])
    ratios = speed_ratio(closing(lambda: next(fresh)), lambda: take(next(theirs), batches), rounds)
    print(line("loader, first epoch: images/s over ImageFolder", ratios, 2.2))
    loader, folder = our_loader(data, workers), their_loader(data, workers)
    epochs = itertools.count(1)
    for warm in (lambda: ours(loader, 0), lambda: take(folder, batches)):
        warm()
    ratios = speed_ratio(lambda: ours(loader, 0), lambda: take(folder, batches), rounds)
    print(line("loader, later epochs: images/s over ImageFolder", ratios, 2.2))


if __name__ == "__main__":
    main()
