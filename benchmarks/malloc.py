"""Measure the speed of a training step on the CPU with freed memory kept for the next step, over the C library's default.

    python -m benchmarks.malloc [--model efficientnet_b0] [--batch 64] [--size 112] [--rounds 3]

Every measurement has its own process, since the setting cannot be undone; the two sides take turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.pairs import line, seconds

STEPS = 4


def steps(model_name: str, batch: int, size: int, kept: bool) -> float:
    """Return the seconds of STEPS training steps, after one step to warm up."""
    import timm
    import torch

    from utils import memory

    if kept and not memory.keep_freed():
        raise SystemExit("benchmarks.malloc: the C library is not glibc; there is nothing to compare")
    model = timm.create_model(model_name, num_classes=10).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.arange(batch) % 10

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    step()
    return sum(seconds(step) for _ in range(STEPS))


def main() -> None:
    """Measure both sides in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="efficientnet_b0", help="of timm")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=112, help="edge of the images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=("kept", "given"), help="measure one side here, and print its seconds")
    options = parser.parse_args()
    if options.side:
        print(steps(options.model, options.batch, options.size, options.side == "kept"))
        return

    def apart(side: str) -> float:
        command = [sys.executable, "-m", "benchmarks.malloc", "--side", side]
        command += ["--model", options.model, "--batch", str(options.batch), "--size", str(options.size)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    ratios = sorted(apart("given") / apart("kept") for _ in range(options.rounds))
    print(line(f"steps with freed memory kept, {options.model}", ratios, 1.0))


if __name__ == "__main__":
    main()
