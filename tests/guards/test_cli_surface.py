"""Check that no command gets further options: a setting belongs into the config."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from laurel import COMMANDS, available
from tests.guards.sources import relative, scripts, sources, tree
from utils.options import Parser

OPTIONS = {
    "train": "--bs --check --config --data --device --epochs --folds --help --lr --name --resume --set -c -d -h -r config",
    "test": "--device --help --output --resume --save-dir --set --split --verbosity -d -h -o -r",
    "init": "--format --help --output --task -h -o path",
    "check": "--config --config-only --help --output --set -c -h -o config",
    "predict": "--device --help --output --resume --set -d -h -o -r pictures",
    "compare": "--a --b --device --help --metric --truth -d -h a b",
    "ensemble": "--device --help --monitor --output -d -h -o members",
    "folds": "--device --help -d -h runs",
    "runs": "--help --save-dir -h",
    "find-lr": "--config --device --from --help --output --set --steps --to -c -d -h -o config",
    "search": "--column --device --gallery --help --query --resume --top -d -h -r",
    "export": "--allow --format --half --help --int8 --output --resume --samples --set -h -o -r",
    "bundle": "--help --output --resume --set -h -o -r",
    "crop": "--boxes --config --help --output --set --sheets --write -c -h -o config",
    "convert": "--annotations --first-pixel --from --help --images --invalid --names --output --to -h -o",
    "balance": "--annotations --first-pixel --from --help --images --invalid --names --output --rule --to -h -o",
    "sort": "--config --help --link --output --set -c -h -o config",
    "groups": "--help --images --output --within -h -o",
    "lint": "--config --help --set -c -h file",
    "app": "--help -h options",
    "synthesize": "--help -h layout",
    "new-project": "--files-only --help --name --tasks -h folder",
    "update": "--help -h template",
    "schema": "--check --help -h",
}


@pytest.mark.parametrize("verb", available())
def test_no_option_came_or_went(verb: str) -> None:
    parser = Parser()
    importlib.import_module(COMMANDS[verb][0]).add_arguments(parser)
    options = {word for action in parser._actions for word in action.option_strings or [action.dest]}
    assert " ".join(sorted(options)) == OPTIONS[verb]


def test_every_command_is_there_or_its_task_is_not() -> None:
    assert [verb for verb in COMMANDS if verb not in available() and COMMANDS[verb][0].startswith("commands.")] == []


@pytest.mark.parametrize("path", [*sources(), *scripts()], ids=relative)
def test_only_the_main_function_of_a_command_sees_the_parsed_command_line(path: Path) -> None:
    functions = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef) and node.name != "main")
    given = {node.name: [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs] for node in functions}
    assert [name for name, args in given.items() if any("Namespace" in ast.unparse(arg) for arg in args)] == []
