"""Marks: a corrections file that the loader takes, whoever marks at the same time."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

from base.table import SampleTable
from data_loader.samples.corrections import correct
from inspection import marks
from inspection.marks import Mark, Marks
from tests.unit.inspection.test_jail import TRAVERSALS
from utils import files
from utils.errors import UserError


def mark_many(saved: Path, name: str, number: int) -> None:
    for place in range(number):
        Marks(saved, "data").relabel(f"{name}-{place}", "shot", "normal")


def test_the_loader_takes_what_is_marked(tmp_path: Path) -> None:
    table = SampleTable.from_columns(tmp_path, {"id": ["a", "b"], "path": ["a", "b"], "shot": ["mask", "mask"]})
    given = Marks(tmp_path, "data")
    given.relabel("a", "shot", "normal")
    given.exclude("b")
    corrected, note = correct(table, given.corrections)
    assert corrected.ids() == ["a"] and corrected.strings("shot") == ["normal"]
    assert "1 values changed, 1 samples taken out" in note


def test_a_later_mark_of_the_same_kind_stands_in_the_place_of_the_earlier(tmp_path: Path) -> None:
    given = Marks(tmp_path, "data")
    given.relabel("a", "shot", "mask")
    given.relabel("a", "shot", "normal")
    assert given.all() == [Mark("id", "a", "shot", "normal")]


def test_a_mark_can_be_taken_back(tmp_path: Path) -> None:
    given = Marks(tmp_path, "data")
    given.relabel("a", "shot", "normal")
    given.exclude("b")
    given.remove(Mark("id", "a", "shot", "normal"))
    assert given.all() == [Mark("id", "b", "exclude", "")]


def test_names_with_commas_quotes_and_lines_come_back_as_they_were(tmp_path: Path) -> None:
    name = 'a,"b"\n<b>사람</b>'
    Marks(tmp_path, "data").exclude(name)
    assert Marks(tmp_path, "data").all() == [Mark("id", name, "exclude", "")]


def test_what_to_look_at_again_is_no_correction(tmp_path: Path) -> None:
    given = Marks(tmp_path, "data")
    given.look_again("a", "blurred")
    assert given.again() == [("a", "blurred")] and given.all() == []
    given.forget("a")
    assert given.again() == []


def test_sessions_that_mark_at_once_lose_nothing(tmp_path: Path) -> None:
    threads = [threading.Thread(target=mark_many, args=(tmp_path, f"t{number}", 10)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Marks(tmp_path, "data").all()) == 40


def test_processes_that_mark_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=mark_many, args=(tmp_path, f"p{number}", 10)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(Marks(tmp_path, "data").all()) == 30


def test_a_lock_that_is_never_freed_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "PATIENCE", 0.05)
    monkeypatch.setattr(files, "lock", lambda path: None)
    with pytest.raises(UserError, match="another process is writing marks"):
        Marks(tmp_path, "data").exclude("a")


def test_marks_begin_with_the_corrections_that_the_run_had(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("where,is,set,to\nperson,006359,gender,female\n")
    given = Marks(tmp_path, "data")
    given.begin(tmp_path / "mine.csv")
    given.exclude("a")
    given.begin(tmp_path / "mine.csv")
    assert given.all() == [Mark("person", "006359", "gender", "female"), Mark("id", "a", "exclude", "")]


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    given = Marks(tmp_path, "data")
    given.folder.mkdir(parents=True)
    given.corrections.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="the columns are where,is,set,to"):
        given.all()


def test_marks_are_written_below_their_folder_only(root: Path) -> None:
    before = {path for path in root.parent.rglob("*")}
    for name in TRAVERSALS:
        try:
            Marks(root / "saved", name).exclude("x")
        except UserError:
            continue
    made = {path for path in root.parent.rglob("*")} - before
    assert all(path.is_relative_to(root / "saved") for path in made)
