"""Check that imports run one way between packages and rooms, and that no common room imports a task's room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guards.sources import PACKAGES, ROOT, TASKS, imported, relative, scripts, sources

# A package imports the packages in its set, and itself.
MAY_IMPORT: dict[str, set[str]] = {
    "utils": set(),
    "project": {"utils"},
    "base": {"utils"},
    "data_loader": {"utils", "base"},
    "model": {"utils", "base"},
    "logger": {"utils", "base"},
    "trainer": {"utils", "base", "data_loader", "model", "logger"},
    "inspection": {"utils", "base", "data_loader", "model", "logger", "trainer"},
    "commands": {"utils", "base", "data_loader", "model", "logger", "trainer", "inspection"},
}
SCRIPTS = {"laurel", "train", "test", "app", "new_project"}
NEVER = {"tests", "benchmarks", *SCRIPTS}

# The rooms of a package from the lowest floor to the highest. A room imports lower floors only; rooms of one floor do not
# import each other. "." is the package's own files. A task's rooms are above all others.
FLOORS: dict[str, list[set[str]]] = {
    "base": [{"saved"}, {"."}],
    "data_loader": [
        {"formats", "augment"}, {"pictures"}, {"crop", "submissions", "synthetic"}, {"samples"}, {"batches"}, {"."}, {"prepare"},
    ],
    "model": [{"backbones", "."}, {"exporting"}],
    "trainer": [{"training"}, {"experiment"}, {"evaluation"}, {"runs", "shipping"}],
    "inspection": [{"."}, {"views"}],
}  # fmt: skip


def room_of(module: str) -> str:
    """Return the room of a module of a package: its folder, or "." for the package's own files."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (ROOT / parts[0] / parts[-1]).is_dir() else "."


def module_of(path: Path) -> str:
    """Return the dotted name of a source file."""
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def task_of(module: str) -> str | None:
    """Return the task whose room a module is in, None for a common room."""
    return next((part for part in module.split(".")[1:] if part in TASKS), None)


def forbidden(path: Path, allowed: set[str]) -> list[str]:
    """Return `file:line imports module` for each import of a package that is not allowed."""
    ours = set(PACKAGES) | NEVER
    packages = ((line, module.partition(".")[0]) for line, module in imported(path))
    return [f"{relative(path)}:{line} imports {package}" for line, package in packages if package in ours - allowed]


def forbidden_tasks(path: Path) -> list[str]:
    """Return `file:line imports module` for each import of a task's room from outside the task."""
    own = task_of(module_of(path))
    packages = set(PACKAGES)
    return [
        f"{relative(path)}:{line} imports {module}"
        for line, module in imported(path)
        if module.partition(".")[0] in packages and (task := task_of(module)) is not None and task != own
    ]


def upward(path: Path) -> list[str]:
    """Return `file:line imports module` for each import of a room on the same or a higher floor of the package."""
    package, *_ = module_of(path).split(".")
    floors = {room: floor for floor, rooms in enumerate(FLOORS.get(package, [])) for room in rooms}
    own = room_of(module_of(path) + (".x" if path.name == "__init__.py" else ""))
    if own not in floors:
        return []
    return [
        f"{relative(path)}:{line} imports {module}"
        for line, module in imported(path)
        if module.startswith(f"{package}.")
        and (room := room_of(module)) in floors
        and room != own
        and floors[room] >= floors[own]
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_packages_below_it(package: str) -> None:
    assert [line for path in sources(package) for line in forbidden(path, MAY_IMPORT[package] | {package})] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_room_imports_the_room_of_a_task(package: str) -> None:
    assert [line for path in sources(package) for line in forbidden_tasks(path)] == []


@pytest.mark.parametrize("package", FLOORS)
def test_a_room_imports_only_rooms_on_lower_floors(package: str) -> None:
    assert [line for path in sources(package) for line in upward(path)] == []


@pytest.mark.parametrize("package", FLOORS)
def test_every_common_room_has_a_floor(package: str) -> None:
    rooms = {room_of(module_of(path)) for path in sources(package) if path.name != "__init__.py"}
    assert rooms - set(TASKS) == set().union(*FLOORS[package])


def test_no_script_is_imported_by_another() -> None:
    others = [path for path in scripts() if path.name != "laurel.py"]
    assert [line for path in others for line in forbidden(path, {*PACKAGES, "laurel"})] == []


def test_imports_in_functions_and_for_type_checking_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.guards.sources.ROOT", tmp_path)
    path = tmp_path / "utils" / "files.py"
    path.parent.mkdir()
    path.write_text("if TYPE_CHECKING:\n    from base.table import SampleTable\n\ndef f():\n    import model.attributes\n")
    assert forbidden(path, {"utils"}) == ["utils/files.py:2 imports base", "utils/files.py:5 imports model"]
