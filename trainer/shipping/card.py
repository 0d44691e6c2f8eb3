"""The description of an exported model: metadata in the file for programs, and a card (JSON and Markdown) for readers."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from base.base_data_loader import BaseDataLoader
from base.bootstrap import Interval
from base.evaluation import Evaluation
from base.predictions import Predictions
from base.saved.door import is_evaluation
from base.saved.names import CARD, ONNX
from base.saved.run_folder import RunFolder
from base.table import SampleTable
from model.exporting.convert import INPUT, Graph, onnx_names
from trainer.evaluation.intervals import intervals
from trainer.experiment import build
from trainer.experiment.budget import inference_size
from trainer.experiment.loading import Loaded
from trainer.shipping import parity
from trainer.shipping.parity import Golden, Parity, Run
from trainer.training.predict import predict
from utils import files
from utils.errors import UserError

PREDICTED = 5000  # validation samples that are predicted for the card's sake, on the CPU; more are left to test.py
WARM_UP, TIMED = 5, 50  # predictions of one picture
DECODED = "after the decoder: probabilities, or vectors, as test.py writes them"
UNDECODED = "before the decoder: a row for each point of the network, before non-maximum suppression; test.py does the rest"
OPENCV = """
import sys, cv2, numpy as np, onnxruntime
path, picture = sys.argv[1], np.load(sys.argv[2])
expected = onnxruntime.InferenceSession(path)
names = [one.name for one in expected.get_outputs()]
values = expected.run(None, {"image": picture})
try:
    network = cv2.dnn.readNet(path)
    network.setInput(picture.astype(np.float32))
    found = network.forward(names)
    apart = max(float(np.abs(one.reshape(-1) - other.reshape(-1)).max()) for one, other in zip(found, values))
    print(f"version {cv2.__version__} runs it; its outputs differ by at most {apart:.2g} from onnxruntime's")
except Exception as error:
    print(f"version {cv2.__version__} cannot run it ({' '.join(str(error).split())[:100]})")
"""
KEPT = ("config_hash", "split_hash", "parents", "scores", "fingerprint")  # of a checkpoint


def metadata(loaded: Loaded, graph: Graph, preprocessing: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the metadata of the file: everything that a program needs to predict pictures, and the origin of the weights."""
    return {
        "name": loaded.experiment.config.name,
        "config": loaded.experiment.raw.values,
        **{key: loaded.state.get(key) for key in KEPT},
        "checkpoint": {"file": loaded.path.name, "run": loaded.path.absolute().parent.name, "sha256": loaded.digest},
        "spec": loaded.spec.as_json(),
        "fitted": loaded.fitted,
        "kind": kind,
        "outputs": graph.names,
        "decoded": graph.decoded,
        "preprocessing": {**preprocessing, "size": list(graph.size), "normalisation": _normalisation(loaded)},
        "licence": licences(loaded),
    }


def licences(loaded: Loaded) -> list[str]:
    """Return lines on the known licences: of the network's source, and of the weights that training began with."""
    notes = ["Code: MIT, see LICENSE.", "Training data: their own terms hold for what is learned from them."]
    for part in loaded.model.modules():
        about = getattr(part, "pretrained_cfg", None)  # of timm's networks
        if about is None:
            continue
        name, tag, terms, origin = (about.get(key) for key in ("architecture", "tag", "license", "origin_url"))
        notes.append(f"Network: {name} of timm, Apache-2.0.")
        if _pretrained(loaded.state["config"].get("arch")):
            notes.append(f"First weights: {name}.{tag}, {terms or 'terms not recorded'} ({origin or 'timm'}).")
    return notes


