"""Calibration of probabilities on validation: a temperature, and a threshold for labels of two classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from base.base_metric import METRICS, BaseMetric, Truth
from base.contracts import DataSpec
from base.labels import class_texts, unknown_label
from base.predictions import Predictions, errors_of
from base.table import SampleTable
from model.attributes.measures import LEAST, calibration_error, log_loss
from model.attributes.scores import answers, true_classes

COLDEST, HOTTEST = 1 / 20, 20.0  # limits of the temperature; if all predictions are right or wrong, the best is 0 or infinite


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(log p / T), (N, K) float64: the softmax of the logits divided by the temperature T.

    Guo et al. 2017, section 4.2. probabilities: (N, K), a softmax; rows of NaN stay NaN.
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), LEAST)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature with the least `log_loss`, between COLDEST and HOTTEST; the loss is convex in 1 / T.

    probabilities: (N, K) float, N > 0. truth: (N,) int64 in 0..K-1.
    """
    from scipy.optimize import minimize_scalar

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    best = minimize_scalar(lambda log: log_loss(tempered(probabilities, np.exp(log)), truth), bounds=bounds, method="bounded")
    return float(np.exp(best.x))


def fit_threshold(second: np.ndarray, truth: np.ndarray) -> float:
    """Return the threshold on the probability of the second class with the best macro F1; of equal ones the nearest to 0.5.

    Thresholds lie halfway between neighbouring probabilities, and at 0.5. second: (N,) float. truth: (N,) int64, 0 or 1.
    """
    different = np.unique(second)
    thresholds = np.append((different[1:] + different[:-1]) / 2, 0.5)
    ones, zeros = np.sort(second[truth == 1]), np.sort(second[truth == 0])
    missed, rejected = np.searchsorted(ones, thresholds), np.searchsorted(zeros, thresholds)
    hits, alarms = len(ones) - missed, len(zeros) - rejected
    f1 = hits / np.maximum(hits + alarms + len(ones), 1) + rejected / np.maximum(rejected + missed + len(zeros), 1)
    best = thresholds[f1 >= f1.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def moved(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return probabilities of two classes, (N, 2) float, with their odds changed so that `threshold` for the second becomes 0.5.

    probabilities: (N, 2) float.
    """
    weighted = probabilities * np.array([threshold, 1 - threshold])
    return np.asarray(weighted / weighted.sum(axis=1, keepdims=True))


@METRICS.register("attributes", "pretext")
class Calibration(BaseMetric):
    """The calibration error of the probabilities, before and after a temperature that is fitted on validation.

    If a config names this metric, the app and submissions show calibrated probabilities; predictions.parquet keeps the model's
    own. A temperature changes no predicted class; a threshold does.
    """

    free = frozenset(("labels", "thresholds"))

    def __init__(
        self,
        spec: DataSpec,
        labels: Annotated[list[str] | None, Field(description="the labels that get a temperature each; null for all")] = None,
        thresholds: Annotated[
            list[str],
            Field(
                description="labels of two classes that are decided at the threshold with the best macro F1 on "
                "validation, which is shown as a probability of one half; null for none"
            ),
        ] = [],  # noqa: B006
    ) -> None:
        self.spec, self.labels, self.thresholds = spec, list(spec.classes) if labels is None else labels, thresholds
        self.fitted: dict[str, float] = {}

    @property
    def names(self) -> list[str]:
        """`ece/LABEL` and `nll/LABEL` of the model's probabilities; with `_calibrated` the same after the temperature."""
        return [f"{score}{after}/{label}" for label in self.labels for after in ("", "_calibrated") for score in ("ece", "nll")]

    def truth(self, table: SampleTable) -> dict[str, Truth]:
        """Return the true class of each sample, for the scores of each label."""
        ids, truths = table.ids(), {}
        for label in self.labels:
            classes = self.spec.classes[label]
            truths[label] = Truth(classes, ids, class_texts(true_classes(table, self.spec, label), classes))
        return {name: truths[name.partition("/")[2]] for name in self.names}

    def fit(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Fit `temperature/LABEL`, then `threshold/LABEL` on the tempered probabilities; skip a label that no sample has."""
        fitted: dict[str, float] = {}
        for label in dict.fromkeys([*self.labels, *self.thresholds]):
            probabilities, truth = self._known(predictions, table, label)
            if label in self.labels and len(truth):
                fitted[f"temperature/{label}"] = fit_temperature(probabilities, truth)
            if label in self.thresholds and len(truth):
                second = _changed(probabilities, label, fitted)[:, 1]
                fitted[f"threshold/{label}"] = fit_threshold(second, truth)
        return fitted

    def use(self, fitted: Mapping[str, float]) -> None:
        """Take the fitted temperatures and thresholds."""
        self.fitted = dict(fitted)

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Return name -> value: calibration errors in 0..1, log losses in nats."""
        scores: dict[str, float] = {}
        for label in self.labels:
            probabilities, truth = self._known(predictions, table, label)
            temperature = self.fitted.get(f"temperature/{label}", 1.0)
            for after, values in (("", probabilities), ("_calibrated", tempered(probabilities, temperature))):
                if len(truth):
                    scores |= {
                        f"ece{after}/{label}": calibration_error(values, truth),
                        f"nll{after}/{label}": log_loss(values, truth),
                    }
        return scores

    def adjust(self, predictions: Predictions) -> Predictions:
        """Return the probabilities after temperature and threshold, (N, K) float32 for each label."""
        given = {name: predictions.array(name) for name in predictions.names}
        columns = {name: _changed(values, name, self.fitted).astype(np.float32) for name, values in given.items()}
        return Predictions.of(predictions.ids(), {n: torch.from_numpy(v) for n, v in columns.items()}, errors_of([predictions]))

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for labels that the data do not have, and for thresholds of labels of more than two classes."""
        for key, label in [
            *(("labels", label) for label in args.labels or []),
            *(("thresholds", label) for label in args.thresholds),
        ]:
            if spec.classes and label not in spec.classes:
                yield key, unknown_label(label, spec)
            elif key == "thresholds" and len(spec.classes.get(label) or "01") != 2:
                yield key, f'"{label}" has {len(spec.classes[label])} classes; a threshold is for two'

    def _known(self, predictions: Predictions, table: SampleTable, label: str) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities (n, K) float64 and truth (n,) int64 of the samples whose label is known."""
        truth = answers(predictions, table, self.spec, label).truth
        rows = np.flatnonzero(truth >= 0)
        return predictions.array(label)[rows].astype(np.float64), truth[rows]


def _changed(probabilities: np.ndarray, label: str, fitted: Mapping[str, float]) -> np.ndarray:
    """Return the probabilities (N, K) of a label after its fitted temperature and threshold."""
    if (temperature := fitted.get(f"temperature/{label}")) is not None:
        probabilities = tempered(probabilities, temperature)
    if (threshold := fitted.get(f"threshold/{label}")) is not None:
        probabilities = moved(probabilities, threshold)
    return probabilities
