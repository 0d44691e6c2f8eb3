"""Which point answers for which object: against slow loops over every pair."""

import numpy as np
import pytest
import torch

from model.detection.assignment import centre_sampled, eligible, task_aligned
from model.detection.boxes import grid_points, pad_truth, pairwise_iou
from tests.detection.boxes import random_boxes

SIZES, STRIDES = [(8, 8), (4, 4), (2, 2)], [8, 16, 32]
POINTS = grid_points(SIZES, STRIDES, torch.device("cpu"))
LEVELS = [height * width for height, width in SIZES]


def truth_of(seed, pictures=3, most=4):
    random = np.random.default_rng(seed)
    counts = random.integers(0, most + 1, pictures)
    boxes = [torch.from_numpy(random_boxes(random, count, 64)).float() for count in counts]
    return pad_truth({"boxes": boxes, "labels": [torch.from_numpy(random.integers(0, 3, count)) for count in counts]})


def guesses(seed, pictures=3):
    """Scores and boxes of every point, as an untrained network might give them."""
    random = torch.Generator().manual_seed(seed)
    sides = torch.rand(pictures, len(POINTS), 4, generator=random) * 3 * POINTS[:, 2:]
    boxes = torch.cat([POINTS[:, :2] - sides[..., :2], POINTS[:, :2] + sides[..., 2:]], dim=-1)
    return torch.rand(pictures, len(POINTS), 3, generator=random), boxes


def allowed(point, box):
    x, y, stride = point.tolist()
    x1, y1, x2, y2 = box.tolist()
    inside = x1 < x < x2 and y1 < y < y2
    return inside or (abs(x - (x1 + x2) / 2) <= stride / 2 and abs(y - (y1 + y2) / 2) <= stride / 2)


def aligned_slowly(scores, boxes, truth, candidates, alpha, beta):
    """One picture: object and quality of every point by the definition, -1 and 0 for background."""
    objects = [number for number, real in enumerate(truth.real.tolist()) if real]
    overlap = pairwise_iou(truth.boxes[None], boxes[None])[0]
    wanted = {}
    for number in objects:
        metric = {
            point: float(scores[point, truth.labels[number]] ** alpha * overlap[number, point] ** beta)
            for point in range(len(POINTS)) if allowed(POINTS[point], truth.boxes[number])
        }  # fmt: skip
        wanted[number] = dict(sorted(metric.items(), key=lambda item: -item[1])[:candidates])
    owner = {
        point: max((n for n in objects if point in wanted[n]), key=lambda n: overlap[n, point], default=-1)
        for point in range(len(POINTS))
    }  # fmt: skip
    quality = [0.0] * len(POINTS)
    for number in objects:
        mine = [point for point in wanted[number] if owner[point] == number]
        most = max((wanted[number][point] for point in mine), default=0)
        for point in mine:
            quality[point] = wanted[number][point] / most * max(float(overlap[number, other]) for other in mine) if most else 0.0
    return owner, quality


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("candidates", "alpha", "beta"), [(13, 1.0, 6.0), (3, 0.5, 2.0), (1000, 1.0, 1.0)])
def test_aligned_assignment_is_that_of_the_slow_definition(seed, candidates, alpha, beta):
    truth, (scores, boxes) = truth_of(seed), guesses(seed)
    assigned = task_aligned(scores, boxes, POINTS, truth, candidates, alpha, beta)
    for row in range(3):
        one = type(truth)(*(part[row] for part in truth))
        owner, quality = aligned_slowly(scores[row], boxes[row], one, candidates, alpha, beta)
        assert assigned.quality[row].tolist() == pytest.approx(quality, rel=1e-3, abs=1e-6)
        assert all(assigned.place[row, point] == owner[point] for point in range(len(POINTS)) if quality[point] > 0)


def test_every_object_has_a_point_on_every_level_even_if_it_is_smaller_than_a_cell():
    boxes = torch.tensor([[[9.0, 9.0, 10.0, 10.0], [40.2, 17.1, 41.0, 18.0]]])
    truth = pad_truth({"boxes": [boxes[0]], "labels": [torch.zeros(2, dtype=torch.int64)]})
    by_level = eligible(POINTS, truth)[0].split(LEVELS, dim=1)
    assert all(level.any(1).all() for level in by_level)


def test_without_objects_all_is_background():
    truth = pad_truth({"boxes": [torch.zeros(0, 4)] * 3, "labels": [torch.zeros(0, dtype=torch.int64)] * 3})
    assigned = task_aligned(*guesses(0), POINTS, truth, 13, 1.0, 6.0)
    assert assigned.quality.sum() == 0 and assigned.place.sum() == 0
    assert not centre_sampled(POINTS, LEVELS, truth, 1.5)[1].any()


def sampled_slowly(truth, radius):
    """One picture: object of every point, -1 for background."""
    owners = []
    for x, y, stride in POINTS.tolist():
        level = STRIDES.index(int(stride))
        least, most = (0 if level == 0 else 4), (float("inf") if level == 2 else 8)
        best = (float("inf"), -1)
        for number, real in enumerate(truth.real.tolist()):
            x1, y1, x2, y2 = truth.boxes[number].tolist()
            sides = [(x - x1) / stride, (y - y1) / stride, (x2 - x) / stride, (y2 - y) / stride]
            near = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < radius * stride
            if real and near and min(sides) > 0 and least < max(sides) < most:
                best = min(best, ((x2 - x1) * (y2 - y1), number))
        owners.append(best[1])
    return owners


@pytest.mark.parametrize("seed", range(8))
def test_centre_sampling_is_that_of_the_slow_definition(seed):
    truth = truth_of(seed)
    place, positive = centre_sampled(POINTS, LEVELS, truth, 1.5)
    for row in range(3):
        expected = sampled_slowly(type(truth)(*(part[row] for part in truth)), 1.5)
        assert place[row].where(positive[row], -1).tolist() == expected
