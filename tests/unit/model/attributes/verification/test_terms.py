"""Terms of the losses of two tasks."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from base.base_loss import LOSSES
from base.contracts import DataSpec
from model.attributes.loss import AttributeLoss
from model.terms import TERMS, argument_problems
from model.verification.loss import EmbeddingLoss

IDENTITIES = DataSpec({"identity": ["a", "b"]})


def loss(kind: type, terms: dict[str, Any]) -> Any:
    text = json.dumps({"type": kind.__name__, "args": {"terms": terms}})
    return LOSSES.part(kind.__name__).model_validate_json(text)


@pytest.mark.parametrize(("kind", "term"), [(AttributeLoss, "ArcFace"), (EmbeddingLoss, "Focal")])
def test_a_loss_takes_no_term_of_another_task(kind: type, term: str) -> None:
    with pytest.raises(ValidationError, match=f"'{term}' found using 'type' does not match"):
        loss(kind, {"a": {"type": term}})


def test_every_term_serves_one_task() -> None:
    assert {tuple(sorted(TERMS.tasks(name))) for name in TERMS.names} == {("attributes", "pretext"), ("verification",)}


def test_the_weight_of_every_term_is_described_in_the_same_words() -> None:
    arguments = [part.model_fields["args"].annotation.model_fields["weight"] for part in TERMS.parts.values()]  # type: ignore[union-attr]
    assert len({field.description for field in arguments}) == 1 and len(arguments) == 15


def test_the_problems_of_a_term_are_those_of_the_label_of_its_name() -> None:
    spec = DataSpec({"mask": ["on", "off"]})
    terms = loss(AttributeLoss, {"mask": {"type": "F1", "args": {"class_weights": [1, 1, 1]}}}).args.terms
    assert [key for key, _ in argument_problems(terms, spec)] == ["terms.mask.args.class_weights"]


def test_the_problems_of_a_term_are_found_under_whatever_name() -> None:
    terms = loss(EmbeddingLoss, {"mine": {"type": "Triplet", "args": {"margin": None, "miner": "semihard"}}}).args.terms
    assert [key for key, _ in argument_problems(terms, IDENTITIES, "identity")] == ["terms.mine.args.miner"]


def test_a_term_that_needs_no_data_is_bound_as_it_is() -> None:
    term = TERMS.classes["IdentityCrossEntropy"](weight=2.0)
    total, weight = term.bind(IDENTITIES, "identity")(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    assert float(total / weight) == pytest.approx(2 * torch.log(torch.tensor(2.0)).item())
