"""Detectors as a whole: outputs, boxes, sizes, gradients, a picture that is learned by heart."""

import pytest
import torch

from base.contracts import DataSpec
from model.detection.aligned_loss import AlignedLoss
from model.detection.boxes import BoxFilter
from model.detection.fcos import FcosDetector
from model.detection.fcos_loss import FcosLoss
from model.detection.heads import FIRST_DISTANCE, PRIOR
from model.detection.point_detector import PointDetector, mean_distances
from model.detection.pyramid import FeaturePyramid, Pyramid
from model.detection.retinanet import RetinaNetDetector
from model.detection.retinanet_loss import RetinaNetLoss
from utils.errors import UserError

SPEC = DataSpec({"object": ["closed", "open", "mouth"]})
KINDS = {
    "point": (PointDetector, AlignedLoss, {"depth": 1}),
    "fcos": (FcosDetector, FcosLoss, {"depth": 1}),
    "retinanet": (RetinaNetDetector, RetinaNetLoss, {}),
}  # fmt: skip
TARGET = {
    "boxes": [torch.tensor([[10.0, 12, 60, 50], [50, 40, 90, 60]]), torch.zeros(0, 4)],
    "labels": [torch.tensor([1, 2]), torch.zeros(0, dtype=torch.int64)],
}


def built(kind, levels=(3, 4, 5), **changes):
    torch.manual_seed(0)
    model, loss, options = KINDS[kind]
    detector = model(SPEC, Pyramid(backbone="test_resnet", width=32, levels=list(levels)), **{**options, **changes})
    return detector, loss(detector.output_spec)


def pictures(height=64, width=96, number=2):
    return torch.randint(0, 256, (number, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 96), (33, 70), (128, 32)])
def test_any_size_of_picture_gives_boxes_within_it(kind, size):
    detector, _ = built(kind, keep=BoxFilter(score=0.0))
    with torch.inference_mode():
        outputs = detector.eval()(pictures(*size))
        prediction = detector.decode(outputs)
    boxes, scores = detector.raw_boxes(outputs)
    assert boxes.shape[:2] == scores.shape[:2] and scores.shape[2] == 3
    assert len(prediction["boxes"]) == 2 and prediction["boxes"][0].dtype == torch.float32
    corners = prediction["boxes"][0]
    assert len(corners) and corners.min() >= 0 and corners[:, [0, 2]].max() <= size[1] and corners[:, [1, 3]].max() <= size[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_a_gradient_that_is_finite(kind):
    detector, loss = built(kind)
    sum(loss(detector(pictures()), TARGET).values()).backward()
    wrong = [name for name, p in detector.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_any_object_teaches_the_scores_alone(kind):
    detector, loss = built(kind)
    empty = {"boxes": [torch.zeros(0, 4)] * 2, "labels": [torch.zeros(0, dtype=torch.int64)] * 2}
    terms = loss(detector(pictures()), empty)
    assert terms.pop("classification") > 0 and all(value == 0 for value in terms.values())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_begin_at_the_prior(kind):
    detector, _ = built(kind)
    with torch.inference_mode():
        logits = detector.eval()(pictures())["logits"]
    assert logits.sigmoid().mean().item() == pytest.approx(PRIOR, rel=0.2)


def test_distances_begin_at_their_first_value():
    detector, _ = built("point", bins=64)
    with torch.inference_mode():
        distances = mean_distances(detector.eval()(pictures())["bins"])
    assert distances.mean().item() == pytest.approx(FIRST_DISTANCE, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_picture_is_learned_by_heart(kind):
    detector, loss = built(kind, levels=(4, 5))
    picture = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    picture[0, :, 8:40, 10:50] = 255
    target = {"boxes": [torch.tensor([[10.0, 8, 50, 40]]), torch.zeros(0, 4)], "labels": [torch.tensor([1]), TARGET["labels"][1]]}
    optimizer = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        sum(loss(detector(picture), target).values()).backward()
        optimizer.step()
    with torch.inference_mode():
        prediction = detector.decode(detector(picture))  # in training mode: two pictures are no population for batch norm
    assert prediction["labels"][0][0] == 1 and prediction["scores"][0][0] > 2 * max([*prediction["scores"][1].tolist(), 0.0])
    assert torch.allclose(prediction["boxes"][0][0], target["boxes"][0], atol=4)


@pytest.mark.parametrize("kind", KINDS)
def test_moving_a_prediction_moves_its_boxes_alone(kind):
    detector, _ = built(kind, keep=BoxFilter(score=0.0, detections=5))
    with torch.inference_mode():
        prediction = detector.eval().decode(detector(pictures()))
    shift = torch.tensor([[1.0, 0.0, 5.0], [0.0, 1.0, 7.0]]).expand(2, 2, 3)
    moved = detector.move(prediction, shift)
    assert all(
        torch.allclose(a + torch.tensor([5.0, 7, 5, 7]), b) for a, b in zip(prediction["boxes"], moved["boxes"], strict=True)
    )
    assert moved["scores"] is prediction["scores"]


def test_levels_beyond_the_backbone_have_half_the_cells_of_the_one_below():
    pyramid = FeaturePyramid(Pyramid(backbone="test_resnet", width=16, levels=[4, 5, 6, 7])).eval()
    maps = pyramid(torch.zeros(1, 3, 160, 256))
    assert [tuple(one.shape[1:]) for one in maps] == [(16, 10, 16), (16, 5, 8), (16, 3, 4), (16, 2, 2)]


def test_levels_that_do_not_follow_each_other_are_refused():
    with pytest.raises(ValueError, match="levels that follow each other"):
        Pyramid(backbone="test_resnet", levels=[3, 5])


def test_a_first_level_that_the_backbone_lacks_is_refused_with_those_it_has():
    with pytest.raises(UserError, match=r"found \[6, 7\].*has levels 1, 2, 3, 4, 5"):
        FeaturePyramid(Pyramid(backbone="test_resnet", levels=[6, 7]))


def test_the_loss_of_another_detector_is_refused():
    detector, _ = built("fcos")
    with pytest.raises(UserError, match="AlignedLoss is the loss of PointDetector; the model's outputs are logits, distances"):
        AlignedLoss(detector.output_spec)


def test_the_forward_pass_compiles_without_breaks():
    detector, _ = built("point")
    explained = torch._dynamo.explain(detector.eval())(pictures())
    assert explained.graph_break_count == 0
