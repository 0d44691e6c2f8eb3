"""Count how wrong configs are refused: `python -m benchmarks.mutations -n 1000 --bytes 10000`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.integration.mutate import Verdict, judge, mutations, table
from tests.integration.nonsense import nonsense, said_of
from tests.shipped import CONFIGS
from utils import config


def main() -> None:
    """Print the table, and with -v every mutation that was not handled as it should be."""
    parser = argparse.ArgumentParser(description="Mutate the shipped configs and count how the copies are refused.")
    parser.add_argument("-n", "--number", type=int, default=300, help="mutations")
    parser.add_argument("--bytes", type=int, default=2000, help="random byte strings beside them")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every mutation that was not handled as it should be")
    args = parser.parse_args()
    configs = [config.read(path).values for path in CONFIGS]
    with tempfile.TemporaryDirectory() as folder:
        verdicts = [judge(mutation, Path(folder)) for mutation in mutations(configs, args.number, args.seed)]
        refused = sum(bool(said_of(content, Path(folder))) for content in nonsense(CONFIGS, args.bytes, args.seed))
    print(table(verdicts))
    print(f"random byte strings: {refused:,} of {args.bytes:,} refused")
    if args.verbose:
        show([verdict for verdict in verdicts if not verdict.right])


def show(verdicts: list[Verdict]) -> None:
    """Print the mutation, the correct key or value, and the messages."""
    for verdict in verdicts:
        print(f"\n{verdict.mutation.kind}: {config.key_text(verdict.mutation.key)} {verdict.mutation.meant or ''}")
        print("\n".join(f"    {line}" for line in verdict.lines or [verdict.error or "accepted"]))


if __name__ == "__main__":
    main()
