"""What test.py does: predict a split with one or several checkpoints, score it if it has labels, write the submission."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from base.base_data_loader import BaseDataLoader
from base.base_loss import BaseLoss
from base.base_metric import BaseMetric
from base.predictions import Predictions
from base.run_folder import runs
from base.table import some
from trainer import build
from trainer.build import Loaded
from trainer.predict import Inference, predict
from utils import device, files
from utils.errors import UserError


@dataclass(frozen=True)
class Tested:
    """What came out of one evaluation."""

    predictions: Predictions
    scores: dict[str, float]
    fitted: dict[str, Any]  # by metric, on validation
    note: str  # about what was fitted; empty where it is the checkpoint's own
    manifest: dict[str, Any]


def run_test(args: argparse.Namespace) -> int:
    """Predict, score, write; say where everything is."""
    chosen = device.select(args.device)
    models = [build.load_model(path, chosen, tuple(args.set)) for path in _paths(args)]
    _require_compatible(models)
    loaders = _loaders(models, chosen)
    try:
        split = args.split or ("test" if "test" in loaders[0].splits else "valid")
        if split == "valid":
            _require_same_split(models, loaders)
        folder = _output_folder(args, models, split)
        tested = evaluate(models, loaders, split, chosen, args.verbosity)
        _write(folder, tested, models[0], loaders[0], split)
    finally:
        for loader in loaders:
            loader.close()
    return 0


def _loaders(models: list[Loaded], chosen: torch.device) -> list[BaseDataLoader]:
    """A loader for each model, so that each sees pictures as it was trained on; one for all that read alike."""
    built: dict[str, BaseDataLoader] = {}
    for model in models:
        key = files.hash_json(model.experiment.raw.values["data_loader"])
        if key not in built:
            built[key] = build.build_loader(model.experiment, chosen)
    return [built[files.hash_json(model.experiment.raw.values["data_loader"])] for model in models]


def evaluate(models: list[Loaded], loaders: list[BaseDataLoader], split: str, chosen: torch.device, verbosity: int = 0) -> Tested:
    """Predictions of one checkpoint, or the average of several, and their scores where the split has labels."""
    first, loader = models[0], loaders[0]
    metrics = build.build_metrics(first.experiment, first.spec)
    predictions, losses = _predict(models, loaders, split, chosen, verbosity)
    fitted, note = first.fitted, ""
    if _fits(metrics) and not _as_trained(models):
        fitted, note = _fit_again(metrics, models, loaders, predictions if split == "valid" else None, chosen, verbosity)
    scores = dict(losses) | (_scores(metrics, predictions, loader, split, fitted) if loader.labelled(split) else {})
    return Tested(predictions, scores, fitted, note, _manifest(models, split, loader, fitted))


def _predict(
    models: list[Loaded], loaders: list[BaseDataLoader], split: str, chosen: torch.device, verbosity: int
) -> tuple[Predictions, dict[str, float]]:
    """Predictions of one checkpoint with its losses, or those of several fused as the first one's config says."""
    alone = len(models) == 1 and loaders[0].labelled(split)
    several: list[Predictions] = []
    losses: dict[str, float] = {}
    for model, loader in zip(models, loaders, strict=True):
        loss = _loss(model, chosen) if alone else None
        build.set_deterministic(model.experiment.config.trainer.deterministic)
        with _Bar(f"{model.path.parent.name}/{model.path.name}", verbosity) as progress:
            predictions, losses = predict(model.model, loader, split, chosen, _inference(model), loss, progress)
        assert predictions is not None
        several.append(predictions)
    predictions = _inference(models[0]).fuse(several)
    predictions.require_ids(loaders[0].table(split))
    return predictions, losses


def _inference(model: Loaded) -> Inference:
    return build.build_inference(model.experiment)


def _loss(model: Loaded, chosen: torch.device) -> BaseLoss:
    loss = build.build_loss(model.experiment, model.spec, model.model)
    loss.load_state_dict(model.state["loss"])
    return loss.to(chosen)


def _fits(metrics: list[BaseMetric]) -> bool:
    """Whether any metric fits something on validation."""
    return any(type(metric).fit is not BaseMetric.fit for metric in metrics)


def _as_trained(models: list[Loaded]) -> bool:
    """Whether predictions are made as they were in the run's own validation, on which its checkpoint fitted."""
    stored, now = models[0].state["config"], models[0].experiment.raw.values
    return len(models) == 1 and all(stored.get(key) == now.get(key) for key in ("views", "fusion"))


