"""Train what a config describes: `python train.py -c configs/demo.json`."""

from __future__ import annotations

import argparse

from utils.errors import run


def parse() -> argparse.Namespace:
    """The command line."""
    statuses = "Exit status: 0 done, 2 bad input, 75 stopped by SIGTERM, 130 by Ctrl-C; after 75 and 130, run again with -r auto."
    parser = argparse.ArgumentParser(description="Train what a config describes.", epilog=statuses)
    parser.add_argument("-c", "--config", help="JSON config; not needed with -r PATH")
    parser.add_argument("-r", "--resume", metavar="CKPT", help="checkpoint or run folder to go on from; `last`: the newest run; "
                        "`auto`: the newest unfinished run of this config, or a new one")  # fmt: skip
    parser.add_argument("-d", "--device", help="cpu, cuda, cuda:N or mps (default: a GPU if there is one)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change one config value")
    parser.add_argument("--lr", type=float, help="short for --set optimizer.args.lr=LR")
    parser.add_argument("--bs", type=int, help="short for --set data_loader.args.batch_size=BS")
    parser.add_argument("--folds", metavar="all|0,2", help="train these folds of the config's split, each as a run of one group")
    parser.add_argument("--check", action="store_true", help="check the config, report all problems, and stop")
    args = parser.parse_args()
    if not args.config and (args.check or args.folds is not None or args.resume in (None, "auto")):
        parser.error("-c/--config is required")
    return args


def main() -> int:
    args = parse()
    from trainer.runs.launch import check_only, launch  # heavy imports: not for --help

    return check_only(args) if args.check else launch(args)


if __name__ == "__main__":
    run(main)
