"""Test that checkpoints survive kills and full disks, and that damage is detected."""

import errno
import io
import os
import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from utils import checkpoint, files
from utils.checkpoint import CheckpointError, CheckpointFolder
from utils.checkpoint_names import BEST, LAST, epoch_name


def state_of(step, size=100):
    progress = {"epoch": 0, "batch": step, "step": step}
    weights = {"weight": torch.full((size,), float(step)), "count": torch.tensor(step)}
    return {"config": {"name": "x"}, "progress": progress, "model": weights}


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path)


def flip(path, place, bit=0):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


# Content ------------------------------------------------------------------------------------------------------------


def test_a_saved_state_is_loaded_unchanged(folder):
    state = {**state_of(3), "list": [1, 2.5, "x", None, True, {"a": []}], "half": torch.ones(2, dtype=torch.bfloat16)}
    folder.save(state, [LAST])
    loaded = folder.load(LAST)

    assert loaded["list"] == state["list"]
    assert torch.equal(loaded["half"], state["half"])
    assert checkpoint.weights_hash(loaded["model"]) == checkpoint.weights_hash(state["model"])


def test_a_checkpoint_can_be_read_without_this_project(folder):
    folder.save(state_of(3), [LAST])

    assert torch.load(folder.folder / LAST, weights_only=True)["progress"]["step"] == 3


def test_the_states_of_torchs_own_parts_can_be_loaded(folder):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(2, 3, 2, 2)).sum().backward()
    optimizer.step()
    folder.save({**state_of(1), "model": model.state_dict(), "optimizer": optimizer.state_dict()}, [LAST])
    loaded = folder.load(LAST)
    model.load_state_dict(loaded["model"])
    optimizer.load_state_dict(loaded["optimizer"])
    optimizer.step()

    assert optimizer.state_dict()["state"][0]["step"] == 2


def test_numpy_numbers_are_saved_as_plain_numbers(folder):
    folder.save({**state_of(1), "fitted": {"threshold": np.float64(0.25)}}, [LAST])

    assert type(folder.load(LAST)["fitted"]["threshold"]) is float


@pytest.mark.parametrize("value", [np.float32(1), np.zeros(2), object(), {1, 2}, SimpleNamespace()])
def test_a_value_that_could_not_be_loaded_is_not_saved(folder, value):
    with pytest.raises(TypeError, match=r"callbacks\.Mine\.0: .* cannot be in a checkpoint"):
        folder.save({**state_of(1), "callbacks": {"Mine": [value]}}, [LAST])
    assert not (folder.folder / LAST).exists()


def test_a_view_is_saved_without_the_rest_of_its_storage(folder):
    folder.save({**state_of(1), "row": torch.zeros(1000, 1000)[0], "expanded": torch.ones(1).expand(50)}, [LAST])

    assert (folder.folder / LAST).stat().st_size < 20_000
    assert folder.load(LAST)["expanded"].tolist() == [1.0] * 50


@pytest.mark.parametrize(
    "change", [{"a": torch.ones(2)}, {"b": torch.zeros(2)}, {"a": torch.zeros(1, 2)}, {"a": torch.zeros(2).int()}]
)
def test_the_hash_of_weights_tells_names_values_shapes_and_types_apart(change):
    assert checkpoint.weights_hash({"a": torch.zeros(2)}) != checkpoint.weights_hash(change)


# Killed, full, read-only --------------------------------------------------------------------------------------------


class Killed(BaseException):
    """A stand-in for SIGKILL: the process does nothing after it."""


def killed_at(folder, monkeypatch, moment, step, name=LAST):
    """Save in a new process, which ends `before` or `after` the file is renamed; temporary files stay, as after SIGKILL."""
    real = files._write_and_rename

    def write(path, fill):
        if path.name != name:
            return real(path, fill)
        if moment == "after":
            real(path, fill)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write_and_rename", write)
        with pytest.raises(Killed):
            CheckpointFolder(folder.folder).save(state_of(step), [name])


