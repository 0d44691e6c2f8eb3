"""Weights & Biases: a folder to sync for those who are not logged in, and never a reason to stop."""

from tests.helpers import run, run_folders


def test_without_a_login_a_run_is_logged_offline_without_a_complaint(tiny_config, tmp_path):
    config = tiny_config({"trainer.wandb": True, "trainer.epochs": 1, "trainer.verbosity": 1})
    result = run(tmp_path, "train.py", "-c", config, environment={"HOME": str(tmp_path), "WANDB_API_KEY": ""})
    assert (result.status, result.errors) == (0, "")
    assert "W&B is off" not in result.output
    (models,) = run_folders(tmp_path)
    assert list((tmp_path / "saved" / "log" / "tiny" / models.name).rglob("*.wandb"))


def test_a_client_that_fails_is_named_once_and_the_run_goes_on(tiny_config, tmp_path):
    config = tiny_config({"trainer.wandb": True, "trainer.epochs": 1, "trainer.verbosity": 1})
    result = run(tmp_path, "train.py", "-c", config, environment={"HOME": str(tmp_path), "WANDB_MODE": "nonsense"})
    assert result.status == 0
    assert result.output.count("warning: W&B is off for the rest of this run") == 1
