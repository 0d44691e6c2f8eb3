"""Hold predictions as a table with one row per sample id; everything after the model reads only this table."""

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
    """A table with a column for each value of the model's decoder, and the columns `id` and `error`.

    A sample whose image could not be read has a row with its error and nulls; the row is never left out or filled in.
    """

    def __init__(self, columns: pa.Table) -> None:
        self.columns = columns.combine_chunks()

    @classmethod
    def of(cls, ids: Sequence[str], prediction: dict[str, Any], errors: Sequence[str] | None = None) -> Predictions:
        """Return the predictions of a batch. prediction: name -> tensor (B, …) or list of B tensors (n_i, …), as of a decoder.

        ids: B sample ids. errors: B texts, empty if the image could be read; by default all are empty.
        """
        errors = errors or [""] * len(ids)
        bad = np.array([bool(error) for error in errors])
        columns = {name: _column(value, bad) for name, value in prediction.items()}
        return cls(pa.table({"id": pa.array(ids, pa.string()), "error": pa.array(errors, pa.string()), **columns}))

    @classmethod
    def joined(cls, pieces: Sequence[Predictions]) -> Predictions:
        """Return all rows of several pieces, in the given order."""
        return cls(pa.concat_tables([piece.columns for piece in pieces]))

    @classmethod
    def concatenate(cls, pieces: Sequence[Predictions]) -> Predictions:
        """Return all rows of several pieces, in order of id. Raises UserError if an id occurs more than once."""
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
        """The names of the prediction columns."""
        return [name for name in self.columns.column_names if name not in ("id", "error")]

    def ids(self) -> list[str]:
        """Return the sample ids, in order of the rows."""
        return list(self.columns["id"].to_pylist())

    def array(self, name: str) -> np.ndarray:
        """Return a column that is not ragged: (N,) or (N, values of a row), float or integer; NaN in rows with an error."""
        return dense(self.columns[name].combine_chunks())

    def lists(self, name: str) -> list[np.ndarray]:
        """Return a ragged column: N arrays (n_i,) or (n_i, values of an item), float or integer; empty for rows with an error."""
        array = self.columns[name].combine_chunks()
        values, offsets = dense(array.values), array.offsets.to_numpy()
        return [values[start:stop] for start, stop in itertools.pairwise(offsets)]

    def take(self, rows: np.ndarray | list[int]) -> Predictions:
        """Return the given rows (n,) int64, in the given order."""
        return Predictions(self.columns.take(pa.array(rows, pa.int64())))

    def renamed(self, ids: Sequence[str]) -> Predictions:
        """Return the predictions as those of other samples. ids: as many as there are rows."""
        return Predictions(self.columns.set_column(self.columns.schema.get_field_index("id"), "id", pa.array(ids, pa.string())))

    def only(self, names: Sequence[str]) -> Predictions:
        """Return only the named prediction columns, in the given order."""
        return Predictions(self.columns.select(["id", "error", *names]))

    def ragged(self, name: str) -> bool:
        """Return whether the rows of a column may differ in length."""
        return bool(pa.types.is_list(self.columns[name].type))

    def failed(self) -> dict[str, str]:
        """Return sample id -> error, for the rows with an error."""
        rows = self.columns.filter(pc.not_equal(self.columns["error"], ""))
        return dict(zip(rows["id"].to_pylist(), rows["error"].to_pylist(), strict=True))

    def require_ids(self, table: SampleTable) -> None:
        """Raise UserError with the missing and the unknown ids unless the rows are exactly the table's samples, in its order."""
        predicted, wanted = self.ids(), table.ids()
        if predicted == wanted:
            return
        missing, extra = sorted(set(wanted) - set(predicted)), sorted(set(predicted) - set(wanted))
        wrong = [f"{len(names)} {what} ({some(names)})" for names, what in ((missing, "missing"), (extra, "unknown")) if names]
        raise UserError(f"predictions do not match the samples: {', '.join(wrong) or 'they are in another order'}")

    def write(self, path: Path, manifest: dict[str, Any]) -> None:
        """Write Parquet at `path`, and the manifest beside it as `<stem>.manifest.json`. Raises WriteError if it cannot."""
        table = self.columns.replace_schema_metadata({"laurel": json.dumps(manifest)})
        files.write_atomically(path, lambda file: pq.write_table(table, file))
        files.write_json(path.with_suffix(".manifest.json"), manifest)

    @classmethod
    def read(cls, path: Path) -> tuple[Predictions, dict[str, Any]]:
        """Read predictions and their manifest. Raises UserError if the file is not a predictions file."""
        try:
            table = pq.read_table(path)
            manifest = json.loads((table.schema.metadata or {})[b"laurel"])
        except (OSError, KeyError, ValueError, RecursionError, pa.ArrowException) as error:
            raise UserError(f"{path}: is not a predictions file ({str(error).splitlines()[0]})") from None
        return cls(table), manifest


