"""Run every benchmark, one after the other: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MODULES = (
    "attributes.startup", "attributes.trainer", "malloc", "attributes.loader", "verification.evaluation", "memory",
    "detection.conversion", "verification.search", "mutations", "attributes.kills", "attributes.app",
)  # fmt: skip


def main() -> int:
    """Run all benchmarks; return the exit status of the first that failed, else 0."""
    status = 0
    folder = Path(__file__).parent
    for name in (name for name in MODULES if (folder / f"{name.replace('.', '/')}.py").exists()):
        print(f"== benchmarks.{name}", flush=True)
        status = status or subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
