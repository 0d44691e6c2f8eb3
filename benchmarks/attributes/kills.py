"""Test that a run survives kills and signals at any moment, kills inside saves, full disks and damaged files.

    python -m benchmarks.attributes.kills                                  a few of each
    python -m benchmarks.attributes.kills --kills 50 --workers 0,2  F1  kill -9 of the whole process group
    python -m benchmarks.attributes.kills --stages 10  F1  the same, of two stages that run as one
    python -m benchmarks.attributes.kills --folds 5  F1  the same, of five folds and their out-of-fold predictions
    python -m benchmarks.attributes.kills --signals 50  F5  SIGTERM and SIGINT, twice, to the whole group
    python -m benchmarks.attributes.kills --save-kills 300  F2  kill -9 inside a save of 80 MB
    python -m benchmarks.attributes.kills --damages 500  F3  damage to the newest checkpoint
    python -m benchmarks.attributes.kills --full 20  F4  a disk that fills up at this many offsets of a save

Every killed run is continued with the same command (`-r auto`). At the end its weights, their average, the optimiser's state
and its log must equal those of a run that was not killed, bit by bit. The exit status is 0 if all tests pass.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from utils import files
from utils.checkpoint import CheckpointError, CheckpointFolder, weights_hash
from utils.checkpoint_names import BEST, LAST

ROOT = Path(__file__).parents[2]
STEPS = 6  # steps in an epoch of the config
MOMENTS = ("step", "validation", "save", "any")


# F1 and F5: whole runs ----------------------------------------------------------------------------------------------


def write_config(folder: Path, epochs: int, workers: int) -> Path:
    """Write the config of a tiny run with every kind of state: dropout, an average, a schedule, saves within epochs."""
    values = {
        "extends": str(ROOT / "configs" / "masks.json"),
        "name": "kills",
        "arch": {"args": {"backbone": "test_resnet", "drop_rate": 0.1}},
        "data_loader": {
            "args": {"data_dir": str(folder.parent / "masks"), "image_size": [32, 32], "batch_size": 16, "num_workers": workers}
        },
        "metrics": [{"type": "AttributeScores"}],
        "trainer": {
            "epochs": epochs, "precision": "fp32", "ema": 0.9, "accumulate": 2, "save_steps": 2, "log_every": 1,
            "tensorboard": False, "verbosity": 0, "save_dir": str(folder / "saved"),
        },
    }  # fmt: skip
    path = folder / "config.json"
    path.write_text(json.dumps(values))
    return path


def write_stages(folder: Path, epochs: int, workers: int) -> Path:
    """Write the config of two tiny runs as stages; the second starts from the best weights of the first."""
    values = json.loads(write_config(folder, math.ceil(epochs / 2) + 1, workers).read_text())
    for name, seed in (("first", 1), ("second", 2)):
        (folder / f"{name}.json").write_text(json.dumps({**values, "seed": seed}))
    stages = [
        {"name": "first", "config": "first.json"},
        {"name": "second", "config": "second.json", "init_from": {"stage": "first"}},
    ]
    path = folder / "config.json"
    path.write_text(json.dumps({"name": "kills", "stages": stages}))
    return path


def write_folds(folder: Path, epochs: int, workers: int) -> Path:
    """Write the config of a tiny run for each of five folds."""
    return write_config(folder, math.ceil(epochs / 5) + 1, workers)


class Run:
    """`train.py -r auto` in a process group of its own."""

    def __init__(self, folder: Path, config: Path, *more: str) -> None:
        self.folder = folder
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "train.py", "-c", str(config), "-r", "auto", "-d", "cpu", *more],
            cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True, stderr=self.errors,
        )  # fmt: skip

    def signal(self, number: int) -> None:
        """Send the signal to the process and its workers."""
        os.killpg(self.process.pid, number)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and the text on standard error."""
        status = self.process.wait()
        self.errors.seek(0)
        return status, self.errors.read()

    @property
    def is_saving(self) -> bool:
        """True if a checkpoint is half written."""
        return any(self.folder.glob(f"saved/models/*/*/{files.TEMPORARY}*.pth*"))

    def reaches(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition is true; return False if the run ends before."""
        while self.process.poll() is None:
            if condition():
                return True
            time.sleep(0.0005)
        return False


def log_of(folder: Path) -> str:
    """Return the logs of all runs, joined in order of their paths."""
    return "".join(path.read_text() for path in sorted((folder / "saved" / "log").glob("*/*/log.jsonl")))


def steps_in(log: str) -> int:
    return log.count('"kind": "step"')


def waits_for(run: Run, moment: str, chance: random.Random, startup: float) -> bool:
    """Wait for the moment to send the signal; return False if the run ends before."""
    begun = steps_in(log_of(run.folder))
    if moment == "any":  # also before the first step, but not so late that the run is at its end
        limit = time.monotonic() + chance.uniform(0.3, 1.2 * startup)
        run.reaches(lambda: time.monotonic() > limit or steps_in(log_of(run.folder)) >= begun + STEPS)
    elif moment == "save":
        for _ in range(chance.randint(1, 3)):
            if not (run.reaches(lambda: not run.is_saving) and run.reaches(lambda: run.is_saving)):
                return False
    else:
        wanted = begun + chance.randint(1, STEPS) if moment == "step" else (begun // STEPS + 1) * STEPS
        run.reaches(lambda: steps_in(log_of(run.folder)) >= wanted)
        time.sleep(chance.uniform(0, 0.03))
    return run.process.poll() is None


def outcome(folder: Path) -> dict[str, str]:
    """Return the hashes of everything that training computes, and of the logs."""
    runs = sorted({path.parent for path in (folder / "saved" / "models").glob("*/*/*.pth")})
    names = {run.parent.name for run in runs}
    assert len(names) == len(runs), f"more than one run of a stage: {runs}"
    hashes = {f"{run.parent.name} {part}": value for run in runs for part, value in end_of(run).items()}
    hashes |= {path.name: files.sha256(path) for path in (folder / "saved" / "log").glob("*/*/out-of-fold/*.*")}
    return {**hashes, "log": files.hash_lines([log_of(folder)])}


def end_of(models: Path) -> dict[str, str]:
    """Return the hashes of the parts of one run's last checkpoint, and of its best weights."""
    state = CheckpointFolder(models).load(LAST)
    moments = {f"{n} {name}": value for n, one in state["optimizer"]["state"].items() for name, value in one.items()}
    parts = {"weights": state["model"], "average": state["ema"], "optimizer": moments}
    best = CheckpointFolder(models).load(BEST)["ema"]
    return {name: weights_hash(part) for name, part in {**parts, "best": best}.items()}


def run_to_end(folder: Path, config: Path, *more: str) -> float:
    """Run training to its end; return the seconds until the first step."""
    run, start = Run(folder, config, *more), time.monotonic()
    run.reaches(lambda: steps_in(log_of(folder)) > 0)
    startup = time.monotonic() - start
    status, errors = run.end()
    assert status == 0, errors
    return startup


def interrupt(
    root: Path, number: int, workers: int, numbers: tuple[int, ...], seed: int, write: Callable[[Path, int, int], Path],
    more: tuple[str, ...],
) -> bool:  # fmt: skip
    """Interrupt a run `number` times, let it end, and compare it with a run that was not interrupted."""
    chance, struck, wrong = random.Random(seed), Counter[str](), []
    epochs = math.ceil(number * 1.5) + 4  # more steps than the run makes between the signals
    for name in ("alone", "struck"):
        (root / name).mkdir()
    startup = run_to_end(root / "alone", write(root / "alone", epochs, workers), *more)
    config = write(root / "struck", epochs, workers)
    for count in range(number):
        moment, kind = MOMENTS[count % len(MOMENTS)], numbers[count % len(numbers)]
        run = Run(root / "struck", config, *more)
        if waits_for(run, moment, chance, startup):
            struck[moment] += 1
            for _ in range(1 if kind == signal.SIGKILL else 2):
                with suppress(ProcessLookupError):
                    run.signal(kind)
        status, errors = run.end()
        allowed = {signal.SIGKILL: -9, signal.SIGTERM: 75, signal.SIGINT: 130}[kind]
        if status != allowed or errors.replace("interrupted\n", ""):
            wrong.append(f"{moment}: exit {status} {errors[-500:]}")
        if status == 0:  # the run ended before the signal; a further start would make a new run
            break
    else:
        run_to_end(root / "struck", config, *more)
    found, expected = outcome(root / "struck"), outcome(root / "alone")
    report(numbers, workers, struck, f"{number - len(wrong)}/{number} ended as they should", found, expected)
    print("\n".join(wrong), end="\n" if wrong else "")
    return found == expected and not wrong


def report(
    numbers: tuple[int, ...], workers: int, struck: Counter[str], ended: str, found: dict[str, str], expected: dict[str, str]
) -> None:
    names = "/".join(signal.Signals(kind).name for kind in numbers)
    moments = ", ".join(f"{amount} {moment}" for moment, amount in struck.items())
    unequal = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
    print(f"{names}, {workers} workers: {struck.total()} struck ({moments}); {ended}")
    for name in [name for name in found if name.endswith(" weights")]:
        print(f"{'':8} SHA-256 of the final {name} {found[name][:16]}, left alone {expected.get(name, '')[:16]}")
    print(f"{'':8} {', '.join(found)}: {'DIFFERENT: ' + ', '.join(unequal) if unequal else 'all equal'}", flush=True)


def whole_runs(
    number: int, workers: list[int], numbers: tuple[int, ...], write: Callable[[Path, int, int], Path] = write_config,
    more: tuple[str, ...] = (),
) -> bool:  # fmt: skip
    from data_loader.attributes.synthetic import write_masks

    held = []
    for count in workers:
        with tempfile.TemporaryDirectory() as folder:
            write_masks(Path(folder) / "masks", people=16, eval_people=1, seed=1, size=(32, 32))
            held.append(interrupt(Path(folder), number, count, numbers, count, write, more))
    return all(held)


# F2, F3 and F4: checkpoints -----------------------------------------------------------------------------------------


def state_of(step: int, megabytes: float) -> dict[str, Any]:
    """Return a checkpoint's state with `megabytes` of random weights (N,), uint8, seeded by the step."""
    weights = torch.randint(0, 256, (int(megabytes * 1e6),), dtype=torch.uint8, generator=torch.Generator().manual_seed(step))
    return {"config": {}, "progress": {"epoch": 0, "batch": 0, "step": step}, "model": {"weights": weights}}


def in_child(work: Callable[[], None]) -> int:
    """Start `work` in a child process; return its process id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(0)


def save_for_ever(folder: Path, state: dict[str, Any], first: int) -> None:
    """Do as a run does when it starts: remove temporary files, then save again and again."""
    files.remove_temporaries(folder)
    saved = CheckpointFolder(folder)
    for step in range(first, first + 1000):
        saved.save({**state, "progress": {**state["progress"], "step": step}}, [LAST])


def save_kills(number: int) -> bool:
    torch.set_num_threads(1)  # a fork loses threads
    chance, found = random.Random(0), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder, state = Path(name), state_of(0, 80)
        start = time.monotonic()
        CheckpointFolder(folder).save(state, [LAST])
        took, step = time.monotonic() - start, 0
        for _ in range(number):
            child = in_child(lambda step=step: save_for_ever(folder, state, step + 1))  # type: ignore[misc]
            time.sleep(chance.uniform(0, 2 * took))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            found["inside a write"] += bool(list(folder.glob(f"{files.TEMPORARY}*")))
            found["two temporary files"] += len(list(folder.glob(f"{files.TEMPORARY}*"))) > 1
            found["missing"] += not (folder / LAST).exists()
            try:
                reached = CheckpointFolder(folder).load(LAST)["progress"]["step"]
            except CheckpointError:
                found["corrupt"] += 1
                continue
            found["lost a save"] += reached < step
            step = reached
    bad = {name: found[name] for name in ("corrupt", "missing", "lost a save", "two temporary files")}
    print(f"kills inside saves of 80 MB: {number}, {found['inside a write']} with a file half written, {step} saves between them")
    print(f"{'':16} " + ", ".join(f"{amount} {name}" for name, amount in bad.items()))
    return not any(bad.values())


def damaged(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Return the kind of a random damage and the content with it: cut off, one bit flipped, or a page set to zero."""
    kind, place = chance.choice(["truncation", "one bit", "a zeroed page"]), chance.randrange(len(content))
    if kind == "truncation":
        return kind, content[:place]
    if kind == "one bit":
        return kind, content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
    page = place - place % 4096
    return kind, content[:page] + bytes(len(content[page : page + 4096])) + content[page + 4096 :]


def damages(number: int) -> bool:
    chance, kinds, found = random.Random(0), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = CheckpointFolder(Path(name))
        folder.save(state_of(1, 1), [BEST])
        folder.save(state_of(2, 1), [LAST])
        whole = (folder.folder / LAST).read_bytes()
        while kinds.total() < number:
            kind, content = damaged(whole, chance)
            if content == whole:
                continue
            kinds[kind] += 1
            (folder.folder / LAST).write_bytes(content)
            _, state, warnings = folder.load_newest()
            found["detected"] += len(warnings) == 1
            found["fell back"] += state["progress"]["step"] == 1
            one_line = len(warnings) == 1 and "\n" not in warnings[0]
            found["named both in one line"] += one_line and all(str(folder.folder / name) in warnings[0] for name in (LAST, BEST))
    print(f"damages to the newest checkpoint: {number} ({', '.join(f'{amount} {kind}' for kind, amount in kinds.items())})")
    print(f"{'':16} " + ", ".join(f"{amount} {name}" for name, amount in found.items()))
    return set(found.values()) == {number}


def full_disks(number: int) -> bool:
    """Let the system refuse writes beyond an offset (RLIMIT_FSIZE), as on a full disk; return whether every save was handled."""
    loadable, told = 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = CheckpointFolder(Path(name))
        folder.save(state_of(1, 8), [LAST])
        size = (folder.folder / LAST).stat().st_size
        for offset in [size * part // number for part in range(number)]:
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (offset, offset))
                try:
                    CheckpointFolder(folder.folder).save(state_of(2, 8), [LAST])
                except files.WriteError as error:
                    os._exit(0 if "\n" not in str(error) else 1)
                os._exit(1)
            told += os.waitpid(child, 0)[1] == 0
            loadable += CheckpointFolder(folder.folder).load(LAST)["progress"]["step"] == 1
            assert not list(folder.folder.glob(f"{files.TEMPORARY}*"))
    print(f"disk full at {number} offsets of a save: {told} told in one line, the last checkpoint loadable {loadable}/{number}")
    return told == loadable == number


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("kills", "stages", "folds", "signals", "save-kills", "damages", "full"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N")
    parser.add_argument("--workers", default="0,2", help="numbers of worker processes, with commas between them")
    args = parser.parse_args()
    if not any((args.kills, args.stages, args.folds, args.signals, args.save_kills, args.damages, args.full)):
        args.kills, args.stages, args.folds, args.signals, args.save_kills, args.damages, args.full = 10, 4, 2, 4, 50, 200, 20
    return args


def held(args: argparse.Namespace) -> Iterator[bool]:
    workers = [int(number) for number in args.workers.split(",")]
    if args.kills:
        yield whole_runs(args.kills, workers, (signal.SIGKILL,))
    if args.stages:
        yield whole_runs(args.stages, workers, (signal.SIGKILL,), write_stages)
    if args.folds:
        yield whole_runs(args.folds, workers, (signal.SIGKILL,), write_folds, ("--folds", "all"))
    if args.signals:
        yield whole_runs(args.signals, workers, (signal.SIGTERM, signal.SIGINT))
    if args.save_kills:
        yield save_kills(args.save_kills)
    if args.damages:
        yield damages(args.damages)
    if args.full:
        yield full_disks(args.full)


def main() -> int:
    return 0 if all(list(held(parse()))) else 1


if __name__ == "__main__":
    sys.exit(main())
