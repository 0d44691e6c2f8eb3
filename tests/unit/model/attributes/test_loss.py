"""The loss of several labels, in one process and in two."""

import json
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from base.base_loss import LOSSES
from base.contracts import PARTNER, SHARE, DataSpec, OutputSpec
from model.attributes.loss import AttributeLoss
from model.attributes.terms import F1, BinaryCrossEntropy, CrossEntropy, Focal, soft_f1_loss
from utils.errors import UserError

SPEC = DataSpec(
    {"mask": ["on", "off", "wrong"], "age": ["young", "old"]}, {"mask": [7, 2, 1], "age": [5, 3, 2]}, {"age": [0, 0, 1]}
)
GOOD = {"mask": {"type": "Focal", "args": {"weight": 0.375}}, "age": {"type": "CrossEntropy"}}


def part(terms):
    return LOSSES.parts["AttributeLoss"].model_validate_json(json.dumps({"type": "AttributeLoss", "args": {"terms": terms}}))


def problems(terms, spec=SPEC):
    return list(AttributeLoss.check(part(terms).args, spec))


def batch(samples=9):
    generator = torch.Generator().manual_seed(3)
    outputs = {label: torch.randn(samples, 3, generator=generator) for label in SPEC.classes}
    target = {label: torch.randint(-1, 3, (samples,), generator=generator) for label in SPEC.classes}
    return outputs, target


def test_it_is_built_from_a_config():
    loss = part(GOOD).build(SPEC, OutputSpec())

    assert [type(term) for term in loss.bound] == [Focal, CrossEntropy]
    assert loss.bound[0].weight == 0.375


def test_its_terms_are_named_by_their_labels_and_are_those_of_each_alone():
    outputs, target = batch()
    loss = AttributeLoss(SPEC, OutputSpec(), {"age": F1(0.5), "mask": CrossEntropy(class_weights="balanced")})
    alone = CrossEntropy(class_weights="balanced").bind(SPEC, "mask")(outputs["mask"], target["mask"])

    assert list(loss.terms(outputs, target)) == ["age", "mask"]
    assert float(loss(outputs, target)["mask"]) == pytest.approx(float(alone.total / alone.weight))


def test_a_label_of_which_a_batch_knows_nothing_costs_nothing():
    outputs, target = batch()
    target["age"] = torch.full((9,), -1)
    outputs["age"].requires_grad_()
    losses = part(GOOD).build(SPEC, OutputSpec())(outputs, target)
    sum(losses.values()).backward()

    assert losses["age"].item() == 0
    assert losses["mask"].isfinite()
    assert torch.equal(outputs["age"].grad, torch.zeros(9, 3))


def test_a_good_config_has_no_problems():
    assert problems(GOOD) == []


def test_a_term_for_an_unknown_label_is_a_problem():
    assert problems({**GOOD, "aeg": {"type": "F1"}}) == [
        ("terms.aeg", 'the data have no label "aeg" (did you mean "age"?); allowed: mask, age')
    ]


def test_a_label_without_a_term_is_a_problem():
    assert problems({"mask": {"type": "F1"}}) == [
        ("terms", "is missing age; a label without a term would have a head that is never trained")
    ]


def test_class_weights_of_a_wrong_number_are_a_problem_of_the_config():
    terms = {**GOOD, "age": {"type": "F1", "args": {"class_weights": [1, 2]}}}

    assert problems(terms) == [
        ("terms.age.args.class_weights", 'found 2 weights; allowed: 3, one for each trained class of "age"')
    ]


def test_nothing_is_said_while_the_classes_are_not_known():
    assert problems({"whatever": {"type": "F1"}}, DataSpec()) == []


def test_what_the_config_did_not_say_is_found_when_the_data_are_known():
    text = (
        r'^loss.args.terms.aeg: the data have no label "aeg" \(did you mean "age"\?\); allowed: mask, age; '
        r"loss.args.terms: is missing mask, age; a label without a term would have a head that is never trained$"
    )
    with pytest.raises(UserError, match=text):
        AttributeLoss(SPEC, OutputSpec(), {"aeg": F1()})


# Margins ------------------------------------------------------------------------------------------------------------

COSINES = OutputSpec({"mask": 3, "age": 3}, {"mask": 30.0})


