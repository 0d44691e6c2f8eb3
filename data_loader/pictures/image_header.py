"""The size of a picture from the first bytes of its file, without decoding."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from data_loader.pictures.decode import FORMATS, MAX_PIXELS, ImageError, Size, jpeg_header

FIRST = 4096  # bytes, enough for the header of a JPEG without a thumbnail
THREADS = 4  # the threads wait for the disk, not for the processor
AT_ONCE = 256  # files in one task of a thread: for single files the scheduling would take longer than the reading
_ORIENTATION = 0x0112  # EXIF's tag; with 5 to 8 the picture lies on its side
_MISSING = "is not there"


def header_sizes(paths: Sequence[str]) -> Iterator[Size | str]:
    """Yield for every file in order the (height, width) of its upright picture in pixels, or the reason why there is none."""

    with ThreadPoolExecutor(THREADS) as pool:
        for sizes in pool.map(_look, (paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE))):
            yield from sizes


def header_size(path: str) -> Size:
    """Return (height, width) in pixels of the picture as `decode.read_image` returns it, upright by its EXIF tag.

    Raises ImageError if the file is missing or not a picture, or has no or too many pixels. A file that is cut off behind its
    header is not detected.
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
    sizes: list[Size | str] = []
    for path in paths:
        try:
            sizes.append(header_size(path))
        except ImageError as error:
            sizes.append(str(error))
    return sizes


def is_missing(reason: str) -> bool:
    """Return whether the reason from `header_sizes` means that the file does not exist."""
    return reason == _MISSING


def _by_pillow(file: Any) -> Size:
    import PIL.Image

    try:
        with PIL.Image.open(file, formats=FORMATS) as image:
            # Looking for the tag of a PNG would decode its pixels if the tag stands behind them.
            tagged = image.format != "PNG" or "exif" in image.info
            lies = tagged and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if lies else (image.height, image.width)
    except PIL.Image.DecompressionBombError:
        raise ImageError(f"has too many pixels; allowed: {MAX_PIXELS:,}") from None
    except Exception as error:  # Pillow raises any kind of exception for damaged headers
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"is no picture in a known format ({reason.replace('<_io.BufferedReader>', 'the file')})") from None


def _allowed(size: Size) -> Size:
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise ImageError(f"has {size[1]} x {size[0]} pixels; allowed: 1 to {MAX_PIXELS:,} in all")
    return size
