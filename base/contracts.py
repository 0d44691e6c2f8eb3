"""What flows between the parts: plain dictionaries of tensors, with these keys, shapes, dtypes and units.

B is the number of samples in a batch. Every leaf of a Batch has B as its first dimension (tensor) or length (list),
so that a batch can be cut into pieces without knowing what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Target = dict[str, Any]  # what the loss compares with; keys and shapes are given by the task's loader
Outputs = dict[str, Any]  # what the network computes and the loss reads: logits, raw boxes, features
Prediction = dict[str, Any]  # what the decoder makes of it: probabilities, unit vectors, boxes; columns of Predictions
# Keys of a target whose samples are not wholly what its labels say; no label may be called so.
SHARE = "share"  # (B,) float32 in 0..1: how much the labels beside it count; 1 where the key is not there
PARTNER = "partner"  # a target too, with SHARE: the labels of what was mixed into each sample
PictureOf = Callable[[int], np.ndarray]  # row of a table -> its picture in the pixels of the predictions, (H, W, 3) uint8 RGB


class Points(NamedTuple):
    """A sample of vectors to look at in a projection: vectors (n, D) float, and n texts that say what each is."""

    vectors: np.ndarray
    texts: list[str]


class Batch(TypedDict):
    """One batch, as a loader yields it and `train_step` takes it."""

    image: Tensor  # (B, 3, H, W) uint8, RGB, in channels-last memory
    target: Target
    index: Tensor  # (B,) int64: row in the table of the split
    geometry: NotRequired[Tensor]  # (B, 2, 3) float32: affine from pixels of `image` to those of the original pictures
    error: NotRequired[list[str]]  # B texts, empty where the sample could be read (evaluation only)


class Term(NamedTuple):
    """A loss term as a ratio of sums over samples, so that it can be totalled exactly over batches and processes.

    total: (), weighted sum of the values, with gradient. weight: (), sum of their weights, without gradient.
    """

    total: Tensor
    weight: Tensor


@dataclass(frozen=True)
class DataSpec:
    """What model, loss and metrics must know of the data. Plain values: it is stored in every checkpoint.

    classes: label name -> names of its classes, in order of their index.
    counts: label name -> training samples of each class that is trained; empty while only the config is known.
    merged: label name -> for each class that is trained, the index of the class it is reported as. Only for labels
        that are trained on finer classes than they are scored on.
    image_size: height and width of the pictures in evaluation; None where they differ, or while only the config is known.
    combined: label name -> for a label that combines others, the names of their classes by theirs; the last counts fastest.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    merged: dict[str, list[int]] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    combined: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def trained(self, label: str) -> int:
        """Number of classes that the model tells apart for a label."""
        return len(self.merged.get(label, self.classes[label]))

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes an equal one."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DataSpec:
        """What `as_json` gave; JSON has no tuples."""
        size = values.get("image_size")
        return cls(**{**values, "image_size": tuple(size) if size else None})


@dataclass(frozen=True)
class OutputSpec:
    """What a loss may have to know of the model.

    widths: name of an output -> its number of channels.
    scales: name of an output that is cosines times a factor -> that factor.
    """

    widths: dict[str, int] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunContext:
    """What a loader must know of the run.

    seed: of the config. pin_memory: whether batches will be copied to a GPU.
    """

    seed: int = 0
    pin_memory: bool = False
