"""A cache of answers that are computed from files. An answer is kept until its file changes; all sessions share the cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Stamp = tuple[int, int, int]

_caches: list[Callable[[], None]] = []


def stamp(path: Path) -> Stamp:
    """Return inode, size in bytes and time in ns of a file, which change when the file is written; zeros if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


def by_file(entries: int) -> Callable[[Callable[Concatenate[Path, P], T]], Callable[Concatenate[Path, P], T]]:
    """Keep the last `entries` answers of a function whose first argument is the file it reads.

    The other arguments must be hashable. The answers are shared: callers must not change them. A thread that asks for an
    answer while another thread computes it waits for that answer. Errors are not kept.
    """

    def decorate(function: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
        kept: OrderedDict[Any, T] = OrderedDict()
        locks: dict[Any, threading.Lock] = {}
        guard = threading.Lock()
        _caches.append(kept.clear)

        @wraps(function)
        def cached(path: Path, /, *args: P.args, **kwargs: P.kwargs) -> T:
            key = (path, stamp(path), args, tuple(sorted(kwargs.items())))
            with guard:
                lock = locks.setdefault(key, threading.Lock())
            with lock:
                with guard:
                    if key in kept:
                        kept.move_to_end(key)
                        return kept[key]
                try:
                    answer = function(path, *args, **kwargs)
                    with guard:
                        kept[key] = answer
                        while len(kept) > entries:
                            kept.popitem(last=False)
                finally:
                    with guard:  # after the answer is kept, so that the next thread reads it
                        locks.pop(key, None)
                return answer

        return cached

    return decorate


def clear() -> None:
    """Delete all kept answers."""
    for forget in _caches:
        forget()
