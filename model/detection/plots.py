"""Figures of boxes, drawn without a display and without pyplot's global state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model.detection.average_precision import IOUS, RECALLS, mean_known
from model.plots import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH, PREDICTED = "#2e7d32", "#c62828"
DRAWN = (0, 5)  # places in IOUS of the curves: 0.5 and 0.75


class Scene(NamedTuple):
    """A picture (H, W, 3) uint8 RGB, its title, and boxes (n, 4) xyxy in its pixels with a text for each."""

    picture: np.ndarray
    title: str
    objects: np.ndarray
    names: list[str]
    boxes: np.ndarray
    texts: list[str]


def curves_figure(precision: np.ndarray, classes: list[str]) -> Figure:
    """Draw precision over recall for each class. precision: (10, 101, K) float, -1 if a class has no object."""
    figure = figure_of(11, 5)
    for place, iou in enumerate(DRAWN):
        axes = figure.add_subplot(1, len(DRAWN), place + 1)
        for label, name in enumerate(classes):
            score = mean_known(precision[iou, :, label])
            if score is not None:
                axes.plot(RECALLS, precision[iou, :, label], label=f"{name}: {score:.3f}")
        axes.set(title=f"IoU {IOUS[iou]:g}", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        if axes.lines:
            axes.legend(loc="lower left", fontsize=8)
    return figure


def boxes_figure(scenes: list[Scene], columns: int) -> Figure:
    """Draw pictures row by row, with the truth in green and the prediction in red."""
    rows = -(-len(scenes) // columns)
    figure = figure_of(columns * 3.2, rows * 3.0 + 0.4)
    figure.suptitle("green: truth; red: prediction")
    for index, scene in enumerate(scenes):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(scene.picture)
        axes.set(xticks=[], yticks=[])
        axes.set_title(scene.title, fontsize=7)
        _draw(axes, scene.objects, scene.names, TRUTH, "top")
        _draw(axes, scene.boxes, scene.texts, PREDICTED, "bottom")
    return figure


def _draw(axes: Axes, boxes: np.ndarray, texts: list[str], colour: str, side: str) -> None:
    """Draw boxes (n, 4) with their texts above or below, so that the texts of truth and prediction do not hide each other."""
    from matplotlib.patches import Rectangle

    for (x1, y1, x2, y2), text in zip(boxes.tolist(), texts, strict=True):
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.2))
        place, alignment = (y1, "bottom") if side == "bottom" else (y2, "top")
        axes.text(x1, place, text, fontsize=6, color=colour, verticalalignment=alignment, clip_on=True)
