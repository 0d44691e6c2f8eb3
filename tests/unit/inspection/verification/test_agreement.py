"""Every number that the app shows of pairs is that of the metric on the same predictions, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from base.evaluation import Manifest
from base.predictions import Predictions
from base.table import SampleTable
from base.verification.pairs import Distance, Pairs, add_pairs
from inspection.results import Result
from inspection.verification import pairs
from model.verification import pair_metrics as exact
from model.verification.scores import PairScores


@pytest.fixture(params=["cosine", "euclidean"])
def measure(request: pytest.FixtureRequest) -> Distance:
    return "cosine" if request.param == "cosine" else "euclidean"


@pytest.fixture
def metric(measure: Distance) -> PairScores:
    return PairScores(measure, rates=list(pairs.LIMITS))


@pytest.fixture
def result(measure: Distance, metric: PairScores, tmp_path: Path) -> Result:
    """4,000 pairs of 60 people, compared as a metric that is fitted on them compares."""
    draw = np.random.default_rng(3)
    who = np.repeat(np.arange(60), 5)
    vectors = draw.normal(size=(60, 8))[who] + 0.9 * draw.normal(size=(300, 8))
    first, second = np.triu_indices(300, 1)
    rows = draw.permutation(np.concatenate([np.flatnonzero(who[first] == who[second]), draw.integers(0, len(first), 3400)]))
    ids = [f"{row:04}" for row in range(300)]
    samples = SampleTable.from_columns(tmp_path, {"id": ids, "path": ids, "identity": who})
    samples = add_pairs(samples, Pairs(first[rows], second[rows], (who[first] == who[second])[rows].astype(np.int8)))
    predictions = Predictions.of(ids, {"embedding": torch.from_numpy(vectors.astype(np.float32))})
    fitted = metric.fit(predictions, samples)
    (tmp_path / "predictions.parquet").touch()
    metric.use(fitted)
    return Result(tmp_path, predictions, Manifest("valid", fitted={"PairScores": fitted}), samples)


@pytest.fixture
def compared(result: Result, tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores and answers as the page has them."""
    table = pairs.read(tmp_path / "predictions.parquet", result)
    return table["score"].to_numpy(float), (table["same"] == 1).to_numpy()


Compared = tuple[np.ndarray, np.ndarray]


def test_a_pair_is_as_alike_as_the_metric_compares_it(result: Result, metric: PairScores, compared: Compared) -> None:
    wanted = metric._compare(result.predictions, result.samples)
    assert compared[0].tolist() == wanted.scores.tolist() and compared[1].tolist() == wanted.same.tolist()


def test_two_faces_are_as_alike_as_a_pair_of_them(result: Result, measure: Distance, compared: Compared) -> None:
    vectors, listed = result.predictions.array("embedding"), result.samples.related["pairs"]
    one, other = (result.predictions.ids().index(listed[name][0].as_py()) for name in ("image1", "image2"))
    assert pairs.alike(vectors[one][None], vectors[other], measure)[0] == compared[0][0]
    assert pairs.alike(vectors, vectors[other], measure)[one] == compared[0][0]


def test_the_threshold_is_the_one_that_the_metric_fits(result: Result, measure: Distance, compared: Compared) -> None:
    assert exact.best_threshold(*compared)[0] == pairs.fitted(result)[f"threshold/{measure}"]


def test_rates_at_the_threshold_are_those_of_the_metric(result: Result, metric: PairScores, compared: Compared) -> None:
    scores = metric.compute(result.predictions, result.samples)
    found = pairs.rates(*compared, scores["threshold"])
    assert (found.accuracy, found.f1) == (scores["accuracy"], scores["f1"])


def test_what_needs_no_threshold_is_that_of_the_metric(result: Result, metric: PairScores, compared: Compared) -> None:
    scores, roc = metric.compute(result.predictions, result.samples), exact.roc(*compared)
    assert (exact.equal_error_rate(roc), exact.auc(roc)) == (scores["eer"], scores["auc"])


def test_the_table_of_limits_has_the_true_accepts_of_the_metric(result: Result, metric: PairScores, compared: Compared) -> None:
    scores = metric.compute(result.predictions, result.samples)
    table = pairs.at_limits(exact.roc(*compared), *compared)
    assert table["limit"].tolist() == list(pairs.LIMITS)
    for row in table.to_dict("records"):
        assert 1 - row["frr"] == pytest.approx(scores[f"tar@far={row['limit']:g}"], abs=1e-15)
        found = pairs.rates(*compared, row["threshold"])
        assert (row["far"], row["frr"], row["accuracy"]) == (found.far, found.frr, found.accuracy)


def test_the_hardest_pairs_are_those_of_the_figure_of_the_metric(result: Result, tmp_path: Path, compared: Compared) -> None:
    table = pairs.read(tmp_path / "predictions.parquet", result)
    for same, rows in zip((True, False), exact.hardest(*compared, 8), strict=True):
        assert pairs.hardest(table, same).head(8).to_dict("records") == table.iloc[rows].to_dict("records")
