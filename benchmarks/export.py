"""Compare all export formats of a run: size, agreement with the checkpoint, milliseconds for a picture.

    python -m benchmarks.export RUN [--samples 128] [--threads 1] [--set KEY=VALUE]

RUN is a checkpoint, or the folder of a run or of a group of stages. All formats are made and timed in one process, in turns,
on the CPU; a row says so if `python laurel.py export` would write the format only with --allow.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from base.saved.door import find, model_file
from model.exporting.convert import Graph
from trainer.experiment import build, loading
from trainer.experiment.budget import inference_size
from trainer.shipping import card, export, parity
from trainer.shipping.parity import Run
from utils import errors
from utils.errors import UserError

CPU = torch.device("cpu")
HEAD = f"{'':<24}{'MB':>9}{'p50 ms':>9}{'p95 ms':>9}{'largest':>10}{'mean':>10}  decisions that differ"


def rows(path: Path, overrides: list[str], samples: int) -> Iterator[str]:
    """Yield the lines of the table."""
    loaded = loading.load_model(model_file(find(path)), CPU, tuple(overrides))
    loader = build.build_loader(loaded.experiment, CPU)
    size = export.input_size(loaded)
    shown, calibration = parity.golden(loader, size, samples), parity.golden(loader, size, samples, "train")
    graph = Graph(loaded.model.to(memory_format=torch.contiguous_format), size)
    runs: dict[str, Run] = {"torch": graph}
    texts = {"torch": ""}
    weights = inference_size(loaded.model)
    megabytes = {"torch": weights.bytes / 1e6}
    with tempfile.TemporaryDirectory() as folder:
        for form, kind in ((form, kind) for form, kinds in export.KINDS.items() for kind in kinds):
            name = f"{form} {kind}"
            about = card.metadata(loaded, graph, loader.pictures.preprocessing(), kind)
            try:
                made = export.candidate(form, kind, loaded, graph, calibration if kind == "int8" else None, about)
            except UserError as error:
                yield f"{name:<24}{str(error).splitlines()[0]}"
                continue
            written = Path(folder) / f"{form}-{kind}{export.SUFFIXES[form]}"
            made.write(written)
            megabytes[name], runs[name] = written.stat().st_size / 1e6, made.run
            texts[name] = agreement(export.compare(loaded, graph, shown, made.run), kind)
    compared = f"{len(shown.pictures)} pictures compared ({shown.source})"
    yield f"{loaded.path}: {weights.params:,} parameters, {size[0]} x {size[1]} pixels, {compared}"
    yield HEAD
    for name, taken in card.latency(runs, shown.pictures).items():
        yield f"{name:<24}{megabytes[name]:>9.2f}{taken['p50_ms']:>9.2f}{taken['p95_ms']:>9.2f}{texts[name]}"


def agreement(measured: parity.Parity, kind: str) -> str:
    """Return the cells of a row that compare the format with the checkpoint."""
    try:
        measured.require(parity.LIMITS[kind], "")
        refused = ""
    except UserError:
        refused = "  (not written without --allow)"
    return f"{measured.largest:>10.2g}{measured.mean:>10.2g}  {measured.changed} of {measured.decisions:,}{refused}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for text in rows(options.run, options.set, options.samples):
        print(text, flush=True)
    return 0


if __name__ == "__main__":
    errors.run(main)
