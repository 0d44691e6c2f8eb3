"""The size of a picture from the first bytes of its file, without decoding it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from data_loader.pictures.decode import FORMATS, MAX_PIXELS, ImageError, Size, jpeg_header

FIRST = 4096  # bytes, enough for the header of a JPEG without a thumbnail
THREADS = 4  # they wait for the disk, not for the processor
AT_ONCE = 256  # files that a thread is handed: one by one, the handing would take longer than the reading
_ORIENTATION = 0x0112  # EXIF's tag; 5 to 8 lie on their side
_MISSING = "is not there"


def header_sizes(paths: Sequence[str]) -> Iterator[Size | str]:
    """For every file in order, the (height, width) of its picture once it is upright, or why there is none."""

    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(_look, (paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE))):
            yield from found


def header_size(path: str) -> Size:
    """(height, width) in pixels of the picture as `decode.read_image` gives it, upright by its EXIF tag.

    Raises ImageError: not there, no picture, no pixels or too many. A file that is cut off behind its header is not noticed.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            first = file.read(FIRST)
            jpeg = jpeg_header(first)
            if jpeg is not None and not jpeg.turned:
                return _allowed(jpeg.size)
            file.seek(0)
            return _allowed(_by_pillow(io.BufferedReader(file)))
    except FileNotFoundError:
        raise ImageError(_MISSING) from None
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from None


def _look(paths: Sequence[str]) -> list[Size | str]:
    found: list[Size | str] = []
    for path in paths:
        try:
            found.append(header_size(path))
        except ImageError as error:
            found.append(str(error))
    return found


def is_missing(reason: str) -> bool:
    """Whether `header_sizes` gave this reason because there is no such file."""
    return reason == _MISSING


def _by_pillow(file: Any) -> Size:
    import PIL.Image

    try:
        with PIL.Image.open(file, formats=FORMATS) as image:
            # To look for the tag of a PNG that has it behind its pixels would decode them.
            tagged = image.format != "PNG" or "exif" in image.info
            lies = tagged and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if lies else (image.height, image.width)
    except PIL.Image.DecompressionBombError:
        raise ImageError(f"has too many pixels; allowed: {MAX_PIXELS:,}") from None
    except Exception as error:  # Pillow raises anything for damaged headers
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"is no picture in a known format ({reason.replace('<_io.BufferedReader>', 'the file')})") from None


def _allowed(size: Size) -> Size:
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise ImageError(f"has {size[1]} x {size[0]} pixels; allowed: 1 to {MAX_PIXELS:,} in all")
    return size
