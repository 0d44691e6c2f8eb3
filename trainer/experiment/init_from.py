"""Initial weights from another run: the selection, the loading, and a report on each weight."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from base.table import some
from utils import checkpoint, files
from utils.config import did_you_mean
from utils.errors import UserError
from utils.validate import Settings


class Selection(Settings):
    """A selection of a checkpoint's weights by their names in the model."""

    include: list[str] = Field(default=["*"], description="patterns over the names of weights; * stands for any text")
    exclude: list[str] = Field(default=[], description="patterns of weights that stay as they are, though they are included")
    strict: bool = Field(default=True, description="refuse where a weight that is wanted is missing or has another shape")

    def wants(self, name: str) -> bool:
        """Return whether a weight of this name is selected."""
        return _matches(name, self.include) and not _matches(name, self.exclude)


class InitFrom(Selection):
    """The weights that a run begins with."""

    checkpoint: str = Field(description="checkpoint of this project; where it keeps an average, that is taken")


@dataclass(frozen=True)
class Report:
    """The result of loading: the names of loaded, missing, reshaped, left out and unused weights."""

    source: str
    sha256: str  # of that file
    loaded: list[str]
    missing: list[str]  # wanted, but not in the checkpoint
    reshaped: list[str]  # wanted and there, in another shape
    left_out: list[str]  # of the model, not wanted
    unused: list[str]  # of the checkpoint, not in the model

    def lines(self) -> list[str]:
        """Return lines for the user, with the number and names of weights."""
        others = [
            (self.missing, "missing there"),
            (self.reshaped, "of another shape there"),
            (self.left_out, "not asked for"),
            (self.unused, "only in the checkpoint"),
        ]
        rest = [f"{len(names)} {what} ({some(names, 3)})" for names, what in others if names]
        return [f"{len(self.loaded)} weights from {self.source}" + (f"; {', '.join(rest)}" if rest else "")]


def read_weights(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return a checkpoint's weights (averaged, if it keeps an average) and its SHA-256. Raises UserError if reading fails."""
    state = checkpoint.CheckpointFolder(path.parent).load(path.name)
    weights: Any = state.get("ema") or state.get("model")
    if not isinstance(weights, dict):
        raise UserError(f"{path}: holds no weights of a model")
    return weights, files.sha256(path)


def initialise(model: nn.Module, settings: InitFrom) -> Report:
    """Copy the weights that a config asks for into the model. Raises UserError, as `load_into` does."""
    path = Path(settings.checkpoint)
    weights, digest = read_weights(path)
    return load_into(model, weights, settings, str(path), digest)


def load_into(model: nn.Module, weights: Mapping[str, Tensor], wanted: Selection, source: str, sha256: str) -> Report:
    """Copy the wanted weights into the model. Raises UserError, and copies none, if none fits or `strict` forbids it."""
    own = model.state_dict()
    _require_used(wanted, {*own, *weights})
    asked = [name for name in own if wanted.wants(name)]
    fits = {name: weights[name] for name in asked if name in weights and weights[name].shape == own[name].shape}
    report = Report(
        source=source,
        sha256=sha256,
        loaded=list(fits),
        missing=[name for name in asked if name not in weights],
        reshaped=[name for name in asked if name in weights and name not in fits],
        left_out=[name for name in own if name not in asked],
        unused=[name for name in weights if name not in own],
    )
    if not fits:
        examples = f"the model has {_some(own)}, the checkpoint {_some(weights)}"
        raise UserError(f"init_from: nothing of {source} is loaded: {examples}; mend init_from.include and exclude")
    if wanted.strict and (report.missing or report.reshaped):
        raise UserError(f"init_from: {'; '.join(report.lines())}; exclude them, or set init_from.strict to false")
    model.load_state_dict({**own, **fits})
    return report


def _require_used(wanted: Selection, names: Collection[str]) -> None:
    """Raise UserError if a pattern matches no weight, since the weights that it means would be treated wrongly."""
    for key, patterns in (("include", wanted.include), ("exclude", wanted.exclude)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                near = did_you_mean(pattern, {name.rpartition(".")[0] + ".*" for name in names})
                raise UserError(f'init_from.{key}: "{pattern}" matches no weight{near}; there are: {some(sorted(names), 3)}')


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _some(names: Iterable[str]) -> str:
    return some(names, 3)
