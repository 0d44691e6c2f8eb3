"""The memory of tensors on the CPU."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3), as <malloc.h> numbers them
KEPT, LARGEST = 1 << 30, 32 << 20  # bytes, of free memory at the heap's end; of the largest block on the heap


def keep_freed() -> bool:
    """Let the C library keep the memory of freed blocks of up to LARGEST bytes for the next step.

    By default glibc gives the activations of a step back to the system, which clears the same pages anew for the next one;
    `python -m benchmarks.malloc` tells what that costs. What is free at the heap's end beyond KEPT bytes is still given back, and
    processes that are forked keep theirs alike. False where the C library is another.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl and macOS have no mallopt, Windows no library of this name
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, KEPT))
