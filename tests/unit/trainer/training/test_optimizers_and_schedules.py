"""Optimisers and schedules."""

import itertools
import math

import pytest
import torch
from torch import nn

from trainer.training.optimizers import OPTIMIZERS, AdamW, parameter_groups, trainable
from trainer.training.schedule import Schedule
from trainer.training.schedulers import SCHEDULERS

EPOCHS, STEPS = 4, 5
SCHEDULES = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3]},
    "ExponentialLR": {"gamma": 0.5},
    "CosineAnnealingLR": {},
    "CosineAnnealingLR an epoch at a time": {"interval": "epoch"},
    "CosineAnnealingLR and back": {"T_max": 2},
    "CosineAnnealingWarmRestarts": {"T_0": 1, "T_mult": 2},
    "CosineAnnealingWarmRestarts a step at a time": {"T_0": 1, "interval": "step"},
    "OneCycleLR": {},
    "PlateauLR": {"patience": 0, "cooldown": 1},
}
SCORES = [0.5, 0.4, None, 0.45]  # of the epochs; one is not validated


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LayerNorm(4))
        self.classifier = nn.Linear(4, 2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)

    def head(self):
        return [self.classifier]


class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(2, 4))


def schedule_of(name, warmup=0.0, epochs=EPOCHS, mode="max", own_epochs=None):
    """A fresh optimiser over two groups of different rates, and its schedule."""
    one, two = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([{"params": [one], "lr": 1.0, "name": "body"}, {"params": [two], "lr": 0.1, "name": "head"}])
    settings = SCHEDULERS.classes[name.split()[0]](warmup=warmup, epochs=own_epochs, **SCHEDULES[name])
    return optimizer, Schedule(settings, optimizer, epochs, STEPS, mode)


