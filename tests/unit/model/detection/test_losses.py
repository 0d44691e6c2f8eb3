"""The terms of the detectors' losses against slow loops and torchvision's own, and as sums over batches."""

import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import generalized_box_iou

from base.contracts import OutputSpec
from model.detection.aligned_loss import AlignedLoss, box_loss, distribution_focal
from model.detection.assignment import task_aligned
from model.detection.boxes import distances_to_boxes, grid_points, pad_truth
from model.detection.fcos_loss import FcosLoss, centreness
from model.detection.point_detector import mean_distances
from model.detection.retinanet_loss import RetinaNetLoss

POINTS = grid_points([(8, 8), (4, 4), (2, 2)], [8, 16, 32], torch.device("cpu"))
TARGET = {
    "boxes": [torch.tensor([[4.0, 6, 40, 50], [30, 30, 62, 60]]), torch.zeros(0, 4), torch.tensor([[2.0, 3, 12, 13]])],
    "labels": [torch.tensor([1, 2]), torch.zeros(0, dtype=torch.int64), torch.tensor([0])],
}


def random_outputs(pictures=3, seed=0):
    """Outputs that every detector's loss can read."""
    random = torch.Generator().manual_seed(seed)
    number = len(POINTS)

    def normal(*shape):
        return torch.randn(pictures, number, *shape, generator=random)

    anchors = torch.cat([POINTS[:, :2] - 2 * POINTS[:, 2:], POINTS[:, :2] + 2 * POINTS[:, 2:]], dim=1)
    return {
        "logits": normal(3) - 2, "bins": normal(4, 8), "distances": normal(4).abs() * 2, "centreness": normal(),
        "offsets": normal(4) * 0.3, "points": POINTS, "counts": [64, 16, 4], "anchors": anchors, "size": (64, 64),
    }  # fmt: skip


def losses():
    spec = OutputSpec({"bins": 8, "centreness": 1, "offsets": 4})
    return {"aligned": AlignedLoss(spec), "fcos": FcosLoss(spec), "retinanet": RetinaNetLoss(spec)}


def rows(value, start, stop):
    """A part of a batch of outputs or targets."""
    shared = ("points", "counts", "anchors", "size")
    return {key: item if key in shared else item[start:stop] for key, item in value.items()}


@pytest.mark.parametrize("name", losses())
def test_terms_of_parts_of_a_batch_add_up_to_those_of_the_whole(name):
    loss, outputs = losses()[name], random_outputs()
    whole = loss.terms(outputs, TARGET)
    parts = [loss.terms(rows(outputs, *span), rows(TARGET, *span)) for span in ((0, 1), (1, 2), (2, 3))]
    for term, (total, weight) in whole.items():
        assert sum(float(part[term].total) for part in parts) == pytest.approx(float(total), rel=1e-5)
        assert sum(float(part[term].weight) for part in parts) == pytest.approx(float(weight), rel=1e-5)


def cross_entropy(probability, wanted):
    return -wanted * math.log(probability) - (1 - wanted) * math.log(1 - probability)


def test_aligned_terms_are_those_of_a_slow_loop():
    outputs, loss = random_outputs(), losses()["aligned"]
    truth = pad_truth(TARGET)
    boxes = distances_to_boxes(POINTS, mean_distances(outputs["bins"]))
    assigned = task_aligned(outputs["logits"].sigmoid(), boxes, POINTS, truth, 13, 1.0, 6.0)
    classes = box = distribution = weight = 0.0
    for row in range(3):
        for point in range(len(POINTS)):
            quality, place = float(assigned.quality[row, point]), int(assigned.place[row, point])
            for label in range(3):
                score = float(outputs["logits"][row, point, label].sigmoid())
                if quality and label == truth.labels[row, place]:
                    classes += quality * cross_entropy(score, quality)
                else:
                    classes += 0.75 * score**2 * cross_entropy(score, 0.0)
            if not quality:
                continue
            weight += quality
            its = truth.boxes[row, place]
            box += quality * (1 - float(generalized_box_iou(boxes[row, point][None], its[None])))
            x, y, stride = POINTS[point].tolist()
            x1, y1, x2, y2 = its.tolist()
            for side, distance in enumerate(((x - x1) / stride, (y - y1) / stride, (x2 - x) / stride, (y2 - y) / stride)):
                distance = min(max(distance, 0), 7 - 1e-3)
                logs = outputs["bins"][row, point, side].log_softmax(0)
                below = int(distance)
                distribution -= quality * float((below + 1 - distance) * logs[below] + (distance - below) * logs[below + 1]) / 4
    terms = loss.terms(outputs, TARGET)
    assert float(terms["classification"].total) == pytest.approx(classes, rel=1e-4)
    assert float(terms["box"].total) == pytest.approx(2.5 * box, rel=1e-4)
    assert float(terms["distribution"].total) == pytest.approx(0.5 * distribution, rel=1e-4)
    assert float(terms["box"].weight) == float(terms["distribution"].weight) == pytest.approx(weight, rel=1e-5)
    per_picture = assigned.quality.sum(1)
    assert float(terms["classification"].weight) == pytest.approx(float(per_picture.clamp_min(1).sum()), rel=1e-6)


