"""The embedding model: widths, decoding, and what training alone needs."""

import pytest
import torch
from torch import nn

from base.contracts import DataSpec
from model.verification.model import EmbeddingModel
from trainer.experiment.budget import inference_size

SPEC = DataSpec({"identity": [f"p{n}" for n in range(7)]}, image_size=(32, 32))


def model(**args):
    return EmbeddingModel(SPEC, backbone="test_resnet", **{"embedding_size": 16, **args})


def image(number=4):
    return torch.randint(0, 256, (number, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_embeddings_are_decoded_to_length_1():
    network = model().eval()
    outputs = network(image())
    assert outputs["embedding"].shape == (4, 16) and outputs["embedding"].dtype == torch.float32
    assert torch.allclose(network.decode(outputs)["embedding"].norm(dim=1), torch.ones(4))


def test_for_euclidean_distance_embeddings_stay_as_they_are():
    network = model(unit_length=False).eval()
    outputs = network(image())
    assert torch.equal(network.decode(outputs)["embedding"], outputs["embedding"])


def test_a_zero_vector_is_not_made_anything_else():
    assert not model().decode({"embedding": torch.zeros(2, 16)})["embedding"].any()


@pytest.mark.parametrize(("batch_norm", "bias"), [(True, False), (False, True)])
def test_the_linear_layer_has_a_bias_where_no_batch_norm_has_one(batch_norm, bias):
    network = model(batch_norm=batch_norm)
    assert isinstance(network.neck, nn.BatchNorm1d) == batch_norm
    assert (network.embed.bias is not None) == bias


@pytest.mark.parametrize(("kind", "layers"), [("linear", 1), ("batch_norm", 2)])
def test_an_identity_head_tells_the_training_identities_apart(kind, layers):
    network = model(identity=kind)
    assert network(image())["identity"].shape == (4, 7)
    assert network.output_spec.widths == {"embedding": 16, "identity": 7}
    assert len(list(network.identify.modules())) in (1, layers + 1)


def test_without_an_identity_head_there_are_no_logits():
    assert model().output_spec.widths == {"embedding": 16} and set(model()(image())) == {"embedding"}


def test_the_identity_head_is_for_training_alone():
    assert inference_size(model(identity="batch_norm")).params == inference_size(model()).params


def test_the_last_layer_and_the_identity_head_are_the_head():
    network = model(identity="linear")
    assert network.head() == [network.embed, network.identify]


def test_efficientnet_b0_with_a_feature_of_512_has_4663420_parameters_for_inference():
    with torch.device("meta"):
        network = EmbeddingModel(SPEC, "efficientnet_b0", batch_norm=False, unit_length=False, identity="batch_norm")
    assert inference_size(network).params == 4_663_420


def test_mobilefacenet_has_1200512():
    with torch.device("meta"):
        network = EmbeddingModel(DataSpec(image_size=(112, 112)), "mobilefacenet")
    assert inference_size(network).params == 1_200_512
