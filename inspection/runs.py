"""The runs, groups of folds and ensembles below a folder (`saved/`): their status, epochs, scores and size on the disk."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from base.evaluation import read_scores
from base.monitor import Monitor
from base.saved import door
from base.saved.group import Group
from base.saved.names import CONFIG, ENSEMBLE, GROUP, LOG, ONNX, OUT_OF_FOLD, SOURCE
from base.saved.run_folder import DONE, RunFolder
from inspection.cache import by_file
from utils import files
from utils.checkpoint_names import BEST, LAST
from utils.config import differences, key_text, show
from utils.errors import UserError

EXPORTED = (f"*{ONNX}", "*.pth")  # the files of `python laurel.py export` that test.py can read
SHORT = 8  # letters of a hash that are shown


@dataclass(frozen=True)
class Run:
    """One run. A file that cannot be read gives an empty value, and `problem` names the file."""

    folder: Path  # saved/models/<name>/<id>

    @property
    def label(self) -> str:
        """The name of the run in the address bar: `name/id`."""
        return door.label(self.folder)

    @property
    def log(self) -> Path:
        """The folder of the run's log."""
        return RunFolder.at(self.folder).log

    @property
    def status(self) -> str:
        """The status: `running`, `stopped` (killed and not resumed), `finished`, or the reason why the run ended."""
        run = RunFolder.at(self.folder)
        return "stopped" if run.status == "running" and not run.busy else run.status

    @property
    def config_file(self) -> Path:
        """The config file of the run."""
        return self.folder / CONFIG

    @property
    def config(self) -> dict[str, Any]:
        """The content of the config file; empty if the file cannot be read."""
        return _json(self.config_file)

    @property
    def parts(self) -> list[Run]:
        """The runs that have epochs: this run itself, or the runs that are joined in it."""
        return [self]

    @property
    def epochs(self) -> pd.DataFrame:
        """A table with a row per epoch and a column per score."""
        return _epochs(self.log / LOG)

    @cached_property
    def problem(self) -> str:
        """A line on what is broken; empty if the run can be used."""
        if not self.config:
            return f"{self.config_file}: cannot be read"
        return "" if list(self.folder.glob("*.pth")) else f"{self.folder}: holds no checkpoint yet"

    @property
    def model_files(self) -> dict[str, Path]:
        """Name -> file: the checkpoints, the best and the last one first, and then the exported models."""
        own = {path.name: path for path in sorted(self.folder.glob("*.pth"), key=lambda path: (len(path.name), path.name))}
        place = RunFolder.at(self.folder).exported
        exported = sorted(path for pattern in EXPORTED for path in place.glob(pattern))
        first = {name: own[name] for name in (BEST, LAST) if name in own}
        return first | own | {f"{place.name}/{path.name}": path for path in exported}

    @property
    def monitor(self) -> Monitor:
        """The monitored score, with its direction (min or max)."""
        text = self.config.get("trainer", {})
        return Monitor(str(text.get("monitor", "min val/loss")) if isinstance(text, dict) else "min val/loss")

    @property
    def best(self) -> float | None:
        """The best value of the monitored score; None if there is no value."""
        monitor, epochs = self.monitor, self.epochs
        if monitor.name not in epochs:
            return None
        values = pd.to_numeric(epochs[monitor.name], errors="coerce").dropna()
        return None if values.empty else float(values.max() if monitor.mode == "max" else values.min())

    @property
    def scores(self) -> dict[str, float]:
        """Name -> score of the best epoch, or of the last epoch if no score is monitored; empty before the first epoch."""
        epochs, monitor = self.epochs, self.monitor
        if epochs.empty:
            return {}
        watched = pd.to_numeric(epochs.get(monitor.name, pd.Series(dtype=float)), errors="coerce").dropna()
        best: Any = epochs.index[-1] if watched.empty else watched.idxmax() if monitor.mode == "max" else watched.idxmin()
        values: dict[Any, Any] = epochs.loc[best].to_dict()
        return {str(name): float(value) for name, value in values.items() if "/" in str(name) and _is_number(value)}

    @property
    def bytes(self) -> int:
        """The size on the disk of the run's folder and its log, in bytes."""
        return sum(size for place in (self.folder, self.log) for size in _sizes(place))

    def anew(self, setting: str) -> list[str]:
        """Return the commands that train the run again with a setting, for example `data_loader.args.corrections=marks.csv`."""
        return [f"python train.py -c {self.config_file} --set {setting}"]

    def hashes(self) -> dict[str, str]:
        """Return the first SHORT letters of the hashes of the config, of its data section and of the split, by name."""
        config = self.config
        texts = {"config": config, "data": config.get("data_loader")}
        hashed = {name: files.hash_json(value)[:SHORT] if value else "" for name, value in texts.items()}
        return {**hashed, "split": str(_json(self.folder / SOURCE).get("split_hash", ""))[:SHORT]}


