"""Two faces of a person are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from base.predictions import Predictions
from tests.browser.conftest import Person


@pytest.fixture
def faces(world: Path, verification_run: str) -> tuple[list[Path], list[np.ndarray]]:
    """Validation pictures, and their embeddings as test.py wrote them."""
    predictions, _ = Predictions.read(world / "saved/log" / verification_run / "valid-best/predictions.parquet")
    return [world / "data/faces/validate" / name for name in predictions.ids()[:2]], list(predictions.array("embedding")[:2])


def test_two_uploaded_faces_are_as_alike_as_their_embeddings_on_disk(
    person: Person, verification_run: str, faces: tuple[list[Path], list[np.ndarray]]
) -> None:
    paths, (one, other) = faces
    person.open("Pairs", verification_run, part="Your faces")
    person.upload(*paths)
    person.page.get_by_text("Similarity").wait_for()
    wanted = float(one @ other / np.sqrt((one @ one) * (other @ other)))
    assert float(person.metric("Similarity")) == pytest.approx(wanted, abs=2e-4)
    assert "at the threshold" in person.text()


def test_one_face_twice_is_one_person_and_first_among_the_samples(
    person: Person, verification_run: str, faces: tuple[list[Path], list[np.ndarray]]
) -> None:
    path = faces[0][0]
    person.open("Pairs", verification_run, part="Your faces")
    person.upload(path, path)
    person.page.get_by_text("Similarity").wait_for()
    assert float(person.metric("Similarity")) == pytest.approx(1.0, abs=1e-4)
    assert "One person" in person.text()
    nearest = person.text().partition("Most alike among the samples")[2].split()
    assert nearest[:2] == [path.name, "1.0000"]
