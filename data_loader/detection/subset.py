"""A subset of the training samples, chosen by the classes in a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from base.detection.objects import class_counts, objects_of
from base.table import SampleTable
from base.types import Count, Names
from utils.config import did_you_mean
from utils.validate import Settings


class Rule(Settings):
    """Pictures with any, or with all, of some classes: every such picture, or every n-th in order of id."""

    any: Names | None = Field(default=None, description="classes of which at least one is in the picture")
    all: Names | None = Field(default=None, description="classes that are all in the picture")
    keep_every: Count = Field(
        default=1, description="keep every n-th of the pictures that fit, in order of id, beginning with the first"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Rule:
        if (self.any is None) == (self.all is None):
            raise ValueError("a rule with either any or all")
        return self

    @property
    def classes(self) -> list[str]:
        """The classes that the rule names."""
        return self.any or self.all or []


def chosen(table: SampleTable, rules: Sequence[Rule], classes: Sequence[str]) -> np.ndarray:
    """Return the rows of the samples that some rule keeps, ascending, (n,) int64. The rules are independent of each other.

    table: with objects (`base.detection.objects`), in order of id. classes: all class names.
    """
    objects = objects_of(table)
    labels = objects.labels(classes)
    present = np.zeros((len(table), len(classes)), bool)
    present[objects.owners[labels >= 0], labels[labels >= 0]] = True
    kept = np.zeros(len(table), bool)
    for rule in rules:
        columns = present[:, [classes.index(name) for name in rule.classes]]
        fit = columns.any(axis=1) if rule.any else columns.all(axis=1)
        kept[np.flatnonzero(fit)[:: rule.keep_every]] = True
    return np.flatnonzero(kept)


def unknown_classes(rules: Sequence[Rule], classes: Sequence[str]) -> list[tuple[int, str]]:
    """Return (index of the rule, message) for each unknown class of a rule."""
    there = ", ".join(classes)
    unknown = [(index, name) for index, rule in enumerate(rules) for name in rule.classes if name not in classes]
    return [(index, f"no class {name}{did_you_mean(name, classes)}; there are: {there}") for index, name in unknown]


def report(before: SampleTable, after: SampleTable, classes: Sequence[str]) -> list[str]:
    """Return a line with the numbers of samples and of objects of each class, before and after."""
    counts = zip(classes, class_counts(before, classes), class_counts(after, classes), strict=True)
    listed = ", ".join(f"{name} {old:,} -> {new:,}" for name, old, new in counts)
    return [f"subset: {len(before):,} -> {len(after):,} training samples; objects: {listed}"]
