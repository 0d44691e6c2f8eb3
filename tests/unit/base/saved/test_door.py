"""What a path, a name or a word means."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from base.saved import door
from base.saved.door import (
    CheckpointFile,
    Ensemble,
    EvaluationFolder,
    ExportedFile,
    FoldGroup,
    Run,
    StageGroup,
    find,
    groups,
    model_file,
    newest_fitting,
    runs,
)  # fmt: skip
from base.saved.group import FOLDS, STAGES, Group
from base.saved.run_folder import RunFolder
from tests.helpers import ROOT
from tests.saved import write_ensemble, write_group, write_run
from utils import files
from utils.errors import UserError

OLD, NEW = "20260101-000000-aaaa", "20260102-000000-bbbb"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / "saved"


# Paths --------------------------------------------------------------------------------------------------------------


def test_a_run_and_its_checkpoints_are_opened_by_their_paths(saved: Path) -> None:
    folder = write_run(saved, f"masks/{NEW}")
    assert find(folder) == Run(folder)
    assert find(str(folder / "last.pth")) == CheckpointFile(folder / "last.pth")


def test_a_folder_with_nothing_but_a_checkpoint_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "checkpoint-epoch3.pth").touch()
    assert find(tmp_path / "copy") == Run(tmp_path / "copy")


@pytest.mark.parametrize("name", ["x.onnx", "x.pt2", "x.pth"])
def test_an_exported_file_is_opened_by_its_path(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / f"{name}.card.json").touch()
    assert find(tmp_path / name) == ExportedFile(tmp_path / name)


def test_groups_are_told_apart_by_their_kind(saved: Path) -> None:
    one = write_run(saved, f"masks-one/{OLD}")
    folds = write_group(saved, f"masks/{OLD}", FOLDS, {"fold0": one})
    stages = write_group(saved, f"masks/{NEW}", STAGES, {"one": one})
    found, other = find(folds), find(stages / "group.json")
    assert isinstance(found, FoldGroup) and found.record.run("fold0") == one
    assert isinstance(other, StageGroup) and other.final == Run(one)


def test_an_ensemble_is_opened_with_its_members(saved: Path) -> None:
    one, two = write_run(saved, f"a/{OLD}"), write_run(saved, f"b/{NEW}")
    inner = write_ensemble(saved / "inner", one, two / "best.pth")
    found = find(write_ensemble(saved / "both", inner, two))
    assert isinstance(found, Ensemble) and found.members[1] == Run(two)
    assert isinstance(found.members[0], Ensemble)
    assert found.members[0].members == (Run(one), CheckpointFile(two / "best.pth"))


def test_predictions_with_their_samples_are_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "predictions.parquet").touch()
    assert door.at(tmp_path) is None
    (tmp_path / "samples.parquet").touch()
    assert find(tmp_path) == find(tmp_path / "predictions.parquet") == EvaluationFolder(tmp_path)


# Names --------------------------------------------------------------------------------------------------------------


def test_a_name_is_the_newest_finished_run_of_it(saved: Path) -> None:
    old, new = write_run(saved, f"masks/{OLD}"), write_run(saved, f"masks/{NEW}", "running")
    write_run(saved, "faces/20260103-000000-cccc")
    assert find("masks", saved) == find("masks/", saved) == Run(old)
    assert find("masks", saved, to_train=True) == Run(new)
    assert find(saved / "models" / "masks") == Run(old)


def test_a_name_none_of_whose_runs_is_finished_is_the_newest(saved: Path) -> None:
    write_run(saved, f"masks/{OLD}", "running")
    new = write_run(saved, f"masks/{NEW}", "signal 15")
    assert find("masks", saved) == Run(new)


def test_a_run_that_was_killed_before_its_first_checkpoint_does_not_stand_for_its_name(saved: Path) -> None:
    old, new = write_run(saved, f"masks/{OLD}", "running"), write_run(saved, f"masks/{NEW}", "running")
    for path in new.glob("*.pth"):
        path.unlink()
    assert find("masks", saved) == Run(old)


def test_a_name_may_be_that_of_a_group_or_an_ensemble(saved: Path) -> None:
    one = write_run(saved, f"masks-fold0/{OLD}")
    group, both = write_group(saved, f"masks/{OLD}", FOLDS, {"fold0": one}), write_ensemble(saved / "both", one)
    found, other = find("masks", saved), find("both", saved)
    assert isinstance(found, FoldGroup) and found.path == group
    assert isinstance(other, Ensemble) and other.path == both


def test_the_labels_of_the_app_are_names(saved: Path) -> None:
    run, both = write_run(saved, f"masks/{OLD}"), write_ensemble(saved / "both", saved / "models" / "masks" / OLD)
    write_run(saved, f"masks/{NEW}")
    assert door.label(run) == f"masks/{OLD}" and find(f"masks/{OLD}", saved) == Run(run)
    other = find(door.label(both), saved)
    assert door.label(both) == "saved/both" and isinstance(other, Ensemble) and other.path == both
    assert find(f"masks/{OLD}/last.pth", saved) == CheckpointFile(run / "last.pth")


def test_an_id_alone_is_a_name(saved: Path) -> None:
    run = write_run(saved, f"masks/{OLD}")
    assert find(OLD, saved) == Run(run)


def test_two_things_that_are_equally_meant_are_both_listed(saved: Path) -> None:
    one, two = write_run(saved, f"masks/{OLD}"), write_run(saved, f"faces/{OLD}")
    both = write_ensemble(saved / "masks", two)
    with pytest.raises(UserError) as refused:
        find(OLD, saved)
    assert f"{OLD}: may mean a run, {one} or a run, {two}" in str(refused.value)
    with pytest.raises(UserError) as refused:
        find("masks", saved)
    assert f"masks: may mean an ensemble, {both} or a run, {one}; give the path" in str(refused.value)


def test_last_is_the_run_that_began_last_even_if_an_earlier_one_was_named_by_a_clock_that_was_ahead(saved: Path) -> None:
    write_run(saved, "masks/20990101-000000-aaaa", begun=1e9)
    new = write_run(saved, f"masks/{OLD}", begun=2e9)
    write_run(saved, f"faces/{NEW}", "running", begun=3e9)
    assert find("last", saved) == find("masks", saved) == Run(new) == Run(runs(saved, "masks")[-1])
    assert door.everything(saved)[0].parent.name == "faces"


def test_a_new_run_begins_after_all_others_whatever_the_clock_says(saved: Path) -> None:
    write_run(saved, "masks/20990101-000000-aaaa")
    new = RunFolder.create(saved, "masks")
    (new.models / "last.pth").touch()
    new.set_status("finished")
    assert find("last", saved) == Run(new.models)


@pytest.mark.parametrize("text", ["last", "masks"])
def test_two_runs_that_began_together_are_both_listed(saved: Path, text: str) -> None:
    one, two = write_run(saved, "masks/20260101-000000-aaaa"), write_run(saved, "masks/20260101-000000-bbbb")
    with pytest.raises(UserError, match=f"^{text}: may mean {one} or {two}, which began together; give the path$"):
        find(text, saved)


def test_a_path_counts_before_a_name(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(saved, f"masks/{OLD}")
    (tmp_path / "masks").mkdir()  # of pictures
    assert find("masks").path.name == OLD
    (tmp_path / "masks" / "best.pth").touch()
    assert find("masks") == Run(Path("masks"))


# Words --------------------------------------------------------------------------------------------------------------


def test_last_is_the_newest_finished_run_and_for_training_the_newest_unfinished_one(saved: Path) -> None:
    finished, stopped = write_run(saved, f"b/{NEW}"), write_run(saved, f"a/{OLD}", "signal 15")
    running = write_run(saved, "a/20260103-000000-cccc", "running")
    assert find("last", saved) == Run(finished)
    assert find("last", saved, to_train=True) == Run(running)
    files.write_json(running / "status.json", {"status": "early stop"})
    assert find("last", saved) == Run(running)
    assert find("last", saved, to_train=True) == Run(stopped)


def test_where_none_is_finished_or_all_are_last_is_the_newest(saved: Path) -> None:
    runs = [write_run(saved, f"a/{name}", "running") for name in (OLD, NEW)]
    assert find("last", saved) == Run(runs[1])
    for run in runs:
        files.write_json(run / "status.json", {"status": "finished"})
    assert find("last", saved, to_train=True) == Run(runs[1])


def test_last_of_a_name_leaves_other_names_alone(saved: Path) -> None:
    own = write_run(saved, f"a/{OLD}")
    write_run(saved, f"b/{NEW}")
    assert find("last", saved, name="a") == Run(own)
    with pytest.raises(UserError, match="-r last: there is no run of c with a checkpoint in .*models; train one first"):
        find("last", saved, name="c")


def test_a_run_without_a_checkpoint_is_not_the_last(saved: Path) -> None:
    own = write_run(saved, f"a/{OLD}")
    (write_run(saved, f"a/{NEW}", "finished", "best.pth") / "best.pth").unlink()
    assert runs(saved) == [own] and find("last", saved) == Run(own)


def test_auto_is_for_training_from_a_config(saved: Path) -> None:
    with pytest.raises(UserError, match="-r auto: is for training from a config"):
        find("auto", saved)


def test_the_newest_unfinished_one_that_fits_is_gone_on_with(saved: Path) -> None:
    folders = [write_run(saved, f"a/2026010{day}-000000-0000", status) for day, status in enumerate(
        ("running", "signal 15", "running", "finished"), 1)]  # fmt: skip

    def require(folder: Path) -> None:
        if folder == folders[2]:
            raise UserError("has another seed\nand more")

    assert newest_fitting(runs(saved, "a"), require) == (folders[1], [f"not going on with {folders[2]}: has another seed"])


def test_auto_skips_a_damaged_group_and_names_it(saved: Path) -> None:
    one = write_run(saved, f"a-one/{OLD}", "running")
    group = write_group(saved, f"a/{OLD}", STAGES, {"one": one}, "running")
    broken = write_group(saved, f"a/{NEW}", STAGES, {"one": one}, "running")
    (broken / "group.json").write_text("{")
    found, (note,) = newest_fitting(groups(saved, "a"), Group)
    assert found == group and "group.json: is damaged" in note


# One model ----------------------------------------------------------------------------------------------------------


def test_the_file_that_stands_for_a_run_is_its_best_else_its_last_checkpoint(saved: Path) -> None:
    run = write_run(saved, f"a/{OLD}")
    assert model_file(Run(run)) == run / "best.pth"
    (run / "best.pth").unlink()
    assert model_file(Run(run)) == run / "last.pth"
    (run / "last.pth").unlink()
    with pytest.raises(UserError, match=r"holds no checkpoint \(best.pth or last.pth\)"):
        model_file(Run(run))


def test_a_checkpoint_and_an_exported_file_stand_for_themselves(tmp_path: Path) -> None:
    assert model_file(CheckpointFile(tmp_path / "x.pth")) == tmp_path / "x.pth"
    assert model_file(ExportedFile(tmp_path / "x.onnx")) == tmp_path / "x.onnx"


@pytest.mark.parametrize(("statuses", "name"), [(("finished", "running"), "two"), (("finished", ""), "two"), (("", ""), "one")])
def test_stages_are_the_last_of_them_once_all_are_finished(saved: Path, statuses: tuple[str, str], name: str) -> None:
    done = [write_run(saved, f"m-{stage}/{OLD}", "early stop") for stage in ("one", "two")]
    group = write_group(saved, f"m/{OLD}", STAGES, dict(zip(("one", "two"), done, strict=True)))
    assert model_file(find(group)) == done[1] / "best.pth"
    for run, status in zip(done, statuses, strict=True):
        files.write_json(run / "status.json", {"status": status})
    with pytest.raises(UserError, match=rf"m/{OLD}: {name} is not finished; go on with train.py -c CONFIG -r"):
        model_file(find(group))


def test_nothing_stands_for_folds_ensembles_and_predictions(saved: Path) -> None:
    run = write_run(saved, f"a/{OLD}")
    group, both = write_group(saved, f"m/{OLD}", FOLDS, {"fold0": run}), write_ensemble(saved / "both", run)
    for several, noun in ((find(group), "a group of folds"), (find(both), "an ensemble"), (EvaluationFolder(run), "predictions")):
        with pytest.raises(UserError, match=f"is .*{noun}, and one model is wanted; name one run or checkpoint"):
            model_file(several)


# Nothing ------------------------------------------------------------------------------------------------------------


def test_a_name_that_is_not_there_is_told_with_the_nearest_and_what_there_is(saved: Path) -> None:
    run = write_run(saved, f"masks/{OLD}")
    write_run(saved, f"faces/{NEW}")
    write_ensemble(saved / "both", run)
    with pytest.raises(UserError) as refused:
        find("msaks", saved)
    assert str(refused.value) == (
        f'msaks: there is no such checkpoint, run, group or ensemble (did you mean "masks"?); {saved} has masks, faces, both'
    )
    with pytest.raises(UserError, match=rf'did you mean "masks/{OLD}"'):
        find(f"masks/{OLD[:-1]}b", saved)


def test_before_the_first_run_it_says_so(saved: Path) -> None:
    with pytest.raises(UserError, match="masks: there is no such checkpoint, .*saved has none yet"):
        find("masks", saved)


def test_a_folder_that_holds_nothing_of_ours_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no checkpoint, group, ensemble or predictions"):
        find(tmp_path, tmp_path / "saved")


@pytest.mark.parametrize("text", ["", "a\0b", "x" * 100_000, "*", "../..", "a\nb", "models/*/*", "\udcff"])
def test_no_text_is_a_traceback(saved: Path, text: str) -> None:
    write_run(saved, f"masks/{OLD}")
    with pytest.raises(UserError) as refused:
        find(text, saved)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


# Damage -------------------------------------------------------------------------------------------------------------


def test_an_ensemble_that_names_itself_is_refused(saved: Path) -> None:
    folder = write_ensemble(saved / "both", saved / "both")
    with pytest.raises(UserError, match="ensemble.json: is a member of itself; fit it again"):
        find(folder)
    write_ensemble(saved / "both", saved / "both" / "ensemble.json")
    with pytest.raises(UserError, match="is a member of itself"):
        find(folder)


def test_ensembles_that_name_each_other_are_refused(saved: Path) -> None:
    one = write_ensemble(saved / "one", saved / "two")
    write_ensemble(saved / "two", one)
    with pytest.raises(UserError, match="is a member of itself"):
        find(one)


def test_ensembles_within_ensembles_have_an_end(saved: Path) -> None:
    inner = write_run(saved, f"a/{OLD}")
    for number in range(door.MAX_DEPTH):
        inner = write_ensemble(saved / f"e{number}", inner)
    assert isinstance(find(inner), Ensemble)
    with pytest.raises(UserError, match="within 8 others, which is too deep"):
        find(write_ensemble(saved / "outer", inner))


def test_members_that_multiply_have_an_end(saved: Path) -> None:
    inner = write_run(saved, f"a/{OLD}")
    for number in range(4):
        inner = write_ensemble(saved / f"e{number}", *[inner] * 10)
    with pytest.raises(UserError, match="has more than 1,000 members"):
        find(inner)


def test_a_member_that_is_gone_is_named(saved: Path) -> None:
    folder = write_ensemble(saved / "both", saved / "models" / "a" / OLD)
    with pytest.raises(UserError, match=f"ensemble.json: its member .*a/{OLD} is not there, or holds no model"):
        find(folder)


@pytest.mark.parametrize("file", ["group.json", "ensemble.json"])
@pytest.mark.parametrize("content", ["", "[1]", "3", "null", "[" * 100_000, json.dumps({"members": 3})])
def test_a_record_of_something_else_is_one_line(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=f"{file}: is damaged") as refused:
        find(tmp_path)
    assert "\n" not in str(refused.value)


def test_links_in_a_circle_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError):
        find(tmp_path / "a", tmp_path / "saved")


def test_a_group_whose_run_is_the_group_itself_holds_no_checkpoint(saved: Path) -> None:
    group = write_group(saved, f"a/{OLD}", STAGES, {"one": saved / "models" / "a" / OLD})
    assert RunFolder.at(group).finished
    with pytest.raises(UserError, match="holds no checkpoint"):
        model_file(find(group))


# Lists --------------------------------------------------------------------------------------------------------------


def test_everything_is_listed_newest_first(saved: Path) -> None:
    old, new = write_run(saved, f"z/{OLD}"), write_run(saved, f"a/{NEW}")
    group = write_group(saved, "m/20260103-000000-cccc", FOLDS, {"fold0": old})
    both = write_ensemble(saved / "both", old)
    assert door.everything(saved) == [both, group, new, old]


def test_runs_are_those_with_a_checkpoint_in_order_of_time(saved: Path) -> None:
    for name in (NEW, OLD, "20260103-000000-0000"):
        (saved / "models" / "x" / name).mkdir(parents=True)
    for name in (NEW, OLD):
        (saved / "models" / "x" / name / "last.pth").touch()
    (saved / "models" / "x" / "20260103-000000-0000" / "manifest.json").write_text("{}")  # killed in its first save
    assert [folder.name for folder in runs(saved)] == [OLD, NEW]
    assert runs(saved, "y") == []


def test_the_door_needs_no_torch() -> None:
    code = "import sys; from base.saved.door import find; assert not {'torch', 'numpy', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
