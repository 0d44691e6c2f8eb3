"""Boxes, points, distances, suppression and moving: inverses, slow loops and drawn cases."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.detection.average_precision import box_ious
from model.detection.boxes import (  # fmt: skip
    BoxFilter,
    boxes_to_distances,
    clipped,
    distances_to_boxes,
    grid_points,
    move_boxes,
    pad_truth,
    pairwise_iou,
    suppress,
)
from model.views import FlipView, ScaleView, ShiftView
from tests.detection.boxes import random_boxes

VIEWS = [FlipView(), ScaleView(1.5), ScaleView(0.5, multiple_of=32), ShiftView(7, -5)]


def some_boxes(number, seed=0):
    return torch.from_numpy(random_boxes(np.random.default_rng(seed), number)).float()


def test_points_are_the_centres_of_cells_row_by_row_and_level_by_level():
    points = grid_points([(1, 2), (1, 1)], [8, 16], torch.device("cpu"))
    assert points.tolist() == [[4, 4, 8], [12, 4, 8], [8, 8, 16]]


def test_distances_and_boxes_are_inverses():
    points = grid_points([(5, 7), (3, 4)], [8, 16], torch.device("cpu"))
    boxes = some_boxes(len(points))[None]
    assert torch.allclose(distances_to_boxes(points, boxes_to_distances(points, boxes)), boxes, atol=1e-3)


def test_distances_are_in_strides_to_left_top_right_bottom():
    points = torch.tensor([[20.0, 30.0, 10.0]])
    assert boxes_to_distances(points, torch.tensor([[10.0, 10.0, 50.0, 90.0]])).tolist() == [[1, 2, 3, 6]]


def test_overlaps_are_those_of_the_metric():
    one, other = some_boxes(5, 1), some_boxes(7, 2)
    assert pairwise_iou(one[None], other[None])[0].numpy() == pytest.approx(box_ious(one.numpy(), other.numpy()), abs=1e-6)


def test_ragged_targets_are_padded_with_places_that_are_not_real():
    target = {"boxes": [some_boxes(2), torch.zeros(0, 4)], "labels": [torch.tensor([2, 1]), torch.zeros(0, dtype=torch.int64)]}
    truth = pad_truth(target)
    assert truth.real.tolist() == [[True, True], [False, False]]
    assert truth.boxes.shape == (2, 2, 4) and truth.labels.tolist() == [[2, 1], [0, 0]]


def test_a_batch_without_any_object_has_one_place():
    truth = pad_truth({"boxes": [torch.zeros(0, 4)] * 3, "labels": [torch.zeros(0, dtype=torch.int64)] * 3})
    assert truth.real.tolist() == [[False]] * 3


def slowly(boxes, scores, keep):
    """Suppression by the book."""
    entries = [(s, a, k) for a, row in enumerate(scores.tolist()) for k, s in enumerate(row) if s > keep.score]
    kept = []
    for score, place, label in sorted(entries, key=lambda entry: -entry[0])[: keep.candidates]:
        rivals = [other for _, other, name in kept if keep.across_classes or name == label]
        if all(pairwise_iou(boxes[None, place : place + 1], boxes[None, other : other + 1]) <= keep.iou for other in rivals):
            kept.append((score, place, label))
    return kept[: keep.detections]


@pytest.mark.parametrize(
    "keep",
    [BoxFilter(), BoxFilter(score=0.5), BoxFilter(iou=0.2), BoxFilter(across_classes=True, iou=0.3), BoxFilter(candidates=20),
     BoxFilter(detections=3)],
)  # fmt: skip
def test_what_is_kept_is_what_a_slow_loop_keeps(keep):
    boxes, scores = some_boxes(60), torch.rand(60, 3, generator=torch.Generator().manual_seed(1))
    prediction = suppress(boxes[None], scores[None], keep)
    expected = slowly(boxes, scores, keep)
    assert prediction["scores"][0].tolist() == pytest.approx([score for score, _, _ in expected])
    assert prediction["labels"][0].tolist() == [label for _, _, label in expected]
    assert torch.allclose(prediction["boxes"][0], boxes[[place for _, place, _ in expected]])


def test_boxes_end_at_the_borders_of_the_picture():
    prediction = suppress(clipped(torch.tensor([[[-5.0, -5, 500, 500]]]), (100, 200)), torch.ones(1, 1, 1), BoxFilter())
    assert prediction["boxes"][0].tolist() == [[0, 0, 200, 100]]


def test_nothing_sure_is_no_box():
    prediction = suppress(some_boxes(4)[None], torch.zeros(1, 4, 2), BoxFilter())
    assert prediction["boxes"][0].shape == (0, 4) and prediction["labels"][0].dtype == torch.int64


@given(
    x=st.integers(1, 80), y=st.integers(8, 56), width=st.integers(4, 40), height=st.integers(4, 40), view=st.sampled_from(VIEWS)
)
@settings(max_examples=60, deadline=None)
def test_a_box_drawn_in_a_view_comes_back_to_where_it_is_in_the_picture(x, y, width, height, view):
    x2, y2 = min(88, x + width), min(63, y + height)  # the shifted view loses what is above 5 and right of 89, and repeats edges
    picture = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)
    picture[:, :, y:y2, x:x2] = 255
    seen, affine = view.apply(picture)
    rows, columns = torch.nonzero(seen[0, 0] >= 128, as_tuple=True)
    found = torch.tensor([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]).float()
    moved = move_boxes(found, affine)[0]
    assert moved.tolist() == pytest.approx([x, y, x2, y2], abs=2 if isinstance(view, ScaleView) else 1e-4)


def test_a_turned_box_becomes_the_upright_one_around_it():
    quarter = torch.tensor([[0.0, -1.0, 100.0], [1.0, 0.0, 0.0]])
    assert move_boxes(torch.tensor([[10.0, 20.0, 30.0, 60.0]]), quarter).tolist() == [[40, 10, 80, 30]]


def test_moving_there_and_back_changes_nothing():
    boxes = some_boxes(10)
    flip = torch.tensor([[-1.0, 0.0, 200.0], [0.0, 1.0, 0.0]])
    assert torch.allclose(move_boxes(move_boxes(boxes, flip), flip), boxes, atol=1e-4)
