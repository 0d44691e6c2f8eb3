"""Derive random seeds from names and numbers, so that no random state needs to be stored."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch


def derive(*parts: int | str) -> int:
    """Return a 63-bit seed from any names and numbers, e.g. `derive(seed, "augment", epoch, sample_id)`.

    Equal parts give equal seeds on every machine; different parts give unrelated seeds (BLAKE2b).
    """
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """Return a NumPy generator seeded by `derive(*parts)`."""
    return np.random.default_rng(derive(*parts))


def seed_everything(*parts: int | str) -> None:
    """Seed Python, NumPy and torch (every device) by `derive(*parts)`."""
    seed = derive(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
