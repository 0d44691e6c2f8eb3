"""What test.py does: predict a split with one or several checkpoints, score it if it has labels, write the submission."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from base.base_data_loader import BaseDataLoader
from base.base_loss import BaseLoss
from base.base_metric import BaseMetric
from base.predictions import Predictions, differences
from base.run_folder import RunFolder, runs
from base.table import SampleTable, some
from trainer import build
from trainer.build import Loaded
from trainer.group import FILE, Group
from trainer.predict import Inference, predict
from utils import config, device, files
from utils.errors import UserError

# What may differ from the config of a checkpoint while what it fitted on validation still fits its predictions.
_FITS_STILL = ("data_dir", "num_workers", "worker_timeout", "cache_mb", "batch_size", "test_reader", "corrections")


@dataclass(frozen=True)
class Fitted:
    """What metrics and submissions use that was fitted on validation."""

    values: dict[str, Any]  # by metric
    note: str  # for the user; empty where it is the checkpoint's own


def run_test(args: argparse.Namespace) -> int:
    """Predict, write, score; say where everything is."""
    chosen = device.select(args.device)
    models = [build.load_model(path, chosen, tuple(args.set)) for path in _paths(args)]
    _require_compatible(models)
    loaders = build_loaders(models, chosen)
    try:
        split = args.split or ("test" if "test" in loaders[0].splits else "valid")
        if split == "valid":
            require_same_split(models, loaders)
            _say_other_data(models, loaders)
        evaluate(models, loaders, split, chosen, _output_folder(args, models, split), args.verbosity)
    finally:
        for loader in loaders:
            loader.close()
    return 0


def build_loaders(models: list[Loaded], chosen: torch.device) -> list[BaseDataLoader]:
    """A loader for each model, so that each sees pictures as it was trained on; one for all that read alike."""
    built: dict[str, BaseDataLoader] = {}
    for model in models:
        key = files.hash_json(model.experiment.raw.values["data_loader"])
        if key not in built:
            built[key] = build.build_loader(model.experiment, chosen)
    return [built[files.hash_json(model.experiment.raw.values["data_loader"])] for model in models]


def evaluate(
    models: list[Loaded], loaders: list[BaseDataLoader], split: str, chosen: torch.device, folder: Path, verbosity: int = 0
) -> None:
    """Predictions of one checkpoint or of several fused, and all that follows from them, into `folder`.

    They are written before anything is made of them: whatever is wrong with the labels costs no prediction.
    """
    first, loader = models[0], loaders[0]
    metrics = build.build_metrics(first.experiment, first.spec)
    predictions, scores = _predict(models, loaders, split, chosen, verbosity)
    fitted = _fitted(metrics, models, loaders, predictions if split == "valid" else None, chosen, verbosity)
    loader.table(split).write(folder / "samples.parquet")  # what they are predictions of, for who looks at them later
    predictions.write(folder / "predictions.parquet", _manifest(models, split, loader, fitted))
    print(f"predictions: {folder / 'predictions.parquet'} ({len(predictions):,} samples)")
    failed = predictions.failed()
    if failed:
        print(f"warning: {len(failed)} images could not be read ({some(failed)}); their rows hold the reason")
    for note in filter(None, (fitted.note, _other_precision(models, loaders, split, chosen, predictions, verbosity))):
        print(note)
    for metric in metrics:
        metric.use(fitted.values.get(metric.state_key, {}))
    labelled = loader.labelled(split)
    if labelled:
        _score(metrics, predictions, loader.table(split), scores, folder)
    _draw((metric for metric in metrics if labelled or not metric.needs_truth), predictions, loader, split, folder)
    submission = build.build_submission(first.experiment, first.spec)
    if submission is not None and split == "test":
        path = folder / submission.file_name
        for metric in metrics:
            predictions = metric.adjust(predictions)
        rows = submission.write(predictions, loader.table(split), fitted.values, loader.data_dir, path)
        print(f"submission: {path} ({rows:,} rows)")


def _other_precision(
    models: list[Loaded], loaders: list[BaseDataLoader], split: str, chosen: torch.device, predictions: Predictions,
    verbosity: int,
) -> str:  # fmt: skip
    """How far predictions are from those in the precision of training, where `--set trainer.precision` asks for another."""
    own = {model.state["config"].get("trainer", {}).get("precision", "fp32") for model in models}
    asked = {model.experiment.config.trainer.precision for model in models}
    if own == asked or len(own) > 1:
        return ""
    precision = own.pop()
    reference, _ = _predict(models, loaders, split, chosen, verbosity, precision)
    found = [f"{name} by at most {most:.3g}, {mean:.3g} on average" for name, most, mean in differences(predictions, reference)]
    return f"in {asked.pop()} instead of {precision} predictions differ: {'; '.join(found) or 'in what cannot be compared'}"


def _predict(
    models: list[Loaded], loaders: list[BaseDataLoader], split: str, chosen: torch.device, verbosity: int,
    precision: str | None = None,
) -> tuple[Predictions, dict[str, float]]:  # fmt: skip
    """Predictions of one checkpoint with its losses, or those of several fused as the first one's config says.

    precision: instead of that of the config.
    """
    alone = len(models) == 1 and loaders[0].labelled(split)
    several: list[Predictions] = []
    losses: dict[str, float] = {}
    for model, loader in zip(models, loaders, strict=True):
        loss = _loss(model, chosen) if alone and not model.exported else None
        build.set_deterministic(model.experiment.config.trainer.deterministic)
        with _Bar(f"{model.path.parent.name}/{model.path.name}", verbosity) as progress:
            predictions, losses = predict(model.model, loader, split, chosen, _inference(model, precision), loss, progress)
        assert predictions is not None
        several.append(predictions)
    predictions = _inference(models[0]).fuse(several)
    predictions.require_ids(loaders[0].table(split))
    return predictions, losses


def _inference(model: Loaded, precision: str | None = None) -> Inference:
    inference = build.build_inference(model.experiment, model.spec)
    return inference if precision is None else replace(inference, precision=precision)


def _loss(model: Loaded, chosen: torch.device) -> BaseLoss:
    loss = build.build_loss(model.experiment, model.spec, model.model)
    loss.load_state_dict(model.state["loss"])
    return loss.to(chosen)


def _fitted(
    metrics: list[BaseMetric], models: list[Loaded], loaders: list[BaseDataLoader], valid: Predictions | None,
    chosen: torch.device, verbosity: int,
) -> Fitted:  # fmt: skip
    """The checkpoint's own, or for predictions made in another way what is fitted anew on validation.

    valid: predictions for validation, if they are there already. Where some checkpoint was trained on another split there
    is no validation for all, and what the first one fitted stays.
    """
    fitting = [metric for metric in metrics if type(metric).fit is not BaseMetric.fit]
    if not fitting or _as_trained(models):
        return Fitted(models[0].fitted, "")
    if any(model.state["split_hash"] != loader.split_hash for model, loader in zip(models, loaders, strict=True)):
        note = f"warning: the checkpoints have no validation in common; used is what {models[0].path} fitted"
        return Fitted(models[0].fitted, note)
    if valid is None:
        valid, _ = _predict(models, loaders, "valid", chosen, verbosity)
    table = loaders[0].table("valid")
    return Fitted(
        {metric.state_key: metric.fit(valid, table) for metric in fitting}, "fitted on validation with these predictions"
    )


def _as_trained(models: list[Loaded]) -> bool:
    """Whether predictions are made as they were in the validation on which the one checkpoint fitted something."""
    stored, now = models[0].state["config"], models[0].experiment.raw.values
    changed = [key for key, _, _ in config.differences(stored, now)]
    free = [key for key in changed if key[:2] == ("data_loader", "args") and key[2] in _FITS_STILL]
    free += [key for key in changed if key[0] in ("submission", "budget") or (key[0] == "trainer" and key[1:] != ("precision",))]
    return len(models) == 1 and bool(models[0].fitted) and len(free) == len(changed)


def _score(
    metrics: list[BaseMetric], predictions: Predictions, table: SampleTable, losses: dict[str, float], folder: Path
) -> None:
    """Scores, with what was fitted on validation as it is."""
    scores = dict(losses)
    for metric in metrics:
        scores |= metric.compute(predictions, table)
    plain = {name: value if math.isfinite(value) else None for name, value in scores.items()}
    files.write_json(folder / "metrics.json", plain)
    print("\n".join(f"{name:>24}  {value:.6f}" for name, value in scores.items()))


def _draw(metrics: Iterable[BaseMetric], predictions: Predictions, loader: BaseDataLoader, split: str, folder: Path) -> None:
    for metric in metrics:
        for name, figure in metric.figures(predictions, loader.table(split), lambda row: loader.picture(split, row)).items():
            files.write_atomically(folder / f"{name.replace('/', '-')}.png", lambda file, f=figure: f.savefig(file, dpi=120))  # type: ignore[misc]


def _manifest(models: list[Loaded], split: str, loader: BaseDataLoader, fitted: Fitted) -> dict[str, Any]:
    first = models[0]
    return {
        "split": split,
        "checkpoints": [{"path": str(model.path), "sha256": model.digest, "run": model.path.parent.name} for model in models],
        "config_hash": first.experiment.hash,
        "split_hash": first.state["split_hash"],
        "classes": first.spec.classes,
        "counts": first.spec.counts,
        "merged": first.spec.merged,
        "combined": first.spec.combined,
        "fitted": fitted.values,
        "views": first.experiment.raw.values.get("views", []),
        "data_dir": str(loader.data_dir),
    }


# Before -------------------------------------------------------------------------------------------------------------


def _paths(args: argparse.Namespace) -> list[Path]:
    """Checkpoints and folders of runs as given; `last` is the newest run, and for a group of stages it is the last one's."""
    paths = []
    for given in args.resume:
        if given != "last":
            paths.append(_final_run(Path(given)))
            continue
        found = runs(Path(args.save_dir))
        if not found:
            raise UserError(f"-r last: there is no run with a checkpoint in {args.save_dir}/models; train one first")
        paths.append(found[-1])
    return paths


