"""Several runs as one: in order, each with the weights of an earlier one, and continued exactly after any kill."""

import json
import os
import signal

import pytest
import torch

from base.base_callback import BaseCallback
from base.saved.door import find, groups
from base.saved.group import Group
from base.saved.run_folder import RunFolder
from tests.attributes.tiny import write_config
from tests.helpers import Script, launch, run
from tests.interrupt import interrupting
from tests.shipped import STAGED, name
from trainer.experiment import build, stages
from trainer.shipping.export import run_export
from utils import config
from utils.checkpoint import CheckpointFolder, weights_hash
from utils.checkpoint_names import BEST, LAST
from utils.config import ConfigError
from utils.errors import UserError

STAGES = [{"name": "one", "config": "one.json"}, {"name": "two", "config": "two.json", "init_from": {"stage": "one"}}]


@pytest.fixture
def staged(tmp_path, masks_folder):
    """A group of two tiny runs; `entries` in place of STAGES."""

    def write(entries=None, changes=None):
        write_config(tmp_path, masks_folder, changes, "one.json")
        write_config(tmp_path, masks_folder, {"optimizer.args.lr": 1e-4, "seed": 5}, "two.json")
        path = tmp_path / "staged.json"
        path.write_text(json.dumps({"name": "group", "stages": entries or STAGES}))
        return path

    return write


def train(path, resume=None, **options):
    return launch(path, resume, **options)


def only_group(folder):
    (found,) = groups(folder / "saved", "group")
    return Group(found)


def end_of(folder, stage):
    """Bits of a stage's last weights."""
    return weights_hash(CheckpointFolder(only_group(folder).run(stage)).load(LAST)["model"])


@pytest.mark.parametrize("path", STAGED, ids=name)
def test_every_shipped_config_of_stages_is_valid(path):
    assert stages.members(config.read(path), [])


def test_each_stage_is_a_run_of_its_own_and_begins_with_the_best_of_the_one_before(staged, tmp_path):
    assert train(staged()) == 0
    group = only_group(tmp_path)
    first, second = (CheckpointFolder(group.run(stage)) for stage in ("one", "two"))
    (parent,) = second.load(BEST)["parents"]
    assert parent["sha256"] in first.digests(BEST)
    assert parent["missing"] == parent["unused"] == []
    assert group.run("two").parent.name == "group-two"


def test_what_is_loaded_and_left_out_is_reported_by_number_and_name(staged, capsys):
    entries = [
        STAGES[0],
        {**STAGES[1], "init_from": {"stage": "one", "include": ["backbone.*", "heads.*"], "exclude": ["heads.age*"]}},
    ]
    path = staged(entries)
    train(path, overrides=["trainer.verbosity=1", "trainer.epochs=1"])
    lines = capsys.readouterr().out.splitlines()
    assert any("weights from" in line and "not asked for (heads.age_head.weight, heads.age_head.bias)" in line for line in lines)


def test_weights_that_do_not_fit_are_refused_by_name(staged):
    path = staged(changes={"arch.args.backbone": "test_efficientnet"})
    with pytest.raises(UserError, match=r"init_from: .*(missing|another shape) there"):
        train(path, overrides=["trainer.epochs=1"])


def test_a_mapping_that_loads_nothing_is_an_error(staged):
    entries = [STAGES[0], {**STAGES[1], "init_from": {"stage": "one", "include": ["heads.*"], "exclude": ["heads.*"]}}]
    with pytest.raises(UserError, match="init_from: nothing of .* is loaded"):
        train(staged(entries), overrides=["trainer.epochs=1"])


@pytest.mark.parametrize("at", [4, 14, 23])  # of 12 steps in each stage
def test_a_group_stopped_in_any_stage_resumes_to_the_same_end(staged, tmp_path, monkeypatch, at):
    path = staged()
    assert train(path) == 0
    expected = {stage: end_of(tmp_path, stage) for stage in ("one", "two")}
    (tmp_path / "saved").rename(tmp_path / "before")
    interrupt = interrupting(monkeypatch)
    interrupt.at = at
    assert train(path, "auto") == 75
    assert train(path, "auto") == 0
    assert {stage: end_of(tmp_path, stage) for stage in ("one", "two")} == expected
    assert interrupt.steps == 24  # nothing was trained twice


def test_a_group_killed_between_two_stages_resumes(staged, tmp_path):
    path = staged()
    script = Script(tmp_path, "train.py", "-c", path)
    script.wait_for(lambda: any((tmp_path / "saved" / "models").glob("group-two/*/*.pth")))
    script.signal(signal.SIGKILL)
    script.process.join()
    result = run(tmp_path, "train.py", "-c", path, "-r", "auto", "--set", "trainer.verbosity=1")
    assert (result.status, result.errors) == (0, "")
    assert "one: finished before" in result.output
    assert only_group(tmp_path).finished("two")


def test_a_finished_group_is_not_repeated_by_last(staged):
    path = staged()
    train(path, overrides=["trainer.epochs=1"])
    with pytest.raises(UserError, match="-r last: there is no unfinished group"):
        train(path, "last", overrides=["trainer.epochs=1"])


def test_an_override_may_be_for_one_stage(staged):
    found = stages.members(config.read(staged()), ["trainer.epochs=7", "two:optimizer.args.lr=0.5"])
    assert [member.experiment.raw.values["trainer"]["epochs"] for member in found] == [7, 7]
    assert [member.experiment.raw.values["optimizer"]["args"]["lr"] for member in found] == [2e-3, 0.5]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([STAGES[1]], r"stages\[0\].init_from.stage: found \"one\"; allowed, an earlier stage: none, this is the first"),
        ([STAGES[0], STAGES[0]], r"stages\[1\].name: found \"one\" twice"),
        ([{"name": "one"}], r"stages\[0\].config: is missing"),
        ([{**STAGES[0], "confg": "x"}], r"stages\[0\].confg: unknown key \(did you mean \"config\"\?\)"),
        ([{"name": "one", "config": "none.json"}], "none.json: cannot be read"),
    ],
)
def test_wrong_stages_never_train(staged, entries, message):
    with pytest.raises(ConfigError, match=message):
        train(staged(entries))


