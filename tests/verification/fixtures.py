"""Fixtures of verification: tiny data sets."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def verify_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 people of 6 faces to train on, 12 pairs of 3 others to validate on and to predict, 32 x 32 pixels; not to be changed."""
    from data_loader.verification.synthetic import write_verify

    folder = tmp_path_factory.mktemp("data") / "verify"
    write_verify(folder, people=12, shots=6, pairs=12, seed=1, size=(32, 32))
    return folder


@pytest.fixture(scope="session")
def lfw_folder(verify_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training faces of `verify_folder` as LFW has them, a folder for each person, with lists of view 1 and view 2."""
    import csv

    folder = tmp_path_factory.mktemp("data") / "lfw"
    with (verify_folder / "train" / "train_meta.csv").open() as file:
        rows = list(csv.DictReader(file))
    counts: dict[str, int] = {}
    for row in rows:
        name = f"Person_{row['face_id']}"
        counts[name] = counts.get(name, 0) + 1
        target = folder / "lfw" / name / f"{name}_{counts[name]:04d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((verify_folder / "train" / row["file_name"]).read_bytes())
    names = sorted(counts)

    def fold(people: list[str]) -> list[str]:
        return [f"{a}\t{n}\t{n + 1}" for a in people for n in (1, 3)] + [
            f"{a}\t{n}\t{b}\t{n}" for a, b in zip(people, people[1:] + people[:1], strict=True) for n in (1, 2)
        ]

    for file_name, head, folds in (
        ("pairsDevTrain.txt", "12", [names[:6]]),
        ("pairsDevTest.txt", "6", [names[6:9]]),
        ("pairs.txt", "2\t6", [names[6:9], names[9:]]),
    ):
        lines = [head, *(line for people in folds for line in fold(people))]
        (folder / file_name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def verification_run(world: Path) -> str:
    """`name/id` of the run of the app's world that compares faces, whose validation predictions are there."""
    return f"alike/{next((world / 'saved/models/alike').glob('*')).name}"