def _final_run(path: Path) -> Path:
    """The run of a group's last member; any other path as it is."""
    if not (path / FILE).exists():
        return path
    group = Group(path)
    last = list(group.members)[-1]
    models = group.run(last)
    if models is None:
        raise UserError(f"{path}: {last} has not begun; train the group first")
    return models


def _require_compatible(models: list[Loaded]) -> None:
    for other in models[1:]:
        if other.spec.classes != models[0].spec.classes:
            raise UserError(f"{other.path}: has other classes than {models[0].path}; their predictions cannot be averaged")


def require_same_split(models: list[Loaded], loaders: list[BaseDataLoader]) -> None:
    """Validation samples must be those that no checkpoint was trained on."""
    for model, loader in zip(models, loaders, strict=True):
        if model.state["split_hash"] != loader.split_hash:
            raise UserError(
                f"{model.path}: was trained on another split ({model.state['split_hash'][:8]}) than the validation samples here "
                f"({loader.split_hash[:8]}), so it may have been trained on some of them; use --split test, or the same data"
            )


def _say_other_data(models: list[Loaded], loaders: list[BaseDataLoader]) -> None:
    """Pictures may be cut or corrected anew on purpose; but then scores are not those of the checkpoint."""
    for model, loader in zip(models, loaders, strict=True):
        stored, found = model.state.get("fingerprint", {}), loader.fingerprint()
        changed = sorted(key for key in stored.keys() | found.keys() if stored.get(key) != found.get(key))
        if changed:
            print(f"warning: {model.path}: was trained on other {some(changed)} than these; its scores were others")


def _output_folder(args: argparse.Namespace, models: list[Loaded], split: str) -> Path:
    """`-o`, or a folder beside the first run's log, named by checkpoint and split."""
    first = models[0].path
    name = f"{split}-{first.stem}" + (f"-and-{len(models) - 1}-more" if len(models) > 1 else "")
    folder = Path(args.output) if args.output else RunFolder.at(first.parent).log / name
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
