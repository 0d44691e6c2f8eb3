"""Check a config, and look at all of its data before training: every file, every label, the split.

Exit status: 0 if training would start (there may be warnings), 2 if it would refuse the config or the data.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from utils import options

if TYPE_CHECKING:
    from data_loader.prepare.examine import Report
    from trainer.experiment.checking import Experiment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    options.config(parser)
    options.overrides(parser)
    parser.add_argument("--config-only", action="store_true", help="touch no data")
    options.output(parser, "also write the report on the data as JSON, for stages by the name of each", "FILE")


def main(args: argparse.Namespace) -> int:
    """Print the problems of the config, or the report on its data; return the exit status."""
    from trainer.runs.launch import plan, require_runnable, say_ok
    from utils import files

    planned = plan(args.config, args.set)
    require_runnable(planned.experiments)
    say_ok(planned.experiments)
    if args.config_only:
        return 0
    reports = {member.name: _look_at(member.experiment) for member in planned.members}
    if args.output:
        plain = {name: report.as_json() for name, report in reports.items()}
        files.write_json(args.output, plain.get("", plain))
    return 0 if all(report.usable for report in reports.values()) else 2


def _look_at(experiment: Experiment) -> Report:
    """Print the report on an experiment's data. Raises UserError if its loader reads no image files."""
    from base.base_data_loader import BaseDataLoader
    from base.contracts import RunContext
    from data_loader.prepare.examine import examine
    from data_loader.prepare.section import ReadsImages
    from trainer.experiment.build import submission_problems
    from utils.errors import UserError

    loader: BaseDataLoader = experiment.config.data_loader.build(RunContext())
    if not isinstance(loader, ReadsImages):
        name = type(loader).__name__
        raise UserError(f"{experiment.raw.file}: data_loader.type: {name} reads no image files; there is nothing to check")
    report = examine(loader.samples)
    if report.usable:
        report.warnings += submission_problems(experiment, loader)
    print(report.text())
    return report
