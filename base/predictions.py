"""Predictions: one row per sample, keyed by sample id. What everything after the model reads, and nothing else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from base.table import SampleTable, some
from utils import files
from utils.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


class Predictions:
    """A column per prediction of the model's decoder, and the columns `id` and `error`.

    A sample whose image could not be read is a row with its error and nulls, never left out and never filled in.
    """

    def __init__(self, columns: pa.Table) -> None:
        self.columns = columns.combine_chunks()

    @classmethod
    def of(cls, ids: Sequence[str], prediction: dict[str, Any], errors: Sequence[str] | None = None) -> Predictions:
        """One batch: `prediction` as a decoder gives it, tensors with B rows or lists of B tensors."""
        errors = errors or [""] * len(ids)
        bad = np.array([bool(error) for error in errors])
        columns = {name: _column(value, bad) for name, value in prediction.items()}
        return cls(pa.table({"id": pa.array(ids, pa.string()), "error": pa.array(errors, pa.string()), **columns}))

    @classmethod
    def joined(cls, pieces: Sequence[Predictions]) -> Predictions:
        """All rows of several, in the order in which they are given."""
        return cls(pa.concat_tables([piece.columns for piece in pieces]))

    @classmethod
    def concatenate(cls, pieces: Sequence[Predictions]) -> Predictions:
        """All rows of several, in order of id. Raises UserError where an id stands in two of them."""
        merged = cls(cls.joined(pieces).columns.sort_by("id"))
        ids = merged.ids()
        twice = [a for a, b in itertools.pairwise(ids) if a == b]
        if twice:
            raise UserError(f"predictions: {some(twice)} predicted more than once")
        return merged

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @property
    def names(self) -> list[str]:
        """The prediction columns."""
        return [name for name in self.columns.column_names if name not in ("id", "error")]

    def ids(self) -> list[str]:
        """The sample ids, in order."""
        return list(self.columns["id"].to_pylist())

    def array(self, name: str) -> np.ndarray:
        """A column of equal shapes as (N,) or (N, values of a row), float or integer; rows with an error are NaN."""
        return dense(self.columns[name].combine_chunks())

    def lists(self, name: str) -> list[np.ndarray]:
        """A ragged column as N arrays (n_i,) or (n_i, values of an item); none of its rows with an error has any."""
        array = self.columns[name].combine_chunks()
        values, offsets = dense(array.values), array.offsets.to_numpy()
        return [values[start:stop] for start, stop in itertools.pairwise(offsets)]

    def take(self, rows: np.ndarray | list[int]) -> Predictions:
        """The given rows, in the given order."""
        return Predictions(self.columns.take(pa.array(rows, pa.int64())))

    def only(self, names: Sequence[str]) -> Predictions:
        """These prediction columns alone, in this order."""
        return Predictions(self.columns.select(["id", "error", *names]))

    def ragged(self, name: str) -> bool:
        """Whether the rows of a column differ in length."""
        return bool(pa.types.is_list(self.columns[name].type))

    def failed(self) -> dict[str, str]:
        """Sample id -> error, for the rows that have one."""
        rows = self.columns.filter(pc.not_equal(self.columns["error"], ""))
        return dict(zip(rows["id"].to_pylist(), rows["error"].to_pylist(), strict=True))

    def require_ids(self, table: SampleTable) -> None:
        """Check that exactly the table's samples are here, in its order. Raises UserError naming those that are not."""
        predicted, wanted = self.ids(), table.ids()
        if predicted == wanted:
            return
        missing, extra = sorted(set(wanted) - set(predicted)), sorted(set(predicted) - set(wanted))
        wrong = [f"{len(names)} {what} ({some(names)})" for names, what in ((missing, "missing"), (extra, "unknown")) if names]
        raise UserError(f"predictions do not match the samples: {', '.join(wrong) or 'they are in another order'}")

    def write(self, path: Path, manifest: dict[str, Any]) -> None:
        """Write Parquet at `path`, and the manifest beside it as `<stem>.manifest.json`."""
        table = self.columns.replace_schema_metadata({"laurel": json.dumps(manifest)})
        files.write_atomically(path, lambda file: pq.write_table(table, file))
        files.write_json(path.with_suffix(".manifest.json"), manifest)

    @classmethod
    def read(cls, path: Path) -> tuple[Predictions, dict[str, Any]]:
        """Predictions and their manifest. Raises UserError for a file that is none."""
        try:
            table = pq.read_table(path)
            manifest = json.loads((table.schema.metadata or {})[b"laurel"])
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise UserError(f"{path}: is not a predictions file ({str(error).splitlines()[0]})") from None
        return cls(table), manifest


