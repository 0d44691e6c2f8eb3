"""Set how the C library treats the freed memory of CPU tensors."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3), as <malloc.h> numbers them
KEPT, LARGEST = 1 << 30, 32 << 20  # bytes: free memory kept at the heap's end; the largest block on the heap


def keep_freed() -> bool:
    """Let the C library keep freed blocks of up to LARGEST bytes for the next step; return False if it is not glibc.

    By default glibc gives the memory of a step's activations back to the system, which must clear the same pages for the
    next step; `python -m benchmarks.malloc` measures the cost. Free memory beyond KEPT bytes at the heap's end is still given
    back. Forked processes inherit the setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl and macOS have no mallopt, Windows no library of this name
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, KEPT))
