"""Imports run one way: utils <- base <- {data_loader, model, logger} <- trainer <- {inspection, scripts}."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.guards.sources import PACKAGES, ROOT, imported, relative, scripts, sources, tree

MAY_IMPORT: dict[str, set[str]] = {
    "utils": set(),
    "base": {"utils"},
    "data_loader": {"utils", "base"},
    "model": {"utils", "base"},
    "logger": {"utils", "base"},
    "trainer": {"utils", "base", "data_loader", "model", "logger"},
    "inspection": {"utils", "base", "data_loader", "model", "logger", "trainer"},
}
# Scripts that are kept in a package, beside what they are about: `python -m model.export`. They may import what scripts may,
# and nothing imports them.
SCRIPTS_WITHIN = {"model/export.py"}
NEVER = {"tests", "benchmarks", "train", "test", "app", "new_project"}


def forbidden(path: Path, allowed: set[str]) -> list[str]:
    """`file:line imports module` for every import of ours that is not allowed."""
    ours = set(PACKAGES) | NEVER
    found = ((line, module.partition(".")[0]) for line, module in imported(path))
    return [f"{relative(path)}:{line} imports {package}" for line, package in found if package in ours - allowed]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    modules = [path for path in sources(package) if relative(path) not in SCRIPTS_WITHIN]
    assert [line for path in modules for line in forbidden(path, MAY_IMPORT[package] | {package})] == []


@pytest.mark.parametrize("script", SCRIPTS_WITHIN)
def test_a_script_within_a_package_imports_others_only_when_it_is_run(script: str) -> None:
    tops = [node for node in tree(ROOT / script).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {getattr(node, "module", None) for node in tops} <= {"__future__", "utils.errors", None}
    assert forbidden(ROOT / script, set(PACKAGES)) == []


@pytest.mark.parametrize("script", SCRIPTS_WITHIN)
def test_nothing_imports_a_script_within_a_package(script: str) -> None:
    name = script.removesuffix(".py").replace("/", ".")
    assert [relative(path) for path in [*sources(), *scripts()] if name in {module for _, module in imported(path)}] == []


def test_no_script_is_imported_by_another() -> None:
    assert [line for path in scripts() for line in forbidden(path, set(PACKAGES))] == []


def test_an_import_within_a_function_and_one_for_type_checking_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.guards.sources.ROOT", tmp_path)
    path = tmp_path / "utils" / "files.py"
    path.parent.mkdir()
    path.write_text("if TYPE_CHECKING:\n    from base.table import SampleTable\n\ndef f():\n    import model.attributes\n")
    assert forbidden(path, {"utils"}) == ["utils/files.py:2 imports base", "utils/files.py:5 imports model"]
