"""The runs below a folder such as `saved/`, alone and joined: how far each is, how good it became, what it takes of the disk."""

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

EXPORTED = (f"*{ONNX}", "*.pth")  # of what `python laurel.py export` writes: what test.py takes
SHORT = 8  # letters of a hash that people compare


@dataclass(frozen=True)
class Run:
    """One run. What cannot be read of it is empty, and said in `problem`."""

    folder: Path  # saved/models/<name>/<id>

    @property
    def label(self) -> str:
        """`name/id`, its name in the address."""
        return door.label(self.folder)

    @property
    def log(self) -> Path:
        """The folder of its log."""
        return RunFolder.at(self.folder).log

    @property
    def status(self) -> str:
        """`running`, `stopped` (killed, and nobody goes on with it), `finished`, or why it ended."""
        run = RunFolder.at(self.folder)
        return "stopped" if run.status == "running" and not run.busy else run.status

    @property
    def config_file(self) -> Path:
        """The config as it was written."""
        return self.folder / CONFIG

    @property
    def config(self) -> dict[str, Any]:
        """What is in that; empty where it cannot be read."""
        return _json(self.config_file)

    @property
    def parts(self) -> list[Run]:
        """The runs that have epochs: itself, or what is joined in it."""
        return [self]

    @property
    def epochs(self) -> pd.DataFrame:
        """A row per epoch, a column per score."""
        return _epochs(self.log / LOG)

    @cached_property
    def problem(self) -> str:
        """What is broken; empty if nothing is."""
        if not self.config:
            return f"{self.config_file}: cannot be read"
        return "" if list(self.folder.glob("*.pth")) else f"{self.folder}: holds no checkpoint yet"

    @property
    def model_files(self) -> dict[str, Path]:
        """Its checkpoints by name, the best and the last one first, and then what was exported from it."""
        own = {path.name: path for path in sorted(self.folder.glob("*.pth"), key=lambda path: (len(path.name), path.name))}
        place = RunFolder.at(self.folder).exported
        exported = sorted(path for pattern in EXPORTED for path in place.glob(pattern))
        first = {name: own[name] for name in (BEST, LAST) if name in own}
        return first | own | {f"{place.name}/{path.name}": path for path in exported}

    @property
    def monitor(self) -> Monitor:
        """The score that was watched."""
        text = self.config.get("trainer", {})
        return Monitor(str(text.get("monitor", "min val/loss")) if isinstance(text, dict) else "min val/loss")

    @property
    def best(self) -> float | None:
        """The best value of the watched score."""
        monitor, epochs = self.monitor, self.epochs
        if monitor.name not in epochs:
            return None
        values = pd.to_numeric(epochs[monitor.name], errors="coerce").dropna()
        return None if values.empty else float(values.max() if monitor.mode == "max" else values.min())

    @property
    def bytes(self) -> int:
        """What its two folders take of the disk."""
        return sum(size for place in (self.folder, self.log) for size in _sizes(place))

    def anew(self, setting: str) -> list[str]:
        """The commands that train it once more with a setting, such as `data_loader.args.corrections=marks.csv`."""
        return [f"python train.py -c {self.config_file} --set {setting}"]

    def hashes(self) -> dict[str, str]:
        """The first letters of the hashes of its config, of the config's data section, and of its split."""
        config = self.config
        texts = {"config": config, "data": config.get("data_loader")}
        hashed = {name: files.hash_json(value)[:SHORT] if value else "" for name, value in texts.items()}
        return {**hashed, "split": str(_json(self.folder / SOURCE).get("split_hash", ""))[:SHORT]}


@dataclass(frozen=True)
class Joined(Run):
    """Several runs as one, with predictions and a score of its own, and no epochs."""

    @property
    def config_file(self) -> Path:
        return (self.parts or [Run(self.folder)])[0].config_file

    @property
    def epochs(self) -> pd.DataFrame:
        return pd.DataFrame()

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
        """Return nothing: which runs these were is not known."""
        return []


