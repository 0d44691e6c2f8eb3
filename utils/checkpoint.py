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
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils import files
from utils.config import show
from utils.errors import RunError, UserError

MANIFEST = "manifest.json"
LAST, BEST = "last.pth", "best.pth"
FORMAT = 1
_GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage"
    for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


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

    def save(self, state: dict[str, Any], names: Sequence[str]) -> None:
        """Write `state` under each of the names. Raises RunError (disk full, folder read-only); what was there stays."""
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **state}, buffer)
        content = buffer.getbuffer()
        digest = hashlib.sha256(content).hexdigest()
        try:
            for name in names:
                self._announce(name, digest, state["progress"])
                files.write_bytes(self.folder / name, content)  # type: ignore[arg-type]
        except OSError as error:
            raise RunError(
                f"{self.folder / name}: cannot be saved ({error.strerror}); the checkpoints there are as they were. "
                "Make room and continue with: train.py -r last"
            ) from error

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep` checkpoints that are named by their epoch."""
        numbered = sorted((e, p) for p in self.folder.glob("*.pth") if (e := epoch_of(p.name)) is not None)
        manifest = self.manifest()
        for _, path in numbered[: max(0, len(numbered) - keep)]:
            path.unlink()
            manifest["files"].pop(path.name, None)
        files.write_json(self.folder / MANIFEST, manifest)

    def require_space(self, copies: int) -> None:
        """Raise UserError where the disk has no room for `copies` more checkpoints like the last one."""
        size = (self.folder / LAST).stat().st_size
        free = shutil.disk_usage(self.folder).free
        if free < copies * size:
            raise UserError(
                f"{self.folder}: {free / 1e6:,.0f} MB are free, and this run needs {copies * size / 1e6:,.0f} MB "
                f"({copies} checkpoints); make room, or set trainer.save_dir or trainer.keep"
            )

    def manifest(self) -> dict[str, Any]:
        """What is known of the files; empty where the manifest is missing or damaged."""
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text())
            return manifest if isinstance(manifest["files"], dict) else {"files": {}}
        except (OSError, ValueError, KeyError, TypeError):
            return {"files": {}}

    def load(self, name: str) -> dict[str, Any]:
        """One checkpoint. Raises CheckpointError where it is missing, damaged or dangerous."""
        entry = self.manifest()["files"].get(name)
        return load(self.folder / name, entry["sha256"] if entry else None)

    def load_newest(self) -> tuple[str, dict[str, Any], list[str]]:
        """The newest checkpoint that is whole: its name, its state, and a warning where newer ones are damaged.

        Raises CheckpointError where there is none.
        """
        entries = self.manifest()["files"]
        present = [path.name for path in self.folder.glob("*.pth")]
        order = sorted(present, key=lambda name: (entries.get(name, {}).get("step", -1), name == LAST), reverse=True)
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

    def _announce(self, name: str, digest: str, progress: dict[str, int]) -> None:
        """Let the manifest vouch for the new content before it is there, and still for the old."""
        manifest = self.manifest()
        old = manifest["files"].get(name, {}).get("sha256", [])
        saved = datetime.now(UTC).isoformat(timespec="seconds")
        manifest["files"][name] = {"sha256": [digest, *old[:1]], "step": progress["step"], "saved": saved}
        files.write_json(self.folder / MANIFEST, manifest)


def load(path: Path, digests: Iterable[str] | None = None) -> dict[str, Any]:
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
    _inspect(path, content, verify=digests is None)
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a malformed file; none of them may pass as a traceback
        raise CheckpointError(f"{path}: is no checkpoint of this project ({str(error).splitlines()[0][:120]})") from None
    _check_state(path, state, len(content))
    return dict(state)


def _inspect(path: Path, content: bytes, verify: bool) -> None:
    """Refuse, before allocating anything, what no save of ours contains: compression, overlaps, foreign calls."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise CheckpointError(f"{path}: holds compressed data, which no checkpoint does")
            if sum(entry.file_size for entry in entries) > len(content):
                raise CheckpointError(f"{path}: claims more data than the file has")
            if verify and archive.testzip() is not None:
                raise CheckpointError(f"{path}: is damaged (a checksum in it is wrong)")
            pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
            if len(pickles) != 1:
                raise CheckpointError(f"{path}: is no checkpoint of this project")
            _check_pickle(path, archive.read(pickles[0]))
    except (zipfile.BadZipFile, EOFError, ValueError, IndexError, KeyError, NotImplementedError, OSError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: is damaged, or no checkpoint ({str(error)[:80]})") from None


def _check_pickle(path: Path, program: bytes) -> None:
    """Every name that the pickle would look up must be one that saving tensors and plain values needs."""
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.name in _CALLS and (opcode.name != "GLOBAL" or argument not in _GLOBALS):
            raise CheckpointError(f"{path}: refused, it would call {show(argument)}; nothing in it was executed")


def _check_state(path: Path, state: Any, size: int) -> None:
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: is no checkpoint of this project (format {FORMAT})")
    for tensor in _tensors(state):
        if tensor.numel() * tensor.element_size() > min(size, tensor.untyped_storage().nbytes()):
            raise CheckpointError(f"{path}: refused, a tensor claims the shape {tuple(tensor.shape)}, more than the file holds")


def _tensors(value: Any, seen: set[int] | None = None) -> Iterable[Tensor]:
    """Every tensor once, however often a shared list is reached."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        if isinstance(item, Tensor | dict | list | tuple):
            yield from _tensors(item, seen)


def weights_hash(state: dict[str, Any]) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of a state dict's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
