"""What a person does in the view of boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app_world import read_result
from tests.browser.conftest import Person
from tests.detection.app_world import DRIVERS


def missed_and_right(world: Path, confidence: float, overlap: float) -> tuple[int, int]:
    """Objects that no box of their class took, and boxes that took one: greedily from the most confident, box by box."""
    predictions, _ = read_result(world, DRIVERS)
    truth = {
        entry["file_name"]: entry["objects"]
        for entry in json.loads((world / "data/drivers/train/labels.json").read_text())["annotations"]
    }
    manifest = json.loads((world / "saved/log" / DRIVERS / "valid-best/predictions.manifest.json").read_text())
    missed = right = 0
    rows = zip(predictions.ids(), *(predictions.lists(name) for name in ("boxes", "scores", "labels")), strict=True)
    for name, boxes, scores, labels in rows:
        left = list(truth[name])
        for place in sorted(range(len(scores)), key=lambda place: -scores[place]):
            if scores[place] < confidence:
                continue
            own = [thing for thing in left if manifest["spec"]["classes"]["object"].index(thing["class"]) == labels[place]]
            best = max(own, key=lambda thing: iou(boxes[place], thing["position"]), default=None)
            if best is not None and iou(boxes[place], best["position"]) >= overlap:
                left.remove(best)
                right += 1
        missed += len(left)
    return missed, right


def iou(a: Any, b: Any) -> float:
    """Of two boxes."""
    wide, high = (max(0.0, min(a[side + 2], b[side + 2]) - max(a[side], b[side])) for side in (0, 1))
    return wide * high / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high)


@pytest.mark.parametrize("confidence", [0.3, 0.8])
def test_boxes_count_the_mistakes_at_a_confidence(person: Person, world: Path, confidence: float) -> None:
    person.open("Boxes", DRIVERS, confidence=str(confidence))
    missed, right = missed_and_right(world, confidence, 0.75)
    assert (person.metric("Missed"), person.metric("Right")) == (str(missed), str(right))
    if confidence == 0.3:
        person.snap("detection/boxes", 1250)


def test_boxes_show_the_pictures_with_a_kind_of_mistake(person: Person) -> None:
    person.open("Boxes", DRIVERS, kind="duplicate")
    assert int(person.metric("Duplicate")) > 0
    assert person.page.get_by_role("heading", name="Precision and recall").is_visible()
    assert person.page.get_by_test_id("stImage").count() >= 1
