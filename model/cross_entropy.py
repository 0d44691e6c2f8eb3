"""Cross-entropy with label smoothing, for every classification head."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

Smoothing = Annotated[float, Field(ge=0, lt=1)]


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return -sum_k q_k log p_k of each sample, (N,); q is 1 - e + e / K at the label and e / K at every other class.

    logits: (N, K) float. labels: (N,) int64 in 0..K-1. e is label_smoothing (Szegedy et al. 2016, section 7).
    """
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
