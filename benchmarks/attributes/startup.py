"""Measure the start of the scripts: the seconds of `--help`, and of `--check` beyond one import of torch.

python -m benchmarks.attributes.startup [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.pairs import seconds

ROOT = Path(__file__).parents[2]


def command(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    helps, checks, imports = [], [], []
    for _ in range(rounds):
        helps.append(seconds(lambda: command("train.py", "--help")))
        imports.append(seconds(lambda: command("-c", "import torch")))
        checks.append(seconds(lambda: command("train.py", "-c", "configs/masks.json", "--check")))
    beyond = sorted(check - torch_only for check, torch_only in zip(checks, imports, strict=True))
    print(f"train.py --help                    {statistics.median(helps):.2f} s  target under 0.3")
    print(f"import torch                       {statistics.median(imports):.2f} s")
    spread = f"({beyond[0]:.2f} to {beyond[-1]:.2f})"
    print(f"train.py --check beyond that       {statistics.median(beyond):.2f} s  {spread}  target under 1.0")


if __name__ == "__main__":
    main()
