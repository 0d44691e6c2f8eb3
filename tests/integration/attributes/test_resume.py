"""Resume is equality: stopped anywhere and continued, a run ends as if it had never been stopped."""

import hashlib
import os
import random
import signal
import time

import pytest
import torch

from tests.attributes.tiny import write_config
from tests.helpers import Script, run, run_folders
from tests.stopping import STEPS, Ask, train
from utils.checkpoint import CheckpointFolder
from utils.checkpoint_names import BEST, LAST

FILES = [BEST, "checkpoint-epoch1.pth", "checkpoint-epoch2.pth", LAST]


def fingerprint(state):
    """Everything in a checkpoint, the bits of its tensors included."""
    if isinstance(state, torch.Tensor):
        content = state.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return f"{state.dtype} {tuple(state.shape)} {hashlib.sha256(content).hexdigest()}"
    if isinstance(state, dict):
        return {str(key): fingerprint(value) for key, value in state.items()}
    return [fingerprint(value) for value in state] if isinstance(state, list) else repr(state)


LEARNED = ("model", "ema", "optimizer", "schedule", "progress")


def outcome(folder):
    """All that a run leaves: its checkpoints and its log, but for where and how it was run."""
    (models,) = run_folders(folder)
    states = {name: fingerprint(CheckpointFolder(models).load(name)) for name in FILES}
    for state in states.values():
        for key in ("config", "config_hash", "callbacks"):
            del state[key]
    log = folder / "saved" / "log" / "tiny" / models.name / "log.jsonl"
    left = {path.name for path in models.iterdir()}
    return {**states, "log": log.read_text().splitlines(), "files": left}


@pytest.fixture(scope="module")
def uninterrupted(masks_folder, tmp_path_factory):
    """The outcome of a run of the tiny config that nobody stops."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert train(write_config(folder, masks_folder)) == 0
    return outcome(folder)


STOPS = {
    "after the first step": Ask(1),
    "in the middle of the first epoch": Ask(3),
    "after the last step of an epoch": Ask(STEPS),
    "in a validation": Ask(STEPS, batch=1),
    "after the last batch of a validation": Ask(STEPS, batch=2),
    "after the first step of the second epoch": Ask(STEPS + 1),
    "in the last validation": Ask(2 * STEPS, batch=1),
}


@pytest.mark.parametrize("stop", STOPS)
def test_a_run_that_was_stopped_and_continued_is_equal_to_one_that_was_not(tiny_config, tmp_path, uninterrupted, stop):
    config = tiny_config()

    assert train(config, ask=STOPS[stop]) == 75
    assert train(config, "auto") == 0
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize("stop", ["in the middle of the first epoch", "in a validation"])
def test_a_run_resumed_with_worker_processes_is_equal(tiny_config, tmp_path, uninterrupted, stop):
    config = tiny_config({"data_loader.args.num_workers": 2})

    assert train(config, ask=STOPS[stop]) == 75
    assert train(config, "auto") == 0
    assert outcome(tmp_path) == uninterrupted


def test_a_run_stopped_after_every_other_step_is_equal(tiny_config, tmp_path, uninterrupted):
    config = tiny_config()
    statuses = [train(config, "auto", ask=Ask(step)) for step in range(2, 2 * STEPS + 1, 2)]

    assert [*statuses, train(config, "auto")] == [75] * STEPS + [0]
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize("step", [4, STEPS + 2])
def test_a_run_resumed_after_a_crash_is_equal(tiny_config, tmp_path, uninterrupted, step):
    config = tiny_config({"trainer.save_steps": 3})
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(config, ask=Ask(step, error=RuntimeError("pulled the plug")))

    assert train(config, "auto") == 0
    assert outcome(tmp_path) == uninterrupted


def test_a_run_resumed_from_any_older_checkpoint_is_equal(tiny_config, tmp_path, uninterrupted):
    config = tiny_config()
    train(config, ask=Ask(STEPS + 3))
    (models,) = run_folders(tmp_path)

    before = {path.name: path.read_bytes() for path in models.iterdir() if path.suffix == ".pth"}
    assert train(config, models / "checkpoint-epoch1.pth") == 0
    (branch,) = set(run_folders(tmp_path)) - {models}
    again = fingerprint(CheckpointFolder(branch).load("last.pth"))
    assert {key: again[key] for key in LEARNED} == {key: uninterrupted["last.pth"][key] for key in LEARNED}
    assert {path.name: path.read_bytes() for path in models.iterdir() if path.suffix == ".pth"} == before


def test_a_run_resumed_after_damage_to_the_newest_checkpoint_is_equal(tiny_config, tmp_path, uninterrupted, capfd):
    config = tiny_config({"trainer.verbosity": 1})
    train(config, ask=Ask(STEPS + 3))
    (models,) = run_folders(tmp_path)
    content = bytearray((models / LAST).read_bytes())
    content[len(content) // 2] ^= 1
    (models / LAST).write_bytes(content)

    assert train(config, models) == 0
    assert f"{models / LAST}: is damaged" in capfd.readouterr().out
    assert outcome(tmp_path) == uninterrupted


def test_a_run_killed_between_the_files_of_one_save_is_equal(tiny_config, tmp_path, uninterrupted, monkeypatch):
    """The epoch's best is written and its other files are not; the run must not take that for the end of the epoch."""
    from utils import files

    config, real = tiny_config(), files.write_bytes

    def write(path, content):
        if path.name == "checkpoint-epoch1.pth":
            raise KeyboardInterrupt
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", write)
        with pytest.raises(KeyboardInterrupt):
            train(config)

    assert train(config, "auto") == 0
    assert outcome(tmp_path) == uninterrupted


