"""Where a run keeps its files: `saved/models/<name>/<run_id>` and `saved/log/<name>/<run_id>`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from utils import distributed, files
from utils.checkpoint import CheckpointFolder
from utils.errors import UserError

STATUS = "status.json"


@dataclass(frozen=True)
class RunFolder:
    """One run's two folders."""

    models: Path
    log: Path

    @classmethod
    def create(cls, save_dir: Path, name: str) -> RunFolder:
        """Make a new run. Every process must call it; the main one makes the folders."""
        run_id, problem = None, None
        if distributed.is_main():
            try:
                run_id = files.make_run_id(save_dir / "models" / name)
            except UserError as error:
                problem = str(error)
        run_id, problem = distributed.broadcast_object((run_id, problem))
        if problem:
            raise UserError(problem)
        return cls.at(save_dir / "models" / name / str(run_id))

    @classmethod
    def at(cls, models: Path) -> RunFolder:
        """The run whose checkpoints are in `models`."""
        models = models.absolute()
        log = models.parents[2] / "log" / models.parent.name / models.name
        if distributed.is_main():
            log.mkdir(parents=True, exist_ok=True)
            files.remove_temporaries(models)
        return cls(models, log)

    @property
    def checkpoints(self) -> CheckpointFolder:
        """The run's checkpoints."""
        return CheckpointFolder(self.models)

    @property
    def status(self) -> str:
        """`new`, `running` (or killed), `finished`, or why the run stopped."""
        try:
            return str(json.loads((self.models / STATUS).read_text())["status"])
        except (OSError, ValueError, KeyError, TypeError):
            return "new"

    def set_status(self, status: str) -> None:
        """Record how the run stands; the main process alone."""
        if distributed.is_main():
            files.write_json(self.models / STATUS, {"status": status})


def runs(save_dir: Path, name: str | None = None) -> list[Path]:
    """Model folders of all runs (of one name) that have a checkpoint, the newest last."""
    found = (save_dir / "models").glob(f"{name or '*'}/*/manifest.json")
    return sorted((path.parent for path in found), key=lambda folder: folder.name)
