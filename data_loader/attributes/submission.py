"""The submission file of the attributes task."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from base.base_reader import SUBMISSIONS, BaseSubmission, Verdict
from base.contracts import DataSpec
from base.labels import combined_class, unknown_label
from base.predictions import Predictions
from base.table import SampleTable, some
from base.types import FileName, Names
from data_loader.formats.csv_reader import read_csv
from data_loader.submissions.lint import counted, key_problems, text_of
from data_loader.submissions.sample_file import meant_ids, require_same


@SUBMISSIONS.register("attributes")
class CombinedClassSubmission(BaseSubmission):
    """A CSV file with one combined class number per image, in the rows and order of a sample file.

    The number counts through all combinations of the labels, the last label fastest: for labels of 3, 2 and 3 classes
    it is 6 * first + 3 * second + third.
    """

    fallback = "the most frequent class"

    def __init__(
        self,
        spec: DataSpec,
        sample: Annotated[
            str,
            Field(description="the competition's sample file below the data folder; its rows name the images and their order"),
        ],
        id_column: Annotated[str, Field(description="the column of the sample file with the image's id")],
        answer_column: Annotated[str, Field(description="the column of the sample file to fill in")],
        labels: Annotated[Names | None, Field(description="the labels that are combined; null for all, in their order")] = None,
        file: FileName = "submission.csv",
    ) -> None:
        self.spec, self.sample, self.id_column, self.answer_column, self.file = spec, sample, id_column, answer_column, file
        self.labels = labels or list(spec.classes)

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Yield (key, message) for labels that the data do not have."""
        for index, label in enumerate(args.labels or []):
            if label not in spec.classes:
                yield f"labels[{index}]", unknown_label(label, spec)

    @property
    def file_name(self) -> str:
        """The name of the file in the output folder."""
        return self.file

    def content(self, predictions: Predictions, table: SampleTable, fitted: Mapping[str, Any], data_dir: Path) -> bytes:
        """Return the sample file with the answers filled in."""
        names, rows, ids = self._asked_for(data_dir)
        predicted = self._answers(predictions)
        meant = meant_ids(ids, predicted)
        require_same([meant[name] for name in ids], predicted, data_dir / self.sample)
        answers = {name: predicted[meant[name]] for name in ids}
        place = names.index(self.answer_column)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([*row[:place], answers[name], *row[place + 1 :]] for name, row in zip(ids, rows, strict=True))
        return text.getvalue().encode()

    def lint(self, content: bytes, table: SampleTable, data_dir: Path) -> Verdict:
        """Check that the content is the sample file with a class number in every row."""
        names, sample, wanted = self._asked_for(data_dir)
        text, problems = text_of(content)
        try:
            header, *rows = list(filter(None, csv.reader(io.StringIO(text), strict=True))) or [[]]
        except csv.Error as error:
            return Verdict(0, [*problems, f"is not CSV ({error})"])
        if header != names:
            return Verdict(
                len(rows), [*problems, f"its columns are {some(header, 20) or 'none'}; asked for are {', '.join(names)}"]
            )
        odd = [f"row {number}" for number, row in enumerate(rows, 1) if len(row) != len(names)]
        problems += counted("rows have another number of fields than the header", odd)
        whole = [row for row in rows if len(row) == len(names)]
        keys = [row[names.index(self.id_column)] for row in whole]
        problems += key_problems(keys, wanted)
        place, limit = names.index(self.answer_column), math.prod(len(self.spec.classes[label]) for label in self.labels)
        allowed = set(map(str, range(limit)))
        wrong = [f"{key}: {row[place] or 'nothing'}" for key, row in zip(keys, whole, strict=True) if row[place] not in allowed]
        problems += counted(f"answers are no class number from 0 to {limit - 1}", wrong)
        if keys == wanted:
            other = [
                key
                for key, row, asked in zip(keys, whole, sample, strict=True)
                if row[:place] + row[place + 1 :] != asked[:place] + asked[place + 1 :]
            ]
            problems += counted("rows differ from the sample file beside their answer", other)
        return Verdict(len(rows), problems)

    def require_sample(self, table: SampleTable, data_dir: Path) -> None:
        """Require that the sample file asks for exactly the samples."""
        ids = self._asked_for(data_dir)[2]
        meant = meant_ids(ids, table.ids())
        require_same([meant[name] for name in ids], dict.fromkeys(table.ids()), data_dir / self.sample)

    def _classes(self, predictions: Predictions, label: str) -> np.ndarray:
        """Return the most probable class of each sample, (N,) int64; for an unreadable one the most frequent class.

        It is the most frequent in training if the classes are trained as they are predicted, else among the other samples.
        """
        probabilities = predictions.array(label)
        known = ~np.isnan(probabilities).any(axis=1)
        classes: np.ndarray = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), 0)
        counts = self.spec.counts.get(label) if label not in self.spec.merged else None
        classes[~known] = np.argmax(counts if counts else np.bincount(classes[known]))
        return classes

    def _asked_for(self, data_dir: Path) -> tuple[list[str], list[list[str]], list[str]]:
        """Return the header, the rows and the ids of the sample file. Raises UserError if a column is missing."""
        sample = data_dir / self.sample
        read = read_csv(sample)
        read.require(sample, self.id_column, self.answer_column)
        names, rows, *_ = read
        return names, rows, [row[names.index(self.id_column)] for row in rows]

    def _answers(self, predictions: Predictions) -> dict[str, int]:
        columns = [self._classes(predictions, label) for label in self.labels]
        combined = combined_class(columns, [len(self.spec.classes[label]) for label in self.labels])
        return dict(zip(predictions.ids(), combined.tolist(), strict=True))
