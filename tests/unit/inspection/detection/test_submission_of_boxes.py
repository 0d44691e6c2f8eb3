"""How a submission with boxes is read."""

from __future__ import annotations

from inspection.submissions import parse


def test_boxes_are_read_by_file_name() -> None:
    content = b'{"annotations": [{"file_name": "a.jpg", "objects": [{"class": "phone"}]}]}'
    assert parse("x.json", content).keys == ["a.jpg"]
