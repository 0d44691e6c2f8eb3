"""Pictures turned by quarters: anew each time in training, always the same way in validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from base.contracts import RunContext
from base.saved.run_folder import RunFolder
from data_loader.formats.pattern_reader import PatternReader
from data_loader.pretext.loader import RotationLoader, RotationSettings
from data_loader.samples.splits import Split
from trainer.experiment import build, checking
from utils import config
from utils.config import ConfigError
from utils.errors import UserError

ROOT = Path(__file__).parents[4]


def loader(folder: Path, seed: int = 0) -> RotationLoader:
    reader = PatternReader("(?P<person>[^_/]+)_.*", "train/images")
    split = Split(group="person", valid=0.25)
    settings = RotationSettings(
        data_dir=str(folder), reader=reader, split=split, image_size=(32, 32), batch_size=16, num_workers=0
    )
    return RotationLoader(RunContext(seed), settings)


def test_a_picture_is_turned_as_its_target_says(masks_folder: Path) -> None:
    made = loader(masks_folder)
    for _, batch in made.evaluation("valid"):
        for image, turn, row in zip(batch["image"], batch["target"]["rotation"], batch["index"], strict=True):
            upright = made.pictures.read(made.table("valid").path(int(row)))
            assert np.array_equal(np.rot90(upright, int(turn)), image.permute(1, 2, 0).numpy())


def test_validation_turns_are_those_of_the_table_and_of_no_seed(masks_folder: Path) -> None:
    turns = [torch.cat([b["target"]["rotation"] for _, b in loader(masks_folder, seed).evaluation("valid")]) for seed in (0, 1)]
    assert turns[0].tolist() == turns[1].tolist() == loader(masks_folder).table("valid").numbers("rotation").tolist()
    assert set(turns[0].tolist()) == {0, 1, 2, 3}


def test_training_turns_are_others_in_each_epoch_and_the_same_when_it_is_repeated(masks_folder: Path) -> None:
    made = loader(masks_folder)

    def turns(epoch: int) -> dict[int, int]:
        batches = list(made.train(epoch))
        return {int(row): int(turn) for b in batches for row, turn in zip(b["index"], b["target"]["rotation"], strict=True)}

    assert turns(0) == turns(0)
    same = np.mean([turns(0)[row] == turn for row, turn in turns(1).items()])
    assert 0.1 < same < 0.45


def test_pictures_that_are_not_square_are_refused_before_anything_is_read() -> None:
    raw = config.read(ROOT / "configs/examples/rotation.json", ["data_loader.args.image_size=[96,72]"])
    with pytest.raises(ConfigError, match=r"data_loader.args.image_size: found \[96, 72\]; allowed: height and width equal"):
        checking.check(raw)


def test_turned_pictures_are_no_samples_to_label(masks_folder: Path, tmp_path: Path) -> None:
    changes = {
        "arch.args.backbone": "test_resnet", "arch.args.pretrained": "false", "data_loader.args.data_dir": masks_folder,
        "data_loader.args.num_workers": 0, "data_loader.args.image_size": "[32,32]", "trainer.type": "PseudoLabelTrainer",
        "trainer.labelled_epochs": 1, "trainer.round_epochs": 1, "trainer.save_dir": tmp_path,
    }  # fmt: skip
    raw = config.read(ROOT / "configs/examples/rotation.json", [f"{key}={value}" for key, value in changes.items()])
    experiment, cpu = checking.check(raw), torch.device("cpu")
    made, folder = build.build_loader(experiment, cpu), RunFolder.create(tmp_path, "rotation")
    with pytest.raises(UserError, match=r"^trainer.split: RotationLoader has no samples to label; .* that makes pseudo-labels$"):
        build.build_trainer(experiment, made, folder, cpu)
