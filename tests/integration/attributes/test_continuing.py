"""What may be continued, and how: which run is gone on with, and what is refused."""

import json

import pytest

from tests.helpers import build_trainer, run_folders
from tests.stopping import STEPS, Ask, train
from utils.checkpoint import CheckpointFolder
from utils.checkpoint_names import BEST, LAST
from utils.errors import UserError


def test_auto_begins_a_new_run_when_the_last_is_finished(tiny_config, tmp_path):
    config = tiny_config({"trainer.epochs": 1})

    assert [train(config, "auto"), train(config, "auto")] == [0, 0]
    assert len(run_folders(tmp_path)) == 2


def test_auto_leaves_the_runs_of_other_configs_alone(tiny_config, tmp_path):
    train(tiny_config({"seed": 7}), ask=Ask(2))

    assert train(tiny_config(), "auto", ask=Ask(1)) == 75
    assert len(run_folders(tmp_path)) == 2


def test_a_config_that_learns_something_else_is_refused_by_key(tiny_config, tmp_path):
    changes = {
        "optimizer.args.lr": 1,
        "seed": 2,
        "data_loader.args.batch_size": 8,
        "trainer.ema": 0.5,
        "trainer.monitor": "off",
    }
    train(tiny_config(), ask=Ask(1))
    (models,) = run_folders(tmp_path)

    for key, value in changes.items():
        with pytest.raises(UserError, match=rf"{key}: the checkpoint was trained with .*, this config says") as error:
            train(tiny_config({key: value}), models)
        assert str(error.value).count("\n") == 0


def test_a_finished_run_goes_on_for_more_epochs(tiny_config, tmp_path):
    train(tiny_config({"trainer.epochs": 1}))
    (models,) = run_folders(tmp_path)

    assert train(tiny_config({"trainer.epochs": 3, "trainer.keep": 1}), models) == 0
    assert CheckpointFolder(models).load(LAST)["progress"] == {"epoch": 3, "batch": 0, "step": 3 * STEPS}


def test_other_data_are_refused(tiny_config, tmp_path):
    from data_loader.attributes.synthetic import write_masks

    train(tiny_config(), ask=Ask(1))
    (models,) = run_folders(tmp_path)
    write_masks(tmp_path / "other", people=17, eval_people=1, seed=1, size=(32, 32))

    with pytest.raises(UserError, match="the samples or their split are not those of the checkpoint"):
        train(tiny_config({"data_loader.args.data_dir": str(tmp_path / "other")}), models)


def test_the_last_checkpoint_continues_its_run_if_the_manifest_is_ahead_of_it(tiny_config, tmp_path):
    config = tiny_config()
    train(config, ask=Ask(STEPS + 3))
    (models,) = run_folders(tmp_path)
    manifest = json.loads((models / "manifest.json").read_text())
    for entry in manifest["files"].values():
        entry["step"] += 3
    (models / "manifest.json").write_text(json.dumps(manifest))
    assert train(config, models / LAST) == 0
    assert run_folders(tmp_path) == [models]


def test_a_checkpoint_that_was_copied_elsewhere_is_never_trained_in_place(tiny_config, tmp_path):
    config = tiny_config()
    train(config, ask=Ask(STEPS + 3))
    (models,) = run_folders(tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("checkpoint-epoch1.pth", LAST):
        (kept / name).write_bytes((models / name).read_bytes())
        assert train(config, kept / name) == 0
    assert sorted(path.name for path in kept.iterdir()) == ["checkpoint-epoch1.pth", LAST]


def test_a_checkpoint_within_an_epoch_holds_nothing_that_other_weights_fitted_or_scored(tiny_config, tmp_path):
    train(tiny_config(), ask=Ask(STEPS + 3))
    (models,) = run_folders(tmp_path)
    folder = CheckpointFolder(models)
    assert folder.load(LAST)["scores"] == {} and folder.load(LAST)["fitted"] == {}
    assert folder.load(BEST)["scores"]


def test_auto_starts_a_new_run_if_init_from_differs(tiny_config, tmp_path, capsys):
    train(tiny_config(), ask=Ask(STEPS + 3))
    (first,) = run_folders(tmp_path)
    kept = tmp_path / "first.pth"
    kept.write_bytes((first / BEST).read_bytes())
    other = tiny_config({"init_from": {"checkpoint": str(kept)}, "trainer.epochs": 1, "trainer.verbosity": 1})
    assert train(other, "auto") == 0
    assert len(run_folders(tmp_path)) == 2
    assert "init_from" in capsys.readouterr().out


def test_a_monitored_score_that_no_sample_gives_stops_the_run_by_name(tiny_config):
    trainer = build_trainer(tiny_config())
    trainer.metrics = []  # as where no sample has all the labels that a score needs
    with pytest.raises(UserError, match='trainer.monitor: no score is called "val/f1"'):
        trainer.fit()


def test_a_run_that_goes_on_needs_no_pretrained_weights(tiny_config, tmp_path):
    weights = tmp_path / "weights.pth"
    trainer_config = tiny_config()
    train(trainer_config, overrides=["trainer.epochs=1"])
    (models,) = run_folders(tmp_path)
    weights.write_bytes((models / BEST).read_bytes())
    config = tiny_config({"arch.args.pretrained": str(weights), "seed": 9})
    train(config, ask=Ask(STEPS + 3))
    weights.unlink()
    assert train(config, "auto") == 0


def test_views_that_do_not_suit_the_model_are_refused_before_the_run_begins(tiny_config, tmp_path):
    vit = {"arch.args.backbone": "test_vit", "views": [{"type": "FlipView"}, {"type": "ScaleView", "args": {"scale": 1.25}}]}
    with pytest.raises(UserError, match=r"views\[1\]: the model does not take such pictures"):
        train(tiny_config(vit))
    assert not run_folders(tmp_path)
