"""Tables and predictions of boxes, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from base.predictions import Predictions
from base.table import SampleTable


def ids(pictures):
    return [f"s{row:03}" for row in range(pictures)]


CLASSES = ["closed", "open", "mouth"]


def box_table(boxes, labels, size=(200, 200)):
    """Samples with objects as a loader's table has them: boxes, lists of (n, 4) xyxy in pixels; labels, lists of n of CLASSES."""
    ends = pa.array(np.cumsum([0, *map(len, boxes)]), pa.int32())
    flat = np.concatenate([np.zeros((0, 4)), *[np.reshape(one, (-1, 4)) for one in boxes]])
    corners = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1).astype(np.float64)), 4)
    numbers = pa.array(np.concatenate([np.zeros(0), *labels]).astype(np.int16))
    height, width = size
    columns = {
        "id": ids(len(boxes)), "path": ids(len(boxes)), "width": [width] * len(boxes), "height": [height] * len(boxes),
        "boxes": pa.ListArray.from_arrays(ends, corners), "classes": pa.ListArray.from_arrays(ends, numbers),
    }  # fmt: skip
    return SampleTable.from_columns(Path("/"), columns)


def box_predictions(boxes, scores, labels, errors=None):
    """Predictions as a detector's decoder gives them."""
    prediction = {
        "boxes": [torch.as_tensor(np.reshape(one, (-1, 4)), dtype=torch.float32) for one in boxes],
        "scores": [torch.as_tensor(np.asarray(one, np.float32)) for one in scores],
        "labels": [torch.as_tensor(np.asarray(one, np.int64)) for one in labels],
    }
    return Predictions.of(ids(len(boxes)), prediction, errors)


def random_boxes(random, number, side=200):
    """(number, 4) float64 within a picture of `side` pixels, of at least 2 pixels."""
    corner = random.uniform(0, side - 2, (number, 2))
    return np.concatenate([corner, corner + random.uniform(2, np.maximum(side - corner, 2.1))], axis=1)


def random_case(seed, classes=3):
    """Truth and predictions near it, with pictures and classes that have neither, either, or both.

    Returns (boxes, labels) of the truth and (boxes, scores, labels) of the predictions, lists over pictures.
    """
    random = np.random.default_rng(seed)
    pictures, used = random.integers(1, 8), random.integers(1, classes + 1)
    truth, found = ([], []), ([], [], [])
    for _ in range(pictures):
        number = random.integers(0, 5) * random.integers(0, 2)
        boxes, labels = random_boxes(random, number), random.integers(0, used, number)
        near = boxes + random.normal(0, random.choice([1.0, 5.0, 15.0]), boxes.shape)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        some = random.random(number) < 0.8
        extra = random.integers(0, 4) * random.integers(0, 2)
        its = np.concatenate([near[some], random_boxes(random, extra)])
        names = np.concatenate([labels[some], random.integers(0, classes, extra)])
        names = np.where(random.random(len(names)) < 0.1, random.integers(0, classes, len(names)), names)
        scores = random.random(len(its)).round(random.choice([1, 6]))  # with ties, and without
        for column, value in zip((*truth, *found), (boxes, labels, its, scores, names), strict=True):
            column.append(value)
    return truth, found