def average(several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
    """The weighted mean of every column over several predictions of the same samples, as `combined`.

    weights: one for each, equal by default.
    """
    return combined(several, lambda arrays: np.asarray(np.average(arrays, axis=0, weights=weights)))


def combined(several: Sequence[Predictions], combine: Callable[[list[np.ndarray]], np.ndarray]) -> Predictions:
    """Every column as one of those of several predictions of the same samples; an error in one is an error in all.

    For columns of equal shapes, as probabilities are. combine: S arrays (N,) or (N, K) -> one. Raises UserError where
    samples or columns differ, or rows differ in length.
    """
    import torch

    require_alike(several)
    ragged = [name for name in several[0].names if several[0].ragged(name)]
    if ragged:
        raise UserError(f'fusion: the rows of "{ragged[0]}" differ in length and have no mean; name a fusion made for them')
    columns = {}
    for name in several[0].names:
        arrays = [predictions.array(name) for predictions in several]
        columns[name] = torch.from_numpy(combine(arrays).astype(arrays[0].dtype))
    return Predictions.of(several[0].ids(), columns, errors_of(several))


def require_alike(several: Sequence[Predictions]) -> None:
    """Raise UserError unless all have the same samples in the same order, and the same columns of the same widths."""
    first = several[0]
    if any(other.ids() != first.ids() or _widths(other) != _widths(first) for other in several[1:]):
        raise UserError("these checkpoints predict different samples or different things; they cannot be averaged")


def _widths(predictions: Predictions) -> list[tuple[str, int]]:
    """Column and number of values in a row, 1 where these differ."""
    types = [predictions.columns.schema.field(name).type for name in predictions.names]
    widths = [found.list_size if pa.types.is_fixed_size_list(found) else 1 for found in types]
    return list(zip(predictions.names, widths, strict=True))


def not_finite(predictions: Predictions) -> list[str]:
    """Ids of the samples that have a prediction which is not finite, though their pictures could be read."""
    failed, ids = predictions.failed(), predictions.ids()
    bad: np.ndarray = np.zeros(len(predictions), dtype=bool)
    for name in predictions.names:
        if predictions.ragged(name):
            bad |= np.array([not np.isfinite(row).all() for row in predictions.lists(name)], dtype=bool)
        else:
            bad |= ~np.isfinite(predictions.array(name)).reshape(len(bad), -1).all(axis=1)
    return [ids[row] for row in np.flatnonzero(bad) if ids[row] not in failed]


def errors_of(several: Sequence[Predictions]) -> list[str]:
    """The first error of each row in any of them, empty where there is none."""
    return [next(filter(None, row), "") for row in zip(*(p.columns["error"].to_pylist() for p in several), strict=True)]


def differences(one: Predictions, other: Predictions) -> list[tuple[str, float, float]]:
    """Column, largest and mean absolute difference of two predictions of the same samples, for columns of equal shapes."""
    found = []
    for name in one.names:
        if not one.ragged(name) and not other.ragged(name):
            apart = np.abs(one.array(name).astype(np.float64) - other.array(name))
            apart = apart[np.isfinite(apart)]  # samples that could not be read
            found.append((name, float(apart.max(initial=0.0)), float(apart.mean()) if apart.size else 0.0))
    return found


def _column(value: Tensor | Sequence[Tensor], bad: np.ndarray) -> pa.Array:
    """One prediction of a batch, null where the sample could not be read."""
    import torch  # who reads predictions need not wait for it

    mask = pa.array(bad) if bad.any() else None
    if isinstance(value, torch.Tensor):
        return _flat(value, mask)
    read = [item[:0] if wrong else item for item, wrong in zip(value, bad, strict=True)]
    offsets = np.cumsum([0, *map(len, read)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _flat(torch.cat(read), None), mask=mask)


def _flat(value: Tensor, mask: pa.Array | None) -> pa.Array:
    """value: (N, …) -> N numbers, or N lists of as many numbers."""
    array = value.detach().cpu().numpy()
    if array.ndim == 1:
        return pa.array(array, mask=None if mask is None else mask.to_numpy(zero_copy_only=False))
    flat = pa.array(np.ascontiguousarray(array).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(array.shape[1:])), mask=mask)


def dense(array: pa.Array) -> np.ndarray:
    """What `_flat` was given, (N,) or (N, values of a row), NaN for nulls."""
    if not pa.types.is_fixed_size_list(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    width, length = array.type.list_size, len(array)
    flat = array.values.slice(array.offset * width, length * width).to_numpy(zero_copy_only=False).reshape(length, width)
    return np.where(np.asarray(array.is_null())[:, None], np.nan, flat) if array.null_count else flat
