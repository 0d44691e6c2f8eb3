"""Checks that an exported model agrees with the original: its outputs, and the decisions at the fitted thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from base.base_data_loader import BaseDataLoader
from base.base_metric import BaseMetric
from base.contracts import Prediction
from base.predictions import Predictions
from utils.errors import UserError
from utils.seed import generator

BATCH = 16
Run = Callable[[Tensor], tuple[Tensor, ...]]  # pictures (B, 3, H, W) uint8 -> what the exported graph gives


@dataclass(frozen=True)
class Limits:
    """numbers: largest difference of an output, in units of its largest value or of 1. decisions: share that may differ."""

    numbers: float
    decisions: float


# Of float32 the order of additions remains; float16 has 11 bits, int8 has 8 and ranges that are estimated.
LIMITS = {"fp32": Limits(1e-4, 0.0), "fp16": Limits(2e-2, 0.005), "int8": Limits(0.35, 0.02)}


@dataclass(frozen=True)
class Golden:
    """The pictures that both models predict, (N, 3, H, W) uint8, and their origin."""

    pictures: Tensor
    source: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.pictures.shape[2:]
        return height, width


@dataclass(frozen=True)
class Parity:
    """The differences between two models on the same pictures."""

    samples: int
    source: str
    largest: float  # difference of two numbers, in units of the output's largest value or of 1
    mean: float
    decisions: int
    changed: int

    def line(self) -> str:
        """Return a line of text for the user."""
        decided = f"{self.changed} of {self.decisions:,} decisions differ" if self.decisions else "nothing is decided"
        return f"{self.samples} samples ({self.source}): largest difference {self.largest:.2g}, mean {self.mean:.2g}; {decided}"

    def require(self, limits: Limits, what: str) -> None:
        """Raise UserError if the models differ by more than the limits."""
        finite = np.isfinite(self.largest)
        if not finite or self.largest > limits.numbers:
            raise UserError(f"{what}: not written, it disagrees with the original: {self.line()}; allowed: {limits.numbers:g}")
        if self.changed > limits.decisions * self.decisions:
            share = f"{limits.decisions:.2%} (see --allow)"
            raise UserError(f"{what}: not written, it disagrees with the original: {self.line()}; allowed: {share}")


def golden(loader: BaseDataLoader, size: tuple[int, int], number: int, split: str = "valid") -> Golden:
    """Return pictures from the batches of a split, preprocessed as in an evaluation; drawn pictures if there is no data."""
    name = {"valid": "validation", "train": "training"}[split]
    try:
        each = -(-number // len(loader.evaluation_order(split)))
        taken: list[Tensor] = []
        for _, batch in loader.evaluation(split):
            taken.append(batch["image"][:: -(-len(batch["image"]) // each)])
            if sum(map(len, taken)) >= number:
                break
        return Golden(torch.cat(taken)[:number].contiguous(), name)
    except UserError as error:
        print(f"no {name} pictures ({str(error).splitlines()[0]}); drawn ones stand for them")
        return Golden(drawn(size, number), "drawn")
    finally:
        loader.close()


def drawn(size: tuple[int, int], number: int) -> Tensor:
    """Return pictures of random patches of colour, (N, 3, H, W) uint8, which are smoother than noise."""
    coarse = generator(0, "golden").integers(0, 256, (number, 3, 8, 8)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=size, mode="bilinear")
    return smooth.to(torch.uint8)


def outputs(run: Run, pictures: Tensor) -> list[Tensor]:
    """Return the outputs of a graph for pictures (N, 3, H, W) uint8, one tensor (N, ...) for each output."""
    with torch.inference_mode():
        pieces = [run(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)]
    return [torch.cat(several) for several in zip(*pieces, strict=True)]


def compare(
    shown: Golden,
    expected: Sequence[Tensor],
    found: Sequence[Tensor],
    decode: Callable[[Sequence[Tensor]], Prediction],
    metrics: Sequence[BaseMetric],
    fitted: Mapping[str, Any],
) -> Parity:
    """Return the differences between the outputs `found` and `expected`. decode: from a graph's outputs to a prediction."""
    differences = [_difference(one, other) for one, other in zip(expected, found, strict=True)]
    names = [f"{number:06d}" for number in range(len(shown.pictures))]
    decided = [
        (metric.decisions(Predictions.of(names, decode(expected))), metric.decisions(Predictions.of(names, decode(found))))
        for metric in with_fitted(metrics, fitted)
    ]
    return Parity(
        samples=len(names),
        source=shown.source,
        largest=max(float(one.max()) for one in differences),
        mean=float(np.mean([float(one.mean()) for one in differences])),
        decisions=sum(len(before) for before, _ in decided),
        changed=sum(_changed(before, after) for before, after in decided),
    )


def with_fitted(metrics: Sequence[BaseMetric], fitted: Mapping[str, Any]) -> Sequence[BaseMetric]:
    """Return the metrics, each with its fitted values (for example thresholds)."""
    for metric in metrics:
        metric.use(fitted.get(metric.state_key, {}))
    return metrics


def _difference(one: Tensor, other: Tensor) -> Tensor:
    if one.shape != other.shape:
        return torch.full((1,), torch.inf)
    return (one.double() - other.double()).abs() / one.double().abs().max().clamp_min(1.0)


def _changed(before: np.ndarray, after: np.ndarray) -> int:
    return int((before != after).sum()) if before.shape == after.shape else max(len(before), len(after))
