"""Start a project from this one: `python new_project.py ../my-task --tasks attributes`."""

from __future__ import annotations

import sys

from laurel import command
from utils.errors import run

if __name__ == "__main__":
    run(lambda: command("new-project", sys.argv[1:]))
