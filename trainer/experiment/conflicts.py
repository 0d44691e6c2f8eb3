"""Conflicts between settings: each setting is valid, but the combination is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from base.base_metric import BaseMetric
from utils.config import KeyPath

Conflict = tuple[KeyPath, str]


def conflicts(checked: Any, logs: Sequence[str]) -> Iterator[Conflict]:
    """Yield a (key, message) pair for each conflict. checked: a validated config. logs: callbacks switched on by `trainer`."""
    yield from _unwatched(checked)
    yield from _pieces(checked)
    yield from _shares(checked)
    named: list[str] = [part.type for part in checked.callbacks]
    for index, name in enumerate(named):
        if name in (*logs, *named[:index]):
            yield ("callbacks", index, "type"), f"{name} is switched on already; keep one"


def _unwatched(checked: Any) -> Iterator[Conflict]:
    """Yield the keys that need a monitored score, if no score is monitored."""
    if checked.trainer.monitor != "off":
        return
    if checked.trainer.early_stop is not None:
        yield ("trainer", "early_stop"), 'waits for a better score, but trainer.monitor is "off"'
    if checked.lr_scheduler is not None and checked.lr_scheduler.type == "PlateauLR":
        yield ("lr_scheduler", "type"), 'PlateauLR waits for a better score, but trainer.monitor is "off"'


def _pieces(checked: Any) -> Iterator[Conflict]:
    """Yield the keys that split a batch into more pieces than it has samples."""
    size, pieces = getattr(checked.data_loader.args, "batch_size", None), checked.trainer.accumulate
    if size is not None and pieces > size:
        yield ("trainer", "accumulate"), f"found {pieces}; allowed: at most {size}, which is data_loader.args.batch_size"


def _shares(checked: Any) -> Iterator[Conflict]:
    """Yield the keys that make samples count in part, if the loss would count them whole."""
    if checked.loss.cls.takes_shares:
        return
    of_loader, of_trainer = checked.data_loader.cls.shares(checked.data_loader.args), checked.trainer.shares()
    keys: list[KeyPath] = [("data_loader", "args", of_loader)] if of_loader else []
    keys += [("trainer", of_trainer)] if of_trainer else []
    for key in keys:
        yield key, f"makes samples count in part, which {checked.loss.type} does not heed; leave it out, or name a loss that does"


def same_scores(metrics: Sequence[BaseMetric]) -> Iterator[Conflict]:
    """Yield the metrics that compute scores of the same name, or keep fitted values under the same key."""
    first: dict[str, int] = {}
    keys: list[str] = []
    for index, metric in enumerate(metrics):
        if type(metric).fit is not BaseMetric.fit:
            if metric.state_key in keys:
                yield ("metrics", index, "type"), f"keeps what it fits as {metric.state_key}, as an earlier metric does; keep one"
            keys.append(metric.state_key)
        shared = [name for name in metric.names if first.setdefault(name, index) != index]
        if shared:
            yield ("metrics", index, "type"), f"computes {shared[0]}, which metrics[{first[shared[0]]}] computes already"
