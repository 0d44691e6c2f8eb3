"""Figures of the attribute metrics, drawn without a display and without pyplot's global state."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRONG = "#c62828"
MOST_NUMBERS = 40  # with more classes than this a cell has no room for its number
CHARACTER = 0.075  # largest width of a character of a 7-point text, in inches


class Tile(NamedTuple):
    """A picture (H, W, 3) uint8 RGB, the lines of text above it, and True if it is marked as wrong."""

    picture: np.ndarray
    lines: list[str]
    wrong: bool


def confusion_figure(counts: np.ndarray, classes: list[str], title: str) -> Figure:
    """Draw a confusion matrix; a cell shows its number of samples and is coloured by its share of the row.

    counts: (K, K) integers, rows are the truth. classes: K names.
    """
    size = min(24.0, 3.0 + 0.45 * len(classes))
    figure = figure_of(size + 1, size)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set(title=f"{title}: {counts.sum():,} samples", xlabel="predicted", ylabel="truth")
    axes.set_xticks(range(len(classes)), classes, rotation=90 if len(classes) > 4 else 0)
    axes.set_yticks(range(len(classes)), classes)
    for (row, column), count in np.ndenumerate(counts) if len(classes) <= MOST_NUMBERS else ():
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def grid_figure(tiles: list[Tile], columns: int) -> Figure:
    """Draw pictures row by row with their lines of text above them; wrong ones have a red frame."""
    rows = -(-len(tiles) // columns)
    longest = max(len(line) for tile in tiles for line in tile.lines)
    figure = figure_of(columns * max(2.0, CHARACTER * longest), rows * (2.2 + 0.12 * len(tiles[0].lines)) + 0.4)
    figure.suptitle("truth → prediction; red: wrong")
    for index, tile in enumerate(tiles):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(tile.picture)
        axes.set(xticks=[], yticks=[])
        axes.set_title("\n".join(tile.lines), fontsize=7, color=WRONG if tile.wrong else "black")
        axes.spines[:].set(color=WRONG if tile.wrong else "none", linewidth=2)
    return figure


def _import_matplotlib() -> None:
    """Import matplotlib, even if MPLBACKEND names a backend that is not installed, as in a notebook's `!python train.py`."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend is not None:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


def figure_of(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches; its layout leaves room for all titles and labels."""
    # Imported here because the import takes half a second, which `train.py --check` does not need.
    _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
