"""Find what is saved on disk: from a path, a name or a word to the run, group, ensemble or file.

    find("saved/models/masks/20260301-101500-aaaa")   a path: a run, its checkpoint, a group, an ensemble, an exported file
    find("masks")                                     a name: the newest finished run or group of that name, else the newest
    find("saved/models/masks")                        the same
    find("masks/20260301-101500-aaaa")                a label, as the app and `runs` show it; or the run's id alone
    find("last")                                      the newest finished run, else the newest

`last` is tried first, then a path, then a name. For training (`to_train`) the newest unfinished run or group is taken instead
of the newest finished one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NoReturn

from base.saved.ensemble import ADVICE, EnsembleRecord
from base.saved.group import FOLDS, Group
from base.saved.names import CARD, CONFIG, ENSEMBLE, GROUP, ONNX, PREDICTIONS, PROGRAM, SAMPLES
from base.saved.run_folder import RunFolder
from utils.checkpoint_names import BEST, LAST
from utils.config import did_you_mean
from utils.errors import UserError

SAVED = Path("saved")
NEWEST, AUTO = "last", "auto"  # words
MAX_MEMBERS = 1000  # members of an ensemble, including members of nested ensembles
MAX_DEPTH = 8  # levels of nested ensembles
SHOWN = 5  # names in a message


@dataclass(frozen=True)
class CheckpointFile:
    """One checkpoint."""

    path: Path
    noun: ClassVar[str] = "a checkpoint"


@dataclass(frozen=True)
class ExportedFile:
    """An exported model."""

    path: Path
    noun: ClassVar[str] = "an exported model"


@dataclass(frozen=True)
class Run:
    """The models folder of a run."""

    path: Path
    noun: ClassVar[str] = "a run"

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint, else the last. Raises UserError if there is neither."""
        there = [self.path / name for name in (BEST, LAST) if (self.path / name).is_file()]
        if not there:
            raise UserError(f"{self.path}: holds no checkpoint ({BEST} or {LAST})")
        return there[0]


@dataclass(frozen=True)
class FoldGroup:
    """The folder of a group of folds."""

    path: Path
    record: Group
    noun: ClassVar[str] = "a group of folds"


@dataclass(frozen=True)
class StageGroup:
    """The folder of a group of stages."""

    path: Path
    record: Group
    noun: ClassVar[str] = "a group of stages"

    @property
    def final(self) -> Run:
        """The run of the last stage. Raises UserError if a stage is not finished."""
        for name in self.record.members:
            if not self.record.finished(name):
                advice = f"go on with train.py -c CONFIG -r {self.path}, or name one run"
                raise UserError(f"{self.path}: {name} is not finished; {advice}")
        return Run(self.record.required_run(list(self.record.members)[-1]))


@dataclass(frozen=True)
class Ensemble:
    """The folder of an ensemble. members: the saved members, in the order of the record's shares."""

    path: Path
    record: EnsembleRecord
    members: tuple[Saved, ...]
    noun: ClassVar[str] = "an ensemble"


@dataclass(frozen=True)
class EvaluationFolder:
    """A folder with predictions and the table of their samples."""

    path: Path
    noun: ClassVar[str] = "a folder of predictions"


Saved = CheckpointFile | ExportedFile | Run | FoldGroup | StageGroup | Ensemble | EvaluationFolder


def find(what: str | Path, save_dir: Path = SAVED, *, name: str | None = None, to_train: bool = False) -> Saved:
    """Return the saved thing that a path, a name, a label or the word `last` means (see above).

    name: the name of the runs among which `last` chooses; all runs by default. Raises UserError, in one line, if the text
    means nothing or more than one thing, or if the record of a group or an ensemble is damaged.
    """
    text = str(what)
    try:
        if not text:
            raise UserError(f"-r: is empty; give a path, a name, or {NEWEST}")
        if text == AUTO:
            raise UserError(f"-r {AUTO}: is for training from a config; give a path, a name, or {NEWEST}")
        if text == NEWEST:
            return Run(_preferred(NEWEST, _runs_for_last(save_dir, name), to_train))
        return at(Path(text)) or _of_name(Path(text), to_train) or _named(str(Path(text)), save_dir, to_train)
    except UserError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long or impossible for a file, a circle of links
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{_shown(text)}: cannot be looked up ({reason}); give a path, a name, or {NEWEST}") from None