@dataclass(frozen=True)
class Folds(Joined):
    """A group of folds. Its predictions of validation are those of all training samples."""

    record: Group = field(compare=False)

    @property
    def status(self) -> str:
        run = RunFolder.at(self.folder)
        return run.status if run.finished else "running" if run.busy else "stopped"

    @property
    def members(self) -> dict[str, Run]:
        """The last run of each fold that has begun, by the fold's name."""
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
        """The watched score of what the folds held out."""
        return read_scores(self.log / OUT_OF_FOLD).get(self.monitor.name.removeprefix("val/"))

    def anew(self, setting: str) -> list[str]:
        """Of all folds at once. The config of stages is in no run: CONFIG stands for it."""
        stages = dict.fromkeys(stage for name in self.record.members if (stage := name.partition("/")[2]))
        if stages:
            return [" ".join(["python train.py -c CONFIG --folds all", *(f"--set {stage}:{setting}" for stage in stages)])]
        return [f"python train.py -c {self.config_file} --folds all --set name={self.folder.parent.name} --set {setting}"]


@dataclass(frozen=True)
class Ensemble(Joined):
    """Several runs or groups with the weights that were fitted for them."""

    record: door.Ensemble = field(compare=False)

    @property
    def log(self) -> Path:
        return self.folder

    @property
    def status(self) -> str:
        return DONE

    @cached_property
    def runs(self) -> list[Run]:
        """The runs and groups of all members; those of an ensemble that takes part in this one are among them."""
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
        """What its weights were fitted for."""
        return self.record.record.score

    @property
    def bytes(self) -> int:
        return sum(_sizes(self.folder))

    def anew(self, setting: str) -> list[str]:
        """Of all that take part; it is made of them by `python laurel.py ensemble`."""
        return [command for run in self.runs for command in run.anew(setting)]


def run_at(path: Path) -> Run:
    """Return what is kept in a folder, or the run of a checkpoint; of a group of stages the run of the last one."""
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
    """Return every run that has written its config or a checkpoint, groups of folds and ensembles among them, newest first."""
    return [run_at(folder) for folder in door.everything(saved) if not _is_staged(folder)]


def _is_staged(folder: Path) -> bool:
    """Whether a folder holds a group of stages, whose runs are listed by themselves."""
    try:
        return isinstance(_joined(folder), door.StageGroup)
    except UserError:
        return False


def _joined(folder: Path) -> door.Saved | None:
    """The group or ensemble in a folder, None for a run's. Raises UserError if its record is damaged."""
    return next((_opened(folder / file) for file in (ENSEMBLE, GROUP) if (folder / file).is_file()), None)


@by_file(entries=1000)
def _opened(record: Path) -> door.Saved | None:
    return door.at(record)


def overview(runs: Iterable[Run]) -> pd.DataFrame:
    """A row per run, as people compare them."""
    rows = []
    for run in runs:
        stands = {"run": run.label, "status": run.status, "epochs": _last_epoch(run)}
        reached = {"monitored": run.monitor.name, "best": run.best}
        rows.append({**stands, **reached, **run.hashes(), "MB": run.bytes / 1e6, "problem": run.problem})
    return pd.DataFrame(rows)


def _last_epoch(run: Run) -> int:
    """How many epochs there are, of all parts together."""
    each = [part.epochs for part in run.parts]
    return sum(int(epochs["epoch"].max()) for epochs in each if "epoch" in epochs and len(epochs))


def scores(runs: Iterable[Run]) -> list[str]:
    """The names of everything the runs computed each epoch, those of validation first."""
    names = {str(name) for run in runs for name in run.epochs.columns if "/" in str(name)}
    return sorted(names, key=lambda name: (not name.startswith("val/"), name.count("/"), name))


def curves(runs: Iterable[Run], names: Sequence[str], smoothing: float = 0.0) -> pd.DataFrame:
    """Columns run, score, epoch, value and smooth (what `smoothed` makes of the values), a row per point."""
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
    """Exponential moving average (N,) with `amount` in [0, 1) of the past kept, without its bias towards 0 (Adam, section 3)."""
    average, result = 0.0, np.empty(len(values))
    for step, value in enumerate(values):
        average = amount * average + (1 - amount) * value
        result[step] = average / (1 - amount ** (step + 1))
    return result


def config_difference(old: Run, new: Run) -> pd.DataFrame:
    """A row for every key at which the configs of two runs differ."""
    rows = [(key_text(key), show(a), show(b)) for key, a, b in differences(old.config, new.config)]
    return pd.DataFrame(rows, columns=["key", old.label, new.label] if old.label != new.label else ["key", "this", "other"])


def _sizes(folder: Path) -> Iterable[int]:
    """The sizes of the files in a folder, with those below it; links are not followed."""
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
    """The epochs of a log. Most lines are of steps: they are passed over unread."""
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
    """A line of a log; empty where a kill cut it off."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
