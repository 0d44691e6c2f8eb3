"""Scores of pairs and of a gallery against scikit-learn, pytorch-metric-learning and slow loops."""

import time

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score, roc_curve

from base.verification.pairs import median_threshold, pair_scores
from model.verification import pair_metrics as pairs
from model.verification.bootstrap import pair_intervals
from model.verification.retrieval import retrieval

CASES = 300


def case(seed):
    """Scores with many ties in some cases and none in others, and both kinds of pairs."""
    random = np.random.default_rng(seed)
    number = int(random.integers(2, 40))
    scores = random.normal(size=number) if seed % 2 else random.integers(-3, 4, number) / 4
    same = random.random(number) < random.uniform(0.1, 0.9)
    same[:2] = (True, False)
    return scores.astype(float), same


@pytest.fixture(scope="module")
def cases():
    return [case(seed) for seed in range(CASES)]


# Threshold ----------------------------------------------------------------------------------------------------------


def test_the_best_threshold_is_as_good_as_any_of_300_cases_and_scores_what_it_says(cases):
    for scores, same in cases:
        tried = np.array([*scores, *(scores + 1e-9), scores.min() - 1, scores.max() + 1])
        best = ((scores >= tried[:, None]) == same).mean(axis=1).max()
        threshold, found = pairs.best_threshold(scores, same)
        assert found == pytest.approx(best)
        assert accuracy_score(same, scores >= threshold) == pytest.approx(found)


def test_the_threshold_lies_halfway_between_the_neighbours_of_its_cut():
    assert pairs.best_threshold(np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True])) == (0.4, 1.0)