def at(path: Path) -> Saved | None:
    """Return the saved thing at a path, None if Laurel wrote nothing there. Raises UserError for a damaged record."""
    return _at(path, (), iter(range(MAX_MEMBERS)))


def model_file(saved: Saved) -> Path:
    """Return the model file of a saved thing: a run's best checkpoint, the best one of the last stage, or the file itself.

    Raises UserError for folds, ensembles and predictions.
    """
    match saved:
        case CheckpointFile() | ExportedFile():
            return saved.path
        case Run():
            return saved.checkpoint
        case StageGroup():
            return saved.final.checkpoint
        case _:
            raise UserError(f"{saved.path}: is {saved.noun}, and one model is wanted; name one run or checkpoint")


def is_evaluation(folder: Path) -> bool:
    """Return whether a folder holds predictions with the samples that they are of."""
    return all((folder / name).is_file() for name in (PREDICTIONS, SAMPLES))


def label(folder: Path) -> str:
    """Return the label of a run, group or ensemble in lists: `name/id`."""
    return f"{folder.parent.name}/{folder.name}"


# Lists ----------------------------------------------------------------------------------------------------------------


def runs(save_dir: Path, name: str | None = None) -> list[Path]:
    """Return the models folders of all runs (of one name) that have a checkpoint, the newest last."""
    folders = {path.parent for path in (save_dir / "models").glob(f"{name or '*'}/*/*.pth")}
    return sorted(folders, key=_age)


def groups(save_dir: Path, name: str) -> list[Path]:
    """Return the folders of all groups of a name, the newest last."""
    return sorted((path.parent for path in (save_dir / "models").glob(f"{name}/*/{GROUP}")), key=_age)


def everything(save_dir: Path) -> list[Path]:
    """Return the folders of all runs that have a config or a checkpoint, all groups and all ensembles, the newest first."""
    found = [folder for name in (save_dir / "models").glob("*") for folder in _below(name)]
    found += [path.parent for path in save_dir.glob(f"*/{ENSEMBLE}")]
    return sorted(found, key=_age, reverse=True)


def _below(name: Path) -> list[Path]:
    """Return the folders of all runs, groups and ensembles in the folder of a name, the newest last."""
    found = {path.parent for file in (CONFIG, "*.pth", GROUP, ENSEMBLE) for path in name.glob(f"*/{file}")}
    return sorted(found, key=_age)


def _age(folder: Path) -> tuple[float, str, str]:
    return RunFolder.at(folder).begun, folder.name, folder.parent.name


def newest_fitting(folders: Sequence[Path], require: Callable[[Path], object]) -> tuple[Path | None, list[str]]:
    """Return the newest unfinished run or group that can be continued, and a line for each newer one that cannot.

    folders: the newest last, as `runs` and `groups` return them. require: raises UserError for a folder that does not fit.
    """
    notes: list[str] = []
    for folder in reversed(folders):
        try:
            if _unfinished(folder):
                require(folder)
                return folder, notes
        except UserError as error:
            notes.append(f"not going on with {folder}: {str(error).splitlines()[0]}")
    return None, notes


def _unfinished(folder: Path) -> bool:
    return not (Group(folder).done if (folder / GROUP).is_file() else RunFolder.at(folder).finished)


# Paths ----------------------------------------------------------------------------------------------------------------


def _at(path: Path, within: tuple[Path, ...], left: Iterator[int]) -> Saved | None:
    """Return the saved thing at a path, None if there is none.

    within: the folders of the ensembles that contain the path. left: an iterator with an item for each further member allowed.
    """
    if path.is_file():
        if path.name not in (GROUP, ENSEMBLE, PREDICTIONS):
            exported = path.suffix in (ONNX, PROGRAM) or path.with_name(path.name + CARD).is_file()
            return ExportedFile(path) if exported else CheckpointFile(path)
        path = path.parent
    if (path / ENSEMBLE).is_file():
        return _ensemble(path, within, left)
    if (path / GROUP).is_file():
        group = Group(path)
        return FoldGroup(path, group) if group.kind == FOLDS else StageGroup(path, group)
    if (path / CONFIG).is_file() or any(path.glob("*.pth")):
        return Run(path)
    return EvaluationFolder(path) if is_evaluation(path) else None


