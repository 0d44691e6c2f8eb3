"""What a person does in the view of pairs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.app_world import read_result
from tests.browser.conftest import Person
from tests.verification.app_world import FACES


def scored(world: Path) -> list[tuple[bool, float]]:
    """Whether each pair is of one person, and the cosine of its embeddings, pair by pair."""
    predictions, samples = read_result(world, FACES)
    vector = dict(zip(predictions.ids(), predictions.array("embedding"), strict=True))
    rows = samples.related["pairs"].to_pylist()
    return [(row["same"] == 1, cosine(vector[row["image1"]], vector[row["image2"]])) for row in rows]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def verification(pairs: list[tuple[bool, float]], threshold: float) -> dict[str, str]:
    """Accuracy, FAR and FRR, counted pair by pair."""
    right = sum((score >= threshold) == same for same, score in pairs)
    genuine = [score for same, score in pairs if same]
    impostors = [score for same, score in pairs if not same]
    far, frr = (sum(score >= threshold for score in impostors), sum(score < threshold for score in genuine))
    shares = {"Accuracy": right / len(pairs), "FAR": far / len(impostors), "FRR": frr / len(genuine)}
    return {name: f"{value:.2%}" for name, value in shares.items()}


def test_moving_the_threshold_moves_the_figures_as_counted_from_the_file(person: Person, world: Path) -> None:
    pairs = scored(world)
    person.open("Pairs", FACES)
    person.snap("verification/pairs", 1000)
    slider = person.page.get_by_role("slider")
    seen = set()
    for moves in (0, 12, 12):
        for _ in range(moves):
            slider.press("ArrowRight")
        found, wanted = person.settled(
            lambda: {name: person.metric(name) for name in ("Accuracy", "FAR", "FRR")},
            lambda: verification(pairs, float(slider.input_value())),
        )
        assert found == wanted
        seen.add(found["FRR"])
    assert len(seen) == 3


def test_the_hardest_pairs_are_those_with_the_scores_nearest_the_other_side(person: Person, world: Path) -> None:
    pairs = scored(world)
    person.open("Pairs", FACES, part="Hardest pairs")
    shown = [text.inner_text() for text in person.page.get_by_test_id("stMetricValue").all()]
    assert shown[0] == f"{min(score for same, score in pairs if same):.4f}"
    assert f"{max(score for same, score in pairs if not same):.4f}" in shown


def test_a_click_on_the_map_opens_a_picture(person: Person) -> None:
    person.open("Pairs", FACES, part="Map", colour="group")
    person.page.wait_for_timeout(500)
    chart = person.page.get_by_test_id("stVegaLiteChart").first
    image = cv2.imdecode(np.frombuffer(chart.screenshot(), np.uint8), cv2.IMREAD_COLOR).astype(int)
    bright = (image.max(axis=2) - image.min(axis=2)) > 90
    count, _, stats, centres = cv2.connectedComponentsWithStats(bright.astype(np.uint8))
    round_ones = [place for place in range(1, count) if 30 <= stats[place, cv2.CC_STAT_AREA] <= 120]
    assert person.page.get_by_test_id("stImage").count() == 0
    x, y = centres[round_ones[0]]
    chart.click(position={"x": float(x), "y": float(y)})
    person.ready()
    assert person.page.get_by_test_id("stImage").count() == 1