def test_equal_scores_are_never_separated():
    threshold, accuracy = pairs.best_threshold(np.array([0.5, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    assert (threshold, accuracy) == (pytest.approx(0.3), 0.75)


def test_neighbours_in_floating_point_are_separated():
    low = 0.3
    high = np.nextafter(low, 1)
    threshold, accuracy = pairs.best_threshold(np.array([low, high]), np.array([False, True]))
    assert low < threshold <= high and accuracy == 1


def test_where_all_are_best_called_different_nothing_reaches_the_threshold():
    scores, same = np.array([0.9, 0.8, 0.7, 0.1]), np.array([False, False, False, True])
    assert not (scores >= pairs.best_threshold(scores, same)[0]).any()


def test_of_equally_good_cuts_it_is_the_middle_one():
    scores, same = np.array([5.0, 4.0, 3.0, 2.0]), np.array([False, True, False, True])
    assert pairs.best_threshold(scores, same)[0] == 3.5  # none, two or all: each is right twice


def test_a_million_pairs_take_seconds_at_most():
    random = np.random.default_rng(0)
    scores, same = random.normal(size=10**6), random.random(10**6) < 0.5
    began = time.process_time()
    pairs.best_threshold(scores, same)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("same", [[True, True], [False, False]])
def test_one_kind_of_pairs_has_no_threshold(same):
    with pytest.raises(ValueError, match="both kinds are needed"):
        pairs.best_threshold(np.array([0.1, 0.2]), np.array(same))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"allowed: \(N,\) and \(N,\)"):
        pairs.roc(np.zeros(3), np.array([True, False]))


def test_the_median_calls_half_of_the_pairs_the_same():
    scores = np.array([0.4, 0.1, 0.3, 0.2])
    assert median_threshold(scores) == 0.25 and (scores >= median_threshold(scores)).sum() == 2


# Curves -------------------------------------------------------------------------------------------------------------


def test_auc_is_that_of_scikit_learn_on_300_cases(cases):
    for scores, same in cases:
        assert pairs.auc(pairs.roc(scores, same)) == pytest.approx(roc_auc_score(same, scores))


def test_the_roc_is_that_of_scikit_learn_on_300_cases(cases):
    for scores, same in cases:
        far, tar, _ = roc_curve(same, scores, drop_intermediate=False)
        found = pairs.roc(scores, same)
        assert np.allclose(found.far, far) and np.allclose(found.tar, tar)


def test_the_equal_error_rate_is_where_both_errors_meet_on_300_cases(cases):
    for scores, same in cases:
        curve = pairs.roc(scores, same)
        wide = np.linspace(0, len(curve.far) - 1, 4001)  # a point far between each two of the curve
        places = np.arange(len(curve.far))
        far, missed = np.interp(wide, places, curve.far), 1 - np.interp(wide, places, curve.tar)
        nearest = np.argmin(abs(far - missed))
        assert pairs.equal_error_rate(curve) == pytest.approx((far[nearest] + missed[nearest]) / 2, abs=0.02)


def test_true_accepts_at_a_rate_of_false_ones_are_those_of_a_slow_search_on_300_cases(cases):
    for scores, same in cases:
        different = int((~same).sum())
        for rate in (0.5, 0.1, 0.01):
            found = pairs.tar_at_far(pairs.roc(scores, same), rate, different)
            if different * rate < 1:
                assert found is None
                continue
            allowed = [t for t in [*scores, np.inf] if (scores[~same] >= t).mean() <= rate + 1e-12]
            assert found == pytest.approx(max((scores[same] >= t).mean() for t in allowed))


@pytest.mark.parametrize(("different", "given"), [(99, False), (100, True)])
def test_a_rate_that_one_false_accept_exceeds_is_refused(different, given):
    scores, same = np.arange(different + 5.0), np.arange(different + 5) >= different
    assert (pairs.tar_at_far(pairs.roc(scores, same), 1e-2, different) is not None) == given


def test_d_prime_is_the_distance_of_the_means_in_units_of_the_spread():
    assert pairs.d_prime(np.array([1.0, 3.0, 7.0, 9.0]), np.array([False, False, True, True])) == pytest.approx(6.0)


def test_f1_is_that_of_scikit_learn_on_300_cases(cases):
    for scores, same in cases:
        assert pairs.f1(scores >= 0, same) == pytest.approx(f1_score(same, scores >= 0, zero_division=0))


# Folds --------------------------------------------------------------------------------------------------------------


def test_every_fold_is_judged_at_the_threshold_of_all_others():
    # Fold 0 alone would choose 0.35, fold 1 alone 0.65; each is judged with the other's.
    scores = np.array([0.2, 0.5, 0.8, 0.5])
    same = np.array([False, True, True, False])
    found = pairs.cross_validated(scores, same, np.array([0, 0, 1, 1]))
    assert found.thresholds.tolist() == [pytest.approx(0.65), pytest.approx(0.35)]
    assert found.accuracies.tolist() == [0.5, 0.5]
    assert (found.mean, found.error) == (0.5, 0.0)


def test_the_standard_error_is_that_of_a_mean_of_folds():
    scores = np.array([0.1, 0.9, 0.9, 0.1, 0.1, 0.9])
    same = np.array([False, True, False, True, False, True])
    found = pairs.cross_validated(scores, same, np.array([0, 0, 1, 1, 2, 2]))
    assert found.error == pytest.approx(np.std(found.accuracies, ddof=1) / np.sqrt(3))


def test_one_fold_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        pairs.cross_validated(np.array([0.1, 0.9]), np.array([False, True]), np.zeros(2))


# Scores of pairs ----------------------------------------------------------------------------------------------------


def test_the_score_of_a_pair_is_its_cosine_or_minus_its_distance():
    vectors = np.array([[3.0, 0.0], [0.0, 2.0], [4.0, 0.0]], np.float32)
    first, second = np.array([0, 0]), np.array([1, 2])
    assert pair_scores(vectors, first, second, "cosine").tolist() == [0.0, 1.0]
    assert np.allclose(pair_scores(vectors, first, second, "euclidean"), [-np.sqrt(13), -1.0])


def test_scores_do_not_depend_on_the_chunks(monkeypatch):
    random = np.random.default_rng(0)
    vectors, first, second = random.normal(size=(9, 4)), random.integers(0, 9, 50), random.integers(0, 9, 50)
    whole = pair_scores(vectors, first, second, "cosine")
    monkeypatch.setattr("base.verification.pairs.CHUNK", 7)
    assert np.array_equal(pair_scores(vectors, first, second, "cosine"), whole)


# Gallery ------------------------------------------------------------------------------------------------------------


def slow_retrieval(vectors, people):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    first, averages = [], []
    for query in range(len(people)):
        relevant = int((people == people[query]).sum()) - 1
        if not relevant:
            continue
        others = [row for row in range(len(people)) if row != query]
        ranked = sorted(others, key=lambda row: -float(unit[query] @ unit[row]))
        hits = [people[row] == people[query] for row in ranked[:relevant]]
        first.append(people[ranked[0]] == people[query])
        averages.append(sum(np.mean(hits[: i + 1]) for i, hit in enumerate(hits) if hit) / relevant)
    return np.mean(first), np.mean(averages)


@pytest.mark.parametrize("seed", range(50))
def test_retrieval_is_that_of_a_slow_search(seed):
    random = np.random.default_rng(seed)
    vectors, people = random.normal(size=(30, 4)), np.unique(random.integers(0, 12, 30), return_inverse=True)[1]
    found = retrieval(vectors, people, "cosine", block=7)
    assert (found.recall_at_1, found.map_at_r) == tuple(map(pytest.approx, slow_retrieval(vectors, people)))


def test_retrieval_is_that_of_pytorch_metric_learning():
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    random = np.random.default_rng(0)
    vectors, people = random.normal(size=(60, 8)).astype(np.float32), np.repeat(np.arange(12), 5)
    reference = AccuracyCalculator(
        ("precision_at_1", "mean_average_precision_at_r"),
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
        k="max_bin_count",
    ).get_accuracy(torch.from_numpy(vectors), torch.from_numpy(people))
    found = retrieval(vectors, people, "euclidean")
    assert found.recall_at_1 == pytest.approx(reference["precision_at_1"])
    assert found.map_at_r == pytest.approx(reference["mean_average_precision_at_r"])


def test_without_two_pictures_of_anyone_there_is_nothing_to_retrieve():
    assert retrieval(np.eye(3), np.arange(3), "cosine") is None


# Intervals ----------------------------------------------------------------------------------------------------------


def test_an_interval_holds_the_score_and_is_the_same_each_time():
    random = np.random.default_rng(0)
    first, second = random.integers(0, 100, 400), random.integers(0, 100, 400)
    same = first % 2 == 0
    called = same ^ (random.random(400) < 0.2)
    found = pair_intervals(called, same, first, second)
    low, high = found["accuracy"]
    assert low < np.mean(called == same) < high
    assert found == pair_intervals(called, same, first, second)


def test_pairs_of_few_people_have_a_wider_interval_than_as_many_pairs_of_many():
    random = np.random.default_rng(0)
    right = random.random(1000) < 0.8
    many = pair_intervals(right, np.ones(1000, bool), np.arange(1000), np.arange(1000))["accuracy"]
    few_people = np.repeat(np.arange(20), 50)
    of_few = np.repeat(random.random(20) < 0.8, 50)
    few = pair_intervals(of_few, np.ones(1000, bool), few_people, few_people)["accuracy"]
    assert few.high - few.low > 3 * (many.high - many.low)


def test_the_interval_of_pairs_within_people_is_that_of_drawing_people():
    right = np.arange(1000) < 800
    people = np.arange(1000)
    low, high = pair_intervals(right, np.ones(1000, bool), people, people)["accuracy"]
    spread = 1.96 * np.sqrt(0.8 * 0.2 / 1000)
    assert (low, high) == (pytest.approx(0.8 - spread, abs=0.004), pytest.approx(0.8 + spread, abs=0.004))