def _ensemble(folder: Path, within: tuple[Path, ...], left: Iterator[int]) -> Ensemble:
    place, file = folder.resolve(), folder / ENSEMBLE
    if place in within:
        raise UserError(f"{file}: is a member of itself; {ADVICE}")
    if len(within) == MAX_DEPTH:
        raise UserError(f"{file}: is an ensemble within {MAX_DEPTH} others, which is too deep; {ADVICE}")
    record, members = EnsembleRecord.read(folder), list[Saved]()
    for share in record.shares:
        if next(left, None) is None:
            raise UserError(f"{file}: has more than {MAX_MEMBERS:,} members; {ADVICE}")
        member = _at(share.path, (*within, place), left)
        if member is None:
            raise UserError(f"{file}: its member {share.path} is not there, or holds no model; {ADVICE}")
        members.append(member)
    return Ensemble(folder, record, tuple(members))


# Names ----------------------------------------------------------------------------------------------------------------


def _named(text: str, save_dir: Path, to_train: bool) -> Saved:
    """Return the saved thing that a label, an id or a name means. Raises UserError if it means nothing or several things."""
    models, folders = save_dir / "models", everything(save_dir)
    places = [models / text, save_dir / text, *(folder for folder in folders if folder.name == text)]
    if text.startswith(f"{save_dir.name}/"):  # the label of an ensemble
        places.append(save_dir.parent / text)
    found = [*map(at, {place.resolve(): place for place in places}.values()), _of_name(models / text, to_train)]
    meant = list({saved.path.resolve(): saved for saved in found if saved is not None}.values())
    if len(meant) > 1:
        raise UserError(f"{_shown(text)}: may mean {' or '.join(f'{one.noun}, {one.path}' for one in meant)}; give the path")
    return meant[0] if meant else _nothing(text, save_dir, folders)


def _of_name(folder: Path, to_train: bool) -> Saved | None:
    """Return what a name's folder below `models` stands for, None if it is no such folder, or an empty one."""
    folders = _below(folder) if folder.absolute().parent.name == "models" else []
    return at(_preferred(folder.name, folders, to_train)) if folders else None


def _preferred(text: str, folders: Sequence[Path], to_train: bool) -> Path:
    """Return the newest finished folder, or for training the newest unfinished one; else the newest. folders: the newest last.

    Runs without a checkpoint count only if there are no others. text: what the user gave. Raises UserError if two began at the
    same time.
    """
    begun = [folder for folder in folders if _is_joined(folder) or any(folder.glob("*.pth"))] or folders
    fitting = [folder for folder in begun if (RunFolder.at(folder).finished or (folder / ENSEMBLE).is_file()) != to_train]
    newest = RunFolder.at((fitting or begun)[-1]).begun
    meant = [folder for folder in fitting or begun if RunFolder.at(folder).begun == newest]
    if len(meant) > 1:
        raise UserError(f"{_shown(text)}: may mean {' or '.join(map(str, meant))}, which began together; give the path")
    return meant[0]


def _is_joined(folder: Path) -> bool:
    return any((folder / file).is_file() for file in (GROUP, ENSEMBLE))


def _runs_for_last(save_dir: Path, name: str | None) -> list[Path]:
    folders = runs(save_dir, name)
    if not folders:
        of = f" of {name}" if name else ""
        raise UserError(f"-r {NEWEST}: there is no run{of} with a checkpoint in {save_dir / 'models'}; train one first")
    return folders


def _nothing(text: str, save_dir: Path, folders: Sequence[Path]) -> NoReturn:
    if Path(text).is_dir():
        raise UserError(f"{_shown(text)}: holds no checkpoint, group, ensemble or predictions")
    named = (folder.name if folder.parent == save_dir else folder.parent.name for folder in reversed(folders))
    names = list(dict.fromkeys(named))
    near = did_you_mean(text, {*names, *map(label, folders), *(folder.name for folder in folders)})
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    there = f"{save_dir} has {', '.join(names[:SHOWN])}{more}" if names else f"{save_dir} has none yet"
    raise UserError(f"{_shown(text)}: there is no such checkpoint, run, group or ensemble{near}; {there}")


def _shown(text: str) -> str:
    """Return the text for one line of a message."""
    return text if text.isprintable() and len(text) <= 300 else f"{ascii(text[:80])[1:-1]}…"
