"""The folds of a config as runs of one group, and their held-out predictions: `python laurel.py folds RUN RUN …`.

`train.py --folds` trains all folds. Folds that were trained by separate commands, for example on other machines, are joined
here into one group. Together the held-out predictions of the folds cover all training samples.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from base.base_data_loader import Folds
from base.saved.door import FoldGroup, Run, Saved
from base.saved.group import FOLDS, Group
from base.saved.names import CONFIG
from base.saved.run_folder import DONE, RunFolder
from base.table import SampleTable
from trainer.evaluation.predictor import FoldModels
from trainer.evaluation.shelf import Shelf
from trainer.evaluation.testing import evaluate
from trainer.experiment import build, checking, resuming
from trainer.experiment.checking import Experiment
from trainer.experiment.group import Member, create_group
from utils import config
from utils.config import differences, key_text, show
from utils.errors import UserError

ARGS = ("data_loader", "args")
# What may differ between the folds of a group beside the fold itself: how they were run, but not for how long.
_FREE = (resuming.MAY_CHANGE | {"name", "init_from.checkpoint"}) - {
    "trainer.epochs", "trainer.early_stop", "trainer.validate_every", "trainer.nonfinite", "lr_scheduler.args.epochs",
}  # fmt: skip


# Training -----------------------------------------------------------------------------------------------------------


def members(singles: Sequence[Member], folds: str) -> list[Member]:
    """Return the runs of every fold, fold by fold. singles: the config's runs for one fold. folds: text of the option --folds.

    Raises UserError if the config has no folds, or does not have the folds that the option names.
    """
    numbers = _numbers(folds, {_folds_of(single.experiment).number for single in singles})
    return [_of_fold(single, fold, alone=len(singles) == 1) for fold in numbers for single in singles]


def _folds_of(experiment: Experiment) -> Folds:
    found = checking.declared_folds(experiment.config)
    if found is None:
        raise UserError(f"--folds: {experiment.raw.file}: {checking.no_folds(experiment.config)}")
    return found


def _numbers(text: str, counts: set[int]) -> list[int]:
    if len(counts) > 1:
        raise UserError(f"--folds: the stages have {' and '.join(map(str, sorted(counts)))} folds; allowed: equally many")
    (count,) = counts
    if text == "all":
        return list(range(count))
    words = [word.strip() for word in text.split(",")]
    numbers = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 10 and int(word) < count]
    if len(numbers) < len(words) or len(set(numbers)) < len(numbers):
        allowed = f"all, or different numbers from 0 to {count - 1} with commas between them"
        raise UserError(f"--folds: found {show(text)}; allowed: {allowed}")
    return numbers


def _of_fold(member: Member, fold: int, alone: bool) -> Member:
    """Return the member for one fold: the fold is set in its loader, its name and the member that it begins with."""
    name, single = f"fold{fold}", member.experiment
    raw = replace(single.raw, values=copy.deepcopy(single.raw.values))
    _set_fold(raw.values, _folds_of(single).key, fold)
    raw.values["name"] = f"{raw.values['name']}-{name}"
    before = None if member.after is None else f"{name}/{member.after}"
    return replace(member, name=name if alone else f"{name}/{member.name}", experiment=checking.check(raw), after=before)


def _set_fold(values: dict[str, Any], key: str, fold: int) -> None:
    place, steps = values, [*ARGS, *key.split(".")]
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = fold


def conclude(group: Group, members: Sequence[Member], chosen: torch.device) -> None:
    """Predict and score the held-out samples, with intervals, if all folds are finished; print the missing folds otherwise."""
    with Shelf(chosen, verbosity=members[0].experiment.config.trainer.verbosity) as shelf:
        models = shelf.open([FoldGroup(group.folder, group)])
        assert isinstance(models, FoldModels)
        if models.missing:
            rest = ",".join(map(str, models.missing))
            print(f"still to train: --folds {rest}; then join them: python laurel.py folds {group.folder} …")
            return
        for line in _seen_before(group, members, models, chosen):
            print(line)
        _write(models)


def _write(models: FoldModels) -> None:
    models.require_held_out()
    models.require_whole()
    evaluate(models, "valid", models.folder("valid"))
    print(f"all folds as one: python test.py -r {models.place}")


def _seen_before(group: Group, members: Sequence[Member], models: FoldModels, chosen: torch.device) -> Iterator[str]:
    """Yield a warning if an earlier stage was trained on pictures that its fold holds out: stages may have different splits."""
    for name, experiment in ((one.name, one.experiment) for one in members if one.name not in group.finals().values()):
        held_out = models.models[_folds_of(experiment).fold].table("valid")
        trained = build.build_loader(experiment, chosen).table("train")
        seen = len(files_of(trained) & files_of(held_out))
        if seen:
            yield f"warning: {name} was trained on {seen:,} pictures that its fold holds out: scores are too good; split alike"


def files_of(table: SampleTable) -> set[str]:
    """Return the absolute paths of the table's pictures, so that tables with different folders can be compared."""
    return {os.path.abspath(table.root / path) for path in table.paths()}


