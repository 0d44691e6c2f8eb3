"""What a person does in each view of runs of attributes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from base.saved.names import OUT_OF_FOLD
from base.table import SampleTable
from data_loader.samples.corrections import correct
from inspection.runs import all_runs
from tests.app_world import read_result
from tests.attributes.app_world import EARLIER, JOINED, LABELS, MASKS, portrait
from tests.browser.conftest import Person


def test_runs_overlays_two_runs_and_names_the_key_in_which_their_configs_differ(person: Person, world: Path) -> None:
    person.open("Runs", MASKS, **{"with": EARLIER})
    assert person.metric("Runs") == str(len(all_runs(world / "saved")))
    assert person.metric("In progress") == "0"
    assert person.page.get_by_test_id("stVegaLiteChart").count() == 3
    assert person.page.get_by_role("heading", name="Config difference").is_visible()
    person.snap("runs", 1000)


def test_a_run_chosen_in_the_sidebar_is_in_the_address(person: Person) -> None:
    person.open("Runs")
    person.choose("Run", EARLIER)
    assert EARLIER.replace("/", "%2F") in person.page.url


def click_cell(person: Person, row: int, column: int, size: int) -> None:
    """In the confusion matrix, found as the block of its colours."""
    chart = person.page.get_by_test_id("stVegaLiteChart").first
    image = cv2.imdecode(np.frombuffer(chart.screenshot(), np.uint8), cv2.IMREAD_COLOR).astype(int)
    blue = (image[:, :, 0] - image[:, :, 2]) > 18  # the scheme's palest blue, and everything darker
    rows, columns = np.flatnonzero(blue.mean(axis=1) > 0.3), np.flatnonzero(blue.mean(axis=0) > 0.3)
    x = columns[0] + (column + 0.5) / size * (columns[-1] - columns[0])
    y = rows[0] + (row + 0.25) / size * (rows[-1] - rows[0])
    chart.click(position={"x": float(x), "y": float(y)})
    person.ready()


def test_a_click_on_a_confusion_cell_opens_its_samples(person: Person, world: Path) -> None:
    predictions, samples = read_result(world, MASKS)
    answer = predictions.array("mask").argmax(axis=1)
    wanted = (samples.numbers("mask") == 0) & (answer == 2)
    person.open("Mistakes", MASKS, label="mask")
    person.snap("attributes/mistakes", 1300)
    click_cell(person, 0, 2, 3)
    assert f"{wanted.sum()} of {len(samples)} samples" in person.text()
    assert person.page.get_by_text("worn → not worn").count() == min(12, wanted.sum())
    assert "truth=worn" in person.page.url and "predicted=not+worn" in person.page.url


def test_a_deep_link_opens_the_filtered_samples_and_a_search_narrows_them(person: Person, world: Path) -> None:
    predictions, samples = read_result(world, MASKS)
    answer = predictions.array("gender").argmax(axis=1)
    wanted = (answer != samples.numbers("gender")) & np.array(["mask1" in name for name in samples.ids()])
    person.open("Mistakes", MASKS, label="gender", wrong="true", query="mask1")
    assert f"{wanted.sum()} of {len(samples)} samples" in person.text()


def test_of_a_group_the_samples_that_a_fold_held_out_are_looked_at(person: Person, world: Path) -> None:
    predictions, samples = read_result(world, JOINED, OUT_OF_FOLD)
    wrong = predictions.array("mask").argmax(axis=1) != samples.numbers("mask")
    person.open("Mistakes", JOINED, wrong="true", column="fold", value="1")
    wanted = wrong & (samples.numbers("fold") == 1)
    assert 0 < wanted.sum() < wrong.sum()
    assert f"{wanted.sum()} of {len(samples)} samples" in person.text()


def test_the_figures_are_those_of_the_files(person: Person, world: Path) -> None:
    predictions, samples = read_result(world, MASKS)
    right = predictions.array("mask").argmax(axis=1) == samples.numbers("mask")
    person.open("Mistakes", MASKS, label="mask", part="Calibration")
    assert person.metric("Accuracy") == f"{right.mean():.1%}"
    assert person.metric("Wrong") == str((~right).sum())


def test_slices_show_the_worst_first(person: Person) -> None:
    person.open("Mistakes", MASKS, label="age", part="Slices")
    assert person.page.get_by_test_id("stDataFrame").is_visible()


def test_data_shows_the_balance_and_that_nobody_is_on_both_sides(person: Person) -> None:
    person.open("Data", MASKS)
    assert "Nobody is on both sides" in person.text()
    assert person.page.get_by_test_id("stVegaLiteChart").count() == 3
    person.snap("data", 1000)


def test_looking_at_all_files_finds_one_picture_under_two_names(person: Person, world: Path) -> None:
    first, second = sorted((world / "data/masks/train/images").glob("*/normal.jpg"))[:2]
    person.open("Data", MASKS, part="Files")
    person.page.get_by_role("button", name="Look at all files").click()
    person.page.get_by_text("Duplicates and near-duplicates").wait_for()
    person.ready()
    assert person.metric("Unreadable") == "0"
    for path in (first, second):
        assert person.page.get_by_text(f"{path.parent.name}/{path.name}", exact=True).count() >= 1


def test_augmentation_is_another_with_another_seed(person: Person) -> None:
    person.open("Data", MASKS, part="Augmentation")
    before = [image.get_attribute("src") for image in person.page.get_by_test_id("stImage").locator("img").all()]
    assert len(before) == 16 and len(set(before)) > 10
    person.open("Data", MASKS, part="Augmentation", seed="1")
    after = [image.get_attribute("src") for image in person.page.get_by_test_id("stImage").locator("img").all()]
    assert before[0].split("/")[-1] == after[0].split("/")[-1]
    assert len(set(before) & set(after)) < 8


def test_marks_of_two_people_at_once_become_one_corrections_file_that_the_loader_takes(
    person: Person, visitor: Callable[..., Person], world: Path
) -> None:
    other = visitor()
    ids = sorted(name for name in read_result(world, MASKS)[1].ids() if name.endswith("mask1.jpg"))[:2]
    for who, sample in ((person, ids[0]), (other, ids[1])):
        who.open("Fix", MASKS, query=sample)
    person.page.get_by_role("button", name="Wrong label").click()
    person.choose("It is", "incorrect")
    other.page.get_by_role("button", name="Bad image").click()
    person.page.get_by_role("button", name="Mark", exact=True).click()
    for who in (person, other):
        who.page.get_by_text("Marked.").wait_for()
    person.ready()
    path = world / "saved/marks/masks/corrections.csv"
    rows = list(csv.reader(path.open()))
    assert sorted(rows[1:]) == sorted([["id", ids[0], "shot", "incorrect_mask"], ["id", ids[1], "exclude", ""]])
    table = SampleTable.from_columns(world, {"id": ids, "path": ids, "shot": ["mask", "mask"]})
    corrected, _ = correct(table, path)
    assert corrected.ids() == ids[:1] and corrected.strings("shot") == ["incorrect_mask"]
    person.open("Fix", MASKS)
    with person.page.expect_download() as download:
        person.page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    assert Path(download.value.path()).read_text() == path.read_text()
    person.snap("attributes/fix", 1500)


def test_submission_is_judged_compared_and_downloaded(person: Person, world: Path) -> None:
    file = world / "saved/log" / MASKS / "test-best/info.csv"
    old = world / "saved/log" / EARLIER / "test-best/info.csv"
    differ = sum(a != b for a, b in zip(file.read_text().splitlines(), old.read_text().splitlines(), strict=True))
    person.open("Submission", MASKS)
    assert "Ready to hand in: 84 rows" in person.text()
    with person.page.expect_download() as download:
        person.page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    assert Path(download.value.path()).read_bytes() == file.read_bytes()
    person.page.locator("input[type=file]").set_input_files(str(old))
    person.page.get_by_text("Answers that differ").wait_for()
    person.ready()
    assert person.metric("Answers that differ") == f"{differ} of 84"
    person.snap("submission", 1100)


def test_predict_answers_for_uploads_with_a_map_of_why(person: Person, world: Path, attributes_run: str) -> None:
    person.open("Predict", attributes_run, why="true")
    person.page.locator("input[type=file]").set_input_files([str(portrait(world)), str(portrait(world, 1))])
    person.page.get_by_text("warm: what speaks for it").nth(1).wait_for()
    person.ready()
    for label in LABELS:
        assert person.page.get_by_text(f"{label}: ").count() >= 2
    assert person.page.get_by_test_id("stImage").count() == 6
    person.snap("predict", 1250)


def test_a_picture_that_is_none_is_a_message_beside_the_answers_for_the_others(
    person: Person, world: Path, attributes_run: str
) -> None:
    person.open("Predict", attributes_run)
    bad = {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"}
    good = {"name": "good.jpg", "mimeType": "image/jpeg", "buffer": portrait(world).read_bytes()}
    person.page.locator("input[type=file]").set_input_files([bad, good])
    person.page.get_by_text("as the model sees it").wait_for()
    assert "bad.png: is no picture" in person.text()


def test_in_the_dark_the_page_is_dark(visitor: Callable[..., Person]) -> None:
    page = visitor(viewport={"width": 1200, "height": 900}, color_scheme="dark").open("Mistakes", MASKS).page
    colour = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert max(int(part) for part in colour.strip("rgba()").split(",")[:3]) < 64
