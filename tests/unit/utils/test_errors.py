"""Test the error lines and the exit status of a script."""

import pytest

from utils import errors
from utils.errors import RunError, UserError


@pytest.fixture
def ran(monkeypatch, capsys):
    """Return a function: `ran(main)` returns the exit status and the error output of a script."""
    monkeypatch.setattr(errors.signals, "exit_at_once", lambda: None)
    monkeypatch.setattr(errors.signals, "ignore", lambda: None)

    def run(main):
        with pytest.raises(SystemExit) as stop:
            errors.run(main)
        return stop.value.code, capsys.readouterr().err

    return run


def raises(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(("error", "status"), [(UserError("a line"), 2), (RunError("a line"), 1)])
def test_an_error_prints_its_line_and_sets_the_status(ran, error, status):
    assert ran(raises(error)) == (status, "a line\n")


def test_a_missing_package_is_named_with_what_to_do(ran):
    status, said = ran(raises(ModuleNotFoundError("No module named 'nothere.part'", name="nothere.part")))
    assert status == 2
    assert said.startswith("nothere is missing for ") and said.count("\n") == 1
    assert "requirements.txt" in said


@pytest.mark.parametrize("name", ["trainer.nothere", "utils", "app", None])
def test_a_missing_module_of_this_project_is_raised(name):
    with pytest.raises(ModuleNotFoundError):
        errors.run(raises(ModuleNotFoundError("x", name=name)))
