"""Reading the JSON files that say what belongs together."""

from __future__ import annotations

from pathlib import Path

import pytest

from base.saved import record
from base.saved.record import read_record
from utils.errors import UserError


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"name": "사람"}', encoding="utf-8")
    assert read_record(tmp_path / "x.json", "") == {"name": "사람"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"3", b'"text"', b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_anything_else_is_refused_in_one_line_with_the_advice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x.json: is damaged \(.*\); make it anew") as refused:
        read_record(tmp_path / "x.json", "make it anew")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x.json: cannot be read \(No such file or directory\); make it anew"):
        read_record(tmp_path / "x.json", "make it anew")


def test_a_file_of_absurd_size_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MAX_BYTES", 10)
    (tmp_path / "x.json").write_text('{"a":  "b"}')
    with pytest.raises(UserError, match="it is larger than 10 bytes"):
        read_record(tmp_path / "x.json", "")
