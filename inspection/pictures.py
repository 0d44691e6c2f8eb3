"""Pictures for the pages: uploads, whose size is checked before they are decoded, and small copies of samples."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import cv2
import numpy as np

from data_loader.pictures.decode import ImageError, decode_image, read_image, resize
from inspection.cache import by_file

MAX_UPLOAD = 20_000_000  # bytes; .streamlit/config.toml refuses larger ones before they are received
MAX_PIXELS = 25_000_000  # decoded, 75 MB
MAX_FILES = 20
THUMBNAIL, LARGE = 192, 900  # pixels of the longer side

_decoding = threading.Semaphore(
    2
)  # pictures decoded at once in all sessions: a picture takes three bytes a pixel, and so does each copy


def require_small(content: bytes) -> None:
    """Check the size of an upload by its header alone. Raises ImageError if it has too many bytes or pixels."""
    if len(content) > MAX_UPLOAD:
        raise ImageError(f"has {len(content):,} bytes; allowed: {MAX_UPLOAD:,}")
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except PIL.Image.DecompressionBombError:
        raise ImageError(f"has too many pixels; allowed: {MAX_PIXELS:,}") from None
    except Exception:  # Pillow raises many types for a damaged header; the decoder reports the problem later
        return
    if width * height > MAX_PIXELS:
        raise ImageError(f"has {width} x {height} pixels; allowed: {MAX_PIXELS:,} in all")


def uploaded(content: bytes, side: int = LARGE) -> np.ndarray:
    """Return an upload as (H, W, 3) uint8 RGB, its longer side at most `side` pixels.

    Raises ImageError if the upload is too large or is not a picture.
    """
    require_small(content)
    with _decoding:
        return shrunk(decode_image(content), side)


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """Return the picture (H, W, 3) uint8, shrunk if its longer side has more than `side` pixels."""
    return image if max(image.shape[:2]) <= side else fitted(image, side)


def fitted(image: np.ndarray, side: int) -> np.ndarray:
    """Return the picture (H, W, 3) uint8, shrunk or enlarged so that its longer side has `side` pixels."""
    ratio = side / max(image.shape[:2])
    height, width = (max(1, round(length * ratio)) for length in image.shape[:2])
    return resize(image, (height, width))


@by_file(entries=2000)
def thumbnail(path: Path, side: int = THUMBNAIL) -> bytes:
    """Return a picture file as JPEG, its longer side at most `side` pixels. Raises ImageError if the file cannot be read."""
    with _decoding:
        return jpeg(shrunk(read_image(path), side))


def jpeg(image: np.ndarray) -> bytes:
    """Return a picture (H, W, 3) uint8 RGB as JPEG."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return content.tobytes()


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return the picture (H, W, 3) uint8 RGB with a map (h, w) in [0, 1] laid over it: high values in strong, warm colours."""
    large = cv2.resize(heat.astype(np.float32), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    colours = cv2.cvtColor(cv2.applyColorMap((large * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    strength = 0.65 * large[:, :, None]
    return np.asarray(((1 - strength) * image + strength * colours).clip(0, 255), np.uint8)
