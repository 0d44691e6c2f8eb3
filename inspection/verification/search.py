"""Find the pictures of a gallery that are most similar to query pictures.

The gallery is a folder of pictures, or the predictions.parquet of test.py, whose vectors are read in blocks. Pictures
are in one group if the first folder of their paths is the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils import options
from utils.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Match:
    """One answer: a group of the gallery, the name of its picture that is most similar to the query, and their cosine."""

    group: str
    name: str
    score: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.resume(parser, "checkpoint, exported model, or run: its path or its name")
    parser.add_argument("--gallery", metavar="DIR", type=Path, required=True, help="folder of pictures, or predictions.parquet")
    parser.add_argument("--query", metavar="IMG", type=Path, required=True, nargs="+", help="pictures to look for")
    parser.add_argument("--top", metavar="N", type=int, default=5, help="groups to show for each query")
    parser.add_argument("--column", help="which prediction is compared (default: the only vector)")
    options.device(parser)


def main(args: argparse.Namespace) -> int:
    """Print the answers to each query; return the exit status. Raises UserError if --top is less than 1."""
    from base.saved.door import find, model_file
    from utils import device

    if args.top < 1:
        raise UserError(f"--top: found {args.top}; allowed: at least 1")
    embedder = Embedder(model_file(find(args.resume)), device.select(args.device), args.column)
    answers = search(embedder, args.gallery, args.query, args.top)
    for query, groups in zip(args.query, answers, strict=True):
        print(query)
        for rank, one in enumerate(groups, 1):
            print(f"{rank:>4}  {one.score:.4f}  {one.group}  ({one.name})")
    return 0


class Embedder:
    """A model that computes the vectors of picture files, with the same steps as an evaluation."""

    def __init__(self, checkpoint: Path, device: torch.device, column: str | None) -> None:
        from data_loader.crop.cut_pictures import NO_CROPPERS
        from trainer.evaluation.pictures import PictureModel

        self.model, self.column = PictureModel.open(checkpoint, device), column
        crops = self.model.pictures.preprocessing().get("crops")
        if crops is not None and not crops["croppers"]:
            print(f"warning: pictures are {NO_CROPPERS}")

    def vectors(self, paths: Iterable[Path]) -> Iterator[np.ndarray]:
        """Yield the vectors (n, D) float32 of the next n pictures, in order. Raises UserError if a file is not a picture."""
        for predictions in self.model.blocks(paths):
            yield predictions.array(self.vector_column(predictions))

    def vector_column(self, predictions: Any) -> str:
        """Return the column to compare. Raises UserError if there is no such vector, or several and none was chosen."""
        vectors = [name for name in predictions.names if not predictions.ragged(name) and predictions.array(name).ndim == 2]
        if self.column is not None and self.column not in vectors:
            raise UserError(f'--column: found "{self.column}"; the model predicts these vectors: {", ".join(vectors) or "none"}')
        if self.column is None and len(vectors) != 1:
            raise UserError(f"--column: the model predicts {len(vectors)} vectors ({', '.join(vectors)}); choose one")
        return self.column or vectors[0]


def search(embedder: Embedder, gallery: Path, queries: list[Path], top: int) -> list[list[Match]]:
    """Return for each query the `top` groups with the most similar pictures. The score of a group is that of its best picture."""
    import numpy as np

    from data_loader.formats.pattern_reader import find_images
    from inspection.verification.nearest import nearest

    wanted = np.concatenate(list(embedder.vectors(queries)))
    if gallery.is_file():
        names, blocks = _stored(gallery, embedder.column)
    else:
        names = find_images(gallery)
        blocks = embedder.vectors(gallery / name for name in names)
    groups = [name.split("/")[0] for name in names]
    # Search for enough pictures to have `top` groups, even if the pictures of the largest groups come first.
    sizes = sorted(np.unique(np.array(groups, object).astype(str), return_counts=True)[1].tolist(), reverse=True)
    near = nearest(wanted, blocks, sum(sizes[: top - 1]) + 1)
    return [_by_group(names, groups, *answer)[:top] for answer in zip(near.rows.tolist(), near.scores.tolist(), strict=True)]


def _by_group(names: list[str], groups: list[str], rows: list[int], scores: list[float]) -> list[Match]:
    """Return the first row of each group, in the order of the rows."""
    seen: dict[str, Match] = {}
    for row, score in zip(rows, scores, strict=True):
        seen.setdefault(groups[row], Match(groups[row], names[row], score))
    return list(seen.values())


def _stored(path: Path, column: str | None) -> tuple[list[str], Iterator[np.ndarray]]:
    """Return the names, and an iterator over the vectors (n, D) in blocks, of a predictions file.

    Raises UserError if the file is not a predictions file, or does not have the column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from base.predictions import dense
    from inspection.verification.nearest import BLOCK

    try:
        file = pq.ParquetFile(path)
        vectors = [name for name in file.schema_arrow.names if pa.types.is_fixed_size_list(file.schema_arrow.field(name).type)]
        chosen = column or (vectors[0] if len(vectors) == 1 else "")
        if chosen not in vectors:
            raise UserError(f"{path}: has the vectors {', '.join(vectors) or 'none'}; name one with --column")
        names = file.read(["id"])["id"].to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path}: is not a predictions file ({str(error).splitlines()[0]})") from None
    return names, (dense(batch[chosen]) for batch in file.iter_batches(BLOCK, columns=[chosen]))
