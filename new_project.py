"""Start a project of your own from this one: `python new_project.py ../my-task`."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from utils.errors import UserError, run

HERE = Path(__file__).resolve().parent
LEFT_OUT = {
    ".git", ".ci", ".venv", "saved", "data", "wandb", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache",
    ".hypothesis", ".benchmarks", ".idea", ".vscode", "node_modules",
}  # fmt: skip
TITLE = "Laurel"  # in README.md; becomes the new project's name


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Copy this template, without data, runs, caches and git history.")
    parser.add_argument("folder", type=Path, help="where the new project goes; must not exist, or be empty")
    parser.add_argument("--name", help="its name: letters, digits, - and _ (default: the folder's)")
    return parser.parse_args()


def left_out(folder: str, names: list[str]) -> set[str]:
    """What is not copied: runs, data, caches, and whatever git would not take either."""
    suffixes = (".pyc", ".pyo", ".log", ".tmp")
    return {name for name in names if name in LEFT_OUT or name.endswith(suffixes)}


def rename(folder: Path, name: str) -> None:
    """Put the new name into the README's title and into the demo's config."""
    readme = folder / "README.md"
    readme.write_text(re.sub(rf"^# {TITLE}\b.*", f"# {name}", readme.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    demo = folder / "configs" / "demo.json"
    demo.write_text(demo.read_text(encoding="utf-8").replace('"name": "demo"', f'"name": "{name}"'), encoding="utf-8")


def main() -> None:
    args = parse()
    target = args.folder.resolve()
    name = args.name or target.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise UserError(f"{name!r}: is no name for a project; allowed: letters, digits, - and _ (set --name)")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target}: exists and is not empty; choose another folder")
    if target.is_relative_to(HERE):
        raise UserError(f"{target}: is inside the template itself; choose a folder beside it, e.g. ../{name}")
    try:
        shutil.copytree(HERE, target, ignore=left_out, dirs_exist_ok=True)
        rename(target, name)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error})") from None
    print(f"{target}: ready. Next: cd {target} && make test, then describe your data in a config (README.md says how).")


if __name__ == "__main__":
    run(main)