def margin_loss(terms=GOOD, margins=None, outputs=COSINES):
    args = {"terms": terms, "margins": {"mask": {"m2": 0.4}} if margins is None else margins}
    return (
        LOSSES.parts["AttributeLoss"]
        .model_validate_json(json.dumps({"type": "AttributeLoss", "args": args}))
        .build(SPEC, outputs)
    )


@pytest.mark.parametrize("kind", ["CrossEntropy", "Focal", "BinaryCrossEntropy", "F1"])
def test_a_margin_makes_any_term_harder_in_training_alone(kind):
    outputs, target = batch()
    outputs["mask"] = 30 * outputs["mask"].cos()
    terms = {**GOOD, "mask": {"type": kind}}
    plain, loss = margin_loss(terms, {}), margin_loss(terms)

    assert float(loss.train()(outputs, target)["mask"]) > float(plain(outputs, target)["mask"])
    assert torch.equal(loss.eval()(outputs, target)["mask"], plain(outputs, target)["mask"])
    assert torch.equal(loss.train()(outputs, target)["age"], plain(outputs, target)["age"])


@pytest.mark.parametrize("kind", ["CrossEntropy", "Focal", "BinaryCrossEntropy", "F1"])
def test_with_a_margin_a_missing_label_changes_nothing_whatever_its_logits(kind):
    outputs, target = batch()
    target["mask"] = target["mask"].clamp_min(0)
    beside = {label: torch.cat([value, torch.full((1, 3), torch.nan)]) for label, value in outputs.items()}
    missing = {label: torch.cat([value, torch.tensor([-1])]) for label, value in target.items()}
    loss = margin_loss({**GOOD, "mask": {"type": kind}})
    beside["mask"].requires_grad_()
    found = loss(beside, missing)["mask"]
    found.backward()

    assert float(found.detach()) == pytest.approx(float(loss(outputs, target)["mask"]))
    assert beside["mask"].grad.isfinite().all() and torch.equal(beside["mask"].grad[-1], torch.zeros(3))


def test_a_margin_on_a_linear_head_is_refused():
    text = r"""^loss.args.margins.age: is for cosines, and the model's head of "age" gives none; set arch.args.heads.age="""
    with pytest.raises(UserError, match=text):
        margin_loss(margins={"age": {"m2": 0.4}})


def test_a_margin_for_an_unknown_label_is_a_problem():
    args = {"terms": GOOD, "margins": {"aeg": {"m2": 0.4}}}
    checked = LOSSES.parts["AttributeLoss"].model_validate_json(json.dumps({"type": "AttributeLoss", "args": args}))

    assert list(AttributeLoss.check(checked.args, SPEC)) == [
        ("margins.aeg", 'the data have no label "aeg" (did you mean "age"?); allowed: mask, age')
    ]


def test_null_takes_a_term_away():
    assert problems({**GOOD, "gender": None}) == []
    assert margin_loss({**GOOD, "gender": None}).labels == ["mask", "age"]


def _two(rank, rendezvous, results):
    """One of two processes: its value and its share of the gradient, on its slice of the batch."""
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2, timeout=timedelta(seconds=60))
    losses, gradient = _step(slice(0, 2) if rank == 0 else slice(2, 9))
    torch.save((losses, gradient), f"{results}-{rank}")
    dist.destroy_process_group()


def _step(samples):
    outputs, target = batch()
    weight = torch.full((3,), 0.5, requires_grad=True)
    outputs = {label: value[samples] * weight for label, value in outputs.items()}
    loss = AttributeLoss(SPEC, OutputSpec(), {"mask": F1(0.5), "age": CrossEntropy(class_weights=[1.0, 5.0, 2.0])})
    losses = loss(outputs, {label: value[samples] for label, value in target.items()})
    sum(losses.values()).backward()
    return {label: value.detach() for label, value in losses.items()}, weight.grad


def test_two_processes_minimise_what_one_would(tmp_path):
    mp.spawn(_two, (tmp_path / "rendezvous", tmp_path / "result"), nprocs=2)
    (first, left), (second, right) = (torch.load(tmp_path / f"result-{rank}") for rank in range(2))
    losses, gradient = _step(slice(0, 9))

    for label, value in losses.items():
        assert float(first[label] + second[label]) / 2 == pytest.approx(float(value), rel=1e-5)
    assert torch.allclose((left + right) / 2, gradient, rtol=1e-4)


# Mixed samples ------------------------------------------------------------------------------------------------------

