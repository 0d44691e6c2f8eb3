"""The metric of pairs: fitted on validation alone, everything named that it cannot score."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from base.predictions import Predictions
from base.table import SampleTable
from base.verification.pairs import Pairs, add_pairs
from data_loader.verification.submission import PairSubmission
from model.verification.scores import PairScores
from trainer.evaluation.intervals import intervals
from utils.errors import UserError


def people(number=30, each=4, seed=0, noise=0.8):
    """Predictions and a table with pairs, of people whose embeddings lie around a point of their own."""
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(number), each)
    vectors = random.normal(size=(number, 8))[who] + noise * random.normal(size=(len(who), 8))
    first, second = np.triu_indices(len(who), 1)
    same = (who[first] == who[second]).astype(np.int8)
    kept = np.concatenate([np.flatnonzero(same), random.choice(np.flatnonzero(same == 0), int(same.sum()), replace=False)])
    names = [f"{row:04}" for row in range(len(who))]
    table = SampleTable.from_columns("/", {"id": names, "path": names, "identity": who})
    predictions = Predictions.of(names, {"embedding": torch.from_numpy(vectors)})
    return predictions, add_pairs(table, Pairs(first[kept], second[kept], same[kept]))


def fitted_scores(metric, predictions, table):
    metric.use(metric.fit(predictions, table))
    return metric.compute(predictions, table)


def test_every_score_that_is_given_was_announced():
    metric = PairScores(transductive=True)
    scores = fitted_scores(metric, *people())
    assert set(scores) <= set(metric.names) and {"accuracy", "f1", "auc", "eer", "recall@1", "map@r", "d_prime"} <= set(scores)
    assert scores["accuracy/low"] < scores["accuracy"] < scores["accuracy/high"]


def test_the_threshold_is_not_moved_by_the_pairs_that_are_scored():
    metric, (predictions, table) = PairScores(), people()
    fitted = metric.fit(predictions, table)
    others = people(seed=1)
    metric.use(fitted)
    metric.compute(*others)
    assert metric.threshold == fitted["threshold/cosine"]


def test_permuted_labels_of_the_pairs_to_score_move_no_answer(tmp_path):
    predictions, table = people(seed=1)
    fitted = {"PairScores": PairScores().fit(*people())}
    pairs = table.related["pairs"]
    shuffled = pairs.set_column(2, "same", pa.array(np.random.default_rng(0).permutation(np.asarray(pairs["same"]))))
    texts = []
    for number, related in enumerate((pairs, shuffled)):
        path = tmp_path / str(number)
        PairSubmission().write(predictions, SampleTable(table.root, table.columns, {"pairs": related}), fitted, tmp_path, path)
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]


def test_rates_of_false_accepts_that_the_pairs_cannot_show_are_left_out_with_a_warning(capsys):
    scores = fitted_scores(PairScores(), *people())
    assert "tar@far=0.01" in scores and "tar@far=0.001" not in scores
    assert "tar@far=0.001, tar@far=0.0001, tar@far=1e-05, tar@far=1e-06: not given" in capsys.readouterr().err


def test_the_transductive_threshold_is_named_so():
    assert "accuracy/transductive" in fitted_scores(PairScores(transductive=True), *people())
    assert not any("transductive" in name for name in fitted_scores(PairScores(), *people()))


def test_euclidean_distance_has_a_threshold_of_its_own():
    predictions, table = people()
    metric = PairScores("euclidean")
    metric.use(PairScores("cosine").fit(predictions, table))
    assert "accuracy" not in metric.compute(predictions, table)


def test_folds_are_scored_by_cross_validation():
    predictions, table = people()
    number = len(table.related["pairs"])
    related = {"pairs": table.related["pairs"].append_column("fold", pa.array(np.arange(number) % 10))}
    scores = fitted_scores(PairScores(), predictions, SampleTable(table.root, table.columns, related))
    assert 0.5 < scores["accuracy/folds"] <= scores["accuracy"] and scores["accuracy/folds/error"] > 0


def test_where_people_are_not_known_nothing_is_retrieved():
    predictions, table = people()
    unknown = SampleTable(table.root, table.columns.drop_columns(["identity"]), table.related)
    assert "recall@1" not in fitted_scores(PairScores(), predictions, unknown)


def changed(row, value):
    predictions, table = people()
    vectors = predictions.array("embedding").copy()
    vectors[row] = value
    return Predictions.of(predictions.ids(), {"embedding": torch.from_numpy(vectors)}), table


@pytest.mark.parametrize(
    ("value", "message"), [(0.0, "0007 is a zero vector"), (np.nan, "0007 is not finite"), (np.inf, "0007 is not finite")]
)
def test_an_embedding_that_cannot_be_compared_is_named(value, message):
    with pytest.raises(UserError, match=message):
        PairScores().fit(*changed(7, value))


def test_the_zero_vector_has_euclidean_distances():
    assert PairScores("euclidean").fit(*changed(7, 0.0))


def test_a_picture_that_could_not_be_read_is_named():
    predictions, table = people()
    vectors = torch.tensor(predictions.array("embedding"))
    errors = ["is truncated" if row == 3 else "" for row in range(len(table))]
    with pytest.raises(UserError, match="0003 is truncated"):
        PairScores().fit(Predictions.of(predictions.ids(), {"embedding": vectors}, errors), table)


def test_the_figures_show_histograms_curves_and_the_hardest_pairs():
    predictions, table = people()
    metric = PairScores(pictures=3)
    metric.use(metric.fit(predictions, table))
    figures = metric.figures(predictions, table, lambda row: np.full((8, 8, 3), row % 256, np.uint8))
    assert set(figures) == {"scores", "roc", "det", "hardest_pairs"}
    assert len(figures["hardest_pairs"].axes) == 6
    for figure in figures.values():
        figure.canvas.draw()


# The file to hand in ------------------------------------------------------------------------------------------------


def test_the_answers_are_those_at_the_fitted_threshold_in_the_order_of_the_list(tmp_path):
    predictions, table = people()
    metric = PairScores()
    fitted = metric.fit(predictions, table)
    rows = PairSubmission().write(predictions, table, {"PairScores": fitted}, tmp_path, tmp_path / "prediction.txt")
    pairs = pq.read_table(tmp_path / "pairs.parquet").to_pydict()
    lines = (tmp_path / "prediction.txt").read_text().splitlines()
    assert rows == len(lines) == len(pairs["score"])
    for line, one, other, score in zip(lines, pairs["image1"], pairs["image2"], pairs["score"], strict=True):
        assert line == f"{one} {other} {0 if score >= fitted['threshold/cosine'] else 1}"


def test_the_transductive_answers_stand_in_a_file_that_says_so(tmp_path):
    predictions, table = people()
    writer = PairSubmission(threshold="transductive")
    assert writer.file_name == "transductive-prediction.txt"
    writer.write(predictions, table, {"PairScores": {"threshold/cosine": 5.0}}, tmp_path, tmp_path / writer.file_name)
    answers = [line[-1] for line in (tmp_path / writer.file_name).read_text().splitlines()]
    assert abs(answers.count("0") - answers.count("1")) <= 1


def test_without_a_threshold_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match="holds no threshold; train with PairScores"):
        PairSubmission().write(*people(), {}, tmp_path, tmp_path / "prediction.txt")
    assert not list(tmp_path.iterdir())


def test_drawing_people_anew_gives_the_intervals_that_the_metric_gives_itself():
    predictions, table = people()
    metric = PairScores()
    scores = fitted_scores(metric, predictions, table)
    named = table.with_column("person", [f"{who:03}" for who in table.numbers("identity")])
    found = intervals(metric, predictions, named, "person")
    assert found["accuracy"] == (scores["accuracy/low"], scores["accuracy/high"])
    assert found["f1"] == (scores["f1/low"], scores["f1/high"])
    assert found["auc"].low < scores["auc"] < found["auc"].high
    assert "recall@1" not in found


def test_vectors_of_several_folds_are_compared_in_their_pairs_alone():
    predictions, table = people(number=6)
    folds = SampleTable.of_folds({0: table})
    found = fitted_scores(PairScores(), predictions, folds)
    assert "recall@1" not in found and "accuracy" in found
