"""Manage the folders of a run: `saved/models/<name>/<run_id>` and `saved/log/<name>/<run_id>`."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from base.saved.names import EXPORT, LOCK, STATUS
from utils import files
from utils.errors import UserError

if TYPE_CHECKING:
    from utils.checkpoint import CheckpointFolder

FINISHED = ("finished", "early stop")
DONE = FINISHED[0]
FRUITLESS = "nothing learned"  # all epochs are trained, but no weight has moved, or no epoch is the best


@dataclass(frozen=True)
class RunFolder:
    """The two folders of a run."""

    models: Path
    log: Path
    _held: list[IO[bytes]] = field(default_factory=list, init=False, repr=False, compare=False)  # the lock, once claimed

    @classmethod
    def create(cls, save_dir: Path, name: str) -> RunFolder:
        """Make a new run and claim it. Every process must call it; the main process makes the folders.

        Raises UserError if the folders cannot be made.
        """
        from utils import distributed  # imports torch, which the app loads only when it needs a model

        parent = save_dir / "models" / name
        run = cls.at(parent / distributed.on_main(lambda: files.make_run_id(parent)))
        run.begin()
        return run.claim()

    @classmethod
    def at(cls, models: Path) -> RunFolder:
        """Return the run whose checkpoints are in `models`. Logs are in `log` inside it unless it is below `saved/models`."""
        models = models.absolute()
        parents = models.parents
        if len(parents) > 2 and parents[1].name == "models":
            return cls(models, parents[2] / "log" / parents[0].name / models.name)
        return cls(models, models / "log")

    @classmethod
    def of(cls, path: Path) -> RunFolder:
        """Return the run that a models folder, or a checkpoint in one, belongs to."""
        return cls.at(path if path.is_dir() else path.parent)

    @property
    def exported(self) -> Path:
        """The default folder for models that are exported from the run."""
        return self.log / EXPORT

    def claim(self) -> RunFolder:
        """Lock the run for this process, and remove temporary files of a killed process. Every process must call it.

        Raises UserError if another process has locked the run, or the folders cannot be written.
        """
        from utils import distributed

        distributed.on_main(self._claim)
        return self

    def _claim(self) -> None:
        try:
            self.log.mkdir(parents=True, exist_ok=True)
            held = files.lock(self.models / LOCK)
        except OSError as error:
            raise files.WriteError(f"{error.filename}: cannot be written ({error.strerror})") from error
        if held is None:
            raise UserError(f"{self.models}: another process is training this run; stop it first, or start a new run without -r")
        self._held.append(held)
        for folder in (self.models, self.log):
            files.remove_temporaries(folder)

    def discard(self) -> None:
        """Remove the folders if they are empty, because the run did not begin. Every process may call it."""
        from utils import distributed

        if (
            distributed.is_main()
            and {path.name for path in self.models.iterdir()} <= {LOCK, STATUS}
            and not any(self.log.iterdir())
        ):
            for name in (LOCK, STATUS):
                (self.models / name).unlink(missing_ok=True)
            for folder in (self.models, self.log):
                folder.rmdir()

    @property
    def busy(self) -> bool:
        """True if another process is training this run."""
        if not (self.models / LOCK).exists():
            return False
        try:
            held = files.lock(self.models / LOCK)
        except OSError:
            return False
        if held is not None:
            held.close()
        return held is None

    @cached_property
    def checkpoints(self) -> CheckpointFolder:
        """The run's checkpoints."""
        from utils.checkpoint import CheckpointFolder

        return CheckpointFolder(self.models)

    @property
    def status(self) -> str:
        """The status: `new`, `running` (or killed), `finished`, or the reason for which the run stopped."""
        return str(self._record().get("status", "new"))

    @property
    def begun(self) -> float:
        """The time at which the run or group began, in seconds, by which runs are put in order.

        It is later than that of every run that was there before, even if the clock was ahead when that one was named. If no time
        is recorded, it is the time in the folder's name, else the time at which the folder was changed.
        """
        recorded = self._record().get("begun")
        if isinstance(recorded, float) and math.isfinite(recorded):
            return recorded
        named = re.search(r"\d{8}-\d{6}", self.models.name)
        try:
            return datetime.strptime(f"{named[0]}+0000", "%Y%m%d-%H%M%S%z").timestamp() if named else self.models.stat().st_mtime
        except (ValueError, OSError):
            return 0.0

    def begin(self) -> None:
        """Record the time at which a new run or group began. Raises WriteError if the file cannot be written."""
        others = [RunFolder.at(path.parent).begun for path in self.models.parents[1].glob(f"*/*/{STATUS}")]
        self._set(status="new", begun=max([time.time(), *(other + 1e-3 for other in others)]))

    def _record(self) -> dict[str, Any]:
        try:
            values = json.loads((self.models / STATUS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def _set(self, **values: Any) -> None:
        from utils import distributed

        if distributed.is_main():
            files.write_json(self.models / STATUS, {**self._record(), **values})

    @property
    def finished(self) -> bool:
        """True if the run has come to its end."""
        return self.status in FINISHED

    def set_status(self, status: str) -> None:
        """Write the status; only the main process writes. Raises WriteError if the file cannot be written."""
        self._set(status=status)
