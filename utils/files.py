"""Write files so that a kill leaves the old file or the new one, never a part; lock and hash files; make run folders."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from utils.errors import RunError, UserError

TEMPORARY = ".tmp-"


class WriteError(RunError):
    """The error for a file that cannot be written: disk full, read-only folder."""


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename the temporary file to `path`.

    The bytes are on the disk before the renaming, and the renaming before this function returns: at every moment `path`
    holds the old content or the new. Raises WriteError on failure; the old file stays and the temporary file is removed.
    """
    with explaining(path):
        _write_and_rename(path, write)


def append_line(path: Path, line: str) -> None:
    """Append a line of text to the file. Raises WriteError if the file cannot be written."""
    with explaining(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn every OSError inside the `with` block into a WriteError that names `path`."""
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
    """Write `content` to `path` atomically. Raises WriteError as `write_atomically` does."""
    write_atomically(path, lambda file: file.write(content))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. Raises ValueError for NaN and Infinity, WriteError on failure to write."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def sync_folder(folder: Path) -> None:
    """Write the file names in `folder` to the disk (POSIX only; other systems have no such call)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` to write to; rename it to `folder` if the block succeeds, and remove it if not.

    So `folder` appears only when it is complete. Raises FileExistsError if `folder` exists.
    """
    if os.path.lexists(folder):
        raise FileExistsError(errno.EEXIST, "exists already", str(folder))
    partial = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that a killed `write_atomically` left in `folder`."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)


def lock(path: Path) -> IO[bytes] | None:
    """Open the file at `path` and lock it until it is closed or this process ends; return None if another process has the lock.

    The lock is a POSIX record lock: worker processes do not inherit it, so it ends with this process even if workers live on.
    On systems and network disks without record locks every process gets the file, and nothing is locked.
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
    """Return the hexadecimal SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """Return the hexadecimal SHA-256 of a plain value. The order of keys has no influence."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def hash_lines(lines: Iterable[str]) -> str:
    """Return the hexadecimal SHA-256 of the lines, in their order."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def make_run_id(parent: Path) -> str:
    """Make a new folder in `parent` and return its name: UTC time and 4 random characters.

    `mkdir` fails if the name is taken, so any number of runs may start in the same instant.
    Raises UserError if `parent` cannot be written.
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
