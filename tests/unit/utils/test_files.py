"""Test atomic writes, locks and run folders."""

import errno
import os

import pytest

from utils import files


class Full:
    """A file on a disk with `room` free bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        content = bytes(content)
        self.file.write(content[: self.room])
        if len(content) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(content)
        return len(content)


@pytest.fixture
def disk(monkeypatch):
    """Return a function: after `disk(n)` every new file has room for n bytes."""

    def fill(room):
        real = os.fdopen
        monkeypatch.setattr(os, "fdopen", lambda handle, *mode: Full(real(handle, *mode), room))

    return fill


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    files.write_bytes(path, b"old")

    def half(file):
        file.write(b"new")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        files.write_atomically(path, half)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("room", [0, 1, 999])
def test_a_full_disk_leaves_the_old_content_and_is_reported_in_one_line(tmp_path, disk, room):
    path = tmp_path / "a.txt"
    files.write_bytes(path, b"old")
    disk(room)

    with pytest.raises(files.WriteError, match=r"a\.txt: cannot be written \(No space left on device\)") as error:
        files.write_bytes(path, b"x" * 1000)
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"old"


def test_content_is_on_the_disk_before_the_renaming(tmp_path, monkeypatch):
    steps = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("sync"), real_sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("rename"), real_replace(*paths)))
    files.write_bytes(tmp_path / "a.txt", b"new")

    assert steps == ["sync", "rename", "sync"]


def test_write_json_refuses_nan_and_infinity(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_of_a_killed_write_are_removed(tmp_path):
    (tmp_path / f"{files.TEMPORARY}last.pth-x1").write_bytes(b"half")
    (tmp_path / "last.pth").write_bytes(b"whole")
    files.remove_temporaries(tmp_path)

    assert [p.name for p in tmp_path.iterdir()] == ["last.pth"]


def test_a_file_gets_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a.txt", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_locked_file_is_locked_for_other_processes_only(tmp_path):
    held = files.lock(tmp_path / "lock")
    child = os.fork()
    if child == 0:
        os._exit(0 if files.lock(tmp_path / "lock") is None else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert held is not None


def test_a_lock_ends_with_its_process(tmp_path):
    child = os.fork()
    if child == 0:
        held = files.lock(tmp_path / "lock")
        os._exit(0 if held is not None else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert files.lock(tmp_path / "lock") is not None


@pytest.mark.parametrize("there", ["a file", "a link to nothing"])
def test_a_run_folder_needs_a_folder_above_it(tmp_path, there):
    parent = tmp_path / "name"
    parent.write_text("") if there == "a file" else parent.symlink_to("nothing")

    with pytest.raises(files.UserError, match=r"name: (is no folder|cannot make a run folder)"):
        files.make_run_id(parent)


def test_a_new_folder_appears_when_it_is_complete(tmp_path):
    with files.new_folder(tmp_path / "a/new") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "a/new").exists()
    assert [path.name for path in (tmp_path / "a/new").iterdir()] == ["x"]


def test_nothing_stays_of_a_new_folder_that_was_not_completed(tmp_path):
    with pytest.raises(ValueError, match="stop"), files.new_folder(tmp_path / "new") as folder:
        (folder / "x").write_text("1")
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_not_written_to(tmp_path):
    with pytest.raises(FileExistsError, match="exists already"), files.new_folder(tmp_path):
        raise AssertionError("never here")
