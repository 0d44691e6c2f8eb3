"""Every number that the app shows of labels is that of the metrics on the same predictions, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from base.contracts import DataSpec
from base.evaluation import Manifest
from base.predictions import Predictions
from base.table import SampleTable
from inspection.attributes import figures
from inspection.attributes.kind import KIND
from inspection.attributes.labels import ALL_LABELS, Labels
from inspection.results import Result
from model.attributes.calibration import Calibration
from model.attributes.scores import AttributeScores, answers

CLASSES = {"mask": ["on", "off", "wrong"], "age": ["young", "old"]}
SPEC = DataSpec(CLASSES, merged={"age": [0, 0, 1]})
TRAINED = {"mask": 3, "age": 3}


@pytest.fixture(params=range(3))
def labels(request: pytest.FixtureRequest, tmp_path: Path) -> Labels:
    """500 samples, some without truth; the model is too sure, and some true classes have a probability of 0."""
    draw = np.random.default_rng(request.param)
    ids = [f"s{row:03}" for row in range(500)]
    truth = {name: draw.integers(-1, size, 500) for name, size in TRAINED.items()}
    given = {name: draw.dirichlet(np.full(len(classes), 0.3), 500).astype(np.float32) for name, classes in CLASSES.items()}
    for values in given.values():
        values[draw.random(values.shape) < 0.1] = 0
    samples = SampleTable.from_columns(tmp_path, {"id": ids, "path": ids, "camera": draw.choice(["a", "b"], 500), **truth})
    predictions = Predictions.of(ids, {name: torch.from_numpy(values) for name, values in given.items()})
    return Labels(Result(tmp_path, predictions, Manifest("valid", spec=SPEC), samples))


def shown(labels: Labels, label: str) -> figures.Figures:
    return figures.figures(labels.probabilities(label), labels.truth(label), labels.answer(label))


@pytest.mark.parametrize("label", CLASSES)
def test_the_figures_of_a_label_are_those_of_the_metrics(labels: Labels, label: str) -> None:
    predictions, samples, found = labels.result.predictions, labels.result.samples, shown(labels, label)
    scores = AttributeScores(SPEC).compute(predictions, samples) | Calibration(SPEC).compute(predictions, samples)
    assert (found.accuracy, found.f1) == (scores[f"accuracy/{label}"], scores[f"f1/{label}"])
    assert (found.loss, found.calibration) == (scores[f"nll/{label}"], scores[f"ece/{label}"])
    assert found.wrong == round((1 - scores[f"accuracy/{label}"]) * found.samples)


def test_accuracy_and_f1_of_all_labels_are_those_of_the_metric(labels: Labels) -> None:
    scores, found = AttributeScores(SPEC).compute(labels.result.predictions, labels.result.samples), shown(labels, ALL_LABELS)
    assert (found.accuracy, found.f1) == (scores["accuracy"], scores["f1"])


@pytest.mark.parametrize("label", CLASSES)
def test_the_confusion_matrix_has_the_answers_of_the_metric(labels: Labels, label: str) -> None:
    counts = figures.confusion(labels.truth(label), labels.answer(label), len(CLASSES[label]))
    truth, predicted, _, _ = answers(labels.result.predictions, labels.result.samples, SPEC, label)
    cells = pd.crosstab(truth[truth >= 0], predicted[truth >= 0])
    assert (counts == cells.reindex(index=range(len(counts)), columns=range(len(counts)), fill_value=0).to_numpy()).all()


@pytest.mark.parametrize("label", CLASSES)
def test_the_bins_of_the_chart_give_the_calibration_error_of_the_metric(labels: Labels, label: str) -> None:
    table = figures.calibration(labels.probabilities(label), labels.truth(label))
    error = Calibration(SPEC).compute(labels.result.predictions, labels.result.samples)[f"ece/{label}"]
    assert np.average((table["confidence"] - table["accuracy"]).abs(), weights=table["samples"]) == pytest.approx(error)


def test_the_loss_of_each_sample_has_the_mean_of_the_metric(labels: Labels) -> None:
    losses = figures.loss(labels.probabilities("mask"), labels.truth("mask"))
    wanted = Calibration(SPEC).compute(labels.result.predictions, labels.result.samples)["nll/mask"]
    assert losses[np.isfinite(losses)].mean() == wanted


def test_the_accuracy_of_a_slice_is_the_metrics_on_its_samples(labels: Labels) -> None:
    columns = {"camera": labels.result.texts("camera").astype(str)}
    table = figures.slices(columns, labels.truth("mask"), labels.answer("mask")).set_index("value")
    for camera in ("a", "b"):
        rows = np.flatnonzero(columns["camera"] == camera)
        scores = AttributeScores(SPEC).compute(labels.result.predictions.take(rows), labels.result.samples.take(rows))
        assert table.loc[camera, "accuracy"] == scores["accuracy/mask"]


def test_the_shares_of_the_answers_are_those_that_the_metric_scores(labels: Labels) -> None:
    predicted = answers(labels.result.predictions, labels.result.samples, SPEC, "mask").predicted
    wanted = np.bincount(predicted, minlength=3) / len(predicted)
    assert KIND.shares(labels.result)["mask"]["predicted"].tolist() == wanted.tolist()
