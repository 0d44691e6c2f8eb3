"""The paired comparison on constructed predictions."""

import dataclasses

import numpy as np
import pytest
import torch

from base.contracts import DataSpec
from base.evaluation import Evaluation, Manifest
from base.predictions import Predictions
from base.table import SampleTable
from laurel import command
from trainer.evaluation import compare
from trainer.evaluation.held_out import metrics_of
from utils.errors import UserError

CLASSES = ["no", "maybe", "yes"]


def evaluation(folder, right, truth=None, label="label", people=None, **changes):
    """Predictions into a folder: of `right` samples the truth, of the others the next class."""
    folder.mkdir()
    truth = np.arange(len(right)) % 3 if truth is None else truth
    ids = [f"{row:04}" for row in range(len(right))]
    people = np.arange(len(right)) // 2 if people is None else people
    columns = {"id": ids, "path": ids, "person": [str(one) for one in people], label: truth}
    samples = SampleTable.from_columns("/", columns)
    predicted = np.where(right, truth, (truth + 1) % 3)
    made = Predictions.of(ids, {label: torch.eye(3)[torch.from_numpy(predicted)]})
    values = {"spec": DataSpec({label: CLASSES}), "group": "person", "monitor": "max val/f1"}
    manifest = Manifest("valid", **{**values, "metrics": [{"type": "AttributeScores"}], **changes})
    Evaluation(folder, made, manifest, samples).write()
    return Evaluation.read(folder)


@pytest.fixture
def sides(tmp_path):
    """Two systems of which the second is right twice as often."""
    random = np.random.default_rng(1)
    return [evaluation(tmp_path / name, random.random(300) < share) for name, share in (("a", 0.4), ("b", 0.8))]


def test_the_better_one_is_named_with_how_much_better_it_is(sides):
    comparison = compare.compare(sides[:1], sides[1:])
    one = next(one for one in comparison.differences if one.name == "accuracy")
    assert one.interval.low < one.b - one.a < one.interval.high and one.higher == 1.0
    assert compare.verdict(comparison, "accuracy").startswith("B is better: accuracy +0.")


def test_the_other_way_round_the_other_is_better_by_as_much(sides):
    there, back = compare.compare(sides[:1], sides[1:]), compare.compare(sides[1:], sides[:1])
    assert [one.difference for one in there.differences] == [-one.difference for one in back.differences]
    assert compare.verdict(back, "f1").startswith("A is better: f1 -0.")
    assert compare.verdict(back, "min f1").startswith("B is better: f1 -0.")


def test_of_equal_systems_no_difference_is_shown(sides):
    comparison = compare.compare(sides[:1], sides[:1])
    assert compare.verdict(comparison, "f1") == "no difference shown: f1 +0.000 (0.000 to 0.000)"
    assert {one.higher for one in comparison.differences} == {0.5}


