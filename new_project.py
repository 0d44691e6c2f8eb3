"""Start a project of your own from this one: `python new_project.py ../my-task --tasks attributes`."""

from __future__ import annotations

import argparse

from project import init
from utils.errors import run


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=init.__doc__)
    init.add_arguments(parser)
    return init.main(parser.parse_args())


if __name__ == "__main__":
    run(main)
