"""Write and read checkpoints: a kill at any moment leaves a whole file, damage is noticed, and reading executes no code.

A checkpoint is a dictionary of tensors and plain JSON values in torch's zip format. Writing is atomic. The folder's
manifest holds the SHA-256 of every file. It is written before the file and names the old content and the new, so that
the manifest is right whether a kill leaves the old file or the new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils import files, foreign
from utils.checkpoint_names import LAST, MANIFEST, epoch_of
from utils.config import show
from utils.errors import UserError

FORMAT = 1
NEEDED = ("config", "progress")  # keys that every checkpoint must have

# The globals and opcodes that pickled dictionaries, lists, plain values and tensors need, and no others: no classes, no
# calls except of these two functions, no opcode that sets the state of an object.
_GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}
_OPCODES = set(
    "PROTO STOP MARK GLOBAL REDUCE BINPERSID BINPUT LONG_BINPUT BINGET LONG_BINGET NONE NEWTRUE NEWFALSE "
    "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE EMPTY_DICT SETITEM SETITEMS EMPTY_LIST APPEND APPENDS "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3".split()
)
MAX_DEPTH = 100
_SHARING = 16  # how often, on average, a checkpoint may refer to the same pickled value


class CheckpointError(UserError):
    """The error for a file that is no checkpoint, is damaged, or is dangerous to load."""


class CheckpointFolder:
    """The checkpoints of one run, and the manifest with their SHA-256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, str] = {}  # file name -> SHA-256 of the content that this object wrote

    def save(self, state: dict[str, Any], names: Sequence[str]) -> None:
        """Write `state` under each of the names, in their order. Name `last` at the end: a run resumes from it.

        Raises WriteError if the disk is full or the folder read-only (the old files stay), and TypeError for a value that
        is neither a tensor nor plain, since `load` would refuse it.
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
            again = f"the checkpoints in the folder are unchanged; continue with -r {self.folder}"
            raise files.WriteError(f"{error}; {again}") from error

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep` checkpoints that are named by their epoch.

        Raises WriteError if a file cannot be removed or the manifest cannot be written.
        """
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
        """Raise UserError if the disk has no room for `last` and `copies` more checkpoints.

        The space that the folder's checkpoints use now counts as free, since they will be replaced.
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
        """Return the manifest, without the entries that are damaged; without any entry if the manifest cannot be read."""
        try:
            entries = json.loads((self.folder / MANIFEST).read_text())["files"]
            return {"files": {name: entry for name, entry in entries.items() if _is_entry(entry)}}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {"files": {}}

    def newest_step(self) -> int:
        """Return the largest step of the folder's checkpoints; -1 if the manifest has no entry for any of them."""
        entries = self.manifest()["files"]
        return max((entries[path.name]["step"] for path in self.folder.glob("*.pth") if path.name in entries), default=-1)

    def digests(self, name: str) -> list[str] | None:
        """Return the SHA-256 values that the file may have; None if the manifest has no entry for the file."""
        entry = self.manifest()["files"].get(name)
        return list(entry["sha256"]) if entry else None

    def load(self, name: str) -> dict[str, Any]:
        """Read one checkpoint of the folder. Raises CheckpointError if the file is missing, damaged or dangerous."""
        return load(self.folder / name, self.digests(name))

    def load_newest(self) -> tuple[str, dict[str, Any], list[str]]:
        """Read `last`, or the newest undamaged checkpoint if `last` is damaged: its name, its state, and warnings.

        The list of warnings is empty, or holds one line that names the damaged checkpoints. `last` is read first even if
        another checkpoint has a later step: `last` is written at the end of a save, so a later one comes from a save that
        was killed. Raises CheckpointError if no checkpoint can be read.
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
        """Add the SHA-256 of the new content to the manifest before the files are written, and keep that of the old content.

        The old content is what this object wrote last. If this object has not written the file yet, or failed to, the old
        content may be any that the manifest names, since the save before may have ended before or after the renaming.
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
    """Return the value as dictionaries, lists, plain values and tensors without memory outside their own elements."""
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
        if isinstance(value, kind):  # NumPy's float64 is a float, but pickle writes it as a NumPy object
            return kind(value)
    raise TypeError(f"{'.'.join(map(str, key))}: {type(value).__name__} cannot be in a checkpoint; tensors and plain values can")


def load(path: Path, digests: Collection[str] | None = None) -> dict[str, Any]:
    """Read the checkpoint at `path` onto the CPU; check its bytes and its pickle before anything in it is used.

    digests: SHA-256 values that the file may have; without them the zip's own checksums are verified.
    Raises CheckpointError if the file cannot be read, is damaged or dangerous, or is no checkpoint of this project.
    """
    try:
        content = foreign.read(path)
    except UserError as error:
        raise CheckpointError(str(error)) from None
    if digests is not None and hashlib.sha256(content).hexdigest() not in digests:
        raise CheckpointError(f"{path}: is damaged (its SHA-256 is not the one in {MANIFEST})")
    try:
        program = foreign.torch_pickle(content, str(path), verify=digests is None)
        _check_pickle(path, program)
    except UserError as error:
        raise CheckpointError(str(error)) from None
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a malformed file; the user must not see a traceback
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise CheckpointError(f"{path}: is no checkpoint of this project ({reason})") from None
    _check_state(path, state, len(program))
    return dict(state)


def _check_pickle(path: Path, program: bytes) -> None:
    """Refuse a pickle with any opcode or global that saving tensors and plain values does not need. Raises UserError."""
    text = None
    for opcode, argument in foreign.opcodes(program, str(path)):
        if opcode not in _OPCODES or (opcode == "GLOBAL" and argument not in _GLOBALS):
            wanted = argument if opcode in ("GLOBAL", "INST") else text if opcode == "STACK_GLOBAL" else opcode
            raise UserError(f"{path}: refused, it asks for {show(wanted)}; nothing in it was executed")
        text = argument if isinstance(argument, str) else text
    foreign.refuse_shared_tuples(program, str(path))


def _check_state(path: Path, state: Any, pickled: int) -> None:
    """Refuse a state that is not ours, or that is far larger than its pickle of `pickled` bytes can hold."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = f"format {str(state['format'])[:20]}" if isinstance(state, dict) and "format" in state else "no format"
        raise CheckpointError(f"{path}: is no checkpoint of this project ({found}; allowed: format {FORMAT})")
    if lacking := [key for key in NEEDED if not isinstance(state.get(key), dict)]:
        raise CheckpointError(f"{path}: is no checkpoint of this project (it lacks {', '.join(lacking)})")
    room = _SHARING * pickled
    for depth, value in _walk(state):
        room -= 1 + (len(value) if isinstance(value, str) else 0)
        if room < 0 or depth > MAX_DEPTH:
            raise CheckpointError(f"{path}: refused, it unfolds to far more than the file holds")
        if isinstance(value, Tensor) and value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(f"{path}: refused, a tensor claims the shape {tuple(value.shape)}, more than the file holds")


def _walk(state: Any) -> Iterator[tuple[int, Any]]:
    """Yield every value in the state with its depth; a value that is referred to n times comes n times."""
    waiting = [(0, state)]
    while waiting:
        depth, value = waiting.pop()
        yield depth, value
        items = (*value.keys(), *value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        waiting += [(depth + 1, item) for item in items]


def weights_hash(state: dict[str, Any]) -> str:
    """Return the SHA-256 over the names, dtypes, shapes and bytes of a state dict's tensors (any shapes, any dtypes)."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