@dataclass(frozen=True)
class Joined(Run):
    """Several runs as one: it has predictions and a score, but no epochs."""

    @property
    def config_file(self) -> Path:
        return (self.parts or [Run(self.folder)])[0].config_file

    @property
    def epochs(self) -> pd.DataFrame:
        return pd.DataFrame()

    @property
    def scores(self) -> dict[str, float]:
        """Name -> score of the out-of-fold predictions; empty if there are none yet."""
        return read_scores(self.log / OUT_OF_FOLD)

    @cached_property
    def problem(self) -> str:
        if not self.parts:
            return f"{self.folder}: none of its runs has begun"
        return "; ".join(filter(None, (run.problem for run in self.parts)))


@dataclass(frozen=True)
class Damaged(Joined):
    """A group or an ensemble whose record cannot be read."""

    reason: str

    @property
    def status(self) -> str:
        return "damaged"

    @property
    def parts(self) -> list[Run]:
        return []

    @property
    def problem(self) -> str:
        return self.reason

    @property
    def model_files(self) -> dict[str, Path]:
        return {}

    def anew(self, setting: str) -> list[str]:
        """Return no commands: the members are not known."""
        return []


@dataclass(frozen=True)
class Folds(Joined):
    """A group of folds. Its validation predictions are of all training samples, each predicted by the fold that held it out."""

    record: Group = field(compare=False)

    @property
    def status(self) -> str:
        run = RunFolder.at(self.folder)
        return run.status if run.finished else "running" if run.busy else "stopped"

    @property
    def members(self) -> dict[str, Run]:
        """Name of the fold -> its last run, for every fold that has begun."""
        begun = {name: run for name in self.record.members if (run := self.record.run(name)) is not None}
        return {name.partition("/")[0]: Run(run) for name, run in begun.items()}

    @property
    def parts(self) -> list[Run]:
        return [*self.members.values()]

    @property
    def model_files(self) -> dict[str, Path]:
        return {f"{fold} {name}": path for fold, run in self.members.items() for name, path in run.model_files.items()}

    @property
    def best(self) -> float | None:
        """The monitored score of the out-of-fold predictions; None if there are none yet."""
        return read_scores(self.log / OUT_OF_FOLD).get(self.monitor.name.removeprefix("val/"))

    def anew(self, setting: str) -> list[str]:
        """Return the command that trains all folds again. No run holds the config of stages: CONFIG stands for its path."""
        stages = dict.fromkeys(stage for name in self.record.members if (stage := name.partition("/")[2]))
        if stages:
            return [" ".join(["python train.py -c CONFIG --folds all", *(f"--set {stage}:{setting}" for stage in stages)])]
        return [f"python train.py -c {self.config_file} --folds all --set name={self.folder.parent.name} --set {setting}"]


@dataclass(frozen=True)
class Ensemble(Joined):
    """Several runs or groups, with their fitted weights."""

    record: door.Ensemble = field(compare=False)

    @property
    def log(self) -> Path:
        return self.folder

    @property
    def status(self) -> str:
        return DONE

    @cached_property
    def runs(self) -> list[Run]:
        """The runs and groups of all members; a member that is an ensemble is replaced by its own runs."""
        members = [run_at(member.path) for member in self.record.members]
        each = [run for member in members for run in (member.runs if isinstance(member, Ensemble) else [member])]
        return list({run.folder: run for run in each}.values())

    @property
    def parts(self) -> list[Run]:
        return list({part.folder: part for run in self.runs for part in run.parts}.values())

    @property
    def model_files(self) -> dict[str, Path]:
        return {f"{run.label} {name}": path for run in self.parts for name, path in run.model_files.items()}

    @property
    def best(self) -> float | None:
        """The score that the weights were fitted for."""
        return self.record.record.score

    @property
    def bytes(self) -> int:
        return sum(_sizes(self.folder))

    def anew(self, setting: str) -> list[str]:
        """Return the commands that train all members again; `python laurel.py ensemble` joins them afterwards."""
        return [command for run in self.runs for command in run.anew(setting)]


def run_at(path: Path) -> Run:
    """Return the run, group of folds or ensemble in a folder, or the run of a checkpoint; for stages the last run."""
    folder = path.parent if path.is_file() else path
    try:
        saved = _joined(folder)
        match saved:
            case door.FoldGroup():
                return Folds(folder, saved.record)
            case door.Ensemble():
                return Ensemble(folder, saved)
            case door.StageGroup():
                return Run(saved.final.path)
            case _:
                return Run(folder)
    except UserError as error:
        return Damaged(folder, str(error))


