"""Run every benchmark, one after the other: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys

MODULES = ("startup", "trainer", "malloc", "loader", "evaluation", "memory", "conversion", "search", "mutations", "kills", "app")


def main() -> int:
    """Run all benchmarks; return the exit status of the first that failed, else 0."""
    status = 0
    for name in MODULES:
        print(f"== benchmarks.{name}", flush=True)
        status = status or subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