@pytest.mark.parametrize(("moment", "step"), [("before", 1), ("after", 2)])
def test_a_kill_before_or_after_the_renaming_leaves_a_checkpoint_that_loads(folder, monkeypatch, moment, step):
    folder.save(state_of(1), [LAST])
    killed_at(folder, monkeypatch, moment, 2)

    assert CheckpointFolder(folder.folder).load(LAST)["progress"]["step"] == step


@pytest.mark.parametrize("moments", [("before",) * 5, ("after", "before", "before"), ("before", "after", "before")])
def test_kills_in_several_saves_leave_a_checkpoint_that_loads(folder, monkeypatch, moments):
    folder.save(state_of(0), [LAST])
    steps = [0]
    for step, moment in enumerate(moments, 1):
        killed_at(folder, monkeypatch, moment, step)
        steps += [step] * (moment == "after")

    assert CheckpointFolder(folder.folder).load(LAST)["progress"]["step"] == steps[-1]


def test_complete_saves_remove_the_hashes_of_killed_saves_from_the_manifest(folder, monkeypatch):
    for step in range(4):
        killed_at(folder, monkeypatch, "before", step)
    folder.save(state_of(5), [LAST])
    folder.save(state_of(6), [LAST])

    assert len(folder.digests(LAST)) == 2


def test_after_a_kill_between_two_names_the_run_continues_from_last(folder, monkeypatch):
    folder.save(state_of(1), [BEST, LAST])
    killed_at(folder, monkeypatch, "before", 2, BEST)
    killed_at(folder, monkeypatch, "after", 2, BEST)
    name, state, warnings = folder.load_newest()

    assert (name, state["progress"]["step"], warnings) == (LAST, 1, [])


@pytest.mark.parametrize("name", [LAST, "manifest.json"])
@pytest.mark.parametrize("offset", [0, 1, 100, 1000, 2000])
def test_a_full_disk_leaves_the_last_checkpoint(folder, monkeypatch, name, offset):
    folder.save(state_of(1), [LAST])
    real = files._write_and_rename

    def full(path, fill):
        def fill_up(file):
            content = io.BytesIO()
            fill(content)
            file.write(content.getvalue()[:offset])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        real(path, fill_up if path.name == name else fill)

    monkeypatch.setattr(files, "_write_and_rename", full)
    with pytest.raises(files.WriteError, match=r"No space left on device.*continue with -r") as error:
        folder.save(state_of(2), [LAST])
    monkeypatch.undo()
    assert "\n" not in str(error.value)
    assert folder.load(LAST)["progress"]["step"] == 1
    folder.save(state_of(3), [LAST])
    assert folder.load(LAST)["progress"]["step"] == 3


LIMITED = """
import resource, signal, sys
from pathlib import Path
import torch
from utils.checkpoint import CheckpointFolder
from utils.files import WriteError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = CheckpointFolder(Path(sys.argv[1]))
state = {"config": {}, "progress": {"epoch": 0, "batch": 0, "step": 2}, "weights": torch.zeros(10_000)}
for limit in (0, 2048, 30_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
    try:
        folder.save(state, ["last.pth"])
    except WriteError as error:
        print(error)
"""


def test_a_file_size_limit_leaves_the_last_checkpoint(folder):
    folder.save(state_of(1, 10_000), [LAST])
    ended = subprocess.run([sys.executable, "-c", LIMITED, folder.folder], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert [line.count("File too large") for line in ended.stdout.splitlines()] == [1, 1, 1], ended.stderr
    assert sorted(p.name for p in folder.folder.iterdir()) == [LAST, "manifest.json"]
    assert CheckpointFolder(folder.folder).load(LAST)["progress"]["step"] == 1


def test_too_little_space_is_refused(folder, monkeypatch):
    folder.save(state_of(1, 250_000), [LAST])  # 1 MB
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000_000))
    folder.require_space(copies=4, growth=1_000_000)

    with pytest.raises(checkpoint.UserError, match=r"10 MB are free, and this run needs 14 MB more \(4 checkpoints\)"):
        folder.require_space(copies=4, growth=2_000_000)


