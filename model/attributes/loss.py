"""The loss of several labels at once: a weighted sum of one term for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from base.base_loss import LOSSES, BaseLoss
from base.contracts import PARTNER, SHARE, DataSpec, Outputs, OutputSpec, Target, Term
from base.labels import unknown_label
from model.attributes import terms as _terms  # noqa: F401  registers the terms before a config can name them
from model.attributes.label_term import LabelTerm
from model.attributes.margin import Margin
from model.terms import argument_problems, kept, refuse


@LOSSES.register("attributes", "pretext")
class AttributeLoss(BaseLoss):
    """A weighted sum with one term for each label.

    A mixed sample counts as two samples with the same logits: one with its own labels and one with its partner's, each by its
    share. If a label of one of the two is not known, the share of the other stays as it is.
    """

    takes_shares = True

    def __init__(
        self,
        spec: DataSpec,
        outputs: OutputSpec,
        terms: Annotated[
            dict[str, LabelTerm | None],
            Field(
                description='label -> its term, such as {"mask": {"type": "Focal", "args": {"weight": 0.375}}}; every label that '
                "is learned needs one, and null takes away a term that an extended config has"
            ),
        ],
        margins: Annotated[
            dict[str, Margin],
            Field(description="label -> what its true class must win by in training, for labels with a `CosineHead`"),
        ] = {},  # noqa: B006
    ) -> None:
        super().__init__()
        given = kept(terms)
        refuse([*label_problems(given, spec), *margin_problems(margins, spec, outputs)])
        self.labels, self.margins, self.scales = list(given), margins, outputs.scales
        self.bound = nn.ModuleList(term.bind(spec, label, outputs) for label, term in given.items())

    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        """Return label -> term.

        outputs: label -> logits (B, K) float32. target: label -> (B,) int64, -1 if not known; with `share` and `partner` if
        the samples are mixed.
        """
        shares = torch.cat([part[SHARE] for part in both(target)]) if SHARE in target else None
        terms = {}
        for label, term in zip(self.labels, self.bound, strict=True):
            logits, labels = _repeated(outputs[label], target, label)
            terms[label] = term(self._with_margin(label, logits, labels), labels, shares)
        return terms

    def _with_margin(self, label: str, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the logits (N, K) with the label's margin in training; in evaluation return them unchanged."""
        if not self.training or label not in self.margins:
            return logits
        return self.margins[label].apply(logits, labels, self.scales[label])

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for labels without a term, terms or margins without a label, and class weights that do not fit."""
        if not spec.classes:  # the labels are not known from the config: the constructor checks when the data are read
            return
        given = kept(args.terms)
        yield from label_problems(given, spec)
        yield from margin_problems(args.margins, spec)
        yield from argument_problems({label: part for label, part in given.items() if label in spec.classes}, spec)


def both(target: Target) -> list[Target]:
    """Return the target, and the partners' target if the samples are mixed."""
    return [target, target[PARTNER]] if PARTNER in target else [target]


def _repeated(logits: Tensor, target: Target, label: str) -> tuple[Tensor, Tensor]:
    """Return logits (N, K) and labels (N,), repeated for the partners if the samples are mixed."""
    labels = [part[label] for part in both(target)]
    return (logits, labels[0]) if len(labels) == 1 else (logits.repeat(len(labels), 1), torch.cat(labels))


def label_problems(terms: Mapping[str, object], spec: DataSpec) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for labels without a term and terms without a label."""
    for label in terms:
        if label not in spec.classes:
            yield f"terms.{label}", unknown_label(label, spec)
    missing = [label for label in spec.classes if label not in terms]
    if missing:
        yield "terms", f"is missing {', '.join(missing)}; a label without a term would have a head that is never trained"


def margin_problems(
    margins: Mapping[str, Margin], spec: DataSpec, outputs: OutputSpec | None = None
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for margins without a label, and for margins on logits that are not cosines.

    outputs: None if the model does not exist yet; the logits are then not checked.
    """
    for label in margins:
        if label not in spec.classes:
            yield f"margins.{label}", unknown_label(label, spec)
        elif outputs is not None and label not in outputs.scales:
            yield (
                f"margins.{label}",
                f'is for cosines, and the model\'s head of "{label}" gives none; '
                f'set arch.args.heads.{label}={{"type": "CosineHead"}}, or take the margin away',
            )
