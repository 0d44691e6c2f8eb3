"""What the views read: runs below `saved/`, their logs, their models. No view reads files itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from base.run_folder import RunFolder
from base.run_folder import runs as run_folders
from logger.jsonl import read_lines
from utils.errors import UserError

SAVED = Path("saved")


@dataclass(frozen=True)
class Run:
    """One run as the views show it."""

    folder: Path
    status: str
    config: dict[str, Any]
    epochs: pd.DataFrame  # a row per epoch, a column per score

    @property
    def label(self) -> str:
        """Name and id."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def best(self) -> tuple[str, float | None]:
        """The monitored score and its best value."""
        mode, _, name = str(self.config.get("trainer", {}).get("monitor", "min val/loss")).partition(" ")
        if name not in self.epochs:
            return name, None
        values = self.epochs[name].dropna()
        return name, None if values.empty else float(values.max() if mode == "max" else values.min())


def all_runs() -> list[Run]:
    """Every run with a checkpoint, the newest first; what cannot be read of one is left empty."""
    return [_read(folder) for folder in reversed(run_folders(SAVED))]


def _read(folder: Path) -> Run:
    run = RunFolder(folder, folder.parents[2] / "log" / folder.parent.name / folder.name)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    entries = [entry for _, entry in read_lines(run.log / "log.jsonl") if entry.get("kind") == "epoch"]
    return Run(folder, run.status, config if isinstance(config, dict) else {}, pd.DataFrame(entries))


@st.cache_resource(max_entries=2, show_spinner="loading the model")
def model(path: str, modified: float) -> Any:
    """The model and loader of a checkpoint; one copy in memory for all sessions. Raises UserError."""
    import torch

    from trainer import build

    device = torch.device("cpu")
    loaded = build.load_model(Path(path), device)
    return loaded, build.build_loader(loaded.experiment, device)


def choose_run(label: str) -> Run | None:
    """A box to choose one of the runs; says what to do where there is none."""
    runs = all_runs()
    if not runs:
        st.info("No runs yet. Train one: `make train`, or `python train.py -c configs/demo.json`.")
        return None
    labels = [run.label for run in runs]
    asked = st.query_params.get("run", labels[0])
    chosen = st.selectbox(label, labels, index=labels.index(asked) if asked in labels else 0)
    st.query_params["run"] = chosen
    return runs[labels.index(chosen)]


__all__ = ["Run", "UserError", "all_runs", "choose_run", "model"]