def test_a_run_killed_in_its_very_first_save_is_begun_anew(tiny_config, tmp_path, monkeypatch):
    from utils import files

    def killed(path, content):
        raise KeyboardInterrupt

    config = tiny_config({"trainer.epochs": 1})
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config)

    assert train(config, "auto") == 0


# What may be continued, and how -------------------------------------------------------------------------------------


def test_a_finished_run_stays_as_it_is_when_resumed(tiny_config, tmp_path, uninterrupted):
    config = tiny_config()
    train(config)
    (models,) = run_folders(tmp_path)
    contents = {name: (models / name).read_bytes() for name in FILES}

    assert train(config, models) == 0
    assert {name: (models / name).read_bytes() for name in FILES} == contents
    assert outcome(tmp_path) == uninterrupted


def test_a_run_goes_on_without_its_config(tiny_config, tmp_path, uninterrupted):
    train(tiny_config(), ask=Ask(3))
    (models,) = run_folders(tmp_path)

    assert train(None, models) == 0
    assert outcome(tmp_path) == uninterrupted


# From outside -------------------------------------------------------------------------------------------------------


def step_of(folder):
    """The number of steps that the run of the tiny config has logged."""
    logs = list((folder / "saved" / "log").glob("*/*/log.jsonl"))
    return logs[0].read_text().count('"kind": "step"') if logs else 0


@pytest.mark.parametrize(
    ("number", "workers", "status"), [(signal.SIGTERM, 2, 75), (signal.SIGINT, 2, 130), (signal.SIGINT, 0, 130)]
)
def test_a_signal_to_the_group_stops_at_a_step_and_the_run_goes_on_exactly(
    tiny_config, tmp_path, uninterrupted, number, workers, status
):
    config = tiny_config({"data_loader.args.num_workers": workers})
    script = Script(tmp_path, "train.py", "-c", config, "-r", "auto")
    script.wait_for(lambda: step_of(tmp_path) >= 2)
    script.signal(number)
    script.signal(number)  # some people press twice
    ended = script.wait()

    assert (ended.status, ended.errors) == (status, "")
    (models,) = run_folders(tmp_path)
    assert CheckpointFolder(models).load(LAST)["progress"]["step"] == step_of(tmp_path)
    assert run(tmp_path, "train.py", "-c", config, "-r", "auto").status == 0
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_three_times_ends_with_the_same_weights(tiny_config, tmp_path, uninterrupted, workers):
    config = tiny_config({"data_loader.args.num_workers": workers, "trainer.save_steps": 2})
    chance = random.Random(workers)
    for step in (1, 5, 9):
        script = Script(tmp_path, "train.py", "-c", config, "-r", "auto")
        script.wait_for(lambda step=step: step_of(tmp_path) >= step)
        time.sleep(chance.uniform(0, 0.05))
        script.signal(signal.SIGKILL, group=step != 5)  # the system that is out of memory kills the main process alone
        assert script.wait().status == -9

    assert run(tmp_path, "train.py", "-c", config, "-r", "auto").status == 0
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are found in /proc")
def test_a_worker_that_is_killed_ends_the_run_in_one_line_and_it_goes_on_exactly(tiny_config, tmp_path, uninterrupted):
    config = tiny_config({"data_loader.args.num_workers": 2})
    script = Script(tmp_path, "train.py", "-c", config)
    script.wait_for(lambda: step_of(tmp_path) >= 2)
    os.kill(script.children()[-1], signal.SIGKILL)
    ended = script.wait(60)

    assert (ended.status, len(ended.lines)) == (1, 1), ended.errors
    assert "a worker process was killed" in ended.errors
    assert run(tmp_path, "train.py", "-c", config, "-r", "auto").status == 0
    assert outcome(tmp_path) == uninterrupted


def test_sigterm_before_the_first_step_exits_with_75(tiny_config, tmp_path):
    script = Script(tmp_path, "train.py", "-c", tiny_config())
    script.wait_for(lambda: os.getpgid(script.process.pid) == script.process.pid)
    time.sleep(0.2)
    script.signal(signal.SIGTERM)
    ended = script.wait()

    assert (ended.status, ended.errors) == (75, "")


def test_two_processes_never_train_the_same_run(tiny_config, tmp_path):
    config = tiny_config({"trainer.epochs": 30})
    first = Script(tmp_path, "train.py", "-c", config)
    first.wait_for(lambda: step_of(tmp_path) >= 1)
    (models,) = run_folders(tmp_path)
    second = run(tmp_path, "train.py", "-r", models)
    first.signal(signal.SIGKILL)

    assert (second.status, len(second.lines)) == (2, 1)
    assert f"{models}: another process is training this run" in second.errors
