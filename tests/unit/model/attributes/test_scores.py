"""Scores of several labels against scikit-learn, and their figures."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from sklearn.metrics import accuracy_score, f1_score

from base.base_metric import METRICS
from base.contracts import DataSpec
from base.labels import combined_class, combined_names
from base.predictions import Predictions
from base.table import SampleTable
from model.attributes.scores import AttributeScores, SampleGrid, most_wrong
from model.plots import WRONG, confusion_figure
from utils.errors import UserError

SPEC = DataSpec({"mask": ["on", "off", "wrong"], "gender": ["female", "male"], "age": ["<30", "30-59", "60+"]})
SIZES = {"mask": 3, "gender": 2, "age": 3}


def ids(samples):
    return [f"s{row:03}" for row in range(samples)]


def table(columns):
    samples = len(next(iter(columns.values())))
    return SampleTable.from_columns("/", {"id": ids(samples), "path": ids(samples), **columns})


def certain(columns, sizes, sure=0.9):
    """Predictions of these classes, each with probability `sure`."""
    probabilities = {}
    for label, classes in columns.items():
        rows = torch.full((len(classes), sizes[label]), (1 - sure) / (sizes[label] - 1), dtype=torch.float64)
        rows[torch.arange(len(classes)), torch.as_tensor(classes)] = sure
        probabilities[label] = rows
    return Predictions.of(ids(len(classes)), probabilities)


def random_case(seed, samples=60, missing=0.0):
    random = np.random.default_rng(seed)
    truth = {label: random.integers(0, size, samples) for label, size in SIZES.items()}
    predicted = {
        label: np.where(random.random(samples) < 0.6, truth[label], random.integers(0, SIZES[label], samples)) for label in SIZES
    }
    truth = {label: np.where(random.random(samples) < missing, -1, column) for label, column in truth.items()}
    return truth, predicted


def picture_of(row):
    return np.full((24, 18, 3), row % 256, np.uint8)


# Scores -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_every_score_is_that_of_scikit_learn(seed):
    truth, predicted = random_case(seed)
    found = AttributeScores(SPEC).compute(certain(predicted, SIZES), table(truth))
    number = {name: c["mask"] * 6 + c["gender"] * 3 + c["age"] for name, c in (("truth", truth), ("predicted", predicted))}
    wanted = {
        "accuracy": accuracy_score(number["truth"], number["predicted"]),
        "f1": f1_score(number["truth"], number["predicted"], average="macro", zero_division=0),
    }
    for label in SIZES:
        wanted[f"accuracy/{label}"] = accuracy_score(truth[label], predicted[label])
        wanted[f"f1/{label}"] = f1_score(truth[label], predicted[label], average="macro", zero_division=0)

    assert found == pytest.approx(wanted)
    assert list(found) == AttributeScores(SPEC).names


@pytest.mark.parametrize("seed", range(3))
def test_only_samples_whose_labels_are_known_count(seed):
    truth, predicted = random_case(seed, missing=0.2)
    found = AttributeScores(SPEC).compute(certain(predicted, SIZES), table(truth))
    known = {label: column >= 0 for label, column in truth.items()}
    all_known = np.logical_and.reduce(list(known.values()))
    right = np.logical_and.reduce([truth[label] == predicted[label] for label in SIZES])

    assert found["accuracy"] == pytest.approx(right[all_known].mean())
    assert found["f1/age"] == pytest.approx(f1_score(truth["age"][known["age"]], predicted["age"][known["age"]], average="macro"))


def test_a_score_for_which_nothing_is_known_is_left_out():
    truth, predicted = random_case(0)
    found = AttributeScores(SPEC).compute(certain(predicted, SIZES), table({**truth, "age": np.full(60, -1)}))

    assert list(found) == ["accuracy/mask", "f1/mask", "accuracy/gender", "f1/gender"]


def test_a_table_without_labels_has_no_scores():
    _, predicted = random_case(0)

    assert AttributeScores(SPEC).compute(certain(predicted, SIZES), table({"other": np.zeros(60)})) == {}


def test_fine_truth_is_folded_before_it_is_scored():
    spec = DataSpec({"age": ["young", "old"]}, merged={"age": [0, 0, 1]})
    found = AttributeScores(spec).compute(certain({"age": [0, 0, 1, 1]}, {"age": 2}), table({"age": [0, 1, 2, 1]}))

    assert found["accuracy"] == 0.75


def test_one_label_alone_is_scored_once():
    assert AttributeScores(DataSpec({"mask": ["on", "off"]})).names == ["accuracy", "f1"]


def test_the_combined_class_may_be_of_some_labels_alone():
    truth, predicted = random_case(1)
    found = AttributeScores(SPEC, ["age", "mask"]).compute(certain(predicted, SIZES), table(truth))
    right = (truth["age"] == predicted["age"]) & (truth["mask"] == predicted["mask"])

    assert found["accuracy"] == pytest.approx(right.mean())
    assert list(found) == AttributeScores(SPEC, ["age", "mask"]).names


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [AttributeScores(SPEC), SampleGrid(SPEC)], ids=["scores", "grid"])
def test_samples_without_a_prediction_are_refused_by_name(metric):
    truth, predicted = random_case(0, samples=7)
    good = {label: torch.from_numpy(certain(predicted, SIZES).array(label).copy()) for label in SIZES}
    failed = Predictions.of(ids(7), good, ["", "cannot be read", "", "", "gone", "", ""])

    text = r"^2 samples have no prediction: s001, s004 \(cannot be read\); repair or exclude them$"
    with pytest.raises(UserError, match=text):
        metric.compute(failed, table(truth)) or metric.figures(failed, table(truth), picture_of)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_predictions_that_are_not_finite_are_refused_by_name(value):
    probabilities = torch.full((8, 2), 0.5)
    probabilities[2:, 1] = value
    text = (
        r'^6 predictions of "mask" are not finite: s002, s003, s004, s005, s006 and 1 more; '
        "the model has diverged, use an earlier checkpoint$"
    )
    with pytest.raises(UserError, match=text):
        AttributeScores(DataSpec({"mask": ["on", "off"]})).compute(
            Predictions.of(ids(8), {"mask": probabilities}), table({"mask": [0] * 8})
        )


@pytest.mark.parametrize(
    ("combine", "problem"),
    [
        (
            ["mask", "gendr"],
            ("combine[1]", 'the data have no label "gendr" (did you mean "gender"?); allowed: mask, gender, age'),
        ),
        (["mask", "mask"], ("combine[1]", '"mask" is given twice; keep one')),
    ],
)
def test_labels_that_cannot_be_combined_are_problems(combine, problem):
    assert list(AttributeScores.check(SimpleNamespace(combine=combine), SPEC)) == [problem]
    assert list(AttributeScores.check(SimpleNamespace(combine=combine), DataSpec())) == []
    assert AttributeScores(DataSpec(), combine).names == ["accuracy", "f1"]
    with pytest.raises(UserError) as caught:
        AttributeScores(SPEC, combine)
    assert str(caught.value) == f"metrics: AttributeScores.args.{problem[0]}: {problem[1]}"


@pytest.mark.parametrize("args", ['{"rows": 0}', '{"columns": 11}'])
def test_grids_of_impossible_sizes_are_refused(args):
    with pytest.raises(ValueError, match="validation error"):
        METRICS.parts["SampleGrid"].model_validate_json(f'{{"type": "SampleGrid", "args": {args}}}')


def test_combining_no_labels_is_refused():
    with pytest.raises(ValueError, match="validation error"):
        METRICS.parts["AttributeScores"].model_validate_json('{"type": "AttributeScores", "args": {"combine": []}}')


# One label for all combinations of others ---------------------------------------------------------------------------

COMBINED = DataSpec({"class": combined_names(list(SPEC.classes.values()))}, combined={"class": SPEC.classes})


def combined_case(seed, missing=0.0):
    """Random probabilities of 18 classes, and a table with the combined class."""
    truth, _ = random_case(seed, missing=missing)
    labels = combined_class(list(truth.values()), [3, 2, 3])
    probabilities = torch.rand(60, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).softmax(1)
    return truth, Predictions.of(ids(60), {"class": probabilities}), table({**truth, "class": labels})


def test_the_scores_of_a_combined_label_are_named_as_those_of_its_parts_apart():
    assert AttributeScores(COMBINED).names == AttributeScores(SPEC).names


def test_sure_predictions_score_the_same_as_one_label_or_as_three():
    truth, predicted = random_case(1, missing=0.0)
    apart = AttributeScores(SPEC).compute(certain(predicted, SIZES), table(truth))
    both = [combined_class(list(columns.values()), [3, 2, 3]) for columns in (truth, predicted)]
    together = AttributeScores(COMBINED).compute(certain({"class": both[1]}, {"class": 18}), table({"class": both[0]}))

    assert together == pytest.approx(apart)


def test_a_part_is_predicted_by_its_marginal_distribution():
    truth, predictions, samples = combined_case(3)
    grid = predictions.array("class").reshape(60, 3, 2, 3)
    gender = [
        int(np.argmax([sum(grid[row, m, g, a] for m in range(3) for a in range(3)) for g in range(2)])) for row in range(60)
    ]
    scores = AttributeScores(COMBINED).compute(predictions, samples)

    assert scores["accuracy/gender"] == pytest.approx(accuracy_score(truth["gender"], gender))
    assert scores["f1"] == pytest.approx(
        f1_score(samples.numbers("class"), predictions.array("class").argmax(1), average="macro", zero_division=0)
    )


def test_samples_whose_combined_class_is_not_known_do_not_count():
    _, predictions, samples = combined_case(4, missing=0.3)
    known = np.flatnonzero(samples.numbers("class") >= 0)
    some_of = Predictions.of([ids(60)[row] for row in known], {"class": torch.from_numpy(predictions.array("class")[known])})

    assert AttributeScores(COMBINED).compute(predictions, samples) == AttributeScores(COMBINED).compute(
        some_of, samples.take(known)
    )


# Figures ------------------------------------------------------------------------------------------------------------


def assert_nothing_is_cut_off(figure):
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1  # pixels


def test_there_is_a_confusion_matrix_of_the_combined_class_and_of_each_label():
    truth, predicted = random_case(0, missing=0.1)
    figures = AttributeScores(SPEC).figures(certain(predicted, SIZES), table(truth), picture_of)

    assert list(figures) == ["confusion", "confusion/mask", "confusion/gender", "confusion/age"]
    for figure in figures.values():
        assert_nothing_is_cut_off(figure)


def test_a_confusion_matrix_names_classes_and_shows_counts_coloured_by_row():
    figure = confusion_figure(np.array([[3, 1], [0, 0]]), ["on", "off"], "mask")
    axes = figure.axes[0]

    assert [text.get_text() for text in axes.get_yticklabels()] == ["on", "off"]
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "0"]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert axes.get_title() == "mask: 4 samples"


@pytest.mark.parametrize("classes", [2, 18, 60])
def test_a_confusion_matrix_of_any_size_is_not_cut_off(classes):
    names = [f"a rather long name of class {index}" for index in range(classes)]

    assert_nothing_is_cut_off(confusion_figure(np.eye(classes, dtype=int), names, "all"))


def test_the_surest_mistakes_come_first_and_then_rows_from_end_to_end():
    right = np.array([True, False, False, True, False, True, True, True])
    sure = np.array([0.0, 0.6, 0.9, 0.0, 0.7, 0.0, 0.0, 0.0])

    assert most_wrong(right, sure, 4).tolist() == [2, 4, 0, 7]


@pytest.mark.parametrize("wrong", [0, 1, 5, 9])
@pytest.mark.parametrize("number", [1, 2, 5, 9])
def test_no_row_is_shown_twice(wrong, number):
    rows = most_wrong(np.arange(9) >= wrong, np.linspace(0, 1, 9), number)

    assert len(rows) == len(set(rows.tolist())) == number


def test_a_grid_shows_truth_and_prediction_and_marks_mistakes_in_red():
    spec = DataSpec({"mask": ["on", "off"]})
    truth = {"mask": [0, 1, -1]}
    figure = SampleGrid(spec).figures(certain({"mask": [0, 0, 1]}, {"mask": 2}), table(truth), picture_of)["samples"]
    shown = {axes.get_title(): to_hex(axes.title.get_color()) for axes in figure.axes}

    assert shown == {"mask: off → on 90%": WRONG, "mask: on → on 90%": "#000000", "mask: ? → off 90%": "#000000"}
    assert_nothing_is_cut_off(figure)


def test_a_grid_holds_rows_times_columns_pictures():
    truth, predicted = random_case(0)
    figure = SampleGrid(SPEC, 2, 3).figures(certain(predicted, SIZES), table(truth), picture_of)["samples"]

    assert len(figure.axes) == 6
    assert_nothing_is_cut_off(figure)


def test_a_grid_is_the_same_each_time():
    truth, predicted = random_case(0)
    titles = [
        [
            axes.get_title()
            for axes in SampleGrid(SPEC).figures(certain(predicted, SIZES), table(truth), picture_of)["samples"].axes
        ]
        for _ in range(2)
    ]

    assert titles[0] == titles[1]


def test_a_grid_has_no_scores_and_no_figure_of_nothing():
    empty = Predictions.of([], {label: torch.zeros(0, size) for label, size in SIZES.items()})
    nothing = table({label: np.zeros(0, int) for label in SIZES})

    assert SampleGrid(SPEC).names == []
    assert SampleGrid(SPEC).compute(empty, nothing) == {}
    assert SampleGrid(SPEC).figures(empty, nothing, picture_of) == {}


def test_both_metrics_are_built_from_a_config():
    for name in ("AttributeScores", "SampleGrid"):
        part = METRICS.parts[name].model_validate_json(f'{{"type": "{name}"}}')
        assert type(part.build(SPEC)).__name__ == name
        assert METRICS.tasks(name) == {"attributes", "pretext"}


def test_scores_of_samples_drawn_anew_are_those_of_the_same_rows_written_out():
    random = np.random.default_rng(4)
    truth, predicted = random_case(4, samples=40, missing=0.1)
    found, there = certain(predicted, SIZES), table(truth)
    times = random.multinomial(40, np.full(40, 1 / 40), size=30)
    quick = AttributeScores(SPEC).resampled(found, there, times)
    slow = super(AttributeScores, AttributeScores(SPEC)).resampled(found, there, times)
    assert quick.keys() == slow.keys()
    for name, values in slow.items():
        np.testing.assert_allclose(quick[name], values, atol=1e-12, err_msg=name)


def test_a_draw_without_a_known_sample_has_no_score():
    truth = {**random_case(5, samples=3)[0], "age": np.array([-1, -1, 2])}
    times = np.array([[1, 1, 0], [0, 0, 2]])
    scores = AttributeScores(SPEC).resampled(certain(random_case(5, samples=3)[1], SIZES), table(truth), times)
    assert np.isnan(scores["f1/age"]).tolist() == [True, False]
