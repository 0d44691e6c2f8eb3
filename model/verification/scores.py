"""Scores of embeddings that are compared in pairs, at a threshold that is fitted on validation only."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from pydantic import Field

from base.base_metric import METRICS, BaseMetric, Truth
from base.contracts import PictureOf, Points
from base.labels import class_texts
from base.predictions import Predictions
from base.table import FOLD, SampleTable
from base.types import ProperShare
from base.verification.pairs import IDENTITY, PAIRS, Distance, Pairs, median_threshold, pair_scores, pairs_of, require_vectors
from model.verification import pair_metrics as exact
from model.verification.bootstrap import pair_intervals, pair_weights, weighted_scores
from model.verification.retrieval import retrieval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # false accept rates at which the true accept rate is reported
PROJECTED = 500  # largest number of pictures for the projector
LARGEST_GALLERY = 20_000  # with more pictures than this `recall@1` and `map@r` are left out, to save time in validation


class Compared(NamedTuple):
    """Pairs with their scores and answers."""

    pairs: Pairs
    scores: np.ndarray  # (N,) float64
    same: np.ndarray  # (N,) bool


@METRICS.register("verification")
class PairScores(BaseMetric):
    """Accuracy and F1 of "same" at the fitted threshold, and scores without threshold: AUC, EER, TAR at fixed FAR, d', retrieval.

    `threshold` is the exact best on validation. `tar@far=…` is left out, with a warning, if there are too few pairs of
    different people to measure the rate. `recall@1` and `map@r` search every picture among all others, if people are known.
    `accuracy/low` and `/high` are the ends of a 95 % interval from drawing people (pictures, if people are not known) at
    random; the interval ignores that the threshold was fitted on the same pairs. With folds (LFW's view 2) `accuracy/folds` is
    the mean over the folds, each at the best threshold of all others, and `/error` its standard error.
    """

    free = frozenset(("distance", "transductive", "rates", "pictures"))  # how a model is used, and which scores there are

    def __init__(
        self,
        distance: Distance = "cosine",
        transductive: Annotated[
            bool,
            Field(
                description="also score the median of the scored pairs as a threshold, which assumes that half of "
                "them are of one person"
            ),
        ] = False,
        rates: Annotated[
            list[ProperShare], Field(description="false accept rates at which the true accept rate is reported")
        ] = list(RATES),  # noqa: B006 - never changed
        pictures: Annotated[int, Field(ge=0, le=50, description="number of the hardest pairs of each kind in their figure")] = 8,
    ) -> None:
        self.distance, self.transductive, self.rates, self.pictures = distance, transductive, rates, pictures
        self.key = f"threshold/{distance}"
        self.threshold: float | None = None
        self._warned = self._told = False

    @property
    def names(self) -> list[str]:
        """The names of all possible scores; the pairs decide which of them are computed."""
        scores = ["accuracy", "f1", *(f"{name}/{end}" for name in ("accuracy", "f1") for end in ("low", "high"))]
        scores += ["threshold", "auc", "eer", "d_prime", *(_tar(rate) for rate in self.rates), "recall@1", "map@r"]
        scores += ["accuracy/folds", "accuracy/folds/error"]
        return scores + (["accuracy/transductive", "f1/transductive"] if self.transductive else [])

    def truth(self, table: SampleTable) -> dict[str, Truth]:
        """Return whether each pair is of one person, with its fold if there are folds, and who is alike for the search."""
        if PAIRS not in table.related:
            return {}
        columns = table.related[PAIRS]
        ids = [" and ".join(pair) for pair in zip(*(columns[name].to_pylist() for name in ("image1", "image2")), strict=True)]
        kinds = ["different", "same"]
        same = class_texts(np.asarray(columns["same"]).astype(np.int64), kinds)
        truths = dict.fromkeys(self.names, Truth(kinds, ids, same))
        if FOLD in columns.column_names:
            placed = [f"{text}, fold {fold}" for text, fold in zip(same, columns[FOLD].to_pylist(), strict=True)]
            truths |= dict.fromkeys(("accuracy/folds", "accuracy/folds/error"), Truth(kinds, ids, np.array(placed)))
        who, names = self._people(table), np.array(table.ids())
        alike = names[np.unique(who, return_index=True)[1]][who]  # the first picture of each person
        return truths | dict.fromkeys(("recall@1", "map@r"), Truth([], table.ids(), alike))

    def fit(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Return the threshold of the highest accuracy."""
        compared = self._compare(predictions, table)
        return {self.key: exact.best_threshold(compared.scores, compared.same)[0]}

    def use(self, fitted: Mapping[str, float]) -> None:
        """Take the fitted threshold."""
        self.threshold = fitted.get(self.key)

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Return name -> score."""
        compared = self._compare(predictions, table)
        return {
            **self._at_threshold(compared, table),
            **self._curve(compared),
            **self._gallery(predictions, table),
            **self._folds(compared, table),
        }

    def resampled(self, predictions: Predictions, table: SampleTable, times: np.ndarray) -> dict[str, np.ndarray]:
        """Return `accuracy` and `f1` at the threshold, and the scores that follow from the ROC, (B,) float64 each.

        Retrieval is left out, because a search would return the copies of a picture; folds are left out too. times: (B, U)
        integers.
        """
        compared = self._compare(predictions, table)
        who = self._people(table)
        first, second, _ = compared.pairs
        weights = pair_weights(times, first, second, who[first] == who[second])
        scores = {}
        if self.threshold is not None:
            scores = weighted_scores(weights, compared.scores >= self.threshold, compared.same)
        curves = {name: np.full(len(times), np.nan) for name in self._curve(compared)}
        for number, counts in enumerate(weights.T.astype(np.int64)):
            rows: np.ndarray = np.repeat(np.arange(len(counts)), counts)
            same = compared.same[rows]
            if same.any() and not same.all():
                drawn = self._curve(Compared(compared.pairs, compared.scores[rows], same), warn=False)
                for name in curves.keys() & drawn.keys():
                    curves[name][number] = drawn[name]
        return scores | curves

    def decisions(self, predictions: Predictions) -> np.ndarray:
        """Return a decision for every two samples at the threshold, 1 for the same person, else 0: (U (U - 1) / 2,) int64.

        Without a threshold the array is empty.
        """
        if self.threshold is None:
            return super().decisions(predictions)
        first, second = np.triu_indices(len(predictions), 1)
        vectors = require_vectors(predictions, "embedding", self.distance)
        called = pair_scores(vectors, first, second, self.distance) >= self.threshold
        return called.astype(np.int64)

    def figures(self, predictions: Predictions, table: SampleTable, picture_of: PictureOf) -> dict[str, Figure]:
        """Return the figures `scores` (histograms of both kinds), `roc`, `det`, and `hardest_pairs`."""
        from model.verification import plots as pair_plots

        compared = self._compare(predictions, table)
        curve = exact.roc(compared.scores, compared.same)
        plots = {
            "scores": pair_plots.histogram_figure(compared.scores, compared.same, self.threshold, self.distance),
            "roc": pair_plots.roc_figure(curve),
            "det": pair_plots.det_figure(curve),
        }
        if self.pictures:
            hardest = exact.hardest(compared.scores, compared.same, self.pictures)
            plots["hardest_pairs"] = pair_plots.pairs_figure(hardest, compared.pairs, compared.scores, picture_of)
        return plots

    def points(self, predictions: Predictions, table: SampleTable) -> dict[str, Points]:
        """Return the embeddings of the first pairs of one person, with their ids.

        A good projection shows the two pictures of such a pair side by side.
        """
        pairs, ids = pairs_of(table), table.ids()
        alike = np.flatnonzero(pairs.same == 1)[: PROJECTED // 2]
        rows = np.unique(np.concatenate([pairs.first[alike], pairs.second[alike]]))
        vectors = require_vectors(predictions, "embedding", self.distance)[rows]
        return {"embedding": Points(vectors, [ids[row] for row in rows])}

    def _compare(self, predictions: Predictions, table: SampleTable) -> Compared:
        pairs = pairs_of(table)
        vectors = require_vectors(predictions, "embedding", self.distance)
        return Compared(pairs, pair_scores(vectors, pairs.first, pairs.second, self.distance), pairs.same == 1)

    def _at_threshold(self, compared: Compared, table: SampleTable) -> dict[str, float]:
        scores, same = compared.scores, compared.same
        results: dict[str, float] = {}
        if self.threshold is not None:
            called = scores >= self.threshold
            results = {"accuracy": exact.accuracy(called, same), "f1": exact.f1(called, same), "threshold": self.threshold}
            who = self._people(table)
            first, second = who[compared.pairs.first], who[compared.pairs.second]
            for name, (low, high) in pair_intervals(called, same, first, second).items():
                results |= {f"{name}/low": low, f"{name}/high": high}
        if self.transductive:
            called = scores >= median_threshold(scores)
            results |= {"accuracy/transductive": exact.accuracy(called, same), "f1/transductive": exact.f1(called, same)}
        return results

    def _people(self, table: SampleTable) -> np.ndarray:
        """Return a number from 0 for each picture's person, (U,) int64; for each picture if people are not known."""
        return np.unique(table.numbers(IDENTITY), return_inverse=True)[1] if IDENTITY in table.names else np.arange(len(table))

    def _curve(self, compared: Compared, warn: bool = True) -> dict[str, float]:
        curve, different = exact.roc(compared.scores, compared.same), int((~compared.same).sum())
        tars = {_tar(rate): exact.tar_at_far(curve, rate, different) for rate in self.rates}
        missing = [name for name, value in tars.items() if value is None]
        if missing and warn and not self._warned:
            self._warned = True
            print(
                f"warning: {', '.join(missing)}: not given, {different:,} pairs of different people are too few", file=sys.stderr
            )
        area = exact.auc(curve)
        if area < 0.5 and warn and not self._told:
            self._told = True
            print(
                f"warning: auc is {area:.3f}, below chance: pairs called different are more alike than pairs called the same; "
                "the reader's args.same may name the wrong label",
                file=sys.stderr,
            )
        return {
            "auc": area,
            "eer": exact.equal_error_rate(curve),
            "d_prime": exact.d_prime(compared.scores, compared.same),
            **{name: value for name, value in tars.items() if value is not None},
        }

    def _gallery(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        if IDENTITY not in table.names or len(table) > LARGEST_GALLERY or FOLD in table.names:
            return {}  # the vectors of several folds come from several models
        vectors = require_vectors(predictions, "embedding", self.distance)
        means = retrieval(vectors, table.numbers(IDENTITY), self.distance)
        return {"recall@1": means.recall_at_1, "map@r": means.map_at_r} if means is not None else {}

    def _folds(self, compared: Compared, table: SampleTable) -> dict[str, float]:
        columns = table.related[PAIRS]
        folds = np.asarray(columns[FOLD]) if FOLD in columns.column_names else np.zeros(1)
        if len(np.unique(folds)) < 2:
            return {}
        validated = exact.cross_validated(compared.scores, compared.same, folds)
        return {"accuracy/folds": validated.mean, "accuracy/folds/error": validated.error}


def _tar(rate: float) -> str:
    return f"tar@far={rate:g}"
