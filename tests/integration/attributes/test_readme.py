"""What the README says is what happens: its code is put where it says, and trains."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_loader.attributes.synthetic import write_masks

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", README, re.DOTALL))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project made from the template, with the README's classes in it and a little data."""
    folder = tmp_path_factory.mktemp("new") / "my-task"
    subprocess.run([sys.executable, "new_project.py", str(folder)], cwd=ROOT, check=True, capture_output=True, text=True)
    for name, code in BLOCKS.items():
        (folder / name).write_text(code, encoding="utf-8")
    write_masks(folder / "data/mine", people=12, eval_people=6, seed=3, size=(48, 36))
    return folder


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=project, capture_output=True, text=True, timeout=300)


def test_the_readme_shows_one_class_of_each_kind() -> None:
    assert sorted(Path(name).parts[0] for name in BLOCKS) == ["data_loader", "model", "model", "model", "trainer"]


def test_each_example_is_about_ten_lines_of_code() -> None:
    for name, code in BLOCKS.items():
        body = [line for line in code.splitlines() if line.strip() and not line.startswith(("from", "import"))]
        assert len(body) <= 20, name


def test_the_readmes_reader_model_loss_metric_and_trainer_train_together(project: Path) -> None:
    images = project / "data/mine/train/images"
    names = {"mask1": "worn", "incorrect_mask": "incorrect", "normal": "bare"}
    lines = [
        f"{p.relative_to(project / 'data/mine')} {names[p.stem]} {p.parent.name}"
        for p in sorted(images.rglob("*.jpg"))
        if p.stem in names
    ]
    (project / "data/mine/list.txt").write_text("\n".join(lines))
    config = {
        "name": "readme",
        "arch": {"type": "SmallModel", "args": {"width": 8}},
        "data_loader": {
            "type": "AttributeLoader",
            "args": {
                "data_dir": "data/mine",
                "reader": {"type": "ListReader", "args": {"file": "list.txt"}},
                "labels": {"mask": {"classes": ["worn", "incorrect", "bare"]}},
                "split": {"group": "person", "valid": 0.25},
                "image_size": [32, 24],
                "batch_size": 8,
                "num_workers": 0,
            },
        },
        "loss": {"type": "SquaredLoss"},
        "metrics": [{"type": "MeanConfidence", "args": {"label": "mask"}}],
        "optimizer": {"type": "SGD", "args": {"lr": 0.1}},
        "trainer": {
            "type": "NoisyTrainer",
            "noise": 0.001,
            "epochs": 1,
            "monitor": "max val/confidence/mask",
            "tensorboard": False,
        },
    }
    (project / "configs/readme.json").write_text(json.dumps(config))
    done = run(project, "train.py", "-c", "configs/readme.json", "-d", "cpu")
    assert done.returncode == 0, done.stderr
    assert "best val/confidence/mask" in done.stdout


def test_the_readmes_config_of_a_csv_file_trains_on_what_the_readme_says_of_it(project: Path) -> None:
    mine = project / "data/mine"
    shots = {"mask1": "worn", "incorrect_mask": "incorrect", "normal": "not worn"}
    pictures = [path for path in sorted((mine / "train/images").rglob("*.jpg")) if path.stem in shots]
    rows = [f"{path.relative_to(mine)},{shots[path.stem]},{path.parent.name}" for path in pictures]
    (mine / "labels.csv").write_text("\n".join(["file,mask,person", *rows]))
    config = next(block for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL) if "CsvReader" in block)
    (project / "configs/mine.json").write_text(config)
    settings = ["--set", "arch.args.pretrained=false", "--set", "trainer.epochs=1", "--set", "data_loader.args.num_workers=0"]
    commands = (
        ("train.py", "-c", "configs/mine.json", "--check"),
        ("laurel.py", "check", "-c", "configs/mine.json"),
        ("train.py", "-c", "configs/mine.json", *settings),
    )
    for command in commands:
        done = run(project, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "best val/f1" in done.stdout
