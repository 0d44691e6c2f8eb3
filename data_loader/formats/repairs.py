"""Count, by kind, the annotations that a reader read with another meaning than their text has, or left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from base.table import SampleTable, some

REPAIRS = "repairs"
SCHEMA = pa.schema({"id": pa.string(), "what": pa.string()})
SHOWN = 3  # samples that a line names


class Repair(NamedTuple):
    """One repair: the sample, and its kind as the end of the sentence `12 …`, for example `boxes clipped to their picture`."""

    id: str
    what: str


def with_repairs(table: SampleTable, repairs: Sequence[Repair]) -> SampleTable:
    """Return the table with further repairs in its related table `repairs` (id, what); unchanged if there are none."""
    if not repairs:
        return table
    columns = {"id": [repair.id for repair in repairs], "what": [repair.what for repair in repairs]}
    added = pa.table(columns, SCHEMA)
    before = [table.related[REPAIRS]] if REPAIRS in table.related else []
    return SampleTable(table.root, table.columns, {**table.related, REPAIRS: pa.concat_tables([*before, added])})


def repair_lines(table: SampleTable) -> list[str]:
    """Return a line for each kind of repair, with its number and some of the samples."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for row in table.related[REPAIRS].to_pylist() if REPAIRS in table.related else []:
        kinds[row["what"]].append(row["id"])
    return [f"warning: {len(ids):,} {what}{_named(ids)}" for what, ids in sorted(kinds.items())]


def _named(ids: Sequence[str]) -> str:
    names = list(dict.fromkeys(filter(None, ids)))
    return f" ({some(names, SHOWN)})" if names else ""
