"""Measure the speed of the trainer over a bare PyTorch loop: on tensors in memory, and end to end from JPEG files.

python -m benchmarks.attributes.trainer [--rounds 7] [--steps 6]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from base.base_data_loader import BaseDataLoader
from base.base_trainer import BaseTrainer
from base.contracts import Batch
from base.saved.run_folder import RunFolder
from benchmarks.pairs import line, speed_ratio
from trainer.experiment import build, checking
from utils import config

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
SETTINGS = ["trainer.epochs=1000", "trainer.precision=fp32", "trainer.ema=null", "trainer.tensorboard=false",
            "trainer.verbosity=0", "lr_scheduler=null", "data_loader.args.image_size=[112,84]",
            "data_loader.args.batch_size=64"]  # fmt: skip


def make_trainer(folder: Path, workers: int) -> BaseTrainer:
    """Return the demo's trainer with the picture size of the mask competition."""
    overrides = [*SETTINGS, f"data_loader.args.data_dir={folder / 'data'}", f"data_loader.args.num_workers={workers}"]
    experiment = checking.check(config.read(ROOT / "configs/demo.json", overrides))
    loader = build.build_loader(experiment, CPU)
    return build.build_trainer(experiment, loader, RunFolder.create(folder / "saved", "bench"), CPU)


def bare_loop(loader: BaseDataLoader, batches: list[Batch]) -> Callable[[int], None]:
    """Return the loop of a plain script for a number of steps: forward, three cross-entropies, backward, AdamW."""
    experiment = checking.check(config.read(ROOT / "configs/demo.json", SETTINGS))
    model = build.build_model(experiment, loader.spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    weights = {"mask": 0.375, "gender": 0.25, "age": 0.375}
    endless = cycle(batches)

    def steps(number: int) -> None:
        model.train()
        for batch in islice(endless, number):
            outputs = model(batch["image"])
            target = batch["target"]
            losses = [w * functional.cross_entropy(outputs[k], target[k], label_smoothing=0.1) for k, w in weights.items()]
            torch.stack(losses).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return steps


def trainer_loop(trainer: BaseTrainer, batches: Iterator[Batch]) -> Callable[[int], None]:
    """Return a function that trains a number of steps with `BaseTrainer.train_epoch` on the given batches."""

    class Given:
        """A loader whose epoch is the next `number` of the given batches."""

        number = 0

        def order(self, epoch: int) -> list[Any]:
            return [range(64)] * self.number

        def train(self, epoch: int, start: int) -> Iterator[Batch]:
            return islice(batches, self.number)

    given = Given()

    def steps(number: int) -> None:
        real, trainer.loader = trainer.loader, given  # type: ignore[assignment]
        given.number, trainer.progress.batch = number, 0
        trainer.train_epoch()
        trainer.loader = real

    return steps


def epochs(loader: BaseDataLoader) -> Iterator[Batch]:
    """Yield batches from files, epoch after epoch."""
    epoch = 0
    while True:
        yield from loader.train(epoch)
        epoch += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=6)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        trainer = make_trainer(Path(name), workers=2)
        whole = [batch for batch in trainer.loader.train(0) if len(batch["index"]) >= 60][:8]
        bare = bare_loop(trainer.loader, whole)
        in_memory = trainer_loop(trainer, cycle(whole))
        from_files = epochs(trainer.loader)
        end_to_end = trainer_loop(trainer, from_files)
        first_epoch = len(trainer.loader.order(0))
        for warm in (bare, in_memory):
            warm(2)
        end_to_end(first_epoch)  # decodes every picture once; measured from the second epoch on
        pairs = (
            (in_memory, "trainer over bare loop, tensors in memory", 0.97),
            (end_to_end, "trainer from JPEG over bare loop, second epoch on", 0.90),
        )
        for ours, label, target in pairs:
            ratios = speed_ratio(lambda run=ours: run(args.steps), lambda: bare(args.steps), args.rounds)  # type: ignore[misc]
            print(line(label, ratios, target), flush=True)
        trainer.loader.close()


if __name__ == "__main__":
    main()
