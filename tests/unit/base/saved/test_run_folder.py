"""Where a run keeps its files, and that it is the only one to do so."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from base.saved.run_folder import RunFolder
from tests.helpers import ROOT
from utils.errors import UserError

CREATE = """
import sys, time
from pathlib import Path
from utils import files
start = float(sys.argv[2])
time.sleep(max(0, start - time.time()))
for _ in range(100):
    print(files.make_run_id(Path(sys.argv[1]) / "models" / "x"))
"""


def test_200_runs_that_start_in_the_same_instant_get_200_folders(tmp_path):
    together = Barrier(200)

    def start(_):
        together.wait()
        return RunFolder.create(tmp_path, "x").models

    with ThreadPoolExecutor(200) as pool:
        folders = list(pool.map(start, range(200)))

    assert len(set(folders)) == 200
    assert len(list((tmp_path / "models" / "x").iterdir())) == 200
    assert len(list((tmp_path / "log" / "x").iterdir())) == 200


def test_two_processes_make_200_folders_in_the_same_instant(tmp_path):
    import time

    start = str(time.time() + 1)
    command = [sys.executable, "-c", CREATE, tmp_path, start]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    names = [name for process in processes for name in process.communicate(timeout=60)[0].split()]

    assert len(set(names)) == len(names) == 200


def test_models_and_logs_have_the_same_path_below_their_folders(tmp_path):
    run = RunFolder.create(tmp_path, "masks")

    assert run.models.parent == tmp_path / "models" / "masks"
    assert run.log == tmp_path / "log" / "masks" / run.models.name
    assert run.log.is_dir()


@pytest.mark.parametrize("folder", ["a", "a/b/c/d"])
def test_a_checkpoint_in_any_other_folder_has_its_logs_beside_it(tmp_path, folder):
    assert RunFolder.at(tmp_path / folder).log == tmp_path / folder / "log"


def test_naming_a_run_creates_nothing(tmp_path):
    RunFolder.at(tmp_path / "models" / "x" / "run")

    assert list(tmp_path.iterdir()) == []


def test_claiming_a_run_removes_temporary_files(tmp_path):
    run = RunFolder.create(tmp_path, "x")
    (run.models / ".tmp-last.pth-1").write_bytes(b"half")
    (run.log / ".tmp-log.jsonl-1").write_bytes(b"half")
    RunFolder.at(run.models).claim()

    assert sorted(p.name for p in run.models.iterdir()) == [".lock", "status.json"]
    assert list(run.log.iterdir()) == []


def test_a_run_of_another_process_cannot_be_claimed(tmp_path):
    run = RunFolder.create(tmp_path, "x")
    child = os.fork()
    if child == 0:
        try:
            busy = RunFolder.at(run.models).busy
            RunFolder.at(run.models).claim()
        except UserError as error:
            os._exit(0 if busy and "another process is training this run" in str(error) else 1)
        os._exit(2)

    assert os.waitpid(child, 0)[1] == 0


def test_a_run_whose_process_was_killed_can_be_claimed(tmp_path):
    child = os.fork()
    if child == 0:
        RunFolder.create(tmp_path, "x")
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    (folder,) = (tmp_path / "models" / "x").iterdir()

    assert not RunFolder.at(folder).busy
    RunFolder.at(folder).claim()


def test_the_status_of_a_run_is_new_until_it_is_set(tmp_path):
    run = RunFolder.create(tmp_path, "x")
    assert run.status == "new"
    run.set_status("finished")
    assert RunFolder.at(run.models).status == "finished"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_damaged_status_is_that_of_a_new_run(tmp_path, content):
    run = RunFolder.create(tmp_path, "x")
    (run.models / "status.json").write_bytes(content)

    assert run.status == "new"


def test_a_folder_that_cannot_be_made_is_reported_in_one_line(tmp_path):
    (tmp_path / "models").write_text("")

    with pytest.raises(UserError, match=r"cannot make a run folder \(Not a directory\); set trainer.save_dir"):
        RunFolder.create(tmp_path, "x")
