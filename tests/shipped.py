"""The configs that the project ships."""

from __future__ import annotations

from pathlib import Path

from trainer.experiment.stages import is_staged
from utils.config import read

ROOT = Path(__file__).parents[1]
_ALL = sorted(path for path in (ROOT / "configs").rglob("*.json") if path.name != "schema.json")
STAGED = [path for path in _ALL if is_staged(read(path))]  # several runs in order
CONFIGS = [path for path in _ALL if path not in STAGED]


def name(path: Path) -> str:
    """A config's path below `configs`, for the ids of parametrised tests."""
    return path.relative_to(ROOT / "configs").as_posix()
