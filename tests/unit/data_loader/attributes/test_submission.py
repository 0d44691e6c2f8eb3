"""A submission is the sample file with its answers filled in, or is not written at all."""

from __future__ import annotations

import pytest
import torch

from base.base_reader import SUBMISSIONS
from base.contracts import DataSpec
from base.predictions import Predictions
from base.table import SampleTable
from data_loader.attributes.submission import CombinedClassSubmission
from utils.errors import UserError

SPEC = DataSpec({"mask": ["worn", "wrong", "none"], "gender": ["male", "female"], "age": ["young", "middle", "old"]})
SAMPLE = "ImageID,ans\nc.jpg,0\na.jpg,0\nb.jpg,0\n"
ANSWERS = {"a.jpg": (2, 1, 2), "b.jpg": (0, 0, 1), "c.jpg": (1, 0, 0)}


def predictions(answers=ANSWERS, errors=None):
    """Probabilities whose largest is that of each label's class."""
    columns = zip(*answers.values(), strict=True)
    certain = {
        label: torch.eye(len(names))[list(column)] * 0.5 + 0.1
        for (label, names), column in zip(SPEC.classes.items(), columns, strict=True)
    }
    return Predictions.of(list(answers), certain, errors)


def write(folder, found, sample=SAMPLE, **args):
    (folder / "info.csv").write_text(sample, newline="")
    given = {"sample": "info.csv", "id_column": "ImageID", "answer_column": "ans", **args}
    table = SampleTable.from_columns(folder, {"id": found.ids(), "path": found.ids()})
    return CombinedClassSubmission(SPEC, **given).write(found, table, {}, folder, folder / "out.csv")


def test_the_answers_stand_in_the_rows_and_order_of_the_sample(tmp_path):
    assert write(tmp_path, predictions()) == 3
    assert (tmp_path / "out.csv").read_text() == "ImageID,ans\nc.jpg,6\na.jpg,17\nb.jpg,1\n"


def test_one_label_for_all_combinations_writes_the_same_file(tmp_path):
    one = DataSpec({"class": [str(number) for number in range(18)]})
    certain = torch.eye(18)[[6 * mask + 3 * gender + age for mask, gender, age in ANSWERS.values()]]
    (tmp_path / "info.csv").write_text(SAMPLE)
    found = Predictions.of(list(ANSWERS), {"class": certain})
    table = SampleTable.from_columns(tmp_path, {"id": found.ids(), "path": found.ids()})
    CombinedClassSubmission(one, "info.csv", "ImageID", "ans").write(found, table, {}, tmp_path, tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_text() == "ImageID,ans\nc.jpg,6\na.jpg,17\nb.jpg,1\n"


def test_other_columns_of_the_sample_are_kept(tmp_path):
    sample = 'note,ans,ImageID\n"x, y",0,b.jpg\n,0,a.jpg\nz,0,c.jpg\n'
    write(tmp_path, predictions(), sample)
    assert (tmp_path / "out.csv").read_text() == 'note,ans,ImageID\n"x, y",1,b.jpg\n,17,a.jpg\nz,6,c.jpg\n'


def test_only_the_labels_asked_for_are_combined(tmp_path):
    write(tmp_path, predictions(), labels=["age", "gender"])
    assert (tmp_path / "out.csv").read_text() == "ImageID,ans\nc.jpg,0\na.jpg,5\nb.jpg,2\n"


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ("ImageID,ans\na.jpg,0\nb.jpg,0\nc.jpg,0\na.jpg,0\n", r"1 images are listed twice \(a.jpg\); nothing is written"),
        ("ImageID,ans\na.jpg,0\nb.jpg,0\nc.jpg,0\nd.jpg,0\n", r"1 images are not predicted \(d.jpg\); nothing is written"),
        ("ImageID,ans\na.jpg,0\n", r"2 images are predicted, but not asked for \(b.jpg, c.jpg\); nothing is written"),
        ("ImageId,ans\na.jpg,0\n", r'line 1: no column ImageID \(did you mean "ImageId"\?\); there are: ImageId, ans'),
        ("ImageID,answer\na.jpg,0\n", r"line 1: no column ans"),
        ("ImageID,ans\na.jpg\n", "line 2 has 1 fields; the header has 2"),
    ],
)
def test_a_sample_that_does_not_match_is_refused_and_nothing_is_written(tmp_path, sample, message):
    with pytest.raises(UserError, match=f"info.csv: {message}"):
        write(tmp_path, predictions(), sample)
    assert not (tmp_path / "out.csv").exists()


def test_a_picture_that_could_not_be_read_gets_the_most_frequent_class(tmp_path, capsys):
    write(tmp_path, predictions(errors=["", "is cut off", ""]))
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4
    told = "warning: out.csv: 1 images could not be read and get the most frequent class: b.jpg is cut off"
    assert capsys.readouterr().out.splitlines() == [told]


def test_pictures_of_which_none_could_be_read_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match=r"out.csv: not written, since 3 images could not be read: a.jpg is cut off"):
        write(tmp_path, predictions(errors=["is cut off"] * 3))
    assert not (tmp_path / "out.csv").exists()


def test_labels_that_the_data_do_not_have_are_refused_by_the_config():
    given = {"sample": "a", "id_column": "b", "answer_column": "c", "labels": ["mask", "sex"]}
    part = SUBMISSIONS.parts["CombinedClassSubmission"].model_validate({"type": "CombinedClassSubmission", "args": given})
    assert list(part.cls.check(part.args, SPEC)) == [("labels[1]", 'the data have no label "sex"; allowed: mask, gender, age')]


@pytest.mark.parametrize("name", ["../out.csv", "/tmp/out.csv", "a/b.csv", "a\\b.csv", "..", "", "\0"])
def test_a_file_name_that_leads_elsewhere_is_refused_by_the_config(name):
    given = {"sample": "a", "id_column": "b", "answer_column": "c", "file": name}
    with pytest.raises(ValueError, match="file"):
        SUBMISSIONS.parts["CombinedClassSubmission"].model_validate({"type": "CombinedClassSubmission", "args": given})