def test_all_problems_of_all_stages_are_reported_at_once(staged):
    path = staged()
    with pytest.raises(ConfigError) as refused:
        train(path, overrides=["one:trainer.epoch=1", "two:seed=-1", "three:seed=1"])
    text = str(refused.value)
    assert "trainer.epoch: unknown key" in text and "seed: found -1" in text and "no stage is called three" in text


def test_a_stage_begins_with_the_averaged_weights_if_there_are_any(staged, tmp_path):
    train(staged(), overrides=["trainer.epochs=1", "two:optimizer.args.lr=1e-9"])
    group = only_group(tmp_path)
    average = CheckpointFolder(group.run("one")).load(BEST)["ema"]
    weights = CheckpointFolder(group.run("two")).load(LAST)["model"]
    assert torch.allclose(weights["heads.mask_head.weight"], average["heads.mask_head.weight"], atol=1e-5)


def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest(staged):
    entries = [STAGES[0], {**STAGES[1], "init_from": {"stage": "one", "exclude": ["heads.aeg_head.*"]}}]
    with pytest.raises(UserError, match=r'init_from.exclude: "heads.aeg_head.\*" matches no weight .*"heads.age_head.\*"'):
        train(staged(entries), overrides=["trainer.epochs=1"])


def test_auto_starts_a_new_group_if_a_stage_begins_with_other_weights(staged, tmp_path, capsys):
    path = staged()
    train(path, overrides=["trainer.epochs=1"])
    (only_group(tmp_path).run("two") / "status.json").write_text('{"status": "running"}')
    entries = [STAGES[0], {**STAGES[1], "init_from": {"stage": "one", "which": "last"}}]
    train(staged(entries), "auto", overrides=["trainer.epochs=1"])
    assert len(groups(tmp_path / "saved", "group")) == 2
    assert "two begins with other weights" in capsys.readouterr().out


def test_auto_skips_a_damaged_group_and_names_it(staged, tmp_path, capsys):
    path = staged()
    train(path, overrides=["trainer.epochs=1"])
    (only_group(tmp_path).folder / "group.json").write_text("{")
    train(path, "auto", overrides=["trainer.epochs=1"])
    assert "group.json: is damaged" in capsys.readouterr().out


def test_a_group_that_another_process_trains_is_refused(staged, tmp_path):
    path = staged()
    script = Script(tmp_path, "train.py", "-c", path, "--set", "trainer.epochs=200")
    script.wait_for(lambda: any((tmp_path / "saved" / "models").glob("group-one/*/*.pth")))
    (busy,) = groups(tmp_path / "saved", "group")
    result = run(tmp_path, "train.py", "-c", path, "-r", busy, "--set", "trainer.epochs=200")
    script.signal(signal.SIGKILL)
    script.process.join()
    assert result.status == 2
    assert "another process is training this group" in result.errors


def test_stages_may_save_in_different_places(staged, tmp_path):
    path = staged()
    assert train(path, overrides=["trainer.epochs=1", f"two:trainer.save_dir={tmp_path / 'elsewhere'}"]) == 0
    group = only_group(tmp_path)
    assert group.run("two").is_relative_to(tmp_path / "elsewhere")
    assert all(map(group.finished, group.members))


def test_a_signal_that_comes_too_late_for_one_stage_stops_before_the_next(staged, tmp_path, monkeypatch):
    class AtTheEnd(BaseCallback):
        def on_fit_end(self, trainer, reason):
            os.kill(os.getpid(), signal.SIGTERM)

    real = build.build_callbacks
    monkeypatch.setattr(build, "build_callbacks", lambda *given: [*real(*given), AtTheEnd()])
    assert train(staged(), overrides=["trainer.epochs=1"]) == 75
    group = only_group(tmp_path)
    assert group.finished("one") and group.run("two") is None


def test_testing_a_group_is_testing_its_last_stage(staged, tmp_path):
    train(staged(), overrides=["trainer.epochs=1"])
    group = only_group(tmp_path)
    result = run(tmp_path, "test.py", "-r", group.folder, "--split", "valid", "-o", tmp_path / "out", "--verbosity", "1")
    assert (result.status, result.errors) == (0, "")
    manifest = json.loads((tmp_path / "out" / "predictions.manifest.json").read_text())
    assert manifest["checkpoints"][0]["run"] == group.run("two").name


def test_a_group_is_exported_as_its_last_stage(staged, tmp_path):
    train(staged(), overrides=["trainer.epochs=1"])
    group = only_group(tmp_path)
    run_export(find(group.folder), form="torch", samples=4)
    written = RunFolder.at(group.run("two")).exported / "group-two.pth"
    about = CheckpointFolder(written.parent).load(written.name)
    assert about["checkpoint"]["run"] == group.run("two").name


def test_a_group_that_is_not_finished_is_not_exported(staged, tmp_path):
    ended = run(tmp_path, "train.py", "-c", staged(changes={"trainer.epochs": 1}), "-d", "cpu")
    assert ended.status == 0, ended.errors
    folder = only_group(tmp_path).folder
    RunFolder.at(only_group(tmp_path).run("two")).set_status("running")
    for verb in ("export", "bundle"):
        ended = run(tmp_path, "laurel.py", verb, "-r", folder)
        assert (ended.status, len(ended.lines)) == (2, 1)
        assert "two is not finished; go on with train.py" in ended.errors
