"""The contracts of a user's own model and loss, checked once on real values before a run begins."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from base.base_loss import BaseLoss
from base.base_metric import BaseMetric
from base.base_model import BaseModel
from base.contracts import DataSpec, Target, Term
from utils.errors import ROOT, UserError

TOLERANCE = 1e-3  # of a sum of probabilities in float32, and of their ends 0 and 1


def defined_at(function: Callable[..., Any]) -> str:
    """Return `model/attributes/small.py:31`, the file and line where a function or class is defined."""
    code = inspect.unwrap(function)
    return f"{shortened(inspect.getsourcefile(code) or '?')}:{inspect.getsourcelines(code)[1]}"


def shortened(file: str) -> str:
    """Return a file's path below the project, or the path as it is if the file is elsewhere."""
    return os.path.relpath(file, ROOT) if file.startswith(ROOT + os.sep) else file


def require_terms(loss: BaseLoss, terms: object) -> None:
    """Raise UserError unless `terms` is what `BaseLoss.terms` promises: name -> Term of two scalars, the total with gradient."""
    wrong = _wrong_terms(terms)
    if wrong:
        raise UserError(
            f"loss: {type(loss).__name__}.terms returns {wrong} ({defined_at(type(loss).terms)}); allowed: name -> "
            "Term(total, weight), two scalars, as mean_term in base/base_loss.py makes it"
        )


def _wrong_terms(terms: object) -> str:
    """Return what is wrong with the result of `terms`; an empty text if nothing is."""
    if not isinstance(terms, dict):
        return _kind(terms)
    if not terms:
        return "no term"
    for name, term in terms.items():
        if not (isinstance(name, str) and isinstance(term, Term)):
            return f"{_kind(term)} for {name!r}"
        if not all(isinstance(value, Tensor) and value.ndim == 0 for value in term):
            return f"{' and '.join(map(_kind, term))} as total and weight of {name!r}"
        if term.weight.requires_grad:
            return f"a weight of {name!r} that has a gradient"
    return ""


def require_prediction(model: BaseModel, prediction: object, samples: int, spec: DataSpec) -> None:
    """Raise UserError unless a prediction of some samples is what `BaseModel.decode` promises.

    Every value is a tensor (B, …) or a list of B tensors. A value named like a label of `spec` holds probabilities (B, K) over
    its K classes: in [0, 1], with rows that sum to 1. A value `scores` is in [0, 1]. Values that are not finite are left to
    the loop, which names their samples.
    """
    wrong = _wrong_prediction(prediction, samples, spec)
    if wrong:
        raise UserError(f"arch: {type(model).__name__}.decode returns {wrong} ({defined_at(type(model).decode)})")


def _wrong_prediction(prediction: object, samples: int, spec: DataSpec) -> str:
    if not isinstance(prediction, dict) or not prediction:
        return f"{_kind(prediction)}; allowed: name -> tensor (B, …), or name -> list of B tensors"
    for name, value in prediction.items():
        ragged = isinstance(value, list | tuple) and all(isinstance(item, Tensor) for item in value)
        if not (isinstance(value, Tensor) and value.ndim) and not ragged:
            return f'{_kind(value)} as "{name}"; allowed: a tensor (B, …), or a list of B tensors'
        if len(value) != samples:
            return f'{len(value)} rows of "{name}" for {samples} samples; allowed: a row for each sample'
        if name in spec.classes and isinstance(value, Tensor) and (wrong := _wrong_probabilities(value, len(spec.classes[name]))):
            return f'"{name}" {wrong}'
        if name == "scores" and (wrong := _outside(torch.cat([torch.as_tensor(item).reshape(-1) for item in value]))):
            return f'"{name}" {wrong}'
    return ""


def _wrong_probabilities(value: Tensor, classes: int) -> str:
    """Return what is wrong with probabilities (B, K); an empty text if nothing is."""
    if tuple(value.shape[1:]) != (classes,):
        return f"of shape {tuple(value.shape)}; allowed: (B, {classes}), a column for each class"
    rows = value[torch.isfinite(value).all(1)].double()
    if wrong := _outside(rows.reshape(-1)):
        return wrong
    sums = rows.sum(1)
    if ((sums - 1).abs() <= TOLERANCE).all():
        return ""
    columns = rows.sum(0)
    hint = "the softmax is over the samples: take dim=1" if ((columns - 1).abs() <= TOLERANCE).all() else "take softmax(dim=1)"
    return f"with rows that sum to {sums.min():.3g} to {sums.max():.3g}; allowed: 1 ({hint})"


def _outside(values: Tensor) -> str:
    """Return the ends of the finite values (N,) if they are outside [0, 1]; else an empty text."""
    values = values[torch.isfinite(values)]
    if not len(values) or (values.min() >= -TOLERANCE and values.max() <= 1 + TOLERANCE):
        return ""
    return f"with values from {values.min():.3g} to {values.max():.3g}; allowed: probabilities in [0, 1] (are they logits?)"


def require_scores(key: str, metric: BaseMetric, scores: object) -> None:
    """Raise UserError unless `scores` is what `BaseMetric.compute` promises: name -> number, for names that `names` lists."""
    wrong = _wrong_scores(scores, metric.names)
    if wrong:
        place = defined_at(type(metric).compute)
        raise UserError(f"{key}: {type(metric).__name__}.compute returns {wrong} ({place})")


def _wrong_scores(scores: object, names: list[str]) -> str:
    if not isinstance(scores, dict):
        return f"{_kind(scores)}; allowed: name -> number"
    for name, value in scores.items():
        if name not in names:
            return f'a score "{name}", which its `names` does not list; allowed: {", ".join(names) or "none"}'
        if not isinstance(value, int | float | np.number):
            return f'{_kind(value)} as "{name}"; allowed: a number'
    return ""


def checked_terms(loss: BaseLoss) -> Callable[[Any, Target], dict[str, Term]]:
    """Return the loss's `terms` with `require_terms` behind it."""
    terms = loss.terms

    def checked(outputs: Any, target: Target) -> dict[str, Term]:
        made = terms(outputs, target)
        require_terms(loss, made)
        return made

    return checked


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    return "nothing" if value is None else f"a {type(value).__name__}"
