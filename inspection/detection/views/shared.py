"""The parts for boxes of the pages that all tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from base.contracts import DataSpec
from base.detection.objects import OBJECT
from inspection.detection.drawing import drawn
from inspection.views.tasks import Score, TaskViews
from utils.errors import UserError

if TYPE_CHECKING:
    from inspection.models import Answer

CONFIDENCE = 0.3


class DetectionViews(TaskViews):
    """The boxes in the picture and in a table. The map explains the score of the most confident box."""

    def show(self, said: Answer, picture: np.ndarray, spec: DataSpec) -> None:
        """Show the boxes whose score is at least the confidence chosen on the page Boxes."""
        names, least = spec.classes.get(OBJECT, []), st.session_state.get("confidence", CONFIDENCE)
        boxes, scores, numbers = (np.asarray(said.prediction[name]) for name in ("boxes", "scores", "labels"))
        scores = scores.astype(np.float64)  # compared in double precision, as the metric does
        chosen = np.flatnonzero(scores >= least)
        st.image(drawn(picture, boxes[chosen], numbers[chosen], said.size), width="stretch")
        classes = [names[int(number)] if int(number) < len(names) else str(int(number)) for number in numbers[chosen]]
        rows = pd.DataFrame(boxes[chosen].round(1), columns=["x1", "y1", "x2", "y2"])
        rows.insert(0, "class", classes)
        rows.insert(1, "score", scores[chosen])
        st.dataframe(rows, hide_index=True, column_config={"score": st.column_config.NumberColumn(format="%.3f")})

    def score(self, said: Answer, spec: DataSpec, key: str) -> Score:
        """Return the score of the most confident box."""
        return _best_box


def _best_box(prediction: dict[str, Any]) -> Any:
    """Return the largest score. Raises UserError if there is no box."""
    scores = prediction["scores"][0]
    if not len(scores):
        raise UserError("there is no box to explain")
    return scores.max()


SHARED = DetectionViews()
