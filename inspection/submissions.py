"""Checks of a submission file before it is handed in: its form, its answers, and the difference to an earlier file."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from base.saved.names import MANIFEST, SCORES
from base.table import some
from data_loader.submissions.lint import counted, key_problems
from inspection.jail import below
from inspection.kinds import Parse, all_kinds
from inspection.results import Result
from utils.errors import UserError

MAX_BYTES = 200_000_000


@dataclass
class Submission:
    """The rows of a submission file: keys (an id, or several ids joined by a space) and answers, both as text."""

    name: str
    keys: list[str]
    answers: list[str]
    problems: list[str] = field(default_factory=list)

    @property
    def by_key(self) -> dict[str, str]:
        """Key -> answer."""
        return dict(zip(self.keys, self.answers, strict=True))


def found(folder: Path) -> list[Path]:
    """Return the files in an evaluation's folder that can be submissions, sorted."""
    ours = {MANIFEST, SCORES}
    return sorted(path for path in folder.glob("*") if path.suffix in formats() and path.name not in ours)


def parse(name: str, content: bytes, columns: tuple[str, str] | None = None) -> Submission:
    """Return the rows of a submission file.

    CSV with a header: columns gives the id and answer columns, by default the first and the last. A format of a task is read
    by that task. In any other text the last word of a line is the answer. Raises UserError if the file is too large, is not
    UTF-8 text, or does not have the form of its suffix.
    """
    if len(content) > MAX_BYTES:
        raise UserError(f"{name}: has {len(content):,} bytes; allowed: {MAX_BYTES:,}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: is not UTF-8 text (byte {error.start})") from None
    suffix = Path(name).suffix.lower()
    if suffix == ".csv":
        return _csv(name, text, columns)
    return _of_tasks().get(suffix, _lines)(name, text)


def formats() -> list[str]:
    """Return the suffixes of submission files."""
    return sorted({".csv", ".txt", *_of_tasks()})


def _of_tasks() -> dict[str, Parse]:
    return {suffix: parse for kind in all_kinds().values() for suffix, parse in kind.formats.items()}


def _csv(name: str, text: str, columns: tuple[str, str] | None) -> Submission:
    try:
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise UserError(f"{name}: is not CSV ({error})") from None
    if not rows or len(rows[0]) < 2:
        raise UserError(f"{name}: line 1: a header of at least two columns is needed")
    header = rows[0]
    wanted = columns or (header[0], header[-1])
    missing = [column for column in wanted if column not in header]
    if missing:
        raise UserError(f"{name}: line 1: no column {missing[0]}; there are: {', '.join(header)}")
    short = [number for number, row in enumerate(rows[1:], 2) if len(row) != len(header)]
    whole = [row for row in rows[1:] if len(row) == len(header)]
    problems = [f"{len(short)} lines have another number of columns than the header ({some(map(str, short))})"] if short else []
    places = [header.index(column) for column in wanted]
    keys, answers = ([row[place] for row in whole] for place in places)
    return Submission(name, keys, answers, problems)


def _lines(name: str, text: str) -> Submission:
    parts = [line.rsplit(maxsplit=1) for line in text.splitlines()]
    short = [number for number, words in enumerate(parts, 1) if len(words) < 2]
    problems = [f"{len(short)} lines have no answer (lines {some(map(str, short))})"] if short else []
    whole = [words for words in parts if len(words) == 2]
    return Submission(name, [words[0] for words in whole], [words[1] for words in whole], problems)


def lint(submission: Submission, wanted: Sequence[str] | None, expected: Mapping[str, str] | None = None) -> list[str]:
    """Return all problems of a submission, one line each; an empty list if it can be handed in.

    wanted: the keys that the competition asks for, in its order; None if they are not known. expected: key -> answer by the
    predictions; None if it is not known.
    """
    keys = submission.keys
    empty = [key for key, answer in zip(keys, submission.answers, strict=True) if not answer.strip()]
    problems = [*submission.problems, *key_problems(keys, wanted), *counted("rows have no answer", empty)]
    return problems + remarks(submission, expected)


def verdict(section: Mapping[str, Any], result: Result, name: str, content: bytes) -> list[str] | None:
    """Return the problems of a file by the rules of the config's submission, one line for each kind of problem.

    Returns None if the file has another name than the submission writes. section: `submission` of the config. Raises UserError
    if the section is wrong, or the competition's sample file cannot be read.
    """
    from base.base_reader import SUBMISSIONS
    from base.registry import import_all

    import_all("data_loader")
    try:
        part = SUBMISSIONS.part(str(section["type"])).model_validate_json(json.dumps(section))
        writer = part.build(result.spec)
    except (KeyError, ValueError) as error:
        raise UserError(f"submission: does not hold ({str(error).splitlines()[0]})") from None
    data_dir = Path(result.manifest.data_dir)
    if sample := getattr(writer, "sample", None):
        below(data_dir, sample)
    problems: list[str] | None = writer.lint(content, result.samples, data_dir).problems if writer.file_name == name else None
    return problems


def remarks(submission: Submission, expected: Mapping[str, str] | None = None) -> list[str]:
    """Return problems that a competition accepts but a person should look at, one line each. expected: as for `lint`."""
    problems, keys = list[str](), submission.keys
    if expected is not None:
        other = [key for key, answer in submission.by_key.items() if key in expected and expected[key] != answer]
        problems += counted("answers are not those of the predictions beside it", other)
    if len(keys) > 1 and len(set(submission.answers)) == 1:
        problems.append(f"all {len(keys):,} answers are the same ({some([submission.answers[0]])})")
    return problems


def difference(old: Submission, new: Submission) -> pd.DataFrame:
    """Return a table with the columns key, before, now: the rows whose answers differ.

    If only one submission has a key, the answer of the other is empty text.
    """
    before, now = old.by_key, new.by_key
    keys = list(dict.fromkeys([*new.keys, *old.keys]))
    changed = [(key, before.get(key, ""), now.get(key, "")) for key in keys if before.get(key) != now.get(key)]
    return pd.DataFrame(changed, columns=["key", "before", "now"])


def answer_shares(submission: Submission) -> pd.DataFrame:
    """Return a table with the columns answer, rows, share: how often each answer was given, share in [0, 1]."""
    counts, number = Counter(submission.answers), len(submission.answers)
    rows = [(answer, count, count / number) for answer, count in sorted(counts.items(), key=lambda item: (len(item[0]), item[0]))]
    return pd.DataFrame(rows, columns=["answer", "rows", "share"])