def scores(loaded: Loaded, loader: BaseDataLoader) -> dict[str, Any]:
    """Return the checkpoint's scores, and the ends of their intervals as `NAME/low` and `NAME/high`.

    The scores are of the validation predictions that `test.py` wrote. If there are none, the predictions are made, unless
    that would take long or the data are missing.
    """
    known_scores = dict(loaded.state.get("scores") or {})
    ends: dict[str, Interval] = {}
    try:
        predictions, table = _validation(loaded, loader)
        for metric in parity.with_fitted(build.build_metrics(loaded.experiment, loaded.spec), loaded.fitted):
            ends |= intervals(metric, predictions, table, loader.group)
    except UserError as error:
        print(f"no intervals of the scores: {str(error).splitlines()[0]}")
    known = {f"val/{name}": interval for name, interval in ends.items() if f"val/{name}" in known_scores}
    return known_scores | {f"{name}/{end}": value for name, both in known.items() for end, value in both._asdict().items()}


def _validation(loaded: Loaded, loader: BaseDataLoader) -> tuple[Predictions, SampleTable]:
    """Return the checkpoint's predictions for its validation samples, and the samples. Raises UserError if that fails."""
    left = RunFolder.at(loaded.path.parent).log / f"valid-{loaded.path.stem}"
    if is_evaluation(left):
        evaluation = Evaluation.read(left)
        made_by = [one.get("sha256") for one in evaluation.manifest.checkpoints]
        if made_by == [loaded.digest] and evaluation.manifest.config_hash == loaded.experiment.hash:
            return evaluation.predictions, evaluation.samples
    table = loader.table("valid")
    if loaded.state["split_hash"] != loader.split_hash:
        raise UserError("the validation samples are not those of the checkpoint")
    if len(table) > PREDICTED:
        raise UserError(f"{len(table):,} samples are to be predicted; run python test.py -r {loaded.path} --split valid before")
    inference = build.build_inference(loaded.experiment, loaded.spec)
    predictions, _ = predict(loaded.model, loader, "valid", torch.device("cpu"), inference)
    assert predictions is not None
    return predictions, table


def latency(runs: Mapping[str, Run], pictures: Tensor) -> dict[str, dict[str, float]]:
    """Return by name of a model the milliseconds for one picture: the median and the 95th percentile.

    The models take turns, so that other work of the machine slows all of them.
    """
    picture, taken = pictures[:1], {name: list[float]() for name in runs}
    with torch.inference_mode():
        for number, (name, run) in product(range(WARM_UP + TIMED), runs.items()):
            start = time.perf_counter()
            run(picture)
            if number >= WARM_UP:
                taken[name].append(1000 * (time.perf_counter() - start))
    return {name: {f"p{q}_ms": float(np.percentile(values, q)) for q in (50, 95)} for name, values in taken.items()}


def write(
    path: Path,
    loaded: Loaded,
    about: Mapping[str, Any],
    agreed: Parity,
    timed: Mapping[str, Mapping[str, float]],
    shown: Golden,
    recipe: Sequence[str] = (),
) -> Path:
    """Write the card beside the exported file, as `.card.json` and `.card.md`; return the path of `.card.md`.

    recipe: lines of Python that prepare a picture, as `BasePictures.recipe` returns them.
    """
    size, budget = inference_size(loaded.model), loaded.experiment.config.budget
    data = about["config"]["data_loader"]
    values = {
        "file": path.name,
        "sha256": files.sha256(path),
        "megabytes": path.stat().st_size / 1e6,
        "parameters": size.params,
        "budget": budget.model_dump() if budget is not None else None,
        "data": {
            "folder": str(data["args"].get("data_dir", "")),
            "hash": files.hash_json(data),
            "samples": loaded.spec.counts,
        },
        **{key: value for key, value in about.items() if key != "config"},
        "outputs": onnx_names(about["outputs"]) if path.suffix == ONNX else about["outputs"],
        "stage": DECODED if about["decoded"] else UNDECODED,
        "opencv": opencv(path, shown.pictures) if path.suffix == ONNX else None,
        "usage": usage(path.name, recipe) if path.suffix == ONNX and recipe else [],
        "parity": asdict(agreed),
        "latency": {"machine": _machine(), "threads": torch.get_num_threads(), "size": list(shown.size), **timed},
    }
    files.write_json(path.with_name(path.name + CARD), values)
    markdown = path.with_name(f"{path.name}.card.md")
    files.write_bytes(markdown, "\n".join(_markdown(values)).encode())
    return markdown


