"""Blame an error on the part of a config that raised it: a line with key, class, file and line, and the value to change."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from base.contracts import Batch
from model.backbones.timm_backbone import picture_size
from trainer.experiment.checking import Experiment, placed_parts
from trainer.training.contract import shortened
from utils import config, distributed
from utils.errors import ROOT, UserError


class Tried(NamedTuple):
    """The batch that was tried: its samples, and height and width of its pictures in pixels; 0 if it is not made yet."""

    samples: int = 0
    size: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, batch: Batch) -> Tried:
        """Return the facts about a batch."""
        return cls(len(batch["image"]), (batch["image"].shape[2], batch["image"].shape[3]))

    def __str__(self) -> str:
        """Return the batch in words."""
        return f"{self.samples} pictures of {self.size[0]} x {self.size[1]}" if self.samples else ""


@contextmanager
def blaming(experiment: Experiment, key: str, tried: Tried = Tried()) -> Iterator[None]:  # noqa: B008 - never changed
    """Turn every error in the `with` block, except a UserError, into a UserError of one line.

    key: of the config, if no part of the config is in the error's traceback. tried: the batch that was tried.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if distributed.explained(error) is not error:
            raise
        raise UserError(_line(experiment, key, tried, error)) from error


def _line(experiment: Experiment, key: str, tried: Tried, error: Exception) -> str:
    text = " ".join(str(error).split())
    reason = f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
    if line := not_reproducible(error):
        return line
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in text:
        return f"data_loader.args.batch_size: {tried} need more memory than there is; lower it, or raise trainer.accumulate"
    if "Expected more than 1 value per channel" in text:
        return _single(experiment)
    key, method, place = _culprit(experiment, error) or Culprit(key, "it", _place(error))
    advice = _network_advice(experiment, tried) if key == "arch" and not method.endswith("decode") else ""
    what = f"{method} fails with {tried}" if tried.samples else f"{method} fails"
    return f"{_network_key(experiment) if advice else key}: {what} ({reason}; {place}){advice}"


def not_reproducible(error: Exception) -> str:
    """Return the line for an operation that `trainer.deterministic` forbids; an empty text for any other error."""
    operation, message, _ = str(error).partition(" does not have a deterministic implementation")
    if not message:
        return ""
    return (
        f"trainer.deterministic: the operation {operation.split()[-1]} is not reproducible on this device, and is refused; "
        "choose a part that does without it, or set trainer.deterministic to false"
    )


def _single(experiment: Experiment) -> str:
    """Return the line for a piece of one sample, which batch-norm cannot take."""
    size, number = experiment.config.data_loader.args.batch_size, experiment.config.trainer.accumulate
    why = "a piece of a batch with one sample has no statistics for batch-norm"
    if number > 1:
        return f"trainer.accumulate: found {number}; {why}; allowed: at most half of the samples of a batch ({size})"
    return f"data_loader.args.batch_size: found {size}; {why}; allowed: at least 2, or an arch without batch-norm"


class Culprit(NamedTuple):
    """The part of a config in which an error arose."""

    key: str
    method: str  # its class and method
    place: str  # file and line


def _culprit(experiment: Experiment, error: Exception) -> Culprit | None:
    """Return the last part of the config in the traceback, with the last line of its own file; None if there is none."""
    parts = {part.cls: config.key_text(key) for key, part in reversed(list(placed_parts(experiment.config)))}
    found, file = None, ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        part, name = type(frame.f_locals.get("self")), frame.f_code.co_filename
        if part in parts:
            found, file = Culprit(parts[part], f"{part.__name__}.{frame.f_code.co_name}", ""), name
        if found is not None and name == file:
            found = found._replace(place=f"{shortened(name)}:{line}")
    return found


def _place(error: Exception) -> str:
    """Return file and line of the last frame of the traceback that is in the project."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(file, line) for file, line in frames if file.startswith(ROOT + os.sep) and "site-packages" not in file]
    return f"{shortened(own[-1][0])}:{own[-1][1]}" if own else "?"


def _backbone(experiment: Experiment) -> tuple[str, str | None]:
    """Return the key of the backbone's name, and the name; None if the arch has no backbone by name."""
    args = experiment.config.arch.args
    for key, holder in (("arch.args.backbone", args), ("arch.args.pyramid.backbone", getattr(args, "pyramid", None))):
        name: Any = getattr(holder, "backbone", None)
        if isinstance(name, str):
            return key, name
    return "arch", None


def _network_key(experiment: Experiment) -> str:
    return _backbone(experiment)[0]


def _network_advice(experiment: Experiment, tried: Tried) -> str:
    """Return the size of pictures that the backbone is made for, if it is another one."""
    _, name = _backbone(experiment)
    size = picture_size(name) if name is not None else None
    if size is None or not tried.samples or size == tried.size:
        return ""
    return (
        f'; "{name}" is made for pictures of {size[0]} x {size[1]}: set data_loader.args.image_size to [{size[0]}, {size[1]}], '
        "or choose another backbone"
    )
