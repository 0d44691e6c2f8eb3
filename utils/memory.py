"""The memory of tensors on the CPU."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3), as <malloc.h> numbers them
KEPT, LARGEST = 1 << 30, 32 << 20  # bytes that stay; the largest block that can, which is glibc's own limit


def keep_freed() -> bool:
    """Let the C library keep freed memory for the next step: up to KEPT bytes, of blocks of up to LARGEST.

    By default glibc gives the activations of a step back to the system, which clears the same pages anew for the next one:
    a fifth of the time of such a step may be that. False where the C library is another.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl and macOS have no mallopt, Windows no library of this name
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, KEPT))
