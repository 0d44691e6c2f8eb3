"""The files that competitions want."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from base.base_reader import SUBMISSIONS, BaseSubmission
from base.contracts import DataSpec
from base.labels import combined_class, unknown_label
from base.predictions import Predictions
from base.table import SampleTable, some
from data_loader.readers.csv_reader import read_csv
from utils import files
from utils.config import did_you_mean
from utils.errors import UserError

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][^/\\\x00]*$")]  # without folders


@SUBMISSIONS.register("attributes")
class CombinedClassSubmission(BaseSubmission):
    """A CSV file with one combined class number per image, in the rows and order of a sample file.

    The number counts through all combinations of the labels, the last label fastest: for labels of 3, 2 and 3 classes
    it is 6 * first + 3 * second + third.

    Args:
        sample: the competition's sample file below the data folder; its rows say which images, in which order.
        id_column: its column with the image's id.
        answer_column: its column to fill in.
        labels: labels that are combined; default: all, in their order.
        file: name of the file that is written.
    """

    def __init__(
        self,
        spec: DataSpec,
        sample: str,
        id_column: str,
        answer_column: str,
        labels: Annotated[list[str], Field(min_length=1)] | None = None,
        file: FileName = "submission.csv",
    ) -> None:
        self.spec, self.sample, self.id_column, self.answer_column, self.file = spec, sample, id_column, answer_column, file
        self.labels = labels or list(spec.classes)

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Labels that the data do not have."""
        for index, label in enumerate(args.labels or []):
            if label not in spec.classes:
                yield f"labels[{index}]", unknown_label(label, spec)

    @property
    def file_name(self) -> str:
        """The name of the file in the output folder."""
        return self.file

    def write(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path, path: Path) -> int:
        """Write the sample file with the answers filled in. Raises UserError where its rows are not those predicted."""
        sample = data_dir / self.sample
        names, rows, _ = read_csv(sample)
        for wanted in (self.id_column, self.answer_column):
            if wanted not in names:
                near = did_you_mean(wanted, names)
                raise UserError(f"{sample}: line 1: no column {wanted}{near}; there are: {', '.join(names)}")
        answers = self._answers(predictions)
        ids = [row[names.index(self.id_column)] for row in rows]
        require_same(ids, answers, sample)
        failed = predictions.failed()
        if failed:
            described = some([f"{name} {reason}" for name, reason in failed.items()])
            raise UserError(f"{path.name}: not written, since {len(failed)} images could not be read: {described}")
        place = names.index(self.answer_column)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([*row[:place], answers[name], *row[place + 1 :]] for name, row in zip(ids, rows, strict=True))
        files.write_bytes(path, text.getvalue().encode())
        return len(rows)

    def _answers(self, predictions: Predictions) -> dict[str, int]:
        columns = [np.nan_to_num(predictions.array(label), nan=-1.0).argmax(axis=1) for label in self.labels]
        combined = combined_class(columns, [len(self.spec.classes[label]) for label in self.labels])
        return dict(zip(predictions.ids(), combined.tolist(), strict=True))


def require_same(ids: Sequence[str], answers: Mapping[str, Any], sample: Path) -> None:
    """Raise UserError where the ids of a sample file are not those of the answers, each once."""
    twice = sorted(name for name, times in Counter(ids).items() if times > 1)
    missing, extra = [name for name in ids if name not in answers], sorted(set(answers) - set(ids))
    for names, what in ((twice, "listed twice"), (missing, "not predicted"), (extra, "predicted, but not asked for")):
        if names:
            raise UserError(f"{sample}: {len(names)} images are {what} ({some(names)}); nothing is written")
