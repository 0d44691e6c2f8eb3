"""The pages of the app, in the order of the menu.

A page is a module with an object `VIEW`, in this folder or in the `views` folder of a task.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from inspection.views.common import View


def _views() -> Iterator[View]:
    """Yield the view of every module in a folder called `views`."""
    root = Path(__file__).parents[1]
    for folder in sorted(root.glob("**/views")):
        package = ".".join(folder.relative_to(root.parent).parts)
        for module in pkgutil.iter_modules([str(folder)], f"{package}."):
            view = getattr(importlib.import_module(module.name), "VIEW", None)
            if isinstance(view, View):
                yield view


@cache
def views() -> dict[str, View]:
    """Return the pages by name, in the order of the menu."""
    return {view.name: view for view in sorted(_views(), key=lambda view: view.place)}
