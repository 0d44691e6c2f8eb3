"""The record of an ensemble on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from base.saved.ensemble import EnsembleRecord, Share
from utils.errors import UserError

MEMBER = {"path": "../a", "weight": 0.5, "alone": 0.7, "checkpoints": ["abc"]}
CONTENT = {"members": [MEMBER], "monitor": "max f1", "score": 0.8, "method": "greedy", "fitted": {}}


def write(folder: Path, **changes: Any) -> None:
    (folder / "ensemble.json").write_text(json.dumps({**CONTENT, **changes}))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    shares = [Share(tmp_path / "a", 0.25, 0.7, ["1", "2"]), Share(tmp_path / "b" / "best.pth", 0.75, 0.8, ["3"])]
    record = EnsembleRecord(shares, "max f1", 0.9, "greedy", {"F1": {"threshold": 0.5}})
    record.write(tmp_path / "both")
    assert EnsembleRecord.read(tmp_path / "both") == record


def test_members_are_kept_by_their_places_beside_it(tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    EnsembleRecord([Share(tmp_path / "a", 1.0, 0.7, [])], "max f1", 0.9, "greedy", {}).write(tmp_path / "both")
    (tmp_path / "both").rename(tmp_path / "again")
    assert EnsembleRecord.read(tmp_path / "again").shares[0].path == tmp_path / "a"
    assert json.loads((tmp_path / "again" / "ensemble.json").read_text())["members"][0]["path"] == "../a"


@pytest.mark.parametrize(
    "changes",
    [
        {"members": []}, {"members": 3}, {"members": [3]}, {"members": None}, {"fitted": []}, {"score": "good"},
        {"monitor": None},
        {"method": 3}, {"score": float("nan")},
        *({"members": [{**MEMBER, **change}]} for change in (
            {"path": 4}, {"weight": "1"}, {"weight": -0.5}, {"weight": float("nan")}, {"weight": float("inf")}, {"weight": 0},
            {"weight": True}, {"weight": 10**400}, {"alone": None}, {"checkpoints": "abc"}, {"checkpoints": [1]},
        )),
    ],
)  # fmt: skip
def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    write(tmp_path, **changes)
    with pytest.raises(UserError, match=r"ensemble.json: is damaged \(.*\); fit it again") as refused:
        EnsembleRecord.read(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_whole_number_is_a_weight_too(tmp_path: Path) -> None:
    write(tmp_path, members=[{**MEMBER, "weight": 1}], score=1)
    assert EnsembleRecord.read(tmp_path).shares[0].weight == 1.0
