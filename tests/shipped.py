"""The configs that the project ships."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.json") if path.name != "schema.json")


def name(path: Path) -> str:
    """A config's path below `configs`, for the ids of parametrised tests."""
    return path.relative_to(ROOT / "configs").as_posix()
