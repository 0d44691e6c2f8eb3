"""Look at runs and predictions in a browser: `streamlit run app.py`."""

from __future__ import annotations

import argparse
from pathlib import Path

APP = Path(__file__).parents[1] / "app.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("options", metavar="OPTION", nargs="*", help="for streamlit, after --, as -- --server.port 8502")


def main(args: argparse.Namespace) -> int:
    """Serve the app until it is stopped; return the exit status."""
    import subprocess
    import sys

    import streamlit  # noqa: F401 - so that a missing package is named in one line

    return subprocess.run([sys.executable, "-m", "streamlit", "run", str(APP), *args.options]).returncode
