"""From a file's bytes to a picture, refusing what is broken instead of guessing at it."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

MAX_PIXELS = 50_000_000
_SOF = {0xC0, 0xC1, 0xC2}
Size = tuple[int, int]  # (height, width) in pixels


class ImageError(ValueError):
    """A picture that cannot be read; the text says why."""


def read_image(path: Path, size: Size | None = None) -> np.ndarray:
    """The picture in a file, resized to `size` if given. Raises ImageError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from None
    return decode_image(content, size)


def decode_image(content: bytes, size: Size | None = None) -> np.ndarray:
    """The picture in the bytes of a JPEG, PNG or any other format Pillow knows: (H, W, 3) uint8 RGB, upright by its EXIF tag.

    size: (height, width) to resize to, by pixel areas when shrinking. A JPEG more than twice as large is decoded at a
    half, quarter or eighth, which is faster and differs by less than a grey level on average.
    Raises ImageError: empty, of unknown format, cut off, or of more than MAX_PIXELS pixels.
    """
    if not content:
        raise ImageError("is an empty file")
    image = _fast_jpeg(content, size)
    if image is None:
        image = _careful(content)
    return image if size is None else resize(image, size)


def resize(image: np.ndarray, size: Size) -> np.ndarray:
    """image: (H, W, 3) uint8. size: (height, width)."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    resized: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized


def jpeg_size(content: bytes) -> Size | None:
    """(height, width) from the header of a baseline or progressive JPEG; None where there is no such header."""
    if content[:2] != b"\xff\xd8":
        return None
    place = 2
    while place + 9 < len(content):
        if content[place] != 0xFF:
            return None
        marker = content[place + 1]
        if marker in _SOF:
            return int.from_bytes(content[place + 5 : place + 7]), int.from_bytes(content[place + 7 : place + 9])
        if marker == 0xFF:
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return None


def _fast_jpeg(content: bytes, size: Size | None) -> np.ndarray | None:
    """OpenCV's decoder, for a JPEG that ends as it should; it would fill a cut-off one with grey and say nothing."""
    whole = jpeg_size(content)
    if whole is None or not content.rstrip(b"\0").endswith(b"\xff\xd9"):
        return None
    _refuse_bomb(whole)
    flags = cv2.IMREAD_COLOR_RGB
    if size is not None:
        # The picture may lie on its side until its EXIF tag is heeded, so the smaller side decides.
        ratio = min(whole) / max(size)
        flags = cv2.IMREAD_REDUCED_COLOR_8 if ratio >= 8 else cv2.IMREAD_REDUCED_COLOR_4 if ratio >= 4 else flags
        flags = cv2.IMREAD_REDUCED_COLOR_2 if 2 <= ratio < 4 else flags
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        return None
    return image if flags == cv2.IMREAD_COLOR_RGB else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _careful(content: bytes) -> np.ndarray:
    """Pillow's decoders, which refuse pictures that are cut off."""
    import warnings

    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; they are refused just below
            with Image.open(io.BytesIO(content)) as image:
                _refuse_bomb((image.height, image.width))
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("is no picture in a known format") from None
    except Image.DecompressionBombError:
        raise ImageError(f"has too many pixels; allowed: {MAX_PIXELS:,}") from None
    except Exception as error:  # decoders of damaged files raise anything; the reason is passed on
        raise ImageError(f"is damaged ({str(error).splitlines()[0] if str(error) else type(error).__name__})") from None


def _refuse_bomb(size: Size) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(f"has {size[1]} x {size[0]} pixels; allowed: {MAX_PIXELS:,} in all")
    if 0 in size:
        raise ImageError("has no pixels")