def all_runs(saved: Path = door.SAVED) -> list[Run]:
    """Return every run that has written its config or a checkpoint, every group of folds and every ensemble, newest first."""
    return [run_at(folder) for folder in door.everything(saved) if not _is_staged(folder)]


def _is_staged(folder: Path) -> bool:
    """Return whether a folder holds a group of stages: the runs of stages are listed one by one."""
    try:
        return isinstance(_joined(folder), door.StageGroup)
    except UserError:
        return False


def _joined(folder: Path) -> door.Saved | None:
    """Return the group or ensemble in a folder; None if the folder is of a run. Raises UserError if the record is damaged."""
    return next((_opened(folder / file) for file in (ENSEMBLE, GROUP) if (folder / file).is_file()), None)


@by_file(entries=1000)
def _opened(record: Path) -> door.Saved | None:
    return door.at(record)


def overview(runs: Iterable[Run]) -> pd.DataFrame:
    """Return a table with a row per run: run, status, epochs, monitored, best, hashes (config, data, split), MB, problem."""
    rows = []
    for run in runs:
        stands = {"run": run.label, "status": run.status, "epochs": _last_epoch(run)}
        reached = {"monitored": run.monitor.name, "best": run.best}
        rows.append({**stands, **reached, **run.hashes(), "MB": run.bytes / 1e6, "problem": run.problem})
    return pd.DataFrame(rows)


def _last_epoch(run: Run) -> int:
    """Return the number of epochs of all parts together."""
    each = [part.epochs for part in run.parts]
    return sum(int(epochs["epoch"].max()) for epochs in each if "epoch" in epochs and len(epochs))


def scores(runs: Iterable[Run]) -> list[str]:
    """Return the names of all scores that the runs computed each epoch, validation first."""
    names = {str(name) for run in runs for name in run.epochs.columns if "/" in str(name)}
    return sorted(names, key=lambda name: (not name.startswith("val/"), name.count("/"), name))


def curves(runs: Iterable[Run], names: Sequence[str], smoothing: float = 0.0) -> pd.DataFrame:
    """Return a table with a row per point: columns run, score, epoch, value, smooth (the values after `smoothed`)."""
    pieces = []
    for run in runs:
        for name in names:
            if name not in run.epochs:
                continue
            values = pd.to_numeric(run.epochs[name], errors="coerce")
            piece = pd.DataFrame({"run": run.label, "score": name, "epoch": run.epochs["epoch"], "value": values}).dropna()
            pieces.append(piece.assign(smooth=smoothed(piece["value"].to_numpy(float), smoothing)))
    return pd.concat(pieces) if pieces else pd.DataFrame(columns=["run", "score", "epoch", "value", "smooth"])


def smoothed(values: np.ndarray, amount: float) -> np.ndarray:
    """Return the exponential moving average (N,) float64, corrected for its bias towards 0 (Adam, Kingma and Ba 2015, section 3).

    values: (N,). amount: share of the past that is kept, in [0, 1).
    """
    average, result = 0.0, np.empty(len(values))
    for step, value in enumerate(values):
        average = amount * average + (1 - amount) * value
        result[step] = average / (1 - amount ** (step + 1))
    return result


def config_difference(old: Run, new: Run) -> pd.DataFrame:
    """Return a table with a row for every key whose value differs between the configs of two runs."""
    rows = [(key_text(key), show(a), show(b)) for key, a, b in differences(old.config, new.config)]
    return pd.DataFrame(rows, columns=["key", old.label, new.label] if old.label != new.label else ["key", "this", "other"])


def _sizes(folder: Path) -> Iterable[int]:
    """Yield the sizes in bytes of all files in a folder and below it; links are not followed."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(Path(entry.path))
        else:
            yield entry.stat(follow_symlinks=False).st_size


@by_file(entries=1000)
def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@by_file(entries=500)
def _epochs(path: Path) -> pd.DataFrame:
    """Return a table with the epochs of a log. Most lines are of steps: they are skipped without parsing."""
    entries = []
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if (
                    '"epoch", ' in line[:40]
                    and _is_number((entry := _parsed(line)).get("epoch"))
                    and entry.get("kind") == "epoch"
                ):
                    entries.append(entry)
    except OSError:
        pass
    return pd.DataFrame(entries)


def _parsed(line: str) -> dict[str, Any]:
    """Return a line of a log as a dict; empty if the line is incomplete because the process was killed."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
