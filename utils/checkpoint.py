"""Checkpoints that survive a kill at any moment, prove that they are undamaged, and cannot execute anything.

A checkpoint is a dictionary of tensors and plain JSON values in torch's zip format. Writing is atomic; the SHA-256 of
every file stands in the folder's manifest, which is written first and names the old content beside the new, so that
whichever of the two a kill leaves is known to be good.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickletools
import shutil
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils import files
from utils.config import show
from utils.errors import UserError

MANIFEST = "manifest.json"
LAST, BEST = "last.pth", "best.pth"
FORMAT = 1
NEEDED = ("config", "progress")  # without which nothing can be made of a checkpoint

# What pickling dictionaries, lists, plain values and tensors needs, and nothing else: no classes, no calls of anything
# but the two functions, no state laid over an object.
_GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}
_OPCODES = set(
    "PROTO STOP MARK GLOBAL REDUCE BINPERSID BINPUT LONG_BINPUT BINGET LONG_BINGET NONE NEWTRUE NEWFALSE "
    "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE EMPTY_DICT SETITEM SETITEMS EMPTY_LIST APPEND APPENDS "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3".split()
)
MAX_PICKLE = 2**24  # bytes; 10,000 tensors take about 2 MB
MAX_DEPTH = 100
_SHARING = 16  # how often, on average, a checkpoint may use again what it holds once


class CheckpointError(UserError):
    """A file that is no checkpoint, or a damaged or dangerous one."""


def epoch_name(epoch: int) -> str:
    """The name of the checkpoint kept after an epoch, counted from 1."""
    return f"checkpoint-epoch{epoch}.pth"


def epoch_of(name: str) -> int | None:
    """The epoch in the name of such a checkpoint, None for other names."""
    digits = name.removeprefix("checkpoint-epoch").removesuffix(".pth")
    return int(digits) if name == f"checkpoint-epoch{digits}.pth" and digits.isdigit() else None


class CheckpointFolder:
    """The checkpoints of one run, and the manifest that vouches for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, str] = {}  # file name -> digest of what this object wrote there

    def save(self, state: dict[str, Any], names: Sequence[str]) -> None:
        """Write `state` under each of the names, of which `last` should be the last: it is what a run goes on from.

        Raises WriteError (disk full, folder read-only), and what was there stays; TypeError for a value that is neither a
        tensor nor plain, since no `load` would accept it.
        """
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **_plain(state, ())}, buffer)
        content = buffer.getbuffer()
        digest = hashlib.sha256(content).hexdigest()
        try:
            self._announce(names, digest, state["progress"])
            for name in names:
                files.write_bytes(self.folder / name, content)  # type: ignore[arg-type]
                self._written[name] = digest
        except files.WriteError as error:
            again = f"the checkpoints there are as they were; continue with -r {self.folder}"
            raise files.WriteError(f"{error}; {again}") from error

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep` checkpoints that are named by their epoch. Raises WriteError."""
        numbered = sorted((e, p) for p in self.folder.glob("*.pth") if (e := epoch_of(p.name)) is not None)
        superfluous = [path for _, path in numbered[: max(0, len(numbered) - keep)]]
        if not superfluous:
            return
        manifest = self.manifest()
        for path in superfluous:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise files.WriteError(f"{path}: cannot be removed ({error.strerror})") from error
            manifest["files"].pop(path.name, None)
        files.write_json(self.folder / MANIFEST, manifest)

    def require_space(self, copies: int, growth: int = 0) -> None:
        """Raise UserError where the disk has no room for `copies` checkpoints beside the last one, counting those there are.

        growth: bytes by which later checkpoints will be larger than the last one.
        """
        size = (self.folder / LAST).stat().st_size
        there = [path.stat().st_size for path in self.folder.glob("*.pth")]
        wanted = (copies + 1) * (size + growth) - sum(there)
        free = shutil.disk_usage(self.folder).free
        if free < wanted:
            raise UserError(
                f"{self.folder}: {free / 1e6:,.0f} MB are free, and this run needs {wanted / 1e6:,.0f} MB more "
                f"({copies} checkpoints); make room, or set trainer.save_dir or trainer.keep"
            )

    def manifest(self) -> dict[str, Any]:
        """What is known of the files; nothing of those whose entry is damaged, as where the manifest is missing."""
        try:
            entries = json.loads((self.folder / MANIFEST).read_text())["files"]
            return {"files": {name: entry for name, entry in entries.items() if _is_entry(entry)}}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {"files": {}}

    def newest_step(self) -> int:
        """The largest step of the checkpoints that are there, -1 where the manifest knows none of them."""
        entries = self.manifest()["files"]
        return max((entries[path.name]["step"] for path in self.folder.glob("*.pth") if path.name in entries), default=-1)

    def digests(self, name: str) -> list[str] | None:
        """SHA-256 values of which the file must have one; None where the manifest does not know it."""
        entry = self.manifest()["files"].get(name)
        return list(entry["sha256"]) if entry else None

    def load(self, name: str) -> dict[str, Any]:
        """One checkpoint. Raises CheckpointError where it is missing, damaged or dangerous."""
        return load(self.folder / name, self.digests(name))

    def load_newest(self) -> tuple[str, dict[str, Any], list[str]]:
        """`last`, or the newest checkpoint that is whole: its name, its state, and a warning where others are damaged.

        `last` is written last, so that the others of its moment are there too; one of them that is newer was written in a
        save that was killed before its end. Raises CheckpointError where there is none.
        """
        entries = self.manifest()["files"]
        present = [path.name for path in self.folder.glob("*.pth")]
        order = sorted(present, key=lambda name: (name == LAST, entries.get(name, {}).get("step", -1)), reverse=True)
        damaged: list[str] = []
        for name in order:
            try:
                state = self.load(name)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            progress = state["progress"]
            place = f"using {self.folder / name} (epoch {progress['epoch'] + 1}, step {progress['step']}) instead"
            return name, state, [f"{'; '.join(damaged)}; {place}"] if damaged else []
        raise CheckpointError("; ".join(damaged) or f"{self.folder}: holds no checkpoint")

    def _announce(self, names: Sequence[str], digest: str, progress: Mapping[str, int]) -> None:
        """Let the manifest vouch for the new content before it is there, and still for what is there.

        What is there is what this object wrote; before it wrote any, or when it failed to, it is one of those that the
        manifest names, since a save may have ended on either side of its renaming.
        """
        manifest = self.manifest()
        saved = datetime.now(UTC).isoformat(timespec="seconds")
        for name in names:
            own, known = self._written.pop(name, None), manifest["files"].get(name, {}).get("sha256", [])
            vouched = [digest, own] if own else [digest, *known]
            manifest["files"][name] = {"sha256": list(dict.fromkeys(vouched)), "step": progress["step"], "saved": saved}
        files.write_json(self.folder / MANIFEST, manifest)


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("step"), int)
        and isinstance(entry.get("sha256"), list)
        and all(isinstance(digest, str) for digest in entry["sha256"])
    )


def _plain(value: Any, key: tuple[Any, ...]) -> Any:
    """The value as dictionaries, lists, plain values and tensors that hold no more memory than they show."""
    if isinstance(value, Tensor):
        value = value.detach()
        return value if value.untyped_storage().nbytes() == value.numel() * value.element_size() else value.clone()
    if isinstance(value, Mapping):
        return {_plain(name, (*key, name)): _plain(item, (*key, name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*key, index)) for index, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):  # NumPy's float64 is a float and pickled as something else
            return kind(value)
    raise TypeError(f"{'.'.join(map(str, key))}: {type(value).__name__} cannot be in a checkpoint; tensors and plain values can")


def load(path: Path, digests: Collection[str] | None = None) -> dict[str, Any]:
    """The checkpoint at `path` on the CPU, checked before anything in it is used.

    digests: SHA-256 values of which the file must have one; without them the zip's own checksums are verified.
    Raises CheckpointError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    if digests is not None and hashlib.sha256(content).hexdigest() not in digests:
        raise CheckpointError(f"{path}: is damaged (its SHA-256 is not the one in {MANIFEST})")
    program = _inspect(path, content, verify=digests is None)
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a malformed file; none of them may pass as a traceback
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise CheckpointError(f"{path}: is no checkpoint of this project ({reason})") from None
    _check_state(path, state, len(program))
    return dict(state)


def _inspect(path: Path, content: bytes, verify: bool) -> bytes:
    """The pickle in the file. Refuses, before allocating anything, what no save of ours contains."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise CheckpointError(f"{path}: refused, it holds compressed data, which no checkpoint does")
            if sum(entry.file_size for entry in entries) > len(content):
                raise CheckpointError(f"{path}: refused, it claims more data than the file has")
            if verify and archive.testzip() is not None:
                raise CheckpointError(f"{path}: is damaged (a checksum in it is wrong)")
            pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
            if len(pickles) != 1 or pickles[0].file_size > MAX_PICKLE:
                raise CheckpointError(f"{path}: is no checkpoint of this project")
            program = archive.read(pickles[0])
            _check_pickle(path, program)
            return program
    except CheckpointError:
        raise
    except (zipfile.BadZipFile, EOFError, ValueError, IndexError, KeyError, NotImplementedError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: is damaged, or no checkpoint ({str(error)[:80]})") from None


def _check_pickle(path: Path, program: bytes) -> None:
    """Every step of the pickle must be one that saving tensors and plain values needs.

    A tuple may not be used twice: the hash of nested ones that are takes for ever. No tuple of ours is.
    """
    tuples: set[Any] = set()
    text, before = None, ""
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.name not in _OPCODES or (opcode.name == "GLOBAL" and argument not in _GLOBALS):
            wanted = argument if opcode.name in ("GLOBAL", "INST") else text if opcode.name == "STACK_GLOBAL" else opcode.name
            raise CheckpointError(f"{path}: refused, it asks for {show(wanted)}; nothing in it was executed")
        if opcode.name.endswith("BINPUT") and before.startswith("TUPLE"):
            tuples.add(argument)
            continue  # the tuple is still what a next BINPUT would name
        if opcode.name.endswith("BINGET") and argument in tuples:
            raise CheckpointError(f"{path}: refused, it uses a tuple twice, which no checkpoint does")
        text, before = argument if isinstance(argument, str) else text, opcode.name


def _check_state(path: Path, state: Any, pickled: int) -> None:
    """pickled: bytes of the pickle, which bounds what there can be if nothing is used again and again."""
    ours = isinstance(state, dict) and state.get("format") == FORMAT
    if not ours or not all(isinstance(state.get(key), dict) for key in NEEDED):
        raise CheckpointError(f"{path}: is no checkpoint of this project (format {FORMAT})")
    room = _SHARING * pickled
    for depth, value in _walk(state):
        room -= 1 + (len(value) if isinstance(value, str) else 0)
        if room < 0 or depth > MAX_DEPTH:
            raise CheckpointError(f"{path}: refused, it unfolds to far more than the file holds")
        if isinstance(value, Tensor) and value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(f"{path}: refused, a tensor claims the shape {tuple(value.shape)}, more than the file holds")


def _walk(state: Any) -> Iterator[tuple[int, Any]]:
    """Everything in the state with its depth, as often as it is reached."""
    waiting = [(0, state)]
    while waiting:
        depth, value = waiting.pop()
        yield depth, value
        items = (*value.keys(), *value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        waiting += [(depth + 1, item) for item in items]


def weights_hash(state: dict[str, Any]) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of a state dict's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
