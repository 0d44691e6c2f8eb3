"""The loss of verification: a weighted sum of terms on the embeddings of a batch, or on the outputs of the identity head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from base.base_loss import LOSSES, BaseLoss
from base.contracts import DataSpec, Outputs, OutputSpec, Target, Term
from base.verification.pairs import IDENTITY
from model.terms import argument_problems, kept, refuse
from model.verification import margin_terms as _margin_terms  # noqa: F401
from model.verification import terms as _embedding_terms  # noqa: F401  registers them before a config can name them
from model.verification.embedding_term import EmbeddingTerm
from utils.errors import UserError


@LOSSES.register("verification")
class EmbeddingLoss(BaseLoss):
    """A weighted sum of any number of terms, each under a name of your choice."""

    def __init__(
        self,
        spec: DataSpec,
        outputs: OutputSpec,
        terms: Annotated[
            dict[str, EmbeddingTerm | None],
            Field(
                min_length=1,
                description='name -> term, such as {"arcface": {"type": "ArcFace", "args": {"scale": 30}}}; null takes away a '
                "term that an extended config has",
            ),
        ],
    ) -> None:
        super().__init__()
        given = kept(terms)
        refuse(output_problems(given, outputs))
        if len(spec.classes.get(IDENTITY, [])) < 2:
            raise UserError("loss: there are fewer than two identities to train on; telling people apart takes more")
        self.names, self.outputs = list(given), [term.output for term in given.values()]
        self.bound = nn.ModuleList(term.bind(spec, IDENTITY, outputs) for term in given.values())

    def terms(self, outputs: Outputs, target: Target) -> dict[str, Term]:
        """Return name -> term. outputs: as the model returns them. target: `identity` (B,) int64, every one known."""
        labels: Tensor = target[IDENTITY]
        read = zip(self.names, self.outputs, self.bound, strict=True)
        return {name: term(outputs[output], labels) for name, output, term in read}

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) if no term is left, and for arguments of a term that do not fit together."""
        given = kept(args.terms)
        if not given:
            yield "terms", f"found only null ({', '.join(args.terms)}); allowed: at least one term"
        yield from argument_problems(given, spec, IDENTITY)


def output_problems(terms: Mapping[str, EmbeddingTerm], outputs: OutputSpec) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for terms on outputs that the model does not have."""
    for name, term in terms.items():
        if term.output not in outputs.widths:
            there = ", ".join(outputs.widths) or "none"
            yield (
                f"terms.{name}",
                f'reads the output "{term.output}", which the model does not have (there are: {there}); '
                'set arch.args.identity to "linear" or "batch_norm"',
            )
