"""Figures of the attribute metrics, drawn without a display and without pyplot's global state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRONG = "#c62828"
MOST_NUMBERS = 40  # classes up to which a cell has room for its number
CHARACTER = 0.075  # inches that a character of a 7-point text takes at most


class Tile(NamedTuple):
    """A picture (H, W, 3) uint8 RGB, the lines above it, and whether to mark it as wrong."""

    picture: np.ndarray
    lines: list[str]
    wrong: bool


def confusion_figure(counts: np.ndarray, classes: list[str], title: str) -> Figure:
    """Numbers of samples, coloured by their share of the row. counts: (K, K), rows the truth. classes: K names."""
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
    """Pictures row by row with their lines above them, wrong ones in red."""
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


def figure_of(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, whose parts are laid out so that nothing is cut off."""
    # Half a second to import, which `train.py --check` need not spend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
