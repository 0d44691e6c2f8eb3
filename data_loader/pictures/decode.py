"""Decoding of a file's bytes to a picture; broken files are refused."""

from __future__ import annotations

import functools
import io
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np

MAX_PIXELS = 50_000_000
MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits, not compressed
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "AVIF")
TWELVE_BITS = 4096
MAX_WORK = 16 * MAX_PIXELS  # pixels times scans of a progressive JPEG; encoders write about 10 scans
LEAST = 64  # bytes of a JPEG's compressed data without which nothing of the picture is there
Size = tuple[int, int]  # (height, width) in pixels
Box = tuple[int, int, int, int]  # x1, y1, x2, y2 in absolute pixels of the upright picture, x2 and y2 one past the last

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame, of every kind (ITU-T T.81, table B.1)
_COMMON_SOF = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2, 1: 0}


def ignore(reason: str) -> None:
    """Take a picture as far as it can be decoded."""


class ImageError(ValueError):
    """A picture that cannot be read; the text is the reason."""

    row: int | None = None  # row of the table, if it is known


def read_image(
    path: Path, size: Size | None = None, box: Box | None = None, damaged: Callable[[str], None] = ignore
) -> np.ndarray:
    """Return the picture in a file, (H, W, 3) uint8 RGB, cut to `box` and resized to `size` if given. Raises ImageError.

    damaged: as for `decode_image`.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            raise ImageError("is no regular file")  # reading a pipe would wait for ever
        if facts.st_size > MAX_BYTES:
            raise ImageError(f"has over {MAX_BYTES:,} bytes, which no picture of at most {MAX_PIXELS:,} pixels needs")
        content = path.read_bytes()
    except OSError as error:
        raise ImageError("is not there" if isinstance(error, FileNotFoundError) else error.strerror or str(error)) from None
    return decode_image(content, size, box, damaged)


def decode_image(
    content: bytes, size: Size | None = None, box: Box | None = None, damaged: Callable[[str], None] = ignore
) -> np.ndarray:
    """Return the picture in the bytes of a JPEG, PNG, WebP, BMP, GIF (its first), TIFF, JPEG 2000 or AVIF, upright by EXIF.

    It is (H, W, 3) uint8 RGB. Grey becomes three equal channels, 16 bits become their upper 8, transparency is ignored. A PNG of
    16 bits without a value of 4096 or more holds 12 bits, as cameras give them: they become their upper 8.

    size: (height, width) to resize to. A JPEG at least twice as large is decoded at a half, quarter or eighth, which is faster
    and differs by about a grey level on average.

    box: the part to cut out before resizing. A JPEG is then decoded reduced if the box is at least four times as large as
    `size`: the box's borders are rounded to reduced pixels, an error of at most a quarter of a pixel of the result.

    damaged: called with the reason for a JPEG that is cut off; what is there of it is decoded, the rest is grey. It may raise.

    Raises ImageError for a file that is empty, of unknown format, cut off in another format, damaged, of more than MAX_PIXELS
    pixels, or smaller than its box. Wrong bits within a JPEG's compressed data cannot be detected.
    """
    if not content:
        raise ImageError("is an empty file")
    header = jpeg_header(content)
    if header and content.rfind(b"\xff\xd9") <= header.scan:
        if len(content) - header.scan < LEAST:
            raise ImageError("is cut off before its picture begins")
        damaged("is cut off")
        content += b"\xff\xd9"  # the end, up to which decoders fill the rest with grey
    elif not header and not _png_ends(content):
        raise ImageError("is cut off")  # decoders would leave out a checksum
    divisor = _reduction(header, size, box) if header and size is not None else 1
    image = _fast_jpeg(content, header, divisor) if header else None
    if image is None:
        image, divisor = _careful(content), 1
    if box is not None:
        image = cut(image, box, divisor)
    return image if size is None else resize(image, size)


def cut(image: np.ndarray, box: Box, divisor: int = 1) -> np.ndarray:
    """Return the part of a picture in a box. Raises ImageError if the box is not within the picture.

    image: (H, W, 3) uint8, reduced by `divisor`: a pixel stands for `divisor` x `divisor` pixels of the box's coordinates.
    """
    x1, y1, x2, y2 = (round(side / divisor) for side in box)
    if not (0 <= x1 < x2 <= image.shape[1] and 0 <= y1 < y2 <= image.shape[0]):
        size = f"{image.shape[1] * divisor} x {image.shape[0] * divisor}"
        raise ImageError(f"has {size} pixels, and its box ({', '.join(map(str, box))}) is not within them")
    return np.ascontiguousarray(image[y1:y2, x1:x2])


def resize(image: np.ndarray, size: Size) -> np.ndarray:
    """Return the picture resized, (h, w, 3) uint8: averaged over areas when shrunk to under two thirds, else bilinear.

    image: (H, W, 3) uint8. size: (height, width) in pixels.
    """
    height, width = size
    ratios = image.shape[0] / height, image.shape[1] / width
    if ratios == (1, 1):
        return image
    # Bilinear weights reach one pixel to each side: from a ratio of 1.5 on they would skip some, and stripes appear.
    areas = min(ratios) >= 1 and max(ratios) > 1.5
    resized: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if areas else cv2.INTER_LINEAR)
    return resized


# JPEG ---------------------------------------------------------------------------------------------------------------


class JpegHeader(NamedTuple):
    """The data before a JPEG's compressed data."""

    size: Size
    common: bool  # True for a kind of JPEG that every decoder reads alike: 8 bits, grey or colour, no arithmetic coding
    turned: bool  # True if there is an EXIF block, which may rotate the picture
    scan: int  # position at which the compressed data start


