"""Write the annotations of a balanced subset, chosen by the classes in a picture.

A rule is `any:a,b` or `all:a,b`, with `/n` behind it for every n-th picture that fits: --rule any:cigar,phone --rule
all:eye_closed,mouth_closed --rule all:mouth_opened/3. A picture is kept if some rule keeps it. In a config
data_loader.args.subset does the same without another file.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from data_loader.detection import convert

if TYPE_CHECKING:
    from data_loader.detection.subset import Rule


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    convert.add_arguments(parser)
    parser.add_argument("--rule", action="append", required=True, help="any:a,b or all:a,b, with /n for every n-th; repeatable")


def main(args: argparse.Namespace) -> int:
    """Choose the pictures, write their annotations, and print the class counts before and after.

    Raises UserError for unknown classes, or if no picture fits.
    """
    from base.detection.objects import objects_of
    from data_loader.detection import subset
    from data_loader.formats.repairs import repair_lines
    from utils.errors import UserError

    rules = [parse_rule(text) for text in args.rule]
    source = convert.Source(args.source, args.annotations, args.images, args.names, args.invalid, args.first_pixel)
    names = source.names_for(args.target)
    table = source.read().sorted()
    classes = names or sorted(set(objects_of(table).names))
    unknown = subset.unknown_classes(rules, classes)
    if unknown:
        raise UserError("\n".join(f"--rule {args.rule[index]}: {message}" for index, message in unknown))
    kept = table.take(subset.chosen(table, rules, classes))
    if not len(kept):
        raise UserError(f"--rule {' '.join(args.rule)}: no picture fits")
    convert.write(kept, args.target, args.output, names, args.first_pixel)
    print("\n".join([*subset.report(table, kept, classes), *repair_lines(table)]))
    return 0


def parse_rule(text: str) -> Rule:
    """Return the rule of a command-line text. Raises UserError for other text."""
    from data_loader.detection.subset import Rule
    from utils.errors import UserError

    match = re.fullmatch(r"(any|all):([^,/]+(?:,[^,/]+)*)(?:/([1-9]\d{0,8}))?", text)
    if match is None:
        raise UserError(f"--rule {text}: allowed: any:a,b or all:a,b, with /n behind it for every n-th picture that fits")
    return Rule.model_validate({match[1]: match[2].split(","), "keep_every": int(match[3] or 1)})