def run(optimizer, schedule, start=0, stop=EPOCHS * STEPS, states=None, scores=SCORES):
    """The rates of each step from `start` to `stop`; `states` collects what a checkpoint after each step would hold."""
    rates = []
    for step in range(start, stop):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.after_step()
        if states is not None:
            states[step + 1, "in the epoch"] = (optimizer.state_dict(), schedule.state_dict())
        if (step + 1) % STEPS == 0:
            schedule.after_epoch(scores[step // STEPS])
            if states is not None:
                states[step + 1, "after the epoch"] = (optimizer.state_dict(), schedule.state_dict())
    return rates


# Schedules ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("warmup", [0.0, 1.5])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_resumed_at_any_step_equals_the_uninterrupted_one(name, warmup):
    states = {}
    expected = run(*schedule_of(name, warmup), states=states)

    for (step, moment), (optimizer_state, schedule_state) in states.items():
        optimizer, schedule = schedule_of(name, warmup)
        optimizer.load_state_dict(optimizer_state)
        schedule.load_state_dict(schedule_state)
        if moment == "in the epoch" and step % STEPS == 0:  # stopped in the validation: the end of the epoch is still to come
            schedule.after_epoch(SCORES[step // STEPS - 1])

        assert run(optimizer, schedule, step) == expected[step:], (step, moment)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_warm_up_rises_in_equal_steps_to_what_the_schedule_gives_without_it(name):
    plain = run(*schedule_of(name))
    warm = run(*schedule_of(name, warmup=1.0))

    for step, (rates, dampened) in enumerate(zip(plain, warm, strict=True)):
        share = min(1.0, (step + 1) / (STEPS + 1))
        assert dampened == pytest.approx([rate * share for rate in rates], rel=1e-9), step


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedules_state_is_made_of_plain_values(name):
    optimizer, schedule = schedule_of(name, warmup=1.0)
    run(optimizer, schedule, stop=3)

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        return all(map(plain, value)) if isinstance(value, list) else value is None or type(value) in (int, float, str, bool)

    assert plain(schedule.state_dict())


def test_one_cycle_ends_where_it_should_and_takes_every_step():
    rates = [body for body, _ in run(*schedule_of("OneCycleLR"))]

    assert max(rates) == pytest.approx(1.0, rel=0.01)
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[-1] < 0.02


def continued(name, before, after, warmup=0.0, **changes):
    """The rates of a run of `before` epochs that is then continued to `after` epochs, and those of a run of `after` epochs."""
    scores = [*SCORES, *SCORES]
    first, schedule = schedule_of(name, warmup, before, **changes)
    run(first, schedule, stop=before * STEPS, scores=scores)
    optimizer, longer = schedule_of(name, warmup, after, **changes)
    optimizer.load_state_dict(first.state_dict())
    longer.load_state_dict(schedule.state_dict())
    whole = run(*schedule_of(name, warmup, after, **changes), stop=after * STEPS, scores=scores)
    return run(optimizer, longer, before * STEPS, after * STEPS, scores=scores), whole[before * STEPS :]


@pytest.mark.parametrize("warmup", [0.0, 5.5])
@pytest.mark.parametrize(("before", "after"), [(4, 8), (3, 8), (8, 4)])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_that_is_continued_has_at_each_step_the_rate_of_a_run_that_was_that_long(name, before, after, warmup):
    rates, expected = continued(name, before, after, warmup)

    assert rates == expected


def test_a_finished_cosine_that_is_continued_is_the_second_half_of_the_longer_one():
    rates, _ = continued("CosineAnnealingLR an epoch at a time", 2, 4)

    assert [body for body, _ in rates[::STEPS]] == pytest.approx([0.5, 0.5 - math.sqrt(2) / 4])


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "PlateauLR"])
def test_a_schedule_with_a_length_of_its_own_is_not_stretched_and_its_last_rate_goes_on(name):
    rates, expected = continued(name, 4, 8, own_epochs=4)
    last = run(*schedule_of(name))[-1]

    assert rates == expected == [last] * 4 * STEPS


def test_a_schedule_of_the_runs_own_length_is_the_same_as_without_that_key():
    assert run(*schedule_of("OneCycleLR", own_epochs=EPOCHS)) == run(*schedule_of("OneCycleLR"))


def test_an_epoch_at_rate_0_is_told():
    optimizer, schedule = schedule_of("CosineAnnealingLR an epoch at a time")
    settings = SCHEDULERS.classes["CosineAnnealingLR"](T_max=1, interval="epoch")
    schedule = Schedule(settings, optimizer, EPOCHS, STEPS, "max")
    rested = []
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            schedule.after_step()
            schedule.load_state_dict(schedule.state_dict())
        rested.append(schedule.after_epoch(None))

    assert rested == [False, True, False, True] and schedule.idle == 2


def test_steps_of_an_epochal_schedule_are_the_epochs():
    rates = [body for body, _ in run(*schedule_of("StepLR"))]

    assert rates == pytest.approx([1.0] * 2 * STEPS + [0.1] * 2 * STEPS)


@pytest.mark.parametrize(("mode", "falls"), [("max", [0.5, 0.4]), ("min", [0.4, 0.5])])
def test_a_plateau_lowers_the_rate_in_the_direction_of_the_monitor(mode, falls):
    optimizer, schedule = schedule_of("PlateauLR", mode=mode)
    for score in falls:
        schedule.after_epoch(score)

    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
    schedule.after_epoch({"max": 0.6, "min": 0.3}[mode])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_a_plateau_is_not_counted_in_epochs_without_a_score():
    optimizer, schedule = schedule_of("PlateauLR")
    for score in (0.5, None, None, None):
        schedule.after_epoch(score)

    assert optimizer.param_groups[0]["lr"] == 1.0


def test_a_plateau_counts_a_score_that_is_not_finite_as_no_better():
    optimizer, schedule = schedule_of("PlateauLR")
    for score in (0.5, math.nan):
        schedule.after_epoch(score)

    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_without_a_schedule_the_rate_stays():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = Schedule(None, optimizer, EPOCHS, STEPS, "min")

    assert {rates[0] for rates in run(optimizer, schedule)} == {0.3}


# Optimisers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.classes))
def test_every_optimiser_resumed_at_any_step_makes_equal_weights(name, tmp_path):
    from utils.checkpoint import CheckpointFolder

    def begin():
        torch.manual_seed(0)
        model = Net()
        return model, OPTIMIZERS.classes[name](lr=0.01, weight_decay=0.1, head_lr=0.1).build(model, Loss())

    def step(model, optimizer, number):
        image = torch.rand(2, 3, 3, 3, generator=torch.Generator().manual_seed(number))
        features = model.body[1](model.body[0](image)).flatten(1)
        model.classifier(model.body[2](features)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    whole, whole_optimizer = begin()
    for number in range(4):
        step(whole, whole_optimizer, number)
    model, optimizer = begin()
    for number in range(4):
        progress = {"epoch": 0, "batch": number, "step": number}
        parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        folder = CheckpointFolder(tmp_path)
        folder.save({"config": {}, "progress": progress, **parts}, ["last.pth"])
        model, optimizer = begin()
        state = folder.load("last.pth")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step(model, optimizer, number)

    for (key, a), b in zip(whole.state_dict().items(), model.state_dict().values(), strict=True):
        assert torch.equal(a, b), key


def groups_of(**settings):
    model, loss = Net(), Loss()
    names = {id(parameter): name for module in (model, loss) for name, parameter in module.named_parameters()}
    groups = parameter_groups(AdamW(lr=0.1, **settings), model, loss)
    return {group["name"]: (group, {names[id(parameter)] for parameter in group["params"]}) for group in groups}


def test_norms_and_biases_are_not_decayed():
    groups = groups_of(weight_decay=0.05)
    decayed = set().union(*(names for group, names in groups.values() if group["weight_decay"]))

    assert decayed == {"body.0.weight", "classifier.weight", "centres"}
    assert {group["weight_decay"] for group, _ in groups.values()} == {0.0, 0.05}


def test_the_head_and_the_losss_parameters_have_a_rate_of_their_own():
    groups = groups_of(head_lr=1.0, weight_decay=0.05, head_weight_decay=0.5)

    assert {name: group["lr"] for name, (group, _) in groups.items()} == {
        "body": 0.1, "body, no decay": 0.1, "head": 1.0, "head, no decay": 1.0,
    }  # fmt: skip
    assert groups["head"][1] == {"classifier.weight", "centres"}
    assert groups["head"][0]["weight_decay"] == 0.5


def test_without_a_rate_of_its_own_the_head_has_that_of_the_body():
    assert {group["lr"] for group, _ in groups_of().values()} == {0.1}


def test_every_trained_parameter_is_in_one_group_and_no_frozen_one_in_any():
    listed = list(itertools.chain(*(names for _, names in groups_of().values())))

    body = [f"body.{layer}.{kind}" for layer in range(3) for kind in ("bias", "weight")]

    assert sorted(listed) == [*body, "centres", "classifier.bias", "classifier.weight"]


def test_a_parameter_that_two_modules_share_is_trained_once():
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    two.weight = one.weight

    assert len(trainable([one, two])) == 3
