"""Losses of one label, against slow loops and against torch."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from base.contracts import DataSpec
from model.attributes.label_term import EffectiveNumber, balanced_weights, effective_weights
from model.attributes.terms import (
    F1,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    binary_cross_entropy,
    focal,
    soft_counts,
    soft_f1_loss,
)
from model.terms import TERMS, cross_entropy
from utils.errors import UserError

SPEC = DataSpec({"mask": ["on", "off", "wrong"]}, {"mask": [70, 20, 10]})
WEIGHTS = [1.4, 7.0, 2.5]
MEANS = [
    CrossEntropy(class_weights=WEIGHTS),
    CrossEntropy(0.5, label_smoothing=0.1),
    Focal(0.375, gamma=2.0, class_weights=WEIGHTS),
    BinaryCrossEntropy(2.0, class_weights="balanced"),
]
ALL = [*MEANS, F1(0.7), F1(class_weights=WEIGHTS)]


def batch(samples=12, seed=0, missing=False):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(samples, 3, dtype=torch.float64, generator=generator)
    labels = torch.randint(-1 if missing else 0, 3, (samples,), generator=generator)
    return logits, labels


def softmax(row):
    exponentials = [math.exp(float(value)) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def ids(term):
    return type(term).__name__


def value(term, logits, labels):
    found = term.bind(SPEC, "mask")(logits, labels)
    return float(found.total / found.weight)


# Formulas -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_slow_loop(smoothing):
    logits, labels = batch()
    slow = []
    for row, label in zip(logits, labels.tolist(), strict=True):
        target = [smoothing / 3 + (1 - smoothing) * (k == label) for k in range(3)]
        slow.append(-sum(q * math.log(p) for q, p in zip(target, softmax(row), strict=True)))

    assert cross_entropy(logits, labels, smoothing).tolist() == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_is_the_slow_loop(gamma, smoothing):
    logits, labels = batch()
    slow = []
    for row, label in zip(logits, labels.tolist(), strict=True):
        target = [smoothing / 3 + (1 - smoothing) * (k == label) for k in range(3)]
        slow.append(-sum(q * (1 - p) ** gamma * math.log(p) for q, p in zip(target, softmax(row), strict=True)))

    assert focal(logits, labels, gamma, smoothing).tolist() == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_focal_with_gamma_0_is_cross_entropy(smoothing):
    logits, labels = batch()

    assert torch.allclose(focal(logits, labels, 0.0, smoothing), cross_entropy(logits, labels, smoothing), rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_has_a_finite_gradient_at_a_sure_sample(gamma):
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    focal(logits, torch.tensor([0]), gamma).sum().backward()

    assert logits.grad.isfinite().all()


def test_binary_cross_entropy_is_the_slow_loop():
    logits, labels = batch()
    slow = []
    for row, label in zip(logits, labels, strict=True):
        sigmoids = [1 / (1 + math.exp(-float(value))) for value in row]
        slow.append(-sum(math.log(p if k == label else 1 - p) for k, p in enumerate(sigmoids)) / 3)

    assert binary_cross_entropy(logits, labels).tolist() == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], WEIGHTS])
def test_f1_is_the_slow_loop(weights):
    logits, labels = batch()
    scores = []
    for k in range(3):
        tp = sum(softmax(row)[k] for row, label in zip(logits, labels, strict=True) if label == k)
        fp = sum(softmax(row)[k] for row, label in zip(logits, labels, strict=True) if label != k)
        fn = sum(1 - softmax(row)[k] for row, label in zip(logits, labels, strict=True) if label == k)
        scores.append(2 * tp / (2 * tp + fp + fn))
    slow = 1 - sum(w * f for w, f in zip(weights, scores, strict=True)) / sum(weights)

    found = soft_f1_loss(soft_counts(logits, labels, labels >= 0), torch.tensor(weights, dtype=torch.float64))
    assert float(found) == pytest.approx(slow, rel=1e-12)


def test_f1_leaves_out_a_class_that_the_batch_lacks():
    logits = torch.tensor([[40.0, 0.0, 0.0], [0.0, 40.0, 0.0]])

    assert value(F1(), logits, torch.tensor([0, 1])) == pytest.approx(0, abs=1e-6)


def test_f1_of_certain_predictions_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    labels, predicted = torch.tensor([0, 0, 1, 2, 2, 1]), torch.tensor([0, 1, 1, 2, 0, 1])
    logits = 80.0 * F.one_hot(predicted, 3).double()

    assert value(F1(), logits, labels) == pytest.approx(1 - f1_score(labels, predicted, average="macro"), abs=1e-9)


# Against torch ------------------------------------------------------------------------------------------------------


def test_class_weights_are_those_of_torch():
    logits, labels = batch()
    wanted = F.cross_entropy(logits, labels, weight=torch.tensor(WEIGHTS, dtype=torch.float64))

    assert value(CrossEntropy(class_weights=WEIGHTS), logits, labels) == pytest.approx(float(wanted), rel=1e-6)


def test_label_smoothing_is_that_of_torch():
    logits, labels = batch()

    assert value(CrossEntropy(label_smoothing=0.1), logits, labels) == pytest.approx(
        float(F.cross_entropy(logits, labels, label_smoothing=0.1)), rel=1e-12
    )


def test_a_smoothed_sample_weighs_as_its_label_says():
    logits, labels = batch()
    each, weights = cross_entropy(logits, labels, 0.1), torch.tensor(WEIGHTS)[labels]

    assert value(CrossEntropy(label_smoothing=0.1, class_weights=WEIGHTS), logits, labels) == pytest.approx(
        float((weights * each).sum() / weights.sum()), rel=1e-6
    )


def test_missing_labels_are_ignored_as_by_torch():
    logits, labels = batch(missing=True)
    wanted = F.cross_entropy(logits, labels, weight=torch.tensor(WEIGHTS, dtype=torch.float64), ignore_index=-1)

    assert value(CrossEntropy(class_weights=WEIGHTS), logits, labels) == pytest.approx(float(wanted), rel=1e-6)


# Terms --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ALL, ids=ids)
def test_the_weight_of_a_term_scales_it(term):
    logits, labels = batch()
    found = value(term, logits, labels)
    term.weight, weight = 3 * term.weight, term.weight
    scaled = value(term, logits, labels)
    term.weight = weight

    assert scaled == pytest.approx(3 * found, rel=1e-6)


@pytest.mark.parametrize("term", MEANS, ids=ids)
@pytest.mark.parametrize("cuts", [[], [1], [5, 6], [3, 3, 11]])
def test_any_batches_total_to_the_loss_over_everything(term, cuts):
    logits, labels = batch(missing=True)
    term.bind(SPEC, "mask")
    borders = [0, *cuts, len(labels)]
    parts = [term(logits[a:b], labels[a:b]) for a, b in itertools.pairwise(borders)]
    whole = term(logits, labels)

    assert float(sum(p.total for p in parts) / sum(p.weight for p in parts)) == pytest.approx(
        float(whole.total / whole.weight), rel=1e-6
    )


@pytest.mark.parametrize("term", ALL, ids=ids)
def test_a_missing_label_changes_neither_value_nor_gradient_whatever_its_logits(term):
    logits, labels = batch()
    alone = logits.clone().requires_grad_()
    found = term.bind(SPEC, "mask")(alone, labels)
    found.total.backward()
    wild = torch.tensor([[math.inf, 0.0, -math.inf], [math.nan, 1.0, 1.0]], dtype=torch.float64)
    beside = torch.cat([logits, wild]).requires_grad_()
    other = term(beside, torch.cat([labels, torch.tensor([-1, -1])]))
    other.total.backward()

    assert [value.item() for value in found] == pytest.approx([value.item() for value in other], rel=1e-12)
    assert torch.allclose(beside.grad[:-2], alone.grad, rtol=1e-12)
    assert torch.equal(beside.grad[-2:], torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("term", ALL, ids=ids)
def test_a_batch_without_any_label_is_0_of_0_with_a_gradient_of_0(term):
    logits = torch.randn(4, 3, requires_grad=True)
    found = term.bind(SPEC, "mask")(logits, torch.full((4,), -1))
    found.total.backward()

    assert [value.item() for value in found] == [0, 0]
    assert torch.equal(logits.grad, torch.zeros(4, 3))


@pytest.mark.parametrize("term", ALL, ids=ids)
def test_gradients_are_those_of_finite_differences(term):
    logits, labels = batch(5, missing=True)
    term.bind(SPEC, "mask")

    assert torch.autograd.gradcheck(lambda x: term(x, labels).total, logits.requires_grad_())


@pytest.mark.parametrize("term", ALL, ids=ids)
def test_extreme_logits_have_finite_values_and_gradients(term):
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.0, 0.0, 1e4]], requires_grad=True)
    found = term.bind(SPEC, "mask")(logits, torch.tensor([0, 0, 1]))
    found.total.backward()

    assert found.total.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("term", ALL, ids=ids)
def test_counts_have_no_gradient(term):
    logits, labels = batch()

    assert not term.bind(SPEC, "mask")(logits.requires_grad_(), labels).weight.requires_grad


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(torch.zeros(4, 3), torch.zeros(4, 1)), (torch.zeros(4, 2), torch.zeros(4)), (torch.zeros(3), torch.zeros(3))],
)
def test_shapes_that_would_broadcast_are_refused(logits, labels):
    with pytest.raises(ValueError, match=r"^logits \(.*\) and labels \(.*\); allowed: \(N, 3\) and \(N,\), N samples$"):
        CrossEntropy().bind(SPEC, "mask")(logits, labels.long())


def test_class_weights_move_with_the_term_and_are_not_saved():
    term = CrossEntropy(class_weights=WEIGHTS).bind(SPEC, "mask")

    assert term.to("meta").weights.device.type == "meta"
    assert term.state_dict() == {}


# Class weights ------------------------------------------------------------------------------------------------------


def test_balanced_weights_are_those_of_scikit_learn():
    labels = [0] * 70 + [1] * 20 + [2] * 10
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)

    assert balanced_weights([70, 20, 10]).tolist() == pytest.approx(wanted.tolist())


def test_a_class_without_samples_weighs_nothing():
    assert balanced_weights([3, 0, 1]).tolist() == pytest.approx([4 / 9, 0, 4 / 3])
    assert balanced_weights([3, 0, 1], 0.0).tolist() == [1, 0, 1]


def test_balance_power_softens_the_weights():
    assert balanced_weights([70, 20, 10], 0.5).tolist() == pytest.approx(balanced_weights([70, 20, 10]).sqrt().tolist())


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999, 0.999999])
def test_effective_weights_are_the_formula_by_hand(beta):
    counts = [70, 20, 10]
    by_hand = [(1 - beta) / (1 - beta**count) for count in counts]

    assert effective_weights(counts, beta).tolist() == pytest.approx([3 * w / sum(by_hand) for w in by_hand], rel=1e-6)


def test_effective_weights_go_from_equal_to_balanced():
    assert effective_weights([70, 20, 10], 0.0).tolist() == [1, 1, 1]
    nearly = effective_weights([70, 20, 10], 1 - 1e-12)
    assert (nearly / nearly[0]).tolist() == pytest.approx([1, 3.5, 7], rel=1e-5)


def test_effective_weights_sum_to_the_number_of_classes_that_have_samples():
    found = effective_weights([5000, 0, 3], 0.999)

    assert found[1] == 0 and float(found.sum()) == pytest.approx(2)


def test_a_term_takes_the_effective_number_of_its_label():
    term = (
        TERMS.parts["Focal"]
        .model_validate_json('{"type": "Focal", "args": {"class_weights": {"effective_number": 0.9}}}')
        .build()
    )

    assert term.bind(SPEC, "mask").weights.tolist() == pytest.approx(effective_weights([70, 20, 10], 0.9).tolist())


def test_an_effective_number_without_samples_is_refused():
    with pytest.raises(UserError, match=r'found an effective number of 0.9; no training sample has the label "mask"$'):
        Focal(class_weights=EffectiveNumber(effective_number=0.9)).bind(DataSpec(SPEC.classes), "mask")


def test_balanced_terms_take_the_counts_of_their_label():
    spec = DataSpec({"a": ["x", "y"], "b": ["x", "y"]}, {"a": [1, 1], "b": [1, 3]})

    assert CrossEntropy(class_weights="balanced").bind(spec, "b").weights.tolist() == pytest.approx([2, 2 / 3])


def test_weights_are_those_of_the_trained_classes():
    spec = DataSpec({"age": ["young", "old"]}, {"age": [1, 2, 3]}, {"age": [0, 0, 1]})

    assert CrossEntropy().bind(spec, "age").weights.tolist() == [1, 1, 1]


def test_class_weights_of_a_wrong_number_are_refused():
    text = r'^loss.args.terms.mask.args.class_weights: found 2 weights; allowed: 3, one for each trained class of "mask"$'
    with pytest.raises(UserError, match=text):
        CrossEntropy(class_weights=[1.0, 2.0]).bind(SPEC, "mask")


def test_class_weights_of_0_alone_are_refused():
    with pytest.raises(UserError, match=r"class_weights: found only zeros, .*; allowed: at least one weight above 0$"):
        CrossEntropy(class_weights=[0.0, 0.0, 0.0]).bind(SPEC, "mask")


def test_a_balance_power_that_does_nothing_is_refused():
    with pytest.raises(
        UserError, match=r'balance_power: found 0.5; it softens "class_weights": "balanced" and does nothing else'
    ):
        Focal(balance_power=0.5).bind(SPEC, "mask")


@pytest.mark.parametrize("counts", [{}, {"mask": [0, 0, 0]}])
def test_balanced_weights_without_samples_are_refused(counts):
    with pytest.raises(UserError, match=r'class_weights: found "balanced"; no training sample has the label "mask"$'):
        CrossEntropy(class_weights="balanced").bind(DataSpec(SPEC.classes, counts), "mask")


@pytest.mark.parametrize(
    "args",
    [
        '{"weight": -1}',
        '{"label_smoothing": 1.0}',
        '{"class_weights": [-1]}',
        '{"class_weights": "balance"}',
        '{"balance_power": 2}',
    ],
)
def test_arguments_out_of_range_are_refused(args):
    with pytest.raises(ValueError, match="validation error"):
        TERMS.parts["CrossEntropy"].model_validate_json(f'{{"type": "CrossEntropy", "args": {args}}}')
