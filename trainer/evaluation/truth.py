"""The answers that scores are computed from, and the check that several places have the same answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from base.base_metric import BaseMetric, Truth
from base.contracts import DataSpec
from base.labels import class_texts, reported
from base.table import SampleTable, some
from utils.errors import UserError

Truths = Mapping[str, Truth]  # by score
SHOWN = 10  # samples in a message


def truths_of(metrics: Sequence[BaseMetric], table: SampleTable, spec: DataSpec) -> Truths:
    """Return the answers of every score of the metrics; a metric that does not tell them is taken to use every label."""
    found: dict[str, Truth] = {}
    for metric in metrics:
        told = metric.truth(table)
        found |= {name: told.get(name) or _of_labels(table, spec) for name in metric.names}
    return found


def differing(one: Truth, other: Truth) -> list[str]:
    """Return `ID (answer of one, there answer of the other)` for each sample or pair that both have and whose answers differ."""
    ids, left, right = one.ids, one.answers, other.answers
    if ids != other.ids:
        places = {name: place for place, name in enumerate(other.ids)}
        rows = [row for row, name in enumerate(ids) if name in places]
        ids, left, right = [ids[row] for row in rows], left[rows], right[[places[ids[row]] for row in rows]]
    return [f"{ids[row]} ({left[row]}, there {right[row]})" for row in np.flatnonzero(left != right)]


def require_same_truth(first: Path, one: Truths, second: Path, other: Truths, advice: str) -> None:
    """Raise UserError, with the samples, if a score has other answers in the second place than in the first.

    Scores of other classes, and samples that only one place has, are not compared. advice: what to do.
    """
    seen = set()
    for name in filter(other.__contains__, one):
        mine, its = one[name], other[name]
        if (id(mine), id(its)) in seen or mine.classes != its.classes:
            continue
        seen.add((id(mine), id(its)))  # many scores are of the same answers
        if apart := differing(its, mine):
            found = f"{len(apart):,} of {len(its.ids):,} answers are not those of {first}: {some(apart, SHOWN)}"
            raise UserError(f"{second}: {name}: {found}; {advice}")


def _of_labels(table: SampleTable, spec: DataSpec) -> Truth:
    """Return the classes of all labels of each sample as one answer."""
    labels = [label for label in spec.classes if label in table.names]
    texts = [class_texts(reported(table.numbers(label), spec, label), spec.classes[label]) for label in labels]
    joined = [", ".join(several) for several in zip(*texts, strict=True)] if texts else [""] * len(table)
    return Truth([f"{label}: {name}" for label in labels for name in spec.classes[label]], table.ids(), np.array(joined))
