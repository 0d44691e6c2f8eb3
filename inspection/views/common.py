"""What the views share: the chosen run and evaluation, messages, pages of pictures. Text from data goes through `plain`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import streamlit as st

from data_loader.pictures.decode import ImageError
from inspection import jobs, pictures, results
from inspection.results import Result
from inspection.runs import Run, all_runs
from inspection.text import literal
from utils.errors import UserError

PAGE = 12
QUERY: Final = "query-params"
FIRST_RUN = "make train", "python train.py -c configs/demo.json"


@dataclass(frozen=True)
class View:
    """A page of the app.

    place: where it stands in the menu, in ascending order. kinds: the kinds of prediction it can show; empty for a view
    that needs none.
    """

    name: str
    place: int
    show: Callable[[], None]
    kinds: frozenset[str] = frozenset()


def plain(text: object) -> None:
    """Text from data, as it is."""
    st.text(str(text))


def problem(text: object) -> None:
    """What is wrong, in its place, while the rest of the page goes on; text from data may be in it."""
    lines = str(text).splitlines() or ["unknown"]
    st.error(literal(lines[0]), icon=":material/error:")
    if len(lines) > 1:
        st.code("\n".join(lines[1:40]), language=None, wrap_lines=True)


def commands(*lines: str) -> None:
    """Commands to copy."""
    st.code("\n".join(lines), language="bash", wrap_lines=True)


def no_runs() -> None:
    """What to do where there is no run."""
    st.info("No runs yet. Train one: `make train`, or:", icon=":material/rocket_launch:")
    commands(FIRST_RUN[1])


def chosen_run() -> Run | None:
    """The run of the sidebar."""
    label = st.session_state.get("run")
    return next((run for run in all_runs() if run.label == label), None)


def run_box() -> None:
    """The box in the sidebar from which all views take their run."""
    labels = [run.label for run in all_runs()]
    if labels:
        st.selectbox("Run", labels, key="run", bind=QUERY)


def other_run(label: str, key: str, but: Run | None = None) -> Run | None:
    """A box to choose a second run to compare with."""
    runs = {run.label: run for run in all_runs() if run != but}
    name = st.selectbox(label, [*runs], index=None, key=key, bind=QUERY, placeholder="none")
    return runs.get(name or "")


def model_box(run: Run, label: str, key: str) -> Path | None:
    """The checkpoint or exported file of a run that the user chooses, where there are several; a message where there is none."""
    files = run.model_files
    if not files:
        problem(f"{run.folder}: holds no checkpoint yet")
        return None
    return files[st.selectbox(label, [*files], key=key, bind=QUERY)] if len(files) > 1 else next(iter(files.values()))


def chosen_result(run: Run, kinds: Collection[str], split: str = "valid") -> Result | None:
    """The evaluation that the user chooses, of one of the kinds; offers to make it where there is none."""
    names = results.found(run)
    fitting = [name for name in names if results.kind_of(run, name) & set(kinds)]
    if not fitting:
        if names and (there := results.kinds(run)):
            st.info(
                f"This run predicts {', '.join(sorted(there))}; this view shows {', '.join(sorted(kinds))}. Choose another run."
            )
        else:
            offer(run, split)
        return None
    fitting.sort(key=lambda name: not results.of_split(name, split))
    name = st.selectbox("Predictions", fitting, key="of", bind=QUERY)
    try:
        return results.read(run, name)
    except UserError as error:
        problem(error)
        offer(run, split)
        return None


def offer(run: Run, split: str) -> None:
    """Say which command makes a run's predictions, and make them at the press of a button."""
    st.info(f"No {split} predictions of this run yet. Make them with this command, or here.", icon=":material/play_circle:")
    commands(jobs.command(run, split))
    if st.button("Predict now", key=f"make-{split}", icon=":material/play_arrow:"):
        bar = st.progress(0.0, "predicting")
        try:
            jobs.predict(run, split, lambda done: bar.progress(done, f"predicting: {done:.0%}"))
        except UserError as error:
            problem(error)
            return
        st.rerun()


def pages(number: int, key: str, size: int = PAGE) -> slice:
    """A pager where there are more than fit on a page, and which of them to show."""
    count = max(1, -(-number // size))
    if count == 1:
        return slice(0, size)
    page = st.pagination(count, key=f"{key}-{count}", max_visible_pages=5)
    return slice((page - 1) * size, page * size)


def gallery(result: Result, rows: Sequence[int] | np.ndarray, caption: Callable[[int], Sequence[str]], width: int = 150) -> None:
    """Small pictures of samples in rows that wrap, each with lines of text; a broken one is a message in its place."""
    with st.container(horizontal=True, gap="small"):
        for row in map(int, rows):
            with st.container(width=width, gap="small"):
                sample_picture(lambda row=row: result.picture(row), width)  # type: ignore[misc]
                plain("\n".join(caption(row)))


def sample_picture(path_of: Callable[[], Path], width: int) -> None:
    """The picture of a file, or why there is none."""
    try:
        st.image(pictures.thumbnail(path_of()), width=width)
    except (UserError, ImageError) as error:
        st.warning(literal(error), icon=":material/broken_image:")


def samples_of(result: Result) -> dict[str, int]:
    """Sample id -> row."""
    return {sample: row for row, sample in enumerate(result.samples.ids())}