def _fit_again(
    metrics: list[BaseMetric], models: list[Loaded], loaders: list[BaseDataLoader], valid: Predictions | None,
    chosen: torch.device, verbosity: int,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """What the metrics fit on validation with the predictions that these checkpoints and views make together.

    Where some checkpoint was trained on another split there is no validation for all, and what the first one fitted stays.
    """
    if any(model.state["split_hash"] != loader.split_hash for model, loader in zip(models, loaders, strict=True)):
        return models[0].fitted, f"warning: the checkpoints have no validation in common; used is what {models[0].path} fitted"
    if valid is None:
        valid, _ = _predict(models, loaders, "valid", chosen, verbosity)
    fitted = {type(metric).__name__: metric.fit(valid, loaders[0].table("valid")) for metric in metrics}
    return fitted, "fitted on validation, for these checkpoints and views together"


def _scores(
    metrics: list[BaseMetric], predictions: Predictions, loader: BaseDataLoader, split: str, fitted: Mapping[str, Any]
) -> dict[str, float]:
    """What was fitted on validation is used as it is; nothing is fitted here."""
    scores: dict[str, float] = {}
    for metric in metrics:
        metric.use(fitted.get(type(metric).__name__, {}))
        scores |= metric.compute(predictions, loader.table(split))
    return scores


def _manifest(models: list[Loaded], split: str, loader: BaseDataLoader, fitted: Mapping[str, Any]) -> dict[str, Any]:
    first = models[0]
    return {
        "split": split,
        "checkpoints": [{"path": str(model.path), "sha256": model.digest, "run": model.path.parent.name} for model in models],
        "config_hash": first.state["config_hash"],
        "split_hash": first.state["split_hash"],
        "classes": first.spec.classes,
        "fitted": dict(fitted),
        "views": first.experiment.raw.values.get("views", []),
        "data_dir": str(loader.data_dir),
    }


# Before -------------------------------------------------------------------------------------------------------------


def _paths(args: argparse.Namespace) -> list[Path]:
    """Checkpoints as given; `last` is the newest run."""
    paths = []
    for given in args.resume:
        if given != "last":
            paths.append(Path(given))
            continue
        found = runs(Path(args.save_dir))
        if not found:
            raise UserError(f"-r last: there is no run with a checkpoint in {args.save_dir}/models; train one first")
        paths.append(max(found, key=lambda folder: folder.name))
    return paths


def _require_compatible(models: list[Loaded]) -> None:
    for other in models[1:]:
        if other.spec.classes != models[0].spec.classes:
            raise UserError(f"{other.path}: has other classes than {models[0].path}; their predictions cannot be averaged")


def _require_same_split(models: list[Loaded], loaders: list[BaseDataLoader]) -> None:
    """Validation samples must be those that no checkpoint was trained on."""
    for model, loader in zip(models, loaders, strict=True):
        if model.state["split_hash"] != loader.split_hash:
            raise UserError(
                f"{model.path}: was trained on another split ({model.state['split_hash'][:8]}) than the validation samples here "
                f"({loader.split_hash[:8]}), so it may have been trained on some of them; use --split test, or the same data"
            )


def _output_folder(args: argparse.Namespace, models: list[Loaded], split: str) -> Path:
    """`-o`, or a folder beside the first run's log, named by checkpoint and split."""
    first = models[0].path
    name = f"{split}-{first.stem}" + (f"-and-{len(models) - 1}-more" if len(models) > 1 else "")
    folder = Path(args.output) if args.output else build.log_folder(first) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another with -o") from None
    return folder


class _Bar:
    """A progress bar over batches, as a context that gives predict's callback."""

    def __init__(self, label: str, verbosity: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(desc=label, leave=False, disable=verbosity < 2, mininterval=0.2)

    def __enter__(self) -> Any:
        return self._move

    def _move(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update()

    def __exit__(self, *details: object) -> None:
        self.bar.close()


# After --------------------------------------------------------------------------------------------------------------


def _write(folder: Path, tested: Tested, first: Loaded, loader: BaseDataLoader, split: str) -> None:
    """Predictions always; scores and plots where there are labels; the submission for the test split."""
    if tested.note:
        print(tested.note)
    tested.predictions.write(folder / "predictions.parquet", tested.manifest)
    failed = tested.predictions.failed()
    if failed:
        print(f"warning: {len(failed)} images could not be read ({some(failed)}); their rows hold the reason")
    if tested.scores:
        scores = {name: value if math.isfinite(value) else None for name, value in tested.scores.items()}
        files.write_json(folder / "metrics.json", scores)
        _plots(folder, tested, first, loader, split)
        print("\n".join(f"{name:>24}  {value:.6f}" for name, value in tested.scores.items()))
    submission = build.build_submission(first.experiment, first.spec)
    if submission is not None and split == "test":
        path = folder / submission.file_name
        rows = submission.write(tested.predictions, loader.table(split), tested.fitted, loader.data_dir, path)
        print(f"submission: {path} ({rows:,} rows)")
    print(f"predictions: {folder / 'predictions.parquet'} ({len(tested.predictions):,} samples)")


def _plots(folder: Path, tested: Tested, first: Loaded, loader: BaseDataLoader, split: str) -> None:
    for metric in build.build_metrics(first.experiment, first.spec):
        metric.use(tested.fitted.get(type(metric).__name__, {}))
        drawn = metric.figures(tested.predictions, loader.table(split), lambda row: loader.picture(split, row))
        for name, figure in drawn.items():
            files.write_atomically(folder / f"{name.replace('/', '-')}.png", lambda file, f=figure: f.savefig(file, dpi=120))  # type: ignore[misc]
