"""Check that no script gets further options: a setting belongs into the config."""

from __future__ import annotations

import argparse
import importlib.util

import pytest

from tests.guards.sources import ROOT

OPTIONS = {
    "train": [
        "--bs", "--check", "--config", "--device", "--folds", "--help", "--lr", "--resume", "--set", "-c", "-d", "-h", "-r",
    ],
    "test": [
        "--device", "--help", "--output", "--resume", "--save-dir", "--set", "--split", "--verbosity", "-d", "-h", "-o", "-r",
    ],
}  # fmt: skip


class Parsed(Exception):
    """The signal that the parser is complete."""


@pytest.mark.parametrize("script", OPTIONS)
def test_the_options_of_a_script_are_unchanged(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        raise Parsed(*sorted(option for action in parser._actions for option in action.option_strings or [action.dest]))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    spec = importlib.util.spec_from_file_location(f"script_{script}", ROOT / f"{script}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(Parsed) as parsed:
        module.parse()
    assert list(parsed.value.args) == OPTIONS[script]
