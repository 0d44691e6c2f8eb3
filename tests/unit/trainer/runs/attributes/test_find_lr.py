"""The learning-rate finder on a tiny training: a sweep, and the command."""

import csv
import json

import torch

from tests.helpers import run
from trainer.runs.find_lr import Ramp, sweep
from trainer.runs.launch import plan

CPU = torch.device("cpu")


def test_a_sweep_trains_over_epochs_and_leaves_no_run(tiny_config, tmp_path):
    path = tiny_config({"trainer.accumulate": 1, "lr_scheduler": {"type": "OneCycleLR"}, "optimizer.args.head_lr": 4e-3})
    made = sweep(plan(path).experiments[0], Ramp(1e-6, 1e-2, 20), CPU)

    assert len(made.losses) == 20  # over more than three epochs of 6 steps
    assert sorted(set(made.ratios)) == [1.0, 2.0]
    assert not (tmp_path / "saved").exists()


def test_the_same_sweep_gives_the_same_losses(tiny_config):
    once, again = (sweep(plan(tiny_config()).experiments[0], Ramp(1e-6, 1e-2, 20), CPU).losses for _ in range(2))
    assert once == again


def test_the_command_writes_curve_suggestion_and_picture(tiny_config, tmp_path):
    out = tmp_path / "out"
    ended = run(tmp_path, "laurel.py", "find-lr", "-c", tiny_config(), "-o", out, "--steps", "20", "-d", "cpu")

    assert ended.status == 0, ended.errors
    rows = list(csv.DictReader((out / "lr.csv").open()))
    assert list(rows[0]) == ["lr", "loss", "smoothed"]
    assert json.loads((out / "lr.json").read_text())["said"] == ended.output.splitlines()[:-1]
    assert (out / "lr.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_refuses_a_bad_range_with_one_line(tiny_config, tmp_path):
    ended = run(tmp_path, "laurel.py", "find-lr", "-c", tiny_config(), "-o", tmp_path, "--from", "1", "--to", "0.1")

    assert (ended.status, len(ended.lines)) == (2, 1)
