"""Submission of a competition on pairs: an answer for each pair of its list, same person or different people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from base.base_reader import SUBMISSIONS, BaseSubmission, Verdict
from base.predictions import Predictions
from base.table import SampleTable
from base.types import FileName
from base.verification.pairs import PAIRS, Distance, median_threshold, pair_scores, pairs_of, require_vectors
from data_loader.submissions.lint import counted, key_problems, text_of
from utils import files
from utils.errors import UserError

METRIC = "PairScores"  # key under which the metric keeps its fitted threshold


class Called(NamedTuple):
    """The decisions on the pairs, with their scores and threshold."""

    scores: np.ndarray  # (N,) float64
    same: np.ndarray  # (N,) bool
    threshold: float
    distance: Distance


@SUBMISSIONS.register("verification")
class PairSubmission(BaseSubmission):
    """A line `image1 image2 answer` for each pair, in the order of the list, and `pairs.parquet` with the scores beside it."""

    fallback = "different people in each of their pairs"

    def __init__(
        self,
        file: Annotated[
            FileName,
            Field(
                description='name of the file that is written; "transductive-" is put before it if the threshold is transductive'
            ),
        ] = "prediction.txt",
        same: Annotated[str, Field(description="the answer for one person")] = "0",
        different: Annotated[str, Field(description="the answer for different people")] = "1",
        threshold: Annotated[
            Literal["validation", "transductive"],
            Field(
                description='"validation" for the threshold that PairScores found on validation, or "transductive" '
                "for the median of the pairs to predict, which assumes that half of them are of one "
                "person"
            ),
        ] = "validation",
    ) -> None:
        self.file, self.same, self.different, self.threshold = file, same, different, threshold

    @property
    def file_name(self) -> str:
        """The name of the file in the output folder."""
        return self.file if self.threshold == "validation" else f"transductive-{self.file}"

    def content(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path) -> bytes:
        """Return a line for each pair. Raises UserError if no threshold was fitted."""
        listed, answers = table.related[PAIRS], np.where(self._called(predictions, table, fitted).same, self.same, self.different)
        rows = zip(listed["image1"].to_pylist(), listed["image2"].to_pylist(), answers.tolist(), strict=True)
        return "".join(f"{one} {other} {answer}\n" for one, other, answer in rows).encode()

    def lint(self, content: bytes, table: SampleTable, data_dir: Path) -> Verdict:
        """Check that the content has the pairs of the list, each with one of the two answers."""
        listed = table.related[PAIRS]
        pairs = zip(listed["image1"].to_pylist(), listed["image2"].to_pylist(), strict=True)
        text, problems = text_of(content)
        lines = [line.rsplit(" ", 1) for line in text.splitlines()]
        short = [f"line {number}" for number, words in enumerate(lines, 1) if len(words) < 2 or not words[0].strip()]
        problems += counted("lines are not two images and an answer", short)
        whole = [words for words in lines if len(words) == 2]
        problems += key_problems([pair for pair, _ in whole], [f"{one} {other}" for one, other in pairs])
        wrong = [f"{pair}: {answer or 'nothing'}" for pair, answer in whole if answer not in (self.same, self.different)]
        return Verdict(len(lines), problems + counted(f"answers are neither {self.same} nor {self.different}", wrong))

    def write(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path, path: Path) -> int:
        """Write both files; return the number of rows."""
        rows = super().write(predictions, table, fitted, data_dir, path)
        called = self._called(predictions, table, fitted)
        columns = (
            table.related[PAIRS]
            .append_column("score", pa.array(called.scores))
            .append_column("called_same", pa.array(called.same))
        )
        metadata = {"threshold": repr(called.threshold), "threshold_from": self.threshold, "distance": called.distance}
        table_of_scores = columns.replace_schema_metadata(metadata)
        files.write_atomically(path.with_name("pairs.parquet"), lambda file: pq.write_table(table_of_scores, file))
        return rows

    def _called(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any]) -> Called:
        distance, threshold = _fitted(fitted)
        pairs = pairs_of(table)
        failed = predictions.failed()
        require_vectors(
            predictions.take([row for row, name in enumerate(predictions.ids()) if name not in failed]), "embedding", distance
        )
        scores = pair_scores(predictions.array("embedding"), pairs.first, pairs.second, distance)  # NaN, below any threshold
        threshold = median_threshold(scores[np.isfinite(scores)]) if self.threshold == "transductive" else threshold
        return Called(scores, scores >= threshold, threshold, distance)


def _fitted(fitted: Mapping[str, Any]) -> tuple[Distance, float]:
    """Return the distance that PairScores used, and its threshold. Raises UserError if the checkpoint holds no threshold."""
    for distance in ("cosine", "euclidean"):
        if (threshold := fitted.get(METRIC, {}).get(f"threshold/{distance}")) is not None:
            return distance, float(threshold)
    raise UserError(
        f"submission: the checkpoint holds no threshold; train with {METRIC} among the metrics, and at least one validation"
    )
