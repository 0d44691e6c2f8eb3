"""Figures of pairs: the scores of both kinds of pairs, the error rates at each threshold, and the hardest pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from base.contracts import PictureOf
from base.verification.pairs import Pairs
from model.plots import figure_of
from model.verification.pair_metrics import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAME, DIFFERENT = "#1565c0", "#ef6c00"
TICKS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
PAIRS_IN_ROW = 4


def histogram_figure(scores: np.ndarray, same: np.ndarray, threshold: float | None, distance: str) -> Figure:
    """Draw how often each score occurs, for pairs of one person and of two. scores: (N,) float64. same: (N,) bool."""
    figure = figure_of(6, 4)
    axes = figure.add_subplot()
    bins = np.histogram_bin_edges(scores, 50).tolist()
    for kind, colour, label in ((same, SAME, "one person"), (~same, DIFFERENT, "different people")):
        axes.hist(scores[kind], bins, alpha=0.6, color=colour, label=f"{label}: {int(kind.sum()):,}")
    if threshold is not None:
        axes.axvline(threshold, color="black", linewidth=1, label=f"threshold {threshold:.4f}")
    axes.set(xlabel="cosine" if distance == "cosine" else "minus the distance", ylabel="pairs")
    axes.legend()
    return figure


def roc_figure(curve: Curve) -> Figure:
    """Draw true accepts over false accepts, false accepts on a logarithmic scale."""
    figure = figure_of(5, 4.5)
    axes = figure.add_subplot()
    some = curve.far > 0
    axes.step(curve.far[some], curve.tar[some], where="post", color=SAME)
    axes.set(xscale="log", xlabel="false accept rate", ylabel="true accept rate", ylim=(0, 1.01))
    axes.grid(True, which="both", alpha=0.3)
    return figure


def det_figure(curve: Curve) -> Figure:
    """Draw false rejects over false accepts, both on the scale of the normal distribution (Martin et al. 1997)."""
    from scipy.special import ndtri

    figure = figure_of(5, 4.5)
    axes = figure.add_subplot()
    inside = (curve.far > 0) & (curve.far < 1) & (curve.tar > 0) & (curve.tar < 1)  # other points are at infinity
    axes.plot(ndtri(curve.far[inside]), ndtri(1 - curve.tar[inside]), color=SAME)
    axes.plot(ndtri((0.001, 0.8)), ndtri((0.001, 0.8)), color="grey", linewidth=0.8, linestyle=":")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(TICKS), [f"{100 * tick:g} %" for tick in TICKS])
    axes.set(xlabel="false accept rate", ylabel="false reject rate")
    axes.grid(True, alpha=0.3)
    return figure


def pairs_figure(hardest: tuple[np.ndarray, np.ndarray], pairs: Pairs, scores: np.ndarray, picture_of: PictureOf) -> Figure:
    """Draw the least alike pairs of one person, then the most alike pairs of two, with their scores; a pair is side by side.

    hardest: indices of the pairs of one person, and of the pairs of two. scores: (N,) float64.
    """
    rows = [-(-len(kind) // PAIRS_IN_ROW) for kind in hardest]
    figure = figure_of(PAIRS_IN_ROW * 2.6, max(1, sum(rows)) * 1.7 + 0.4)
    figure.suptitle("hardest pairs; blue: one person, orange: different people")
    place = 0
    for kind, colour, lines in zip(hardest, (SAME, DIFFERENT), rows, strict=True):
        for offset, pair in enumerate(kind):
            axes = figure.add_subplot(sum(rows), PAIRS_IN_ROW, place + offset + 1)
            one, other = (picture_of(int(row)) for row in (pairs.first[pair], pairs.second[pair]))
            axes.imshow(np.concatenate([one, other], axis=1))
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{scores[pair]:.3f}", fontsize=8, color=colour)
            axes.spines[:].set(color=colour, linewidth=2)
        place += lines * PAIRS_IN_ROW
    return figure