def test_existing_checkpoints_need_no_more_space(folder, monkeypatch):
    folder.save(state_of(1, 250_000), [BEST, *(epoch_name(epoch) for epoch in (1, 2)), LAST])
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_100_000))

    folder.require_space(copies=4)


# Damaged ------------------------------------------------------------------------------------------------------------


def damage(path, chance):
    """Cut the file off, flip a bit, or set a page to zero; return whether anything has changed."""
    before = path.read_bytes()
    kind = chance.randrange(3)
    if kind == 0:
        after = before[: chance.randrange(len(before))]
    elif kind == 1:
        after = bytearray(before)
        after[chance.randrange(len(before))] ^= 1 << chance.randrange(8)
    else:
        start = chance.randrange(0, len(before), 4096)
        after = before[:start] + bytes(min(4096, len(before) - start)) + before[start + 4096 :]
    path.write_bytes(after)
    return bytes(after) != before


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_checkpoint_is_skipped_with_one_line_that_names_both(folder, seed):
    folder.save(state_of(1, 5000), [BEST])
    folder.save(state_of(2, 5000), [LAST])
    assert damage(folder.folder / LAST, random.Random(seed))
    name, state, warnings = folder.load_newest()

    assert (name, state["progress"]["step"]) == (BEST, 1)
    assert len(warnings) == 1
    assert "\n" not in warnings[0]
    assert f"{folder.folder / LAST}: is damaged" in warnings[0]
    assert f"using {folder.folder / BEST} (epoch 1, step 1) instead" in warnings[0]


def test_the_newest_undamaged_checkpoint_is_loaded(folder):
    for step, name in enumerate([epoch_name(1), BEST, epoch_name(2), LAST]):
        folder.save(state_of(step), [name])
    for name in (LAST, epoch_name(2)):
        flip(folder.folder / name, 700)

    assert folder.load_newest()[0] == BEST


def test_if_all_checkpoints_are_damaged_the_error_names_all(folder):
    folder.save(state_of(1), [BEST, LAST])
    for name in (BEST, LAST):
        flip(folder.folder / name, 700)

    with pytest.raises(CheckpointError, match=r"last\.pth: is damaged.*best\.pth: is damaged"):
        folder.load_newest()


def test_an_empty_folder_holds_no_checkpoint(folder):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        folder.load_newest()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": []}', b'{"files": {"last.pth": {"sha256": 1}}}', b"\xff"])
def test_without_its_manifest_a_checkpoint_is_verified_by_its_own_checksums(folder, content):
    folder.save(state_of(1, 5000), [LAST])
    (folder.folder / "manifest.json").write_bytes(content)
    assert folder.load(LAST)["progress"]["step"] == 1

    flip(folder.folder / LAST, 15_000)
    with pytest.raises(CheckpointError, match="is damaged"):
        folder.load(LAST)


# Kept ---------------------------------------------------------------------------------------------------------------


def test_the_newest_numbered_checkpoints_are_kept_and_no_others(folder):
    for epoch in (1, 2, 9, 10):
        folder.save(state_of(epoch), [epoch_name(epoch), BEST, LAST])
        folder.prune(keep=2)
    (folder.folder / "checkpoint-epochx.pth").write_bytes(b"someone else's")
    folder.prune(keep=2)

    assert {p.name for p in folder.folder.glob("*.pth")} == {
        LAST, BEST, "checkpoint-epoch9.pth", "checkpoint-epoch10.pth", "checkpoint-epochx.pth",
    }  # fmt: skip
    assert "checkpoint-epoch1.pth" not in folder.manifest()["files"]
