"""Every term of the embedding loss against a slow loop, and the whole loss on one process and on two."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from base.contracts import DataSpec, OutputSpec
from model.verification import margin_terms
from model.verification import terms as embedding_terms
from model.verification.loss import EmbeddingLoss
from tests.helpers import on_ranks
from trainer.training.optimizers import SGD, parameter_groups
from utils import distributed
from utils.errors import UserError

CLASSES, WIDTH = 5, 6
SPEC = DataSpec({"identity": [str(n) for n in range(CLASSES)]})
OUTPUTS = OutputSpec({"embedding": WIDTH})


def batch(seed=0, number=12, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(number, WIDTH, generator=generator, dtype=dtype, requires_grad=True)
    return embeddings, torch.arange(number) % 4


def mean(term, embeddings, labels):
    total, weight = term(embeddings, labels)
    return total / weight


def bound(term):
    torch.manual_seed(0)
    return term.bind(SPEC, "identity", OUTPUTS).double()


def unit(x):
    x = x.detach()
    return x / x.norm(dim=-1, keepdim=True)


# Margins ------------------------------------------------------------------------------------------------------------


def margin_loop(term, embeddings, labels, target):
    """Mean cross-entropy of logits that differ from scaled cosines at the true class alone."""
    weights, losses = term.loss.W.T, []
    for x, label in zip(embeddings, labels.tolist(), strict=True):
        cosines = [float(unit(x) @ unit(w)) for w in weights]
        logits = [target(c) if k == label else c for k, c in enumerate(cosines)]
        logits = [term.loss.scale * value for value in logits]
        losses.append(math.log(sum(map(math.exp, logits))) - logits[label])
    return sum(losses) / len(losses)


def test_arcface_widens_the_angle_by_degrees():
    term, (embeddings, labels) = bound(margin_terms.ArcFace(margin=20.0, scale=8.0)), batch()
    expected = margin_loop(term, embeddings, labels, lambda c: math.cos(math.acos(c) + math.radians(20)))
    assert mean(term, embeddings, labels).item() == pytest.approx(expected)


def test_the_papers_margin_of_half_a_radian_is_28_6_degrees():
    assert margin_terms.ArcFace().bind(SPEC, "identity", OUTPUTS).loss.margin == pytest.approx(0.5, abs=1e-3)


def test_cosface_takes_its_margin_off_the_cosine():
    term, (embeddings, labels) = bound(margin_terms.CosFace(margin=0.3, scale=8.0)), batch()
    assert mean(term, embeddings, labels).item() == pytest.approx(margin_loop(term, embeddings, labels, lambda c: c - 0.3))


def test_sphereface_multiplies_the_angle_and_keeps_the_length():
    term, (embeddings, labels) = bound(margin_terms.SphereFace(margin=4)), batch()
    losses = []
    for x, label in zip(embeddings, labels.tolist(), strict=True):
        cosines = [float(unit(x) @ unit(w)) for w in term.loss.W.T]
        k = math.floor(math.acos(cosines[label]) / (math.pi / 4))
        psi = (-1) ** k * math.cos(4 * math.acos(cosines[label])) - 2 * k
        logits = [float(x.detach().norm()) * (psi if n == label else c) for n, c in enumerate(cosines)]
        losses.append(math.log(sum(map(math.exp, logits))) - logits[label])
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(losses) / len(losses))


def test_of_sub_centers_the_nearest_counts():
    term, (embeddings, labels) = bound(margin_terms.SubCenterArcFace(margin=0.0, scale=8.0, sub_centers=2)), batch()
    losses = []
    for x, label in zip(embeddings, labels.tolist(), strict=True):
        cosines = (unit(x) @ unit(term.loss.W.T).T).view(CLASSES, 2).amax(1)
        losses.append(torch.nn.functional.cross_entropy(8 * cosines[None], torch.tensor([label])).item())
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(losses) / len(losses))


def test_an_embedding_that_lies_exactly_on_its_weights_has_a_finite_gradient():
    term = margin_terms.ArcFace().bind(SPEC, "identity", OUTPUTS)
    embeddings = term.loss.W.detach().T.clone().requires_grad_()
    mean(term, embeddings, torch.arange(CLASSES)).backward()
    assert torch.isfinite(embeddings.grad).all()


# Pairs and triplets -------------------------------------------------------------------------------------------------


def distances(x):
    return [[float((a - b).norm()) for b in x] for a in x]


def hardest(x, labels):
    """The furthest own and the nearest other of every anchor."""
    d, number = distances(x), len(x)
    own = [max(d[a][b] for b in range(number) if b != a and labels[a] == labels[b]) for a in range(number)]
    other = [min(d[a][b] for b in range(number) if labels[a] != labels[b]) for a in range(number)]
    return list(zip(own, other, strict=True))


def test_batch_hard_triplets_with_a_soft_margin_are_those_of_a_slow_loop():
    term, (embeddings, labels) = embedding_terms.Triplet(margin=None), batch()
    values = [math.log1p(math.exp(own - other)) for own, other in hardest(embeddings.detach(), labels)]
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(values) / len(values))


def test_batch_hard_triplets_with_a_margin_are_averaged_over_all_anchors():
    term, (embeddings, labels) = embedding_terms.Triplet(margin=0.3), batch()
    values = [max(0.0, own - other + 0.3) for own, other in hardest(embeddings.detach(), labels)]
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(values) / len(values))


@pytest.mark.parametrize(
    ("miner", "kept"), [("all", lambda d: d > -1), ("semihard", lambda d: -1 < d < 0), ("hard", lambda d: d >= 0)]
)
def test_the_other_miners_choose_among_all_triplets(miner, kept):
    term, (embeddings, labels) = embedding_terms.Triplet(margin=1.0, miner=miner), batch(1)
    d, n = distances(embeddings.detach()), range(len(labels))
    values = [
        d[a][p] - d[a][o] + 1
        for a in n for p in n for o in n
        if a != p and labels[a] == labels[p] and labels[a] != labels[o] and kept(d[a][p] - d[a][o])
    ]  # fmt: skip
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(values) / len(values))


def test_contrastive_averages_each_kind_of_pair_over_those_that_count():
    term, (embeddings, labels) = embedding_terms.Contrastive(other=3.0), batch()
    d, n = distances(embeddings.detach()), range(len(labels))
    own = [d[a][b] for a in n for b in n if a != b and labels[a] == labels[b]]
    other = [3.0 - d[a][b] for a in n for b in n if labels[a] != labels[b] and d[a][b] < 3.0]
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(own) / len(own) + sum(other) / len(other))


def test_circle_is_equation_6_of_its_paper():
    term, (embeddings, labels) = embedding_terms.Circle(margin=0.25, scale=4.0), batch()
    s, values = unit(embeddings.detach()) @ unit(embeddings.detach()).T, []
    for a in range(len(labels)):
        own = [float(s[a, b]) for b in range(len(labels)) if b != a and labels[a] == labels[b]]
        other = [float(s[a, b]) for b in range(len(labels)) if labels[a] != labels[b]]
        own_sum = sum(math.exp(-4 * max(0, 1.25 - v) * (v - 0.75)) for v in own)
        other_sum = sum(math.exp(4 * max(0, v + 0.25) * (v - 0.25)) for v in other)
        values.append(math.log1p(own_sum * other_sum))
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(values) / len(values))


def test_multi_similarity_is_equation_15_of_its_paper_where_all_pairs_are_used():
    term, (embeddings, labels) = embedding_terms.MultiSimilarity(beta=10.0, epsilon=5.0), batch()
    s, values = unit(embeddings.detach()) @ unit(embeddings.detach()).T, []
    for a in range(len(labels)):
        own = sum(math.exp(-2 * (float(s[a, b]) - 0.5)) for b in range(len(labels)) if b != a and labels[a] == labels[b])
        other = sum(math.exp(10 * (float(s[a, b]) - 0.5)) for b in range(len(labels)) if labels[a] != labels[b])
        values.append(math.log1p(own) / 2 + math.log1p(other) / 10)
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(values) / len(values))


def test_supervised_contrastive_is_equation_2_of_its_paper():
    term, (embeddings, labels) = embedding_terms.SupervisedContrastive(temperature=0.5), batch()
    s, n, values = unit(embeddings.detach()) @ unit(embeddings.detach()).T / 0.5, range(12), []
    for a in n:
        rest = math.log(sum(math.exp(float(s[a, b])) for b in n if b != a))
        own = [rest - float(s[a, b]) for b in n if b != a and labels[a] == labels[b]]
        values.append(sum(own) / len(own))
    assert mean(term, embeddings, labels).item() == pytest.approx(sum(values) / len(values))


PAIR_TERMS = [
    embedding_terms.Triplet(margin=None), embedding_terms.Triplet(margin=0.3), embedding_terms.Contrastive(),
    embedding_terms.Circle(scale=8.0), embedding_terms.MultiSimilarity(), embedding_terms.SupervisedContrastive(),
]  # fmt: skip


@pytest.mark.parametrize("term", PAIR_TERMS, ids=lambda term: type(term).__name__)
@pytest.mark.parametrize("labels", [[0], [0, 0], [0, 1, 2]], ids=["one sample", "one identity", "no pair"])
def test_a_batch_with_nothing_to_compare_is_finite_and_has_a_gradient(term, labels):
    embeddings = torch.randn(len(labels), WIDTH, requires_grad=True)
    value = mean(term, embeddings, torch.tensor(labels))
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize("term", PAIR_TERMS[:3], ids=lambda term: type(term).__name__)
def test_a_gradient_is_that_of_small_differences(term):
    embeddings, labels = batch(2, 8)
    assert torch.autograd.gradcheck(lambda x: mean(term, x, labels), embeddings)


# Centres and identities ---------------------------------------------------------------------------------------------


def test_center_is_the_mean_squared_distance_to_the_own_centre_and_moves_both():
    term, (embeddings, labels) = bound(embedding_terms.Center(weight=0.5)), batch()
    slow = [
        float((x - term.centers[label]).detach().square().sum()) for x, label in zip(embeddings, labels.tolist(), strict=True)
    ]
    value = mean(term, embeddings, labels)
    assert value.item() == pytest.approx(0.5 * sum(slow) / len(slow))
    value.backward()
    assert embeddings.grad.any() and term.centers.grad[:4].any() and not term.centers.grad[4].any()
    assert torch.autograd.gradcheck(lambda x: mean(term, x, labels), embeddings)


def test_identity_cross_entropy_is_torchs():
    logits, labels = torch.randn(6, CLASSES), torch.arange(6) % CLASSES
    expected = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert mean(embedding_terms.IdentityCrossEntropy(label_smoothing=0.1), logits, labels) == pytest.approx(expected.item())


# The whole loss -----------------------------------------------------------------------------------------------------


def test_every_term_is_weighted_and_keeps_its_name():
    loss = EmbeddingLoss(SPEC, OUTPUTS, {"a": embedding_terms.Contrastive(), "b": embedding_terms.Contrastive(weight=3.0)})
    embeddings, labels = batch(dtype=torch.float32)
    found = loss({"embedding": embeddings}, {"identity": labels})
    assert found["b"].item() == pytest.approx(3 * found["a"].item())


def test_null_takes_a_term_away():
    loss = EmbeddingLoss(SPEC, OUTPUTS, {"first": None, "second": embedding_terms.Center()})

    assert loss.names == ["second"]


def test_one_term_at_least_is_left():
    args = SimpleNamespace(terms={"first": None, "second": None})

    assert list(EmbeddingLoss.check(args, SPEC)) == [("terms", "found only null (first, second); allowed: at least one term")]


def test_a_term_on_an_output_that_the_model_lacks_is_refused():
    with pytest.raises(UserError, match=r'loss.args.terms.id: reads the output "identity".*arch.args.identity'):
        EmbeddingLoss(SPEC, OUTPUTS, {"id": embedding_terms.IdentityCrossEntropy()})


def test_fewer_than_two_identities_are_refused():
    with pytest.raises(UserError, match="fewer than two identities"):
        EmbeddingLoss(DataSpec({"identity": ["one"]}), OUTPUTS, {"a": embedding_terms.Contrastive()})


def test_class_weights_are_parameters_of_the_head_and_decayed_as_such():
    loss = EmbeddingLoss(SPEC, OUTPUTS, {"arc": margin_terms.ArcFace(), "center": embedding_terms.Center()})

    class Model(nn.Module):
        def head(self):
            return []

    groups = {g["name"]: g for g in parameter_groups(SGD(lr=0.1, weight_decay=4e-5, head_weight_decay=4e-4), Model(), loss)}
    assert [len(groups["head"]["params"]), groups["head"]["weight_decay"]] == [2, 4e-4]


# Several processes --------------------------------------------------------------------------------------------------


def one_step(kind, sizes):
    """The gradient of a linear model and of the loss, as DistributedDataParallel would have it, on this process's share."""
    terms = {"arc": margin_terms.ArcFace(scale=4.0)} if kind == "margin" else {
        "triplet": embedding_terms.Triplet(margin=None), "contrast": embedding_terms.SupervisedContrastive(),
    }  # fmt: skip
    torch.manual_seed(0)
    model = nn.Linear(WIDTH, WIDTH).double()
    loss = EmbeddingLoss(SPEC, OUTPUTS, terms).double()
    images, labels = batch()
    start = sum(sizes[: distributed.rank()])
    mine = slice(start, start + sizes[distributed.rank()]) if distributed.world_size() > 1 else slice(None)
    found = loss({"embedding": model(images.detach()[mine])}, {"identity": labels[mine]})
    torch.stack(list(found.values())).sum().backward()
    parameters = [p for p in (*model.parameters(), *loss.parameters())]
    return [distributed.sum_over_ranks(p.grad) / distributed.world_size() for p in parameters]


@pytest.mark.parametrize("kind", ["margin", "pairs"])
def test_two_processes_have_the_gradient_of_one(kind, tmp_path):
    alone = one_step(kind, [12])
    for gradients in on_ranks(tmp_path, 2, one_step, kind, [5, 7]):
        for found, expected in zip(gradients, alone, strict=True):
            assert torch.allclose(found, expected, atol=1e-10)


def gathered():
    value = torch.arange(2.0 + distributed.rank())[:, None] + 10 * distributed.rank()
    return distributed.differentiable_gather(value.requires_grad_()).detach().ravel().tolist()


def test_rows_are_gathered_in_order_of_rank_whatever_their_number(tmp_path):
    assert on_ranks(tmp_path, 2, gathered) == [[0.0, 1.0, 10.0, 11.0, 12.0]] * 2


def test_without_gradients_nothing_is_gathered(tmp_path):
    assert on_ranks(tmp_path, 2, gathered_in_evaluation) == [1, 2]


def gathered_in_evaluation():
    with torch.inference_mode():
        return len(distributed.differentiable_gather(torch.zeros(distributed.rank() + 1, 3)))
