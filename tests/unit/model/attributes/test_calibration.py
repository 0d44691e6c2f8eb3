"""Temperatures and thresholds, fitted on validation, against slow searches."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from base.base_metric import METRICS
from base.contracts import DataSpec
from base.predictions import Predictions
from base.table import SampleTable
from model.attributes import calibration
from model.attributes.calibration import Calibration, fit_temperature, fit_threshold, moved, tempered

SPEC = DataSpec({"mask": ["on", "off", "wrong"], "gender": ["female", "male"]})


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def drawn(seed=0, samples=4000, sharper=3.0):
    """Logits of an honest model, and the truth drawn by its probabilities; the model says them `sharper` times too surely."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(samples, 3))
    truth = np.array([random.choice(3, p=row) for row in softmax(logits)])
    return sharper * logits, truth


def case(columns, truth):
    ids = [f"s{row:04}" for row in range(len(next(iter(truth.values()))))]
    predictions = Predictions.of(ids, {name: torch.tensor(values, dtype=torch.float32) for name, values in columns.items()})
    return predictions, SampleTable.from_columns("/", {"id": ids, "path": ids, **truth})


def both_labels(missing=()):
    logits, mask = drawn(samples=400)
    random = np.random.default_rng(1)
    second = random.random(400)
    gender = (random.random(400) < second**3).astype(int)
    gender[list(missing)] = -1
    return case({"mask": softmax(logits), "gender": np.stack([1 - second, second], 1)}, {"mask": mask, "gender": gender})


def test_tempered_probabilities_are_those_of_logits_over_the_temperature():
    logits, _ = drawn(samples=50)

    assert np.allclose(tempered(softmax(logits), 2.5), softmax(logits / 2.5), rtol=1e-12)


def test_probabilities_of_0_stay_finite_and_rows_of_nan_stay():
    found = tempered(np.array([[1.0, 0.0, 0.0], [np.nan] * 3]), 2.0)

    assert found[0].tolist() == pytest.approx([1, 0, 0], abs=1e-12)
    assert np.isnan(found[1]).all()


def test_the_temperature_that_made_a_model_too_sure_is_found():
    logits, truth = drawn(sharper=3.0)

    assert fit_temperature(softmax(logits), truth) == pytest.approx(3.0, rel=0.1)


def test_the_temperature_is_that_of_a_slow_search():
    logits, truth = drawn(samples=200)
    grid = np.exp(np.linspace(math.log(1 / 20), math.log(20), 2001))
    chances = softmax(logits / grid[:, None, None])[:, np.arange(len(truth)), truth]  # (2001, 200): of the true class
    slow = grid[np.log(chances).mean(axis=1).argmax()]

    assert fit_temperature(softmax(logits), truth) == pytest.approx(slow, rel=0.01)


@pytest.mark.parametrize(("truth", "low", "high"), [(0, calibration.COLDEST, 0.1), (1, 19.0, calibration.HOTTEST)])
def test_without_a_mistake_or_with_nothing_right_it_stays_within_its_limits(truth, low, high):
    assert low <= fit_temperature(np.tile([0.8, 0.1, 0.1], (10, 1)), np.full(10, truth)) <= high


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_has_the_best_macro_f1_of_all(seed):
    random = np.random.default_rng(seed)
    second = random.random(40).round(1)
    truth = (random.random(40) < second**2).astype(int)
    best = max(f1_score(truth, second >= t, average="macro", labels=[0, 1], zero_division=0) for t in np.linspace(0.01, 0.99, 99))
    found = fit_threshold(second, truth)

    assert f1_score(truth, second >= found, average="macro", labels=[0, 1], zero_division=0) == pytest.approx(best)


def test_where_one_half_is_as_good_as_any_it_stays():
    assert fit_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])) == 0.5


def test_of_equally_good_thresholds_the_one_nearest_to_one_half_is_taken():
    second, truth = np.array([0.6, 0.7, 0.8, 0.9]), np.array([0, 1, 0, 1])  # 0.65 and 0.85 score the same, 0.5 less

    assert fit_threshold(second, truth) == pytest.approx(0.65)


def test_the_threshold_is_fitted_on_what_the_temperature_leaves():
    predictions, table = both_labels()
    fitted = Calibration(SPEC, thresholds=["gender"]).fit(predictions, table)
    tempered_second = tempered(predictions.array("gender").astype(np.float64), fitted["temperature/gender"])[:, 1]

    assert fitted["temperature/gender"] != pytest.approx(1, abs=0.05)
    assert fitted["threshold/gender"] == pytest.approx(fit_threshold(tempered_second, table.numbers("gender")))


def test_what_was_the_threshold_becomes_one_half():
    assert moved(np.array([[0.7, 0.3], [0.6, 0.4]]), 0.3)[:, 1].tolist() == pytest.approx(
        [0.5, 0.4 * 0.7 / (0.4 * 0.7 + 0.6 * 0.3)]
    )


def test_scores_tell_of_before_and_after():
    predictions, table = both_labels()
    metric = Calibration(SPEC)
    metric.use(metric.fit(predictions, table))
    scores = metric.compute(predictions, table)

    assert sorted(scores) == sorted(metric.names)
    assert scores["ece_calibrated/mask"] < scores["ece/mask"]
    assert scores["nll_calibrated/mask"] < scores["nll/mask"]


def test_answers_change_by_thresholds_alone():
    predictions, table = both_labels()
    metric = Calibration(SPEC, thresholds=["gender"])
    metric.use(metric.fit(predictions, table))
    after = metric.adjust(predictions)
    truth, before, now = table.numbers("gender"), predictions.array("gender").argmax(1), after.array("gender").argmax(1)

    assert (after.array("mask").argmax(1) == predictions.array("mask").argmax(1)).all()
    assert f1_score(truth, now, average="macro") > f1_score(truth, before, average="macro")


def test_what_was_fitted_is_used_on_other_samples_and_not_fitted_again():
    predictions, table = both_labels()
    metric, other = Calibration(SPEC), Calibration(SPEC)
    other.use(metric.fit(predictions, table))
    other.compute(predictions, table.take(np.arange(len(table))))

    assert other.fitted == metric.fit(predictions, table)
    assert metric.adjust(predictions).array("mask").tolist() == predictions.array("mask").tolist()


def test_labels_that_are_missing_do_not_count():
    predictions, table = both_labels(missing=range(400))
    metric = Calibration(SPEC)
    fitted = metric.fit(predictions, table)
    metric.use(fitted)

    assert list(fitted) == ["temperature/mask"]
    assert "ece/gender" not in metric.compute(predictions, table)


def test_pictures_that_could_not_be_read_keep_their_error():
    probabilities = {"mask": torch.tensor([[0.5, 0.3, 0.2], [0.0, 0.0, 0.0]])}
    metric = Calibration(SPEC)
    metric.use({"temperature/mask": 2.0})
    found = metric.adjust(Predictions.of(["a", "b"], probabilities, ["", "is no picture"]))

    assert found.failed() == {"b": "is no picture"}
    assert found.array("mask")[0].sum() == pytest.approx(1)


def test_a_threshold_for_three_classes_and_an_unknown_label_are_problems():
    text = '{"type": "Calibration", "args": {"labels": ["gendre"], "thresholds": ["mask"]}}'
    args = METRICS.parts["Calibration"].model_validate_json(text).args

    assert list(Calibration.check(args, SPEC)) == [
        ("labels", 'the data have no label "gendre" (did you mean "gender"?); allowed: mask, gender'),
        ("thresholds", '"mask" has 3 classes; a threshold is for two'),
    ]
