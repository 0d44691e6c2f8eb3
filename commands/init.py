"""Look at a folder of pictures, or at a file of annotations, and write a config that trains on it.

Names and headers are read, no pixels. Every line of the config may be changed; its comments say where the proposal is a guess.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils import options
from utils.errors import UserError

if TYPE_CHECKING:
    from data_loader.prepare.look import Look, Proposal

SCHEMA = Path(__file__).parents[1] / "configs" / "schema.json"
ORDER = ("$schema", "name", "arch", "data_loader", "loss", "metrics", "optimizer", "lr_scheduler", "trainer", "submission")
DATA_LOADER = Path(__file__).parents[1] / "data_loader"
FIRST = ("data_dir", "reader", "valid_reader", "test_reader", "identity", "labels", "classes", "split")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "path", metavar="PATH", type=Path, help="folder, or a file of annotations: CSV, data.yaml, COCO's JSON, pairs"
    )
    tasks = sorted(path.parent.name for path in DATA_LOADER.glob("*/recognise.py"))
    parser.add_argument("--task", choices=tasks, help="if the pictures could be for several")
    parser.add_argument("--format", help="if the folder holds several; the message names them")
    options.output(parser, "config to write; must not exist yet (default: config.json)", "FILE", default=Path("config.json"))


def main(args: argparse.Namespace) -> int:
    """Print what was found and write the config; return the exit status. Raises UserError if nothing is recognised."""
    from data_loader.prepare.look import Look, propose, written
    from utils import files

    if args.output.exists():
        raise UserError(f"{args.output}: exists already; choose another file with -o")
    look = Look(args.path, args.task)
    proposal = propose(look, args.format)
    print(f"{args.path}: {proposal.format} ({proposal.task}), {len(look.pictures):,} pictures")
    for line in [*proposal.lines, *_others(look)]:
        print(f"  {line}")
    head = f"Written by `laurel.py init {args.path}`: {proposal.format}."
    files.write_bytes(args.output, written(_values(look, proposal, args.output), proposal.remarks, head).encode())
    print(f"{args.output}: written; next: python laurel.py check {args.output}, then python train.py {args.output}")
    return 0


def _others(look: Look) -> list[str]:
    """Return a line on files that are neither pictures nor annotations."""
    from base.table import some

    known = (".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".txt", ".names", ".md")
    odd = [name for name in look.files if name not in look.index.known and not name.lower().endswith(known)]
    return [f"others    {len(odd):,} files are not read: {some(odd, 3)}"] if odd else []


def _values(look: Look, proposal: Proposal, output: Path) -> dict[str, Any]:
    """Return the config in the order in which configs are written."""
    from data_loader.prepare.look import loader_of

    args = {"data_dir": str(look.data_dir), **proposal.args}
    ordered = {key: args[key] for key in (*(key for key in FIRST if key in args), *(key for key in args if key not in FIRST))}
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", look.data_dir.resolve().name).strip("-") or "mine"
    ours = output.resolve().is_relative_to(SCHEMA.parents[1])
    values = {
        **({"$schema": os.path.relpath(SCHEMA, output.resolve().parent)} if ours else {}),
        "name": name,
        "data_loader": {"type": loader_of(proposal.task), "args": ordered},
        **proposal.rest,
    }
    return {key: values[key] for key in ORDER if key in values}