TERMS_OF_MIXED = [
    CrossEntropy(label_smoothing=0.1, class_weights=[1.0, 2.0, 3.0]),
    Focal(gamma=2.0),
    BinaryCrossEntropy(0.5),
    F1(class_weights="balanced"),
]


def mixed_batch(samples=9):
    outputs, own = batch(samples)
    generator = torch.Generator().manual_seed(4)
    partner = {label: torch.randint(-1, 3, (samples,), generator=generator) for label in SPEC.classes}
    share = torch.rand(samples, generator=generator)
    return outputs, {**own, SHARE: share, PARTNER: {**partner, SHARE: 1 - share}}


def of(term, outputs, target):
    """The values of two labels under the same term."""
    return part({label: term for label in SPEC.classes}).build(SPEC, OutputSpec()).terms(outputs, target)


@pytest.mark.parametrize("term", ["CrossEntropy", "Focal", "BinaryCrossEntropy"])
def test_a_mixed_sample_costs_the_weighted_mean_of_its_labels(term):
    outputs, target = mixed_batch()
    for label, found in of({"type": term}, outputs, target).items():
        total, weight = 0.0, 0.0
        for row in range(9):
            for one, share in ((target, target[SHARE][row]), (target[PARTNER], target[PARTNER][SHARE][row])):
                if one[label][row] >= 0:
                    alone = of({"type": term}, {k: v[row : row + 1] for k, v in outputs.items()},
                               {k: one[k][row : row + 1] for k in SPEC.classes})[label]  # fmt: skip
                    total, weight = total + float(share * alone.total), weight + float(share)
        assert float(found.total) == pytest.approx(total, rel=1e-5)
        assert float(found.weight) == pytest.approx(weight, rel=1e-5)


@pytest.mark.parametrize("term", TERMS_OF_MIXED, ids=lambda term: type(term).__name__)
def test_a_share_of_1_is_no_mixture(term):
    outputs, target = mixed_batch()
    target[SHARE], target[PARTNER][SHARE] = torch.ones(9), torch.zeros(9)
    target[PARTNER]["mask"][3] = 1
    term = term.bind(SPEC, "mask")
    loss = AttributeLoss(SPEC, OutputSpec(), {"mask": term, "age": CrossEntropy()})
    mixed, plain = (loss.terms(outputs, t)["mask"] for t in (target, {label: target[label] for label in SPEC.classes}))

    assert float(mixed.total) == pytest.approx(float(plain.total), rel=1e-5)
    assert float(mixed.weight) == pytest.approx(float(plain.weight), rel=1e-5)


def test_the_f1_of_mixed_samples_counts_each_label_by_its_share():
    outputs, target = mixed_batch()
    probabilities, expected = outputs["mask"].softmax(1), torch.zeros(3, 3)
    for one in (target, target[PARTNER]):
        for row in range(9):
            label, share = int(one["mask"][row]), one[SHARE][row]
            if label >= 0:
                expected[0, label] += share * probabilities[row, label]
                expected[1] += share * probabilities[row]
                expected[2, label] += share
    found = of({"type": "F1"}, outputs, target)["mask"]

    assert float(found.total / found.weight) == pytest.approx(float(soft_f1_loss(expected, torch.ones(3))), rel=1e-5)


def test_what_is_infinite_does_not_reach_a_label_that_does_not_count():
    outputs, target = mixed_batch()
    outputs["mask"][2] = torch.inf
    target["mask"][2] = -1
    target[SHARE][2], target[PARTNER][SHARE][2] = 1.0, 0.0
    outputs["mask"].requires_grad_()
    of({"type": "CrossEntropy"}, outputs, target)["mask"].total.backward()

    assert torch.isfinite(outputs["mask"].grad).all()


def test_a_mixed_sample_has_a_margin_for_each_of_its_labels():
    outputs, target = mixed_batch()
    outputs["mask"] = 30 * outputs["mask"].cos()
    loss = margin_loss().train()
    own, partner = (loss.terms(outputs, {k: one[k] for k in (*SPEC.classes, SHARE)})["mask"] for one in (target, target[PARTNER]))
    found = loss.terms(outputs, target)["mask"]

    assert float(found.total) == pytest.approx(float(own.total + partner.total), rel=1e-5)
    assert float(found.weight) == pytest.approx(float(own.weight + partner.weight), rel=1e-5)
