"""Measure average precision and speed of detectors on validation: alone, with test-time augmentation, and all fused.

    python -m benchmarks.detection.fusion RUN [RUN…] [--set KEY=VALUE]… [--rounds 3] [--device cpu]

RUN is a run's folder or a checkpoint; all runs must have been trained on the same part of the same split. Views and fusion
come from the config of the first run, or from `--set`. If the config has none, the views are the mirrored picture and the
picture enlarged by a quarter, and weighted boxes fusion joins the boxes. Images per second are measured from decoded
pictures in memory to fused boxes: the ways take turns; the median and the range of the rounds are printed.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from base.predictions import Predictions
from base.saved.door import find, model_file
from base.table import SampleTable
from benchmarks.held import Held
from benchmarks.pairs import seconds
from model.detection.box_fusion import BoxFusion
from model.detection.scores import BoxScores
from model.views import FlipView, ScaleView
from trainer.evaluation.shelf import Shelf
from trainer.experiment import build
from trainer.experiment.loading import Loaded
from trainer.training.predict import Inference, predict
from utils import device
from utils.errors import run

SCORES = ("ap", "ap50", "ap75")


@dataclass(frozen=True)
class Way:
    """One or several models, with the views and the fusion of their predictions."""

    name: str
    models: Sequence[tuple[Loaded, Held]]
    inference: Inference
    device: torch.device

    def boxes(self) -> Predictions:
        """Return the fused predictions for all validation samples."""
        several = []
        for loaded, held in self.models:
            inference = replace(self.inference, precision=loaded.experiment.config.trainer.precision)
            predictions, _ = predict(loaded.model, held, "valid", self.device, inference)  # type: ignore[arg-type]
            assert predictions is not None
            several.append(predictions)
        return self.inference.fuse(several)


def ways(models: Sequence[tuple[Loaded, Held]], chosen: torch.device) -> list[Way]:
    """Return each model without and with views; if there are several models, also all of them fused."""
    first = models[0][0]
    inference = build.build_inference(first.experiment, first.spec)
    fusion = inference.fusion if first.experiment.config.fusion is not None else BoxFusion()
    plain = Inference(inference.precision, [], fusion)
    looking = replace(plain, views=inference.views or [FlipView(), ScaleView(1.25, multiple_of=32)])
    chosen_models = [(f"{one.path.parent.name}/{one.path.stem}", [(one, held)]) for one, held in models]
    if len(models) > 1:
        chosen_models.append((f"all {len(models)} fused", list(models)))
    return [
        Way(name + suffix, some, how, chosen)
        for name, some in chosen_models
        for how, suffix in ((plain, ""), (looking, f", {1 + len(looking.views)} views"))
    ]


def loaded_with_batches(options: argparse.Namespace, chosen: torch.device) -> list[tuple[Loaded, Held]]:
    """Load the models, each with its batches in memory.

    Raises UserError if a model was trained on validation samples of another model.
    """
    shelf = Shelf(chosen, options.set)
    models = [shelf.checkpoint(model_file(find(path))) for path in options.runs]
    for model in models:
        model.require_held_out()
    held = {loader: Held(loader, "valid") for loader in dict.fromkeys(model.loader for model in models)}
    return [(model.loaded, held[model.loader]) for model in models]


def scores_of(way: Way, table: SampleTable) -> list[tuple[str, list[float | None]]]:
    """Return rows of a name (`all`, then each class) and its average precision over IoUs, at IoU 0.5 and at IoU 0.75.

    A score is None if validation has no objects of the class.
    """
    loaded, _ = way.models[0]
    metrics = build.build_metrics(loaded.experiment, loaded.spec)
    metric = next((one for one in metrics if isinstance(one, BoxScores)), BoxScores(loaded.spec))
    scores = metric.compute(way.boxes(), table)
    rows = [("all", [scores.get(name) for name in ("map", *SCORES[1:])])]
    return rows + [(name, [scores.get(f"{score}/{name}") for score in SCORES]) for name in metric.classes]


def speeds(chosen: Sequence[Way], samples: int, rounds: int) -> list[list[float]]:
    """Return the images per second of each way in each round, sorted."""
    rates: list[list[float]] = [[] for _ in chosen]
    for number in range(rounds):
        for place in range(len(chosen)) if number % 2 == 0 else reversed(range(len(chosen))):
            rates[place].append(samples / seconds(chosen[place].boxes))
    return [sorted(one) for one in rates]


def main() -> int:
    """Print a block of lines for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder for its best checkpoint, or a checkpoint")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one config value")
    parser.add_argument("--rounds", type=int, default=3, help="in which every way is timed once")
    parser.add_argument("-d", "--device", default="cpu")
    options = parser.parse_args()
    chosen = device.select(options.device)
    models = loaded_with_batches(options, chosen)
    table = models[0][1].table("valid")
    every = ways(models, chosen)
    scored = [scores_of(way, table) for way in every]  # also warms up
    timed = speeds(every, len(table), options.rounds)
    print(f"{len(table):,} validation samples; {torch.get_num_threads()} threads on {chosen}")
    width = max(len(name) for rows in scored for name, _ in rows)
    for way, rows, fast in zip(every, scored, timed, strict=True):
        told = f"{statistics.median(fast):.1f} images/s ({fast[0]:.1f} to {fast[-1]:.1f})" if fast else "not timed"
        print(f"\n{way.name}: {told}\n  {'':<{width}}" + "".join(f"{name.upper():>8}" for name in SCORES))
        for name, values in rows:
            print(f"  {name:<{width}}" + "".join(f"{'-' if value is None else f'{value:.4f}':>8}" for value in values))
    return 0


if __name__ == "__main__":
    run(main)
