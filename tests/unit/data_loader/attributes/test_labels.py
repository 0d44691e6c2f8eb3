"""Text becomes class numbers as declared, or is refused by name; corrections do what their lines say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from base.table import SampleTable
from data_loader.attributes.labels import CombinedLabel, Label, add_labels, label_problems, label_spec
from data_loader.formats.repairs import repair_lines
from data_loader.samples.corrections import correct
from utils.errors import UserError

MASK = Label(classes=["worn", "wrong", "none"], values={"mask": "worn", "wrong": "wrong", "normal": "none"})
AGE = Label(classes=["young", "middle", "old"], bins=[30, 60])
FINE = Label(classes=["young", "middle", "old"], bins=[30, 60], fine_bins=[20, 30, 45, 60])


def table(**columns):
    ids = [f"{row}.jpg" for row in range(len(next(iter(columns.values()))))]
    return SampleTable.from_columns("/data", {"id": ids, "path": ids, **columns})


def numbers(label, *texts):
    return add_labels(table(x=list(texts)), {"x": label}, "data").numbers("x").tolist()


# Classes ------------------------------------------------------------------------------------------------------------


def test_classes_are_numbered_in_the_declared_order():
    assert numbers(Label(classes=["b", "a"]), "a", "b", "a") == [1, 0, 1]


def test_values_say_which_text_is_which_class():
    assert numbers(MASK, "normal", "mask", "wrong", "mask") == [2, 0, 1, 0]


def test_texts_that_mean_not_known_are_minus_1():
    label = Label(classes=["a", "b"], missing=["", "?"])
    assert numbers(label, "a", "?", "", "b") == [0, -1, -1, 1]
    assert numbers(label, "a", None) == [0, -1]


def test_a_border_is_the_first_number_of_the_next_class():
    assert numbers(AGE, "0", "29", "29.99", "30", "59", "60", "101", "") == [0, 0, 0, 1, 1, 2, 2, -1]


def test_fine_bins_are_trained_and_reported_as_bins():
    assert numbers(FINE, "19", "20", "30", "44", "45", "60") == [0, 1, 2, 2, 3, 4]
    assert FINE.merged() == [0, 0, 1, 1, 2]
    assert AGE.merged() is None


def test_every_number_is_reported_alike_with_and_without_fine_bins():
    ages = [str(age / 2) for age in range(0, 200)]
    fine, merged = numbers(FINE, *ages), FINE.merged()
    assert [merged[number] for number in fine] == numbers(AGE, *ages)


def test_numbers_of_a_numeric_column_are_read_too():
    assert add_labels(table(x=[15, 30, 75]), {"x": AGE}, "data").numbers("x").tolist() == [0, 1, 2]


@pytest.mark.parametrize("text", ["old", "inf", "1_0", "30 years", "0x1f"])
def test_what_is_no_finite_number_is_refused(text):
    with pytest.raises(UserError, match=rf'data: x: "{text}" in 1 samples \(1.jpg\); allowed: numbers'):
        numbers(AGE, "15", text)


def test_unknown_texts_are_refused_by_name_with_count_and_samples():
    with pytest.raises(UserError) as refusal:
        numbers(MASK, "mask", "normal!", "nose", "normal!", "normal!", "normal!")
    assert str(refusal.value).splitlines() == [
        'data: x: "normal!" (did you mean "normal"?) in 4 samples (1.jpg, 3.jpg, 4.jpg and 1 more); allowed: mask, wrong, normal',
        'data: x: "nose" in 1 samples (2.jpg); allowed: mask, wrong, normal; '
        "data_loader.args.labels.x.values says what other texts mean, missing which mean nothing",
    ]


@pytest.mark.parametrize(
    ("text", "number", "told"),
    [
        (" normal", 2, 'read as normal, written " normal"'),
        ("Normal", 2, 'read as normal, written "Normal"'),
        (
            "\u1106\u1161\u1109\u1173\u110f\u1173",
            3,
            "read as \ub9c8\uc2a4\ud06c",
        ),  # NFD
        ("NaN", -1, "read as not known"),
        ("normal", 2, ""),
    ],
)
def test_a_text_is_compared_as_people_mean_it(text, number, told):
    label = Label(classes=["mask", "wrong", "normal", "\ub9c8\uc2a4\ud06c"])
    labelled = add_labels(table(x=["mask", text]), {"x": label}, "data")
    assert labelled.numbers("x").tolist() == [0, number]
    lines = repair_lines(labelled)
    assert len(lines) == bool(told) and all(told in line and "1 values of x" in line and "(1.jpg)" in line for line in lines)


def test_a_whole_number_with_decimals_is_the_number():
    label = Label(classes=["0", "1"])
    assert add_labels(table(x=["1.0", "0", "0.0"]), {"x": label}, "data").numbers("x").tolist() == [1, 0, 0]


def test_a_case_that_does_not_decide_is_refused():
    with pytest.raises(UserError, match='"NORMAL" .*in 1 samples'):
        add_labels(table(x=["NORMAL"]), {"x": Label(classes=["Normal", "normal"])}, "data")


def test_words_for_nothing_may_be_classes():
    assert add_labels(table(x=["None", "nan"]), {"x": Label(classes=["none", "mask"])}, "data").numbers("x").tolist() == [0, -1]


def test_of_many_unknown_texts_20_are_named():
    with pytest.raises(UserError) as refusal:
        numbers(MASK, *map(str, range(100)))
    assert len(str(refusal.value).splitlines()) == 21
    assert "and 80 more texts that mean nothing" in str(refusal.value)


def test_all_missing_columns_are_named_at_once():
    labels = {"mask": Label(column="shto", classes=["a", "b"]), "gender": Label(classes=["a", "b"])}
    with pytest.raises(UserError) as refusal:
        add_labels(table(shot=["a"]), labels, "data")
    first, second = str(refusal.value).splitlines()
    assert first == 'data: label mask: there is no column shto (did you mean "shot"?); there are: id, path, shot'
    assert second.startswith("data: label gender: there is no column gender;")


def test_a_label_called_like_its_column_leaves_the_text_under_raw():
    labelled = add_labels(table(x=["a", "b"]), {"x": Label(classes=["b", "a"])}, "data")
    assert labelled.strings("raw:x") == ["a", "b"]
    assert labelled.columns["x"].type == "int16"


def test_two_labels_may_come_from_one_column():
    coarse = Label(column="age", classes=["child", "adult"], bins=[18])
    labelled = add_labels(table(age=["10", "40", "70"]), {"adult": coarse, "age": AGE}, "data")
    assert labelled.numbers("adult").tolist() == [0, 1, 1]
    assert labelled.numbers("age").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["a"]}, "at least 2 items"),
        ({"classes": ["a", "a"]}, "class names that differ"),
        ({"classes": ["a", "b"], "values": {"x": "bb"}}, r'"bb" is none \(did you mean "b"\?\)'),
        ({"classes": ["a", "b"], "values": {"x": "a"}, "bins": [1]}, "either values or bins"),
        ({"classes": ["a", "b"], "bins": [1, 2]}, "1 borders in bins for 2 classes; there are 2"),
        ({"classes": ["a", "b", "c"], "bins": [2, 1]}, "borders in ascending order"),
        ({"classes": ["a", "b", "c"], "bins": [1, 1]}, "borders in ascending order"),
        ({"classes": ["a", "b"], "bins": [2], "fine_bins": [1, 3]}, "contain every border of bins"),
        ({"classes": ["a", "b"], "fine_bins": [1, 3]}, "fine_bins only together with bins"),
        ({"classes": ["", "b"]}, 'either missing or of a class; "" is both'),
        ({"classes": ["a", "b"], "values": {"": "a", "x": "b"}}, 'either missing or of a class; "" is both'),
    ],
)
def test_a_label_that_contradicts_itself_is_refused_by_the_config(settings, message):
    with pytest.raises(ValidationError, match=message):
        Label(**settings)


# Combinations -------------------------------------------------------------------------------------------------------

COMBINED = {"mask": MASK, "age": AGE, "class": CombinedLabel(combine=["mask", "age"])}


def test_a_combined_label_counts_through_its_parts_the_last_one_fastest():
    found = add_labels(table(mask=["mask", "wrong", "normal"], age=["10", "30", "90"]), COMBINED, "data")

    assert found.numbers("class").tolist() == [0 * 3 + 0, 1 * 3 + 1, 2 * 3 + 2]
    assert found.numbers("age").tolist() == [0, 1, 2]


def test_a_combined_label_is_not_known_where_a_part_is_not():
    found = add_labels(table(mask=["", "wrong", "normal"], age=["10", "", "90"]), COMBINED, "data")

    assert found.numbers("class").tolist() == [-1, -1, 8]


def test_a_column_with_the_name_of_a_combined_label_stays_as_raw():
    found = add_labels(table(mask=["mask"], age=["30"], **{"class": ["x"]}), COMBINED, "data")

    assert (found.numbers("class").tolist(), found.strings("raw:class")) == ([1], ["x"])


def test_parts_are_not_learned_by_themselves_unless_the_config_says_so():
    assert list(label_spec(COMBINED, None).classes) == ["class"]
    assert list(label_spec(COMBINED, ["mask", "class"]).classes) == ["mask", "class"]
    assert list(label_spec({"mask": MASK, "age": AGE}, ["age"]).classes) == ["age"]


def test_a_combined_label_names_its_classes_and_knows_its_parts():
    spec = label_spec(COMBINED, None)

    assert spec.classes["class"][:4] == ["worn, young", "worn, middle", "worn, old", "wrong, young"]
    assert spec.combined == {"class": {"mask": MASK.classes, "age": AGE.classes}}


def test_fine_classes_are_combined_as_they_are_reported_and_stay_beside_it():
    labels = {"mask": MASK, "age": FINE, "class": CombinedLabel(combine=["mask", "age"])}
    found = add_labels(table(mask=["mask", "normal", "normal"], age=["25", "50", ""]), labels, "data")

    assert found.numbers("class").tolist() == [0, 2 * 3 + 1, -1]
    assert found.numbers("age").tolist() == [1, 3, -1]
    assert (label_spec(labels, None).trained("class"), label_spec(labels, None).merged) == (9, {})


def test_labels_that_are_not_there_are_problems_of_the_config():
    labels = {
        "mask": MASK,
        "both": CombinedLabel(combine=["mask", "aeg", "mask"]),
        "all": CombinedLabel(combine=["mask", "both"]),
    }

    assert list(label_problems(labels, ["masks"])) == [
        ("labels.both.combine[1]", 'there is no label "aeg"; allowed: mask'),
        ("labels.both.combine[2]", '"mask" is given twice; keep one'),
        ("labels.all.combine[1]", 'there is no label "both"; allowed: mask'),
        ("learn[0]", 'there is no label "masks" (did you mean "mask"?); allowed: mask, both, all'),
    ]


# Corrections --------------------------------------------------------------------------------------------------------


def corrected(tmp_path, lines, **columns):
    path = tmp_path / "corrections.csv"
    path.write_text("where,is,set,to\n" + lines)
    return correct(table(**columns), path)


def test_a_correction_changes_every_sample_that_it_names(tmp_path):
    fixed, note = corrected(tmp_path, "person,7,gender,female\n", person=["7", "8", "7"], gender=["male", "male", "female"])
    assert fixed.strings("gender") == ["female", "male", "female"]
    assert note == f"corrections: 1 values changed, 0 samples taken out ({tmp_path}/corrections.csv)"


def test_exclude_takes_samples_out(tmp_path):
    fixed, note = corrected(tmp_path, "id,1.jpg,exclude,\n", person=["7", "8", "9"])
    assert fixed.ids() == ["0.jpg", "2.jpg"]
    assert "0 values changed, 1 samples taken out" in note


def test_corrections_follow_each_other(tmp_path):
    fixed, _ = corrected(tmp_path, "age,5,age,50\nage,50,person,elder\n", person=["a", "b", "c"], age=["5", "50", "6"])
    assert fixed.strings("person") == ["elder", "elder", "c"]


def test_columns_that_no_correction_names_are_untouched(tmp_path):
    fixed, _ = corrected(tmp_path, "person,7,person,8\n", person=["7"], age=[30])
    assert fixed.numbers("age").tolist() == [30]


def test_a_corrections_file_without_rows_changes_nothing(tmp_path):
    fixed, note = corrected(tmp_path, "", person=["7"])
    assert fixed.strings("person") == ["7"] and "0 values" in note


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("persno,7,age,5\n", r'line 2: no column persno \(did you mean "person"\?\); there are: id, path, person, age'),
        ("person,7,aeg,5\n", r'line 2: no column aeg \(did you mean "age"\?\)'),
        ("person,7,exclud,\n", r'line 2: no column exclud \(did you mean "exclude"\?\)'),
        ("exclude,7,age,5\n", "line 2: no column exclude"),
        ("person,7,age,5\nperson,99,age,5\n", "line 3: no sample has person = 99"),
        ("person,7,id,x\n", "line 2: id cannot be changed; allowed: the other columns"),
        ("person,7,age\n", r"line 2 has 3 fields; the header has 4 \(where, is, set, to\)"),
        ("person,7,age,5,6\n", "line 2 has 5 fields"),
        ('person,"7,age,5\n', "line 2: is no CSV"),
    ],
)
def test_a_correction_that_cannot_be_made_is_refused_with_its_line(tmp_path, lines, message):
    with pytest.raises(UserError, match=f"corrections.csv: {message}"):
        corrected(tmp_path, lines, person=["7", "8"], age=["30", "31"])


def test_all_wrong_corrections_are_named_at_once(tmp_path):
    with pytest.raises(UserError) as refusal:
        corrected(tmp_path, "x,1,age,1\nage,1,age,2\nage,30,y,2\n", age=["30"])
    assert [line.split(": ")[1] for line in str(refusal.value).splitlines()] == ["line 2", "line 3", "line 4"]


def test_a_corrections_file_needs_its_columns(tmp_path):
    path = tmp_path / "corrections.csv"
    path.write_text("who,what\n1,2\n")
    with pytest.raises(UserError, match="line 1: found who,what; the columns are where,is,set,to"):
        correct(table(x=["a"]), path)


def test_a_thousand_corrections_of_many_samples_are_quick(tmp_path):
    people = [str(number) for number in range(20_000)]
    lines = "".join(f"person,{number},age,{number % 90}\n" for number in range(1000))
    fixed, note = corrected(tmp_path, lines, person=people, age=["-1"] * len(people))
    assert fixed.strings("age")[:3] == ["0", "1", "2"] and "1000 values changed" in note
