"""Parts that the pages share: choice of run and evaluation, messages, galleries. `plain` shows text from data literally."""

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
FIRST_RUN = "python train.py -c configs/demo.json"


@dataclass(frozen=True)
class View:
    """A page of the app.

    place: number that orders the menu, ascending. kinds: the tasks whose predictions the page can show; empty if the page
    needs no predictions.
    """

    name: str
    place: int
    show: Callable[[], None]
    kinds: frozenset[str] = frozenset()


def plain(text: object) -> None:
    """Show text from data literally, without Markdown."""
    st.text(str(text))


def problem(text: object) -> None:
    """Show an error message, which may contain text from data; the rest of the page is shown as usual."""
    lines = str(text).splitlines() or ["unknown"]
    st.error(literal(lines[0]), icon=":material/error:")
    if len(lines) > 1:
        st.code("\n".join(lines[1:40]), language=None, wrap_lines=True)


def commands(*lines: str) -> None:
    """Show commands to copy."""
    st.code("\n".join(lines), language="bash", wrap_lines=True)


def no_run_chosen() -> None:
    """Say how to choose a run, or how to train one if there is none yet."""
    if all_runs():
        st.info("Choose a run at the side.", icon=":material/arrow_back:")
        return
    st.info("No runs yet. Train one: `make train`, or:", icon=":material/rocket_launch:")
    commands(FIRST_RUN)


def chosen_run() -> Run | None:
    """Return the run chosen in the sidebar; None if there is no such run."""
    label = st.session_state.get("run")
    return next((run for run in all_runs() if run.label == label), None)


def run_box() -> None:
    """Show the box that chooses the run of all pages, and keep the run in the link, so that the link never means another run.

    Without a run in the link the newest run is chosen. If the run in the link is not there, say so, and choose none.
    """
    labels = [run.label for run in all_runs()]
    if not labels:
        return
    asked = st.session_state.get("run", st.query_params.get("run", labels[0]))
    st.session_state["run"] = asked if asked in labels else None
    chosen = st.selectbox("Run", labels, index=None, key="run", placeholder="choose a run")
    if chosen is not None:
        st.query_params["run"] = chosen
    elif asked is not None:
        problem(f"{asked}: this run is not there (it was moved, renamed or deleted); choose another")


def other_run(label: str, key: str, but: Run | None = None) -> Run | None:
    """Show a box to choose a second run to compare with; return the run, None if none is chosen. but: run to leave out."""
    runs = {run.label: run for run in all_runs() if run != but}
    name = st.selectbox(label, [*runs], index=None, key=key, bind=QUERY, placeholder="none")
    return runs.get(name or "")


def model_box(run: Run, label: str, key: str) -> Path | None:
    """Return a checkpoint or exported file of a run; if there are several, the user chooses.

    If there is none, show a message and return None.
    """
    files = run.model_files
    if not files:
        problem(f"{run.folder}: holds no checkpoint yet")
        return None
    return files[st.selectbox(label, [*files], key=key, bind=QUERY)] if len(files) > 1 else next(iter(files.values()))


def chosen_result(run: Run, kinds: Collection[str], split: str = "valid") -> Result | None:
    """Let the user choose an evaluation of one of the kinds, with those of `split` first, and return it.

    If there is no such evaluation, or it cannot be read, offer to make it and return None.
    """
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
    """Show the command that predicts a split with a run, and a button that runs it."""
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
    """Return the slice of `number` things to show; if they do not fit on a page of `size`, show a pager."""
    count = max(1, -(-number // size))
    if count == 1:
        return slice(0, size)
    page = st.pagination(count, key=f"{key}-{count}", max_visible_pages=5)
    return slice((page - 1) * size, page * size)


def gallery(result: Result, rows: Sequence[int] | np.ndarray, caption: Callable[[int], Sequence[str]], width: int = 150) -> None:
    """Show small pictures of samples, with lines of text below each; a message in place of a picture that cannot be read.

    rows: (n,) integers. width: of a picture in pixels.
    """
    with st.container(horizontal=True, gap="small"):
        for row in map(int, rows):
            with st.container(width=width, gap="small"):
                sample_picture(lambda row=row: result.picture(row), width)  # type: ignore[misc]
                plain("\n".join(caption(row)))


def sample_picture(path_of: Callable[[], Path], width: int) -> None:
    """Show the picture of a file, or the reason why it cannot be shown. width: in pixels."""
    try:
        st.image(pictures.thumbnail(path_of()), width=width)
    except (UserError, ImageError) as error:
        st.warning(literal(error), icon=":material/broken_image:")


def samples_of(result: Result) -> dict[str, int]:
    """Return sample id -> row."""
    return {sample: row for row, sample in enumerate(result.samples.ids())}
