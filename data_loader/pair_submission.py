"""What a competition on pairs wants: for each pair of its list whether it shows one person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from base.base_reader import SUBMISSIONS, BaseSubmission
from base.pairs import PAIRS, Distance, median_threshold, pair_scores, pairs_of, require_vectors
from base.predictions import Predictions
from base.table import SampleTable
from data_loader.submissions import FileName
from utils import files
from utils.errors import UserError

METRIC = "PairScores"  # under which the metric keeps the threshold that it fits


@SUBMISSIONS.register("verification")
class PairSubmission(BaseSubmission):
    """A line `image1 image2 answer` for each pair, in the order of the list, and `pairs.parquet` with the scores beside it.

    Args:
        file: name of the file that is written; "transductive-" is put before it where the threshold is.
        same: the answer for one person.
        different: the answer for different people.
        threshold: the one that PairScores found on validation; or "transductive", the median of the pairs to predict,
            which uses that half of them are of one person.
    """

    def __init__(
        self,
        file: FileName = "prediction.txt",
        same: str = "0",
        different: str = "1",
        threshold: Literal["validation", "transductive"] = "validation",
    ) -> None:
        self.file, self.same, self.different, self.threshold = file, same, different, threshold

    @property
    def file_name(self) -> str:
        """The name of the file in the output folder."""
        return self.file if self.threshold == "validation" else f"transductive-{self.file}"

    def write(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path, path: Path) -> int:
        """Write both files. Raises UserError where a picture has no embedding, or no threshold was fitted."""
        distance, threshold = _fitted(fitted)
        pairs = pairs_of(table)
        vectors = require_vectors(predictions, "embedding", distance)
        scores = pair_scores(vectors, pairs.first, pairs.second, distance)
        threshold = median_threshold(scores) if self.threshold == "transductive" else threshold
        called = scores >= threshold
        listed = table.related[PAIRS]
        answers = np.where(called, self.same, self.different).tolist()
        rows = zip(listed["image1"].to_pylist(), listed["image2"].to_pylist(), answers, strict=True)
        files.write_bytes(path, "".join(f"{one} {other} {answer}\n" for one, other, answer in rows).encode())
        columns = listed.append_column("score", pa.array(scores)).append_column("called_same", pa.array(called))
        metadata = {"threshold": repr(threshold), "threshold_from": self.threshold, "distance": distance}
        table_of_scores = columns.replace_schema_metadata(metadata)
        files.write_atomically(path.with_name("pairs.parquet"), lambda file: pq.write_table(table_of_scores, file))
        return len(answers)


def _fitted(fitted: Mapping[str, Any]) -> tuple[Distance, float]:
    """The distance that PairScores used, and its threshold."""
    for distance in ("cosine", "euclidean"):
        if (found := fitted.get(METRIC, {}).get(f"threshold/{distance}")) is not None:
            return distance, float(found)
    raise UserError(
        f"submission: the checkpoint holds no threshold; train with {METRIC} among the metrics, and at least one validation"
    )
