"""Files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from utils.errors import RunError, UserError

TEMPORARY = ".tmp-"


class WriteError(RunError):
    """A file that cannot be written: disk full, read-only folder."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place of `path`.

    The bytes reach the disk before the name does, and the name before this returns: at every moment `path` holds the
    old content or the new. Raises WriteError, leaving the old file and no temporary one.
    """
    with explaining(path):
        _write_and_rename(path, write)


def append_line(path: Path, line: str) -> None:
    """Add a line of text to a log. Raises WriteError."""
    with explaining(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """What cannot be written in here is a WriteError that names the path."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror or error}); make room, or choose another folder") from error


def _write_and_rename(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    handle, name = tempfile.mkstemp(prefix=f"{TEMPORARY}{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """`write_atomically` for content that is at hand."""
    write_atomically(path, lambda file: file.write(content))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and Infinity are refused (ValueError)."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (POSIX; elsewhere the rename alone must do)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed `write_atomically` left in `folder`."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)


def lock(path: Path) -> IO[bytes] | None:
    """The file at `path`, locked for this process until it is closed or the process ends; None where another has it.

    POSIX record locks: worker processes do not inherit them, so that the death of this process alone sets them free.
    Where there are none (other systems, some network disks), everybody gets one.
    """
    file = path.open("ab")
    if os.name == "posix":
        import fcntl

        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.close()
            return None
        except OSError:
            pass
    return file


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """Hexadecimal SHA-256 of a plain value: equal values give equal hashes, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def hash_lines(lines: Iterable[str]) -> str:
    """Hexadecimal SHA-256 of the lines, in their order."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def make_run_id(parent: Path) -> str:
    """Make a new folder in `parent` and return its name: UTC time and 4 random characters.

    `mkdir` itself is the test for a free name, so any number of runs may start in the same instant.
    Raises UserError where `parent` cannot be written.
    """
    while True:
        run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        try:
            (parent / run_id).mkdir(parents=True)
        except FileExistsError:
            if not parent.is_dir():  # else the folder of another run that started in this second
                raise UserError(f"{parent}: is no folder, and runs need one there; set trainer.save_dir") from None
            continue
        except OSError as error:
            raise UserError(f"{parent}: cannot make a run folder ({error.strerror}); set trainer.save_dir") from error
        return run_id


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
