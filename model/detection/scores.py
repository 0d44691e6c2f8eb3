"""Scores of boxes: average precision, F1 at a confidence fitted on validation, and pictures with boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow.compute as pc
from pydantic import Field

from base.base_metric import METRICS, BaseMetric, FigureMetric, Truth
from base.contracts import DataSpec, PictureOf
from base.detection.objects import OBJECT
from base.predictions import Predictions
from base.table import SampleTable, some
from base.types import Columns, Count, Rows, Share
from model.detection.average_precision import (
    AREAS,
    DETECTIONS,
    IOUS,
    Curves,
    Objects,
    PredictedBoxes,
    best_f1,
    box_confusion,
    coco_curves,
    f1_at,
    mean_known,
    true_positives,
)
from utils.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AT_50, AT_75 = 0, 5  # places in IOUS


def truth_of(table: SampleTable) -> Objects:
    """Return the objects of a table from its columns `boxes` (xyxy in pixels of the original picture) and `classes`."""
    boxes, classes = table.columns["boxes"].combine_chunks(), table.columns["classes"].combine_chunks()
    ends = np.cumsum(pc.fill_null(boxes.value_lengths(), 0).to_numpy(zero_copy_only=False))[:-1]
    flat = boxes.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    return Objects(np.split(flat, ends), np.split(classes.flatten().to_numpy(zero_copy_only=False).astype(np.int64), ends))


def predicted_boxes(predictions: Predictions) -> PredictedBoxes:
    """Return the predicted boxes. Raises UserError if samples have no prediction, or if boxes are not finite."""
    failed = predictions.failed()
    if failed:
        reason = next(iter(failed.values()))
        raise UserError(f"{len(failed)} samples have no prediction: {some(failed)} ({reason}); repair or exclude them")
    predicted = PredictedBoxes(*(predictions.lists(name) for name in ("boxes", "labels", "scores")))
    good = [np.isfinite(boxes).all() and np.isfinite(scores).all() for boxes, _, scores in zip(*predicted, strict=True)]
    if not all(good):
        ids = some(name for name, finite in zip(predictions.ids(), good, strict=True) if not finite)
        raise UserError(f"the boxes of {good.count(False)} samples are not finite: {ids}; use an earlier checkpoint")
    return predicted


@METRICS.register("detection")
class BoxScores(BaseMetric):
    """Average precision as COCO defines it, and F1 at the confidence that is best on validation.

    `map` is the mean over IoU 0.5 to 0.95 and over the classes; `ap50` and `ap75` are the means at one IoU; `ap_small`,
    `ap_medium` and `ap_large` count only objects of one size. `recall` is the mean over IoU of the recall of all boxes. A score
    of a class or a size without objects is left out, and does not count in any mean.
    """

    def __init__(
        self,
        spec: DataSpec,
        iou: Annotated[
            Share, Field(description="least IoU at which a box has found an object, for F1 and the confusion matrix")
        ] = 0.5,
        detections: Annotated[
            Count, Field(description="number of the surest boxes of a class in a picture that count in average precision")
        ] = DETECTIONS,
    ) -> None:
        self.classes = spec.classes.get(OBJECT, [])
        self.iou, self.detections = iou, detections
        self.confidences = [0.5] * len(self.classes)

    @property
    def names(self) -> list[str]:
        """The names of the means, and with `/CLASS` the scores of each class."""
        means = ["map", "ap50", "ap75", *(f"ap_{area}" for area in AREAS[1:]), "recall", "f1"]
        each = [f"{score}/{name}" for score in ("ap", "ap50", "ap75", "f1") for name in self.classes]
        return [*means, *each]

    def compute(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Return name -> score in 0..1."""
        truth, predicted = truth_of(table), predicted_boxes(predictions)
        scores = precision_scores(coco_curves(truth, predicted, len(self.classes), self.detections), self.classes)
        each = {}
        for label, name in enumerate(self.classes):
            values, right, objects = true_positives(truth, predicted, label, self.iou)
            each[f"f1/{name}"] = f1_at(values, right, objects, self.confidences[label]) if objects else None
        known = [value for value in each.values() if value is not None]
        scores |= {"f1": float(np.mean(known)) if known else None, **each}
        return {name: scores[name] for name in self.names if scores[name] is not None}  # type: ignore[misc]

    def truth(self, table: SampleTable) -> dict[str, Truth]:
        """Return the objects of each picture, with their classes and boxes in pixels, in an order that does not matter."""
        objects = truth_of(table)
        described = [
            "; ".join(sorted(f"{self.classes[label]} at {' '.join(f'{side:.10g}' for side in box)}" for label, box in picture))
            for picture in map(zip, objects.labels, objects.boxes)
        ]
        truth = Truth(self.classes, table.ids(), np.array([text or "nothing" for text in described]))
        return dict.fromkeys(self.names, truth)

    def fit(self, predictions: Predictions, table: SampleTable) -> dict[str, float]:
        """Return `confidence/CLASS`, the confidence at which the class's F1 is largest."""
        truth, predicted = truth_of(table), predicted_boxes(predictions)
        cuts = [best_f1(*true_positives(truth, predicted, label, self.iou))[1] for label in range(len(self.classes))]
        return {f"confidence/{name}": cut for name, cut in zip(self.classes, cuts, strict=True)}

    def use(self, fitted: Mapping[str, float]) -> None:
        """Take the confidences that `fit` returned; 0.5 for a class without a fitted confidence."""
        self.confidences = [fitted.get(f"confidence/{name}", 0.5) for name in self.classes]

    def decisions(self, predictions: Predictions) -> np.ndarray:
        """Return the number of objects of each class in every sample, at the classes' confidences: (samples * K,) int64."""
        predicted, least = predicted_boxes(predictions), np.asarray(self.confidences)
        sure = [labels[scores >= least[labels]] for labels, scores in zip(predicted.labels, predicted.scores, strict=True)]
        return np.concatenate([np.zeros(0, np.int64), *(np.bincount(labels, minlength=len(least)) for labels in sure)])

    def figures(self, predictions: Predictions, table: SampleTable, picture_of: PictureOf) -> dict[str, Figure]:
        """Return `precision-recall`, with a curve for each class, and `confusion`, with background as a class."""
        from model.detection.plots import curves_figure
        from model.plots import confusion_figure

        truth, predicted = truth_of(table), predicted_boxes(predictions)
        curves = coco_curves(truth, predicted, len(self.classes), self.detections)
        counts = box_confusion(truth, predicted, self.confidences, self.iou)
        return {
            "precision-recall": curves_figure(curves.precision[..., 0], self.classes),
            "confusion": confusion_figure(counts, [*self.classes, "background"], f"objects at IoU {self.iou:g}"),
        }