def jpeg_header(content: bytes) -> JpegHeader | None:
    """Return the header of a JPEG of any kind; None if it is incomplete, or if the file is not a JPEG."""
    place, marker, frame, turned = 2, 0, b"", False
    if content[:2] != b"\xff\xd8":
        return None
    while place + 4 <= len(content) and content[place] == 0xFF:
        start, place = place, place + 2
        kind = content[start + 1]
        if kind == 0xDA:  # start of scan
            common = marker in _COMMON_SOF and frame[:1] == b"\x08" and frame[5:] in (b"\x01", b"\x03")
            return JpegHeader((int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])), common, turned, start) if marker else None
        if kind == 0xFF:  # a fill byte
            place = start + 1
        elif kind not in _BARE:
            place += int.from_bytes(content[place : place + 2])
            if kind in _SOF:
                marker, frame = kind, content[start + 4 : start + 10]
            turned = turned or (kind == 0xE1 and content[start + 4 : start + 8] == b"Exif")
    return None


def _fast_jpeg(content: bytes, header: JpegHeader, divisor: int) -> np.ndarray | None:
    """Decode with OpenCV; return None if OpenCV cannot. CMYK and other rare kinds are left to Pillow."""
    _refuse_bomb(header.size)
    scans = content.count(b"\xff\xda")  # in compressed data no such bytes follow each other
    if header.size[0] * header.size[1] * scans > MAX_WORK:
        raise ImageError(
            f"has {scans:,} scans of {header.size[1]} x {header.size[0]} pixels; allowed: {MAX_WORK:,} pixels in all"
        )
    if not header.common:
        return None
    image: np.ndarray | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB | _REDUCED[divisor])
    return image


def _reduction(header: JpegHeader, size: Size, box: Box | None) -> int:
    """Return the largest of 8, 4, 2 and 1 by which both sides can be divided and stay at least `size`; for a box twice `size`."""
    (height, width), (wanted_height, wanted_width) = header.size, size
    ratio = min(height / wanted_height, width / wanted_width)
    if box is not None:  # box and `size` are upright, independently of the file's EXIF tag
        ratio = min((box[3] - box[1]) / wanted_height, (box[2] - box[0]) / wanted_width) / 2
    elif header.turned:
        ratio = min(header.size) / max(size)
    return next(divisor for divisor in _REDUCED if ratio >= divisor or divisor == 1)


# Everything else ----------------------------------------------------------------------------------------------------


def _careful(content: bytes) -> np.ndarray:
    """Decode with Pillow, which refuses pictures that are cut off. Raises ImageError."""
    pillow = _pillow()
    try:
        with pillow.Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _refuse_bomb((image.height, image.width))
            if image.format == "PNG" and content[24:26] in (b"\x10\x02", b"\x10\x06") and "exif" not in image.info:
                deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)  # Pillow would keep the upper 8 of 16
                if deep is not None and deep.dtype == np.uint16 and deep[..., :3].max(initial=0) < TWELVE_BITS:
                    return np.ascontiguousarray(_upper_8(deep[..., 2::-1]))
            return _rgb(pillow.ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except pillow.UnidentifiedImageError:
        raise ImageError(f"is no picture in a known format ({', '.join(FORMATS)})") from None
    except pillow.Image.DecompressionBombError:
        raise ImageError(f"has too many pixels; allowed: {MAX_PIXELS:,}") from None
    except Exception as error:  # decoders raise any kind of exception for damaged files; the reason is passed on
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"is damaged ({reason})") from None


def _rgb(image: Any) -> np.ndarray:
    """Return a Pillow picture as (H, W, 3) uint8. Raises ImageError for 32 bits a pixel."""
    if image.mode in ("I", "F"):
        raise ImageError("has 32 bits a pixel; allowed: 8 or 16 bits a channel")
    if image.mode.startswith("I;16"):
        grey = _upper_8(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _upper_8(values: np.ndarray) -> np.ndarray:
    """Return values of 12 or 16 bits as their upper 8. values: (H, W, …) integers."""
    bits = 4 if values.max(initial=0) < TWELVE_BITS else 8
    upper: np.ndarray = (values >> bits).astype(np.uint8)
    return upper


@functools.cache
def _pillow() -> ModuleType:
    """Return Pillow, with its warnings about large or odd pictures off: such pictures are refused here, or read."""
    import PIL
    import PIL.Image
    import PIL.ImageOps

    warnings.filterwarnings("ignore", module="PIL")
    return PIL


def _png_ends(content: bytes) -> bool:
    """Return whether a PNG has its last chunk, which Pillow does not check; True for other formats."""
    return content[:8] != b"\x89PNG\r\n\x1a\n" or content.rfind(b"IEND\xaeB`\x82") > 0


def _refuse_bomb(size: Size) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(f"has {size[1]} x {size[0]} pixels; allowed: {MAX_PIXELS:,} in all")
    if 0 in size:
        raise ImageError("has no pixels")