def average(several: Sequence[Predictions], weights: Sequence[float] | None = None) -> Predictions:
    """Return the weighted mean of every column over several predictions of the same samples; columns and errors as `combined`.

    weights: one for each of `several`, equal by default.
    """
    return combined(several, lambda arrays: np.asarray(np.average(arrays, axis=0, weights=weights)))


def combined(several: Sequence[Predictions], combine: Callable[[list[np.ndarray]], np.ndarray]) -> Predictions:
    """Combine several predictions of the same samples column by column; a sample with an error in one has it in the result.

    combine: a function of S arrays (N,) or (N, K), float or integer, that returns one array of this shape. It is for columns
    whose rows have equal shapes, such as probabilities. Raises UserError if samples or columns differ, or a column is ragged.
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
    """Raise UserError unless all predictions have the same samples in the same order, and the same columns of equal widths."""
    first = several[0]
    if any(other.ids() != first.ids() or _widths(other) != _widths(first) for other in several[1:]):
        raise UserError("these checkpoints predict different samples or different things; they cannot be averaged")


def _widths(predictions: Predictions) -> list[tuple[str, int]]:
    """Return each column with its number of values in a row; 1 for a ragged column."""
    types = [predictions.columns.schema.field(name).type for name in predictions.names]
    widths = [kind.list_size if pa.types.is_fixed_size_list(kind) else 1 for kind in types]
    return list(zip(predictions.names, widths, strict=True))


def not_finite(predictions: Predictions) -> list[str]:
    """Return the ids of samples with a prediction that is not finite, without the samples whose pictures could not be read."""
    failed, ids = predictions.failed(), predictions.ids()
    bad: np.ndarray = np.zeros(len(predictions), dtype=bool)
    for name in predictions.names:
        if predictions.ragged(name):
            bad |= np.array([not np.isfinite(row).all() for row in predictions.lists(name)], dtype=bool)
        else:
            bad |= ~np.isfinite(predictions.array(name)).reshape(len(bad), -1).all(axis=1)
    return [ids[row] for row in np.flatnonzero(bad) if ids[row] not in failed]


def errors_of(several: Sequence[Predictions]) -> list[str]:
    """Return for each row the first error in any of the predictions; an empty text if there is none."""
    return [next(filter(None, row), "") for row in zip(*(p.columns["error"].to_pylist() for p in several), strict=True)]


def differences(one: Predictions, other: Predictions) -> list[tuple[str, float, float]]:
    """Return (column, largest, mean absolute difference) between two predictions of the same samples, without ragged columns."""
    results = []
    for name in one.names:
        if not one.ragged(name) and not other.ragged(name):
            apart = np.abs(one.array(name).astype(np.float64) - other.array(name))
            apart = apart[np.isfinite(apart)]  # samples that could not be read are NaN
            results.append((name, float(apart.max(initial=0.0)), float(apart.mean()) if apart.size else 0.0))
    return results


def _column(value: Tensor | Sequence[Tensor], bad: np.ndarray) -> pa.Array:
    """Return one value of a batch as a column: a tensor (B, …) or B tensors (n_i, …); null if bad, (B,) bool, is true."""
    import torch  # here, so that programs that only read predictions start faster

    mask = pa.array(bad) if bad.any() else None
    if isinstance(value, torch.Tensor):
        return _flat(value, mask)
    read = [item[:0] if wrong else item for item, wrong in zip(value, bad, strict=True)]
    offsets = np.cumsum([0, *map(len, read)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _flat(torch.cat(read), None), mask=mask)


def _flat(value: Tensor, mask: pa.Array | None) -> pa.Array:
    """Return a tensor (N, …) as N numbers, or as N lists of equal length. mask: N booleans, true for null."""
    array = value.detach().cpu().numpy()
    if array.ndim == 1:
        return pa.array(array, mask=None if mask is None else mask.to_numpy(zero_copy_only=False))
    flat = pa.array(np.ascontiguousarray(array).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(array.shape[1:])), mask=mask)


def dense(array: pa.Array) -> np.ndarray:
    """Return the values of a column that is not ragged: (N,) or (N, values of a row), float or integer; NaN for nulls."""
    if not pa.types.is_fixed_size_list(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    width, length = array.type.list_size, len(array)
    flat = array.values.slice(array.offset * width, length * width).to_numpy(zero_copy_only=False).reshape(length, width)
    return np.where(np.asarray(array.is_null())[:, None], np.nan, flat) if array.null_count else flat