@METRICS.register("detection")
class BoxGrid(FigureMetric):
    """A figure of pictures with their objects and predicted boxes; the pictures are spread over the whole set."""

    needs_truth = False

    def __init__(
        self,
        spec: DataSpec,
        rows: Rows = 4,
        columns: Columns = 4,
        confidence: Annotated[Share, Field(description="boxes with less confidence are not drawn")] = 0.3,
    ) -> None:
        self.classes = spec.classes.get(OBJECT, [])
        self.rows, self.columns, self.confidence = rows, columns, confidence

    def figures(self, predictions: Predictions, table: SampleTable, picture_of: PictureOf) -> dict[str, Figure]:
        """Return the figure `boxes`; nothing if there are no samples. Objects are not drawn if the table has no truth."""
        from model.detection.plots import Scene, boxes_figure

        if not len(table):
            return {}
        predicted = PredictedBoxes(*(predictions.lists(name) for name in ("boxes", "labels", "scores")))
        truth = truth_of(table) if "classes" in table.names else None
        scenes = []
        for row in np.linspace(0, len(table) - 1, min(self.rows * self.columns, len(table))).astype(int):
            sure = predicted.scores[row] >= self.confidence
            texts = [
                f"{self.classes[n]} {s:.0%}"
                for n, s in zip(predicted.labels[row][sure], predicted.scores[row][sure], strict=True)
            ]
            objects = truth.boxes[row] if truth else np.zeros((0, 4))
            names = [self.classes[label] for label in truth.labels[row]] if truth else []
            scenes.append(Scene(picture_of(int(row)), table.id(int(row)), objects, names, predicted.boxes[row][sure], texts))
        return {"boxes": boxes_figure(scenes, self.columns)}


def precision_scores(curves: Curves, classes: list[str]) -> dict[str, float | None]:
    """Return the scores that follow from the curves alone, by name; None for a score without objects."""
    precision = curves.precision
    scores = {
        "map": mean_known(precision[..., 0]),
        "ap50": mean_known(precision[AT_50, ..., 0]),
        "ap75": mean_known(precision[AT_75, ..., 0]),
        **{f"ap_{area}": mean_known(precision[..., place]) for place, area in enumerate(AREAS) if place},
        "recall": mean_known(curves.recall[..., 0]),
    }
    for label, name in enumerate(classes):
        mine = precision[:, :, label, 0]
        scores |= {f"ap/{name}": mean_known(mine), f"ap50/{name}": mean_known(mine[AT_50])}
        scores[f"ap75/{name}"] = mean_known(mine[AT_75])
    return scores


assert np.isclose(IOUS[[AT_50, AT_75]], [0.5, 0.75]).all()
