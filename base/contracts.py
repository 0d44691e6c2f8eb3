"""The types that the parts exchange: plain dictionaries of tensors, with their keys, shapes, dtypes and units.

B is the number of samples in a batch. Every tensor in a Batch has B as its first dimension and every list has B items, so
that any batch can be cut into pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Target = dict[str, Any]  # the targets of the loss; the task's loader defines keys and shapes
Outputs = dict[str, Any]  # the network's outputs, which the loss reads: logits, raw boxes, features
Prediction = dict[str, Any]  # the decoded outputs: probabilities, unit vectors, boxes; columns of Predictions
# Keys of a target for mixed samples; no label may have these names.
SHARE = "share"  # (B,) float32 in 0..1: the weight of the sample's own labels; 1 if the key is missing
PARTNER = "partner"  # a further target with SHARE: the labels of the sample that was mixed into each sample
PictureOf = Callable[[int], np.ndarray]  # row of a table -> its picture in the pixels of the predictions, (H, W, 3) uint8 RGB


class Points(NamedTuple):
    """Vectors (n, D) float to show in a projection, and n texts that describe them."""

    vectors: np.ndarray
    texts: list[str]


class Given:
    """Marks what the run gives to a registered constructor: a parameter of such a type is no key of a config."""


class Batch(TypedDict):
    """A batch that a loader yields and `train_step` takes."""

    image: Tensor  # (B, 3, H, W) uint8, RGB, in channels-last memory
    target: Target
    index: Tensor  # (B,) int64: row in the table of the split
    geometry: NotRequired[Tensor]  # (B, 2, 3) float32: affine from pixels of `image` to those of the original pictures
    error: NotRequired[list[str]]  # B texts, empty if the sample could be read (evaluation only)
    cut_off: NotRequired[list[str]]  # files that were decoded as far as they go


class Term(NamedTuple):
    """A loss term as a ratio of sums over samples, so that it can be totalled exactly over batches and processes.

    total: (), weighted sum of the values, with gradient. weight: (), sum of their weights, without gradient.
    """

    total: Tensor
    weight: Tensor


@dataclass(frozen=True)
class DataSpec(Given):
    """The facts about the data for model, loss and metrics, as plain values. Every checkpoint holds them.

    classes: label name -> names of its classes, in order of their index; empty if only the data tell them and are not read yet.
    counts: label name -> number of training samples of each trained class; empty if only the config is known.
    merged: label name -> index of the reported class for each trained class. Only for labels with finer classes in training
        than in the scores.
    image_size: height and width in pixels of the pictures in evaluation; None if they differ, or if only the config is known.
    combined: name of a label that combines other labels -> names of those labels -> their class names; the class of the
        last label changes fastest.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    merged: dict[str, list[int]] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    combined: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def trained(self, label: str) -> int:
        """Return the number of classes that the model is trained on for a label."""
        return len(self.merged.get(label, self.classes[label]))

    def only(self, labels: Collection[str]) -> DataSpec:
        """Return the facts about some labels alone; labels that the data do not have are left out."""
        kinds = {kind: getattr(self, kind) for kind in ("classes", "counts", "merged", "combined")}
        kept: dict[str, Any] = {kind: {name: facts[name] for name in facts if name in labels} for kind, facts in kinds.items()}
        return replace(self, **kept)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, from which `from_json` makes an equal DataSpec."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DataSpec:
        """Make a DataSpec from the values of `as_json`; `image_size` may be a list, since JSON has no tuples.

        Raises TypeError if a value is of another type, or a key is unknown.
        """
        size, labels = values.get("image_size"), [values.get(key, {}) for key in ("classes", "counts", "merged", "combined")]
        if not all(isinstance(entry, dict) and all(isinstance(one, list | dict) for one in entry.values()) for entry in labels):
            raise TypeError("allowed: by label, lists of classes, counts and merged, and the combined labels")
        return cls(**{**values, "image_size": tuple(size) if size else None})


@dataclass(frozen=True)
class OutputSpec(Given):
    """The facts about the model's outputs for losses.

    widths: name of an output -> its number of channels.
    scales: name of an output of cosines that are multiplied by a factor -> the factor.
    """

    widths: dict[str, int] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunContext(Given):
    """The facts about the run for a loader.

    seed: the config's seed. pin_memory: whether batches will be copied to a GPU. spec: the data's description that a checkpoint
    holds, for classes that no config names; None for a new training.
    """

    seed: int = 0
    pin_memory: bool = False
    spec: DataSpec | None = None