def test_drawing_together_who_belongs_together_widens_the_interval(tmp_path):
    right = np.repeat(np.random.default_rng(2).random(30) < 0.5, 10)

    def width(name, people):
        one, other = (evaluation(tmp_path / f"{name}{n}", share, people=people) for n, share in enumerate((right, ~right)))
        low, high = compare.compare([one], [other]).differences[0].interval
        return high - low

    assert width("together", np.arange(300) // 10) > 2 * width("apart", np.arange(300))


def test_systems_of_other_columns_are_compared_by_scores_of_the_same_name(tmp_path):
    right = np.random.default_rng(3).random(300)
    one = evaluation(tmp_path / "a", right < 0.5)
    other = evaluation(tmp_path / "b", right < 0.7, label="other")
    assert compare.verdict(compare.compare([one], [other]), "f1").startswith("B is better")


def test_of_several_runs_of_a_side_the_mean_counts(tmp_path, sides):
    third = evaluation(tmp_path / "c", np.zeros(300, bool))
    differences = {one.name: one for one in compare.compare(sides[:1], [sides[1], third]).differences}
    alone = {one.name: one for one in compare.compare(sides[:1], sides[1:]).differences}
    assert differences["accuracy"].b == pytest.approx(alone["accuracy"].b / 2)


def test_the_same_command_says_the_same(sides, capsys):
    said = []
    for _ in range(2):
        assert command("compare", [str(side.folder) for side in sides]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and "300 samples, 1,000 rounds, drawn by person" in said[0]


def test_other_samples_are_refused(tmp_path, sides):
    with pytest.raises(UserError, match="holds other samples than"):
        compare.compare(sides[:1], [evaluation(tmp_path / "c", np.ones(200, bool))])


def corrected(tmp_path, sides):
    """The predictions of the first side, with the labels of three samples corrected."""
    first = sides[0]
    truth = first.samples.numbers("label").copy()
    truth[[1, 4, 7]] = 0
    other = dataclasses.replace(first, folder=tmp_path / "corrected", samples=first.samples.with_column("label", truth))
    other.folder.mkdir()
    other.write()
    return other


def test_sides_whose_labels_differ_are_refused_with_the_samples(tmp_path, sides):
    other = corrected(tmp_path, sides)
    with pytest.raises(
        UserError, match=r"3 of 300 answers are not those of .*/a: 0001 \(no, there maybe\), 0004 .*--truth A"
    ) as said:
        compare.compare(sides[:1], [other])
    assert "\n" not in str(said.value)


def test_equal_predictions_are_equal_on_the_labels_of_either_side(tmp_path, sides, capsys):
    other, scores = corrected(tmp_path, sides), []
    for side in ("A", "B"):
        assert command("compare", [str(sides[0].folder), str(other.folder), "--truth", side]) == 0
        said = capsys.readouterr().out
        assert "no difference shown: f1 +0.000 (0.000 to 0.000)" in said
        assert f"labels of {(sides[0] if side == 'A' else other).folder}\n3 labels differ in" in said
        scores.append(next(line for line in said.splitlines() if line.startswith("accuracy")))
    assert scores[0] != scores[1]


def test_labels_that_are_defined_in_another_way_are_no_truth_for_both(tmp_path, sides):
    other = evaluation(tmp_path / "c", np.ones(300, bool), spec=DataSpec({"label": CLASSES[::-1]}))
    with pytest.raises(UserError, match=r"--truth: .*/c: defines its labels in another way than"):
        command("compare", [str(sides[0].folder), str(other.folder), "--truth", "A"])


def test_scores_of_other_classes_are_not_compared(tmp_path, sides):
    other = evaluation(tmp_path / "c", np.ones(300, bool), spec=DataSpec({"label": CLASSES[::-1]}))
    with pytest.raises(UserError, match=r"compute no score in the same way: accuracy: no, maybe, yes in .*, yes, maybe, no in"):
        compare.compare(sides[:1], [other])


def test_scores_of_a_label_that_only_one_side_learns_are_left_out_with_a_reason(tmp_path):
    right = np.random.default_rng(5).random(30)
    one = evaluation(tmp_path / "a", right < 0.5)
    other = evaluation(tmp_path / "b", right < 0.7)
    more = one.samples.with_column("more", np.zeros(30, int))
    both = Predictions.of(other.predictions.ids(), {
        "label": torch.tensor(other.predictions.array("label")), "more": torch.ones(30, 1)
    })  # fmt: skip
    spec = DataSpec({"label": CLASSES, "more": ["only"]})
    other = dataclasses.replace(other, predictions=both, samples=more, manifest=dataclasses.replace(other.manifest, spec=spec))
    found = compare.compare([other], [dataclasses.replace(other, folder=tmp_path / "c")])
    assert "f1/label" in {one.name for one in found.differences} and not found.left_out
    with pytest.raises(UserError, match="compute no score in the same way: accuracy: no, maybe, yes in"):
        compare.compare([one], [other])


def test_predictions_of_other_splits_are_refused(tmp_path, sides):
    tested = dataclasses.replace(sides[1], manifest=dataclasses.replace(sides[1].manifest, split="test"))
    with pytest.raises(UserError, match=r"is of the split test, .*/a of valid; a model may have been trained on"):
        compare.compare(sides[:1], [tested])


def test_a_metric_that_does_not_tell_its_answers_is_compared_on_all_labels(tmp_path, sides, monkeypatch):
    monkeypatch.delattr("model.attributes.scores.AttributeScores.truth")
    with pytest.raises(UserError, match="3 of 300 answers are not those of"):
        compare.compare(sides[:1], [corrected(tmp_path, sides)])


def test_other_people_are_refused(tmp_path, sides):
    with pytest.raises(UserError, match="belong together in another way"):
        compare.compare(sides[:1], [evaluation(tmp_path / "c", np.ones(300, bool), people=np.arange(300) // 3)])


def test_samples_without_labels_have_no_score_in_common(tmp_path, sides):
    unknown = [evaluation(tmp_path / name, np.ones(300, bool), truth=np.full(300, -1)) for name in "cd"]
    with pytest.raises(UserError, match="no score in common"):
        compare.compare(unknown[:1], unknown[1:])


def test_a_score_that_is_not_compared_is_refused(sides):
    with pytest.raises(UserError, match=r'--metric: no score is called "fl" \(did you mean "f1"\?\)'):
        compare.verdict(compare.compare(sides[:1], sides[1:]), "fl")


def test_predictions_that_do_not_say_what_scores_them_are_refused(tmp_path):
    evaluation(tmp_path / "a", np.ones(4, bool))
    found, manifest = Predictions.read(tmp_path / "a" / "predictions.parquet")
    found.write(tmp_path / "a" / "predictions.parquet", {key: value for key, value in manifest.items() if key != "metrics"})
    with pytest.raises(UserError, match=r"does not say what it is of \(metrics is missing, or damaged\)"):
        Evaluation.read(tmp_path / "a")


def test_metrics_that_are_not_known_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="metrics: not known here") as refused:
        metrics_of(evaluation(tmp_path / "a", np.ones(4, bool), metrics=[{"type": "Luck"}]))
    assert "\n" not in str(refused.value)


def test_predictions_that_are_not_finite_are_refused_by_name(tmp_path, sides):
    ids = sides[0].predictions.ids()
    broken = Predictions.of(ids, {"label": torch.full((300, 3), float("nan"))})
    dataclasses.replace(sides[0], predictions=broken).write()
    with pytest.raises(UserError, match=r'300 predictions of "label" are not finite: 0000'):
        compare.compare([Evaluation.read(sides[0].folder)], sides[1:])
