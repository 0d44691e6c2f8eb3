"""Convert a model, check that the result agrees with the original, and write it with its model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from base.contracts import Prediction
from base.saved.door import Saved, model_file
from base.saved.names import ONNX, PROGRAM
from base.saved.run_folder import RunFolder
from model.exporting import convert, exported
from model.exporting.convert import Graph
from trainer.experiment import build, checking, loading
from trainer.experiment.loading import Loaded
from trainer.shipping import card, parity
from trainer.shipping.parity import Golden, Limits, Run
from utils import checkpoint, files
from utils.config import Overrides
from utils.errors import UserError

SUFFIXES = {"onnx": ONNX, "torch": ".pth", "exported-program": PROGRAM}
KINDS = {"onnx": ("fp32", "fp16", "int8"), "torch": ("fp32", "fp16"), "exported-program": ("fp32",)}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Candidate:
    """An exported model that is not checked yet: a function that runs it, and a function that writes the file."""

    run: Run
    write: Callable[[Path], None]


def run_export(
    saved: Saved, folder: Path | None = None, form: str = "onnx", kind: str = "fp32", *, samples: int = 128,
    allow: float | None = None, overrides: Overrides = (),
) -> Path:  # fmt: skip
    """Export one model and return the path of its file; write nothing if the result disagrees with the checkpoint.

    folder: None for one in the run's log. form: a key of KINDS. kind: of its numbers. samples: golden pictures that both must
    agree on. allow: share of decisions that may differ, None for the default of the kind. Raises UserError.
    """
    if kind not in KINDS[form]:
        raise UserError(f"--format {form}: cannot be written in {kind}; allowed: {', '.join(KINDS[form])}")
    if samples < 1 or not 0 <= (allow or 0) <= 1:
        raise UserError("--samples must be at least 1, and --allow a share from 0 to 1")
    loaded = loading.load_model(model_file(saved), CPU, overrides)
    if loaded.exported:
        raise UserError(f"{loaded.path}: is an exported model; export the checkpoint that it was made from")
    size = input_size(loaded)
    loader = build.build_loader(loaded.experiment, CPU, loaded.spec)
    shown = parity.golden(loader, size, samples)
    graph = Graph(loaded.model.to(memory_format=torch.contiguous_format), size)
    about = card.metadata(loaded, graph, loader.pictures.preprocessing(), kind)
    # The ranges are fitted on other pictures than the result is checked with.
    calibration = parity.golden(loader, size, samples, "train") if kind == "int8" else None
    if calibration is not None:
        about["calibration"] = f"{len(calibration.pictures)} pictures ({calibration.source})"
    made = candidate(form, kind, loaded, graph, calibration, about)
    path = _path(folder or RunFolder.at(loaded.path.parent).exported, loaded, form, kind)
    differences = compare(loaded, graph, shown, made.run)
    limits = parity.LIMITS[kind]
    differences.require(limits if allow is None else Limits(limits.numbers, allow), str(path))
    made.write(path)
    timed = card.latency({"torch": graph, path.name: made.run}, shown.pictures)
    about["scores"] = card.scores(loaded, loader)
    written = card.write(path, loaded, about, differences, timed, shown, loader.pictures.recipe())
    print(f"{path}: {path.stat().st_size / 1e6:,.2f} MB; {differences.line()}")
    print("\n".join(f"{name:>24}  {one['p50_ms']:.2f} ms, p95 {one['p95_ms']:.2f} ms a picture" for name, one in timed.items()))
    print(f"model card: {written}")
    return path


def input_size(loaded: Loaded) -> tuple[int, int]:
    """Return height and width of the model's pictures, in pixels. Raises UserError if the pictures have several sizes."""
    size = checking.declared_spec(loaded.experiment.config).image_size or loaded.spec.image_size
    if size is None:
        raise UserError(
            f"{loaded.path}: its pictures are of different sizes, and an exported model takes one size; "
            "change data_loader.args with --set so that evaluation puts all into the same frame"
        )
    return size


def _path(folder: Path, loaded: Loaded, form: str, kind: str) -> Path:
    """Return the path `DIR/NAME.onnx`, with the kind of numbers in the name if it is not float32."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"-o {folder}: cannot be made ({error.strerror}); choose another") from None
    suffix = "" if kind == "fp32" else f"-{kind}"
    return folder / f"{loaded.experiment.config.name}{suffix}{SUFFIXES[form]}"


def compare(loaded: Loaded, graph: Graph, shown: Golden, run: Run) -> parity.Parity:
    """Return the differences between an exported model and the graph of its checkpoint, on the golden pictures."""
    expected, found = parity.outputs(graph, shown.pictures), parity.outputs(run, shown.pictures)
    metrics = build.build_metrics(loaded.experiment, loaded.spec)

    def decode(values: Sequence[Tensor]) -> Prediction:
        named = dict(zip(graph.names, values, strict=True))
        return named if graph.decoded else loaded.model.decode(named)

    return parity.compare(shown, expected, found, decode, metrics, loaded.fitted)


# The formats ----------------------------------------------------------------------------------------------------------


def candidate(form: str, kind: str, loaded: Loaded, graph: Graph, calibration: Golden | None, about: dict[str, Any]) -> Candidate:
    """Return the checkpoint in a format and a kind of numbers (KINDS), not written yet.

    calibration: pictures on which the ranges of int8 are measured, None for other kinds. about: the metadata of the file.
    """
    if form == "onnx":
        return _onnx(kind, graph, calibration, about)
    return _checkpoint(kind, loaded, graph.size, about) if form == "torch" else _program(graph, about)


def _onnx(kind: str, graph: Graph, calibration: Golden | None, about: dict[str, Any]) -> Candidate:
    proto = convert.to_onnx(graph)
    if kind == "fp16":
        proto = convert.to_half(proto)
    if calibration is not None:
        proto = convert.to_int8(proto, calibration.pictures.numpy())
    content = exported.seal(proto, about)
    session = exported.start(content, "the exported model")

    def run(image: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, session.run(None, {convert.INPUT: image.numpy()})))

    return Candidate(run, lambda path: files.write_bytes(path, content))


def _program(graph: Graph, about: dict[str, Any]) -> Candidate:
    program = convert.to_program(graph)
    content = convert.program_bytes(program, {"laurel.json": card.text(about)})
    return Candidate(program.module(), lambda path: files.write_bytes(path, content))


def _checkpoint(kind: str, loaded: Loaded, size: tuple[int, int], about: dict[str, Any]) -> Candidate:
    """Return a checkpoint with only the weights that predicting needs: no optimiser, no second weights, no parts of training."""
    left_out = loading.training_only_names(loaded.model)
    weights = {name: value for name, value in loaded.model.state_dict().items() if name not in left_out}
    if kind == "fp16":
        weights = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    model = build.build_model(loaded.experiment, loaded.spec, fresh=False)
    loading.load_weights(model, weights, loaded.path, partial=True)
    state = {**about, "exported": kind, "progress": loaded.state["progress"], "model": weights}
    graph = Graph(model, size)
    return Candidate(graph, lambda path: checkpoint.CheckpointFolder(path.parent).save(state, [path.name]))