def usage(name: str, recipe: Sequence[str]) -> list[str]:
    """Return at most 15 lines of Python that predict `picture.jpg` with an ONNX file of this name."""
    return [
        "import cv2",
        "import numpy as np",
        "import onnxruntime",
        "",
        'picture = cv2.cvtColor(cv2.imread("picture.jpg"), cv2.COLOR_BGR2RGB)',
        *recipe,
        f'session = onnxruntime.InferenceSession("{name}")',
        f'values = session.run(None, {{"{INPUT}": np.ascontiguousarray(image.transpose(2, 0, 1)[None])}})',
        "outputs = {one.name: value[0] for one, value in zip(session.get_outputs(), values)}",
    ]


def opencv(path: Path, pictures: Tensor) -> str:
    """Return whether OpenCV's dnn module runs an ONNX file, and the largest difference of its outputs from onnxruntime's.

    pictures: (N, 3, H, W) uint8. It runs in a process of its own, since OpenCV may crash on a file that it does not know.
    """
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "picture.npy", pictures[:1].numpy())
        words = [sys.executable, "-c", OPENCV, str(path), str(Path(folder) / "picture.npy")]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            return "cannot run it within a minute"
    lines = done.stdout.splitlines()
    return lines[-1] if done.returncode == 0 and lines else "cannot run it"


def text(about: Mapping[str, Any]) -> str:
    """Return the metadata as JSON."""
    return json.dumps(about, ensure_ascii=False, allow_nan=False)


def _markdown(values: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {values['name']} ({values['kind']})\n"
    yield from _table("File", {key: values[key] for key in ("file", "sha256", "megabytes", "parameters", "budget")})
    yield from _table("Trained", {key: values[key] for key in ("data", *KEPT[:3], "checkpoint")})
    yield from _table("Takes", values["preprocessing"])
    gives = {
        "outputs": values["outputs"],
        "stage": values["stage"],
        "classes": values["spec"]["classes"],
        "fitted": values["fitted"],
    }
    yield from _table("Gives", gives)
    if values["usage"]:
        yield "## Use\n\nWith onnxruntime, OpenCV and numpy alone:\n\n```python"
        yield from values["usage"]
        yield "```\n"
        yield f"OpenCV's dnn: {values['opencv']}.\n"
    yield from _table("Scores", _with_intervals(values["scores"] or {}))
    yield from _table("Agreement with the original", values["parity"])
    yield from _table("Time for one picture", values["latency"])
    yield "## Licence\n"
    yield from (f"- {note}" for note in values["licence"])
    yield ""


def _table(title: str, rows: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {title}\n\n| | |\n|---|---|"
    yield from (f"| {name} | {_shown(value)} |" for name, value in rows.items())
    yield ""


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict | list):
        written = json.dumps(value, ensure_ascii=False)
        return f"`{written[:400]}{'…' if len(written) > 400 else ''}`".replace("|", "\\|")
    return "not known" if value is None else str(value).replace("|", "\\|")


def _with_intervals(scores: Mapping[str, Any]) -> dict[str, str]:
    """Return the scores as text, with an interval if a metric gives its ends as `x/low` and `x/high`."""
    ends = [name for name in scores if name.rpartition("/")[2] in ("low", "high")]
    shown = {}
    for name in (name for name in scores if name not in ends):
        low, high = scores.get(f"{name}/low"), scores.get(f"{name}/high")
        interval = f" (95 % interval {_shown(low)} to {_shown(high)})" if low is not None and high is not None else ""
        shown[name] = _shown(scores[name]) + interval
    return shown


def _normalisation(loaded: Loaded) -> dict[str, Any]:
    """Return the normalisation that the model applies first, for pictures in the scale 0 to 255."""
    mean, std = (getattr(loaded.model, name).flatten().tolist() for name in ("mean", "std"))
    return {"where": "in the model", "mean": mean, "std": std}


def _pretrained(value: Any) -> bool:
    """Return whether the arguments of a part, or of a part within it, ask for pretrained weights."""
    if isinstance(value, dict):
        return bool(value.get("pretrained")) or any(map(_pretrained, value.values()))
    return False


def _machine() -> str:
    return f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}"
