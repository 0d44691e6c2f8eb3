"""The pages of the app, in the order in which a person asks: how good, what does it say, what is wrong, why, what next."""

from __future__ import annotations

from inspection.views import boxes, data, fix, mistakes, pairs, predict, runs, submission
from inspection.views.common import View

VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        runs.VIEW, predict.VIEW, mistakes.VIEW, pairs.VIEW, boxes.VIEW, data.VIEW, fix.VIEW, submission.VIEW,
    )
}  # fmt: skip
