"""Measure the images per second of an evaluation of pairs, over those of a bare inference loop with the same network and batches.

    python -m benchmarks.verification.evaluation [--people 160] [--pairs 20000] [--rounds 7] [--workers 2]

The network of configs/verify_timm.json embeds the pictures of synthetic people, in float32 and without views. From memory
both sides have the same decoded batches; ours makes predictions by id, and in the second line also fits the threshold and
scores all pairs. From JPEG both sides read the files in every round with the same number of workers, the bare loop with
OpenCV and torch's DataLoader. Every picture is embedded once, whatever the number of pairs; the embedded pictures are counted.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from base.base_model import BaseModel
from base.predictions import Predictions
from base.verification.pairs import pairs_of
from benchmarks.held import Held
from benchmarks.pairs import line, seconds, speed_ratio
from data_loader.verification.synthetic import write_verify
from trainer.experiment import build, checking
from trainer.experiment.checking import Experiment
from trainer.training.predict import predict
from utils import config, device

CONFIG = Path(__file__).parents[2] / "configs" / "verify_timm.json"
SHOTS, BATCH, RESIZED, CROP = 12, 64, 80, 56  # pictures of a person, of a batch; edges in pixels, as in the config
TARGET = 0.95


class Files(Dataset[Tensor]):
    """A data set as a script would write it: decode, resize and crop each file to (3, CROP, CROP), uint8."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Tensor:
        picture = cv2.imread(str(self.paths[place]))
        assert picture is not None
        picture = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), (RESIZED, RESIZED), interpolation=cv2.INTER_AREA)
        edge = (RESIZED - CROP) // 2
        return torch.from_numpy(np.ascontiguousarray(picture[edge : edge + CROP, edge : edge + CROP].transpose(2, 0, 1)))


def write_pairs(folder: Path, people: int, pairs: int) -> None:
    """Write pictures of synthetic people, and repeat the rows of the validation list until it has `pairs` pairs."""
    write_verify(folder, people, SHOTS, 4 * people, seed=0, size=(144, 144))
    path = folder / "validate" / "validate_label.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *itertools.islice(itertools.cycle(rows), pairs)]) + "\n")


def checked(data: Path, workers: int) -> Experiment:
    """Return the checked config for the data, without a cache: every picture is decoded each time."""
    values = {"data_dir": data, "num_workers": workers, "batch_size": BATCH, "cache_mb": 0, "sampler.args.identities": BATCH // 4}
    overrides = [f"data_loader.args.{name}={value}" for name, value in values.items()]
    return checking.check(config.read(CONFIG, [*overrides, "trainer.precision=fp32", "views=[]"]))


def bare_loop(model: BaseModel, images: Any) -> Tensor:
    """Return the embeddings (U, D), float32, of batches of pictures (B, 3, H, W), uint8."""
    with torch.inference_mode():
        embeddings = [model(image.to(memory_format=torch.channels_last))["embedding"] for image in images]
        return functional.normalize(torch.cat(embeddings))


def measure(options: argparse.Namespace, data: Path) -> None:
    """Print a line for each of the three comparisons."""
    cpu = device.select("cpu")  # as train.py and test.py do
    experiment = checked(data, options.workers)
    loader = build.build_loader(experiment, cpu)
    model = build.build_model(experiment, loader.spec).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    inference, (metric,) = build.build_inference(experiment, loader.spec), build.build_metrics(experiment, loader.spec)
    table, held = loader.table("valid"), Held(loader, "valid")
    images = [batch["image"] for _, batch in held.batches]
    passes: list[int] = []

    def ours(given: Any) -> Predictions:
        predictions, _ = predict(model, given, "valid", cpu, inference)
        assert predictions is not None
        return predictions

    def scored() -> None:
        predictions = ours(held)
        metric.use(metric.fit(predictions, table))
        metric.compute(predictions, table)

    counting = model.register_forward_pre_hook(lambda module, given: passes.append(len(given[0])))
    scored()
    counting.remove()
    print(f"{len(pairs_of(table).first):,} pairs over {len(table):,} images: {sum(passes):,} images went through the network")
    files = [table.path(row) for row in range(len(table))]
    plain = DataLoader(Files(files), BATCH, num_workers=options.workers, persistent_workers=options.workers > 0)
    lines = (
        ("evaluation over bare loop, from memory", lambda: ours(held), lambda: bare_loop(model, images)),
        ("evaluation and scores over bare loop, from memory", scored, lambda: bare_loop(model, images)),
        ("evaluation from JPEG over bare loop with DataLoader", lambda: ours(loader), lambda: bare_loop(model, plain)),
    )
    for label, mine, bare in lines:
        speeds = [f"{len(table) / seconds(side):,.0f}" for side in (mine, bare)]  # a run of each to warm up
        ratios = speed_ratio(mine, bare, options.rounds)
        print(line(label, ratios, TARGET), f" ({speeds[0]} and {speeds[1]} images/s at first)", flush=True)
    loader.close()


def main() -> None:
    """Write the data and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=160, help="to train on; a quarter as many are compared")
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs for each line")
    parser.add_argument("--workers", type=int, default=2, help="processes that make batches, on each side")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "verify"
        write_pairs(data, options.people, options.pairs)
        measure(options, data)


if __name__ == "__main__":
    main()
