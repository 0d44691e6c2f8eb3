"""Samples with attributes, and samples without labels that are trained on with pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field

from base.base_reader import BaseReader
from base.contracts import DataSpec
from base.predictions import Predictions
from base.pseudo_labels import PseudoLabels
from base.table import SampleTable
from base.types import Names
from data_loader.attributes.labels import (
    FOUND,
    GivenLabels,
    add_labels,
    found_classes,
    label_spec,
    learned_labels,
    read_labels,
    with_classes,
)
from data_loader.attributes.unlabelled import Adopted, adopted, propose, validated_on
from data_loader.crop.crops import Crops
from data_loader.pictures.decode import Size
from data_loader.samples.samples import AnnotationSettings, Samples

UNLABELLED = "unlabelled"  # the split of `unlabelled_reader`


class AttributeSampleSettings(AnnotationSettings):
    """Config of samples with attributes."""

    labels: Annotated[GivenLabels, Field(min_length=1)] = Field(
        description="label -> its classes and where they come from, or null to remove an inherited label, or "
        '{"combine": [labels]} for one class for each combination of theirs. Their order is that of the combined class'
    )
    unlabelled_reader: BaseReader | None = Field(
        default=None,
        description="reader of further samples that get pseudo-labels; labels of the samples themselves are ignored",
    )
    learn: Names | None = Field(
        default=None,
        description="the labels that are learned, in this order; default: all labels that are not part of a combined label",
    )


class AttributeSamples(Samples):
    """Samples with any number of labels, each of which may be unknown (-1)."""

    def __init__(
        self, settings: AttributeSampleSettings, size: Size, crops: Crops | None, trained: DataSpec | None = None
    ) -> None:
        """Take the settings. trained: the description that a checkpoint holds, whose classes are those of the labels."""
        super().__init__(settings, size, label_spec(settings.labels, settings.learn), crops)
        self.test_reader, self.corrections = settings.test_reader, settings.corrections
        self.labels, self.unlabelled_reader = settings.labels, settings.unlabelled_reader
        self.learn = settings.learn
        self.learned = learned_labels(settings.labels, settings.learn)
        self.adopted: Adopted | None = None
        if trained is not None:
            parts = {part: names for of_label in trained.combined.values() for part, names in of_label.items()}
            self._name_classes({**parts, **trained.classes})

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """Return the table with class numbers for every label; the first samples tell the classes that no config names."""
        if self._open and required:
            self._name_classes(found_classes(table, self.labels, source))
        elif self._open:
            self.sides  # noqa: B018 - reads the training samples, which have the classes
        there = all((label.column or name) in table.names for name, label in read_labels(self.labels).items())
        return add_labels(table, self.labels, source) if there or required else table

    @property
    def _open(self) -> bool:
        """True as long as the classes of some label are to be found in the data."""
        return any(label.classes == FOUND for label in read_labels(self.labels).values())

    def _name_classes(self, names: Mapping[str, list[str]]) -> None:
        self.labels = with_classes(self.labels, names)
        self.spec = label_spec(self.labels, self.learn)

    def labelled(self, split: str) -> bool:
        """Return whether the split has every label's column; the test split may have it too."""
        return all(name in self.table(split).names for name in self.labels)

    def readers(self) -> list[BaseReader]:
        """Return every reader of the config, with the reader of samples without labels."""
        return [*super().readers(), *([self.unlabelled_reader] if self.unlabelled_reader is not None else [])]

    # Samples without labels ---------------------------------------------------------------------------------------

    @property
    def pools(self) -> tuple[str, ...]:
        """The splits of `test_reader` and `unlabelled_reader`."""
        readers = {"test": self.test_reader, UNLABELLED: self.unlabelled_reader}
        return tuple(split for split, reader in readers.items() if reader is not None)

    def table(self, split: str) -> SampleTable:
        """Return the samples of a split in order of id; in training, the adopted samples follow the others."""
        if split == UNLABELLED and self.unlabelled_reader is not None:
            return self._unlabelled
        return self.adopted.table if split == "train" and self.adopted is not None else super().table(split)

    def pseudo_labels(self, split: str, predictions: Predictions) -> PseudoLabels:
        """Return the most probable class of each label, for samples that share no file and no group with validation."""
        held_out = validated_on(self.table(split), self.table("valid"), self.group, self.checks_bytes)
        return propose(predictions, self.spec, held_out)

    def adopt(self, split: str, labels: PseudoLabels, weight: float) -> None:
        """Train on the samples of a split too; a label without a proposal is not known."""
        self.adopted = adopted(self.sides.train, self.table(split), split, labels, self.learned, weight)

    @cached_property
    def _unlabelled(self) -> SampleTable:
        assert self.unlabelled_reader is not None
        return self.boxed(self.read_table(self.unlabelled_reader).sorted())[0][0]


def class_counts(table: SampleTable, label: str, classes: int) -> list[int]:
    """Return the number of samples of each class of a label; samples whose class is not known are not counted."""
    values: np.ndarray = table.numbers(label)
    return [int(count) for count in np.bincount(values[values >= 0], minlength=classes)]
