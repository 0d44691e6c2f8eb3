"""Check the table of commands, and what every command does with wrong words and missing packages."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import laurel
from laurel import COMMANDS, available, command
from tests.helpers import ROOT
from utils.errors import UserError
from utils.options import Parser

# Words with which each command gets past its options, so that it imports what it needs.
WORDS = {
    "init": "none",
    "check": "-c none.json",
    "train": "-c none.json",
    "test": "-r best.pth",
    "predict": "-r best.pth none.jpg",
    "compare": "a b",
    "ensemble": "a b -o out",
    "folds": "a",
    "runs": "",
    "find-lr": "-c none.json -o out",
    "search": "-r best.pth --gallery . --query a.jpg",
    "export": "-r best.pth",
    "bundle": "-r best.pth",
    "crop": "-c none.json",
    "convert": "--from coco --to voc --annotations a --images b --names c -o out",
    "balance": "--from coco --to voc --annotations a --images b --names c -o out --rule any:a",
    "sort": "-c none.json -o out",
    "groups": "--images . -o out",
    "lint": "-c none.json file",
    "app": "",
    "synthesize": "",
    "schema": "--check",
}
BARE = """
import importlib.abc, json, os, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and not any(os.path.exists(os.path.join(ROOT, n)) for n in (top, top + ".py")):
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)

ROOT = sys.argv.pop(1)
os.environ.clear()
sys.meta_path.insert(0, Missing())
sys.path.insert(0, ROOT)
sys.argv[0] = "laurel.py"
import laurel
laurel.script()
"""


@pytest.mark.parametrize("verb", available())
def test_a_command_is_a_module_with_options_and_a_main_function(verb: str) -> None:
    module = importlib.import_module(COMMANDS[verb][0])
    assert list(inspect.signature(module.add_arguments).parameters) == ["parser"]
    assert list(inspect.signature(module.main).parameters) == ["args"]
    assert module.__doc__ and COMMANDS[verb][1]


def test_a_command_of_a_folder_that_is_left_out_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "gone", ("data_loader.gone.convert", "never"))
    assert "gone" not in available() and "gone" not in laurel._overview()
    assert all(f"  {verb} " in laurel._overview() for verb in available())


@pytest.mark.parametrize("verb", [verb for verb in available() if COMMANDS[verb][0].partition(".")[0] != "project"])
def test_a_missing_package_is_one_line(verb: str, tmp_path: Path) -> None:
    (tmp_path / "best.pth").touch()
    words = [sys.executable, "-c", BARE, str(ROOT), verb, *WORDS[verb].split()]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert " is missing for " in lines[0] and "pip install -r requirements.txt" in lines[0]


def test_an_unknown_command_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["laurel.py", "trian"])
    with pytest.raises(UserError, match=r'trian: unknown command \(did you mean "train"\?\); allowed: init, check, train'):
        laurel.main()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epohcs", "3"], 'train: unrecognized arguments: --epohcs (did you mean "--epochs"?)'),
        (["-c", "a.json", "b.json"], "argument CONFIG: not allowed with argument -c/--config"),
        (["a.json", "--lr", "fast"], "argument --lr: invalid float value: 'fast'"),
        (["a.json", "--set", "x"], "argument --set: x: needs the form a.b.c=VALUE"),
        ([], "-c/--config: is required"),
    ],
)
def test_wrong_words_are_refused_in_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        command("train", words)
    assert said in str(error.value) and "\n" not in str(error.value)


def given(*words: str) -> list[tuple[str, object, str]]:
    """The overrides of a command line of train."""
    parser = Parser()
    importlib.import_module("commands.train").add_arguments(parser)
    return [tuple(override) for override in parser.parse_args(list(words)).set]


def test_overrides_keep_the_order_of_the_command_line() -> None:
    assert given("--lr", "0.1", "--set", "optimizer.args.lr=0.2", "--trainer.epochs=3", "--name", "x", "--data=d", "--bs=4") == [
        ("optimizer.args.lr", 0.1, "--lr"),
        ("optimizer.args.lr", 0.2, "--set"),
        ("trainer.epochs", 3, "--set"),
        ("name", "x", "--name"),
        ("data_loader.args.data_dir", "d", "--data"),
        ("data_loader.args.batch_size", 4, "--bs"),
    ]


def test_an_option_with_a_dotted_key_reaches_a_stage_and_a_list() -> None:
    assert given("--one:seed=1", "--metrics[0].type=X") == [("one:seed", 1, "--set"), ("metrics[0].type", "X", "--set")]


def test_a_config_may_stand_without_its_option() -> None:
    parser = Parser()
    importlib.import_module("commands.train").add_arguments(parser)
    assert [parser.parse_args(words).config for words in (["a.json", "--check"], ["--check", "a.json"], ["-c", "a.json"])] == [
        "a.json"
    ] * 3