# Joining ------------------------------------------------------------------------------------------------------------


def join(several: Sequence[Saved], shelf: Shelf) -> Group:
    """Make a group of finished runs and return it.

    Raises UserError, and makes no group, if the runs are not all the folds of one config and its data.
    """
    by_fold: dict[int, tuple[Path, Experiment]] = {}
    for models in [models for saved in several for models in _runs(saved)]:
        experiment = _finished(models)
        folds = checking.declared_folds(experiment.config)
        if folds is None:
            raise UserError(f"{models}: {checking.no_folds(experiment.config)}")
        if folds.fold in by_fold:
            raise UserError(f"{models}: is fold {folds.fold}, as {by_fold[folds.fold][0]} is; give each fold once")
        by_fold[folds.fold] = models, experiment
    ordered = dict(sorted(by_fold.items()))
    _require_same(list(ordered.values()))
    fold, (_, first) = next(iter(ordered.items()))
    number = _number(first)
    if missing := [str(other) for other in range(number) if other not in by_fold]:
        raise UserError(f"{several[0].path}: fold {', '.join(missing)} of {number} is missing; train it, and name it too")
    save_dir, name = Path(first.config.trainer.save_dir), str(first.config.name).removesuffix(f"-fold{fold}")
    checkpoints = {other: shelf.checkpoint(Run(models).checkpoint) for other, (models, _) in ordered.items()}
    _require_one_split(FoldModels(save_dir / "models" / name, checkpoints, []))
    group = create_group(save_dir, name, FOLDS, [Member(f"fold{other}", one) for other, (_, one) in ordered.items()])
    for other, (models, _) in ordered.items():
        group.record(f"fold{other}", models)
    print(f"group {group.folder}")
    _write(FoldModels(group.folder, checkpoints, []))
    RunFolder.at(group.folder).set_status(DONE)
    return group


def _require_one_split(models: FoldModels) -> None:
    """Raise UserError if the folds are not of one split, or if a fold was trained on other annotations than are there now."""
    models.require_held_out()
    models.require_whole()
    for model in models.checkpoints:
        if changed := model.changed_data:
            was = f"was trained on other {', '.join(changed)} than are there now"
            raise UserError(f"{model.path}: {was}; folds need the same labels: bring the data back, or train this fold anew")


def _number(experiment: Experiment) -> int:
    folds = checking.declared_folds(experiment.config)
    assert folds is not None
    return folds.number


def _runs(saved: Saved) -> list[Path]:
    """Return a run's folder, or the last run of each fold of a group. Raises UserError for anything else."""
    if isinstance(saved, FoldGroup):
        return [saved.record.required_run(name) for name in saved.record.finals().values()]
    if not isinstance(saved, Run):
        raise UserError(f"{saved.path}: is {saved.noun}; allowed: runs, and groups of folds")
    return [saved.path]


def _finished(path: Path) -> Experiment:
    """Return the config of a finished run."""
    if not (path / CONFIG).is_file():
        raise UserError(f"{path}: is no run's folder ({CONFIG} is not there)")
    if not (run := RunFolder.at(path)).finished:
        raise UserError(f"{path}: is not finished ({run.status}); go on with it: python train.py -r {path}")
    return checking.check(config.read(path / CONFIG))


def _require_same(runs: Sequence[tuple[Path, Experiment]]) -> None:
    """Raise UserError if the configs differ in more than the fold, their names, and how they are run (device, logs)."""
    (first_path, first), *others = runs
    folds = checking.declared_folds(first.config)
    assert folds is not None
    free = {*_FREE, ".".join((*ARGS, folds.key))}
    for path, other in others:
        for key, old, new in differences(resuming.plain(first.config), resuming.plain(other.config)):
            if not any(key_text(key[:length]) in free for length in range(1, len(key) + 1)):
                what = f"found {show(new)}, and {show(old)} in {first_path}"
                raise UserError(f"{path}: {key_text(key)}: {what}; folds of one group differ in nothing but the fold")
