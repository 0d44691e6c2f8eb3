"""Embeddings as a kind of prediction."""

from __future__ import annotations

import pyarrow as pa

from base.contracts import DataSpec
from inspection.kinds import BaseKind

EMBEDDING = "embedding"  # the column of predictions


class Verification(BaseKind):
    """A vector for each picture."""

    task = "verification"

    def recognises(self, schema: pa.Schema, spec: DataSpec) -> bool:
        """Return whether the columns hold an embedding."""
        return EMBEDDING in schema.names


KIND = Verification()
