"""The loss of several labels at once: a weighted sum of one term for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from base.base_loss import LOSSES, BaseLoss
from base.contracts import PARTNER, SHARE, DataSpec, Outputs, Target, Term
from base.labels import unknown_label
from model.loss import terms as _terms  # noqa: F401  registers the terms before a config can name them
from model.loss.base_term import BaseTerm
from utils.errors import UserError


@LOSSES.register("attributes")
class AttributeLoss(BaseLoss):
    """A weighted sum with one term for each label.

    A mixed sample counts as two with the same logits: one of its own labels and one of its partner's, each by its share. What
    is not known of either leaves the other's share as it is.

    Args:
        terms: label -> its term, such as {"mask": {"type": "Focal", "args": {"weight": 0.375}}}; every label needs one
    """

    takes_shares = True

    def __init__(self, spec: DataSpec, terms: dict[str, BaseTerm]) -> None:
        super().__init__()
        problems = [f"loss.args.{key}: {message}" for key, message in label_problems(terms, spec)]
        if problems:
            raise UserError("; ".join(problems))
        self.labels = list(terms)
        self.bound = nn.ModuleList(term.bind(spec, label) for label, term in terms.items())

    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        """Label -> its term.

        outputs: label -> logits (B, K) float32. target: label -> (B,) int64, -1 where not known; with or without `share` and
        `partner`.
        """
        shares = torch.cat([part[SHARE] for part in both(target)]) if SHARE in target else None
        return {
            label: term(*_repeated(outputs[label], target, label), shares)
            for label, term in zip(self.labels, self.bound, strict=True)
        }

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Labels without a term, terms without a label, class weights that do not fit."""
        if not spec.classes:  # the config does not say: the constructor looks when the data are read
            return
        yield from label_problems(args.terms, spec)
        for label, part in args.terms.items():
            if label in spec.classes:
                problems = part.cls.problems(part.args, spec, label)
                yield from ((f"terms.{label}.args.{key}", message) for key, message in problems)


def both(target: Target) -> list[Target]:
    """A target, and that of the partners if the samples are mixed."""
    return [target, target[PARTNER]] if PARTNER in target else [target]


def _repeated(logits: Tensor, target: Target, label: str) -> tuple[Tensor, Tensor]:
    """Logits and labels, once for each of `both`."""
    labels = [part[label] for part in both(target)]
    return (logits, labels[0]) if len(labels) == 1 else (logits.repeat(len(labels), 1), torch.cat(labels))


def label_problems(terms: Mapping[str, object], spec: DataSpec) -> Iterator[tuple[str, str]]:
    """Labels without a term and terms without a label."""
    for label in terms:
        if label not in spec.classes:
            yield f"terms.{label}", unknown_label(label, spec)
    missing = [label for label in spec.classes if label not in terms]
    if missing:
        yield "terms", f"is missing {', '.join(missing)}; a label without a term would have a head that is never trained"
