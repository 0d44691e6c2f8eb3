"""Uploads are refused by their header, before anything is decoded; text from data is text."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_loader.pictures.decode import ImageError
from inspection import pictures
from inspection.text import literal


def png_bomb(width: int, height: int) -> bytes:
    """A few kilobytes that claim to be a very large picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 2_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def of_format(kind: str, size: tuple[int, int]) -> bytes:
    content = io.BytesIO()
    Image.new("1" if kind == "TIFF" else "L", size).save(content, kind, **({"compression": "group4"} if kind == "TIFF" else {}))
    return content.getvalue()


BOMBS = {
    "png": png_bomb(60_000, 60_000), "png, many pixels": png_bomb(2**31 - 1, 1), "png, just over": png_bomb(5001, 5001),
    "tiff": of_format("TIFF", (30_000, 30_000)), "gif": of_format("GIF", (8000, 8000)), "jpeg": of_format("JPEG", (6000, 6000)),
    "many bytes": b"\xff\xd8" + b"\0" * 20_000_001,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once_and_takes_no_memory(name: str) -> None:
    import PIL.Image  # noqa: F401 - its import is not the bomb's

    content = BOMBS[name]
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ImageError, match="allowed"):
        pictures.uploaded(content)
    seconds, (_, most) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1 and most < 2**23


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"<svg onload=alert(1)>"]
)
def test_what_is_no_picture_is_an_error(content: bytes) -> None:
    with pytest.raises(ImageError):
        pictures.uploaded(content)


def test_a_large_picture_is_shown_small() -> None:
    assert pictures.uploaded(of_format("PNG", (2000, 1000))).shape == (450, 900, 3)


def test_a_thumbnail_keeps_its_shape_and_changes_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (400, 100), (200, 0, 0)).save(path)
    before = pictures.thumbnail(path)
    with Image.open(io.BytesIO(before)) as image:
        assert image.size == (192, 48)
    Image.new("RGB", (400, 100), (0, 0, 200)).save(path)
    assert pictures.thumbnail(path) != before


def test_heat_is_laid_over_what_is_hot() -> None:
    heat = np.zeros((4, 4))
    heat[0, 0] = 1
    image = np.full((40, 40, 3), 100, np.uint8)
    found = pictures.heated(image, heat)
    assert (found[-1, -1] == 100).all() and (found[0, 0] != 100).any()


@pytest.mark.parametrize(
    "text", ["a", "`", "``", "a`b``c", "<script>alert(1)</script>", "[x](javascript:alert(1))", ":smile: $x$"]
)
def test_a_code_span_holds_any_text(text: str) -> None:
    import re

    found = literal(text)
    fence = re.match("`+", found)
    assert fence is not None and found.endswith(fence[0])
    inner = found[len(fence[0]) : -len(fence[0])]
    assert inner.strip() == text.strip() and fence[0] not in re.findall("`+", inner)