def test_the_distribution_loss_is_least_where_the_mean_is_the_distance():
    bins = torch.full((4, 8), -20.0)
    bins[:, 3], bins[:, 4] = 0.0, math.log(3)  # a quarter and three quarters: 3.75
    assert distribution_focal(bins, torch.full((4,), 3.75)).tolist() == pytest.approx(
        [-0.25 * math.log(0.25) - 0.75 * math.log(0.75)] * 4
    )
    assert mean_distances(bins).tolist() == pytest.approx([3.75] * 4)


def test_boxes_that_do_not_count_have_no_loss_and_a_gradient_of_0_even_where_they_are_not_finite():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [float("inf"), 0, 0, 0]]], requires_grad=True)
    objects = torch.tensor([[[0.0, 0, 10, 5], [0, 0, 0, 0]]])
    box_loss(boxes, objects, torch.tensor([[1.0, 0.0]])).backward()
    assert torch.isfinite(boxes.grad).all() and boxes.grad[0, 1].abs().sum() == 0


def test_fcos_terms_are_torchvisions():
    from torchvision.models.detection.fcos import FCOS, FCOSHead

    outputs = random_outputs()
    model = FCOS.__new__(FCOS)
    torch.nn.Module.__init__(model)
    model.center_sampling_radius = 1.5
    model.head = FCOSHead(32, 1, 3, 0)
    half = POINTS[:, 2:] / 2
    anchors = [torch.cat([POINTS[:, :2] - half, POINTS[:, :2] + half], dim=1)] * 3
    heads = {
        "cls_logits": outputs["logits"],
        "bbox_regression": outputs["distances"],
        "bbox_ctrness": outputs["centreness"][..., None],
    }
    targets = [{"boxes": boxes, "labels": labels} for boxes, labels in zip(*TARGET.values(), strict=True)]
    theirs = model.compute_loss(targets, heads, anchors, [64, 16, 4])
    ours = losses()["fcos"].terms(outputs, TARGET)
    foreground = float(ours["box"].weight)
    assert foreground > 0
    assert float(ours["classification"].total) / foreground == pytest.approx(float(theirs["classification"]), rel=1e-5)
    assert float(ours["box"].total) / foreground == pytest.approx(float(theirs["bbox_regression"]), rel=1e-5)
    assert float(ours["centreness"].total) / foreground == pytest.approx(float(theirs["bbox_ctrness"]), rel=1e-5)


def test_retinanet_terms_are_torchvisions_summed_over_pictures():
    from torchvision.models.detection._utils import Matcher
    from torchvision.models.detection.retinanet import RetinaNetHead
    from torchvision.ops import box_iou

    outputs = random_outputs()
    head, matcher = RetinaNetHead(32, 1, 3), Matcher(0.5, 0.4, allow_low_quality_matches=True)
    counts, classes, box = [], 0.0, 0.0
    for row, (boxes, labels) in enumerate(zip(*TARGET.values(), strict=True)):
        none = torch.full((len(POINTS),), -1)
        matched = matcher(box_iou(boxes, outputs["anchors"])) if len(boxes) else none
        heads = {"cls_logits": outputs["logits"][row : row + 1], "bbox_regression": outputs["offsets"][row : row + 1]}
        theirs = head.compute_loss([{"boxes": boxes, "labels": labels}], heads, [outputs["anchors"]], [matched])
        counts.append(int((matched >= 0).sum()))
        classes += float(theirs["classification"]) * max(1, counts[-1])
        box += float(theirs["bbox_regression"]) * max(1, counts[-1])
    ours = losses()["retinanet"].terms(outputs, TARGET)
    assert float(ours["box"].weight) == sum(counts) > 0
    assert float(ours["classification"].weight) == sum(max(1, count) for count in counts)
    assert float(ours["classification"].total) == pytest.approx(classes, rel=1e-5)
    assert float(ours["box"].total) == pytest.approx(box, rel=1e-5)


def test_centreness_is_1_at_the_centre_and_falls_towards_the_sides():
    assert centreness(torch.tensor([[2.0, 3, 2, 3], [1, 1, 4, 1], [1, 1, 4, 9]])).tolist() == pytest.approx([1, 0.5, 1 / 6])


def test_offsets_and_anchors_give_the_box_again():
    from model.detection.retinanet import box_coder

    anchors, boxes = torch.tensor([[0.0, 0, 32, 32]]), torch.tensor([[4.0, 6, 40, 50]])
    assert isinstance(box_coder(), BoxCoder)
    assert torch.allclose(box_coder().decode_single(box_coder().encode_single(boxes, anchors), anchors), boxes, atol=1e-4)
