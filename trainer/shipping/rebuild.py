"""Rebuild the submission of this bundle from the data: `python rebuild.py DATA`.

Checks every file of the bundle against its SHA-256, predicts, and compares the submission with the one that was handed in.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

SUMS, ABOUT = "SHA256SUMS", "bundle.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of the data set, as data_loader.args.data_dir names it")
    parser.add_argument("-o", "--output", default="rebuilt", help="folder for the submission (default: rebuilt)")
    args = parser.parse_args()
    here = Path(__file__).resolve().parent
    wrong = [name for name, digest in sums(here) if not (here / name).is_file() or sha256(here / name) != digest]
    if wrong:
        return say(f"{len(wrong)} files are missing or not those of the bundle: {', '.join(wrong[:5])}", 2)
    about = json.loads((here / ABOUT).read_text(encoding="utf-8"))
    output, data = Path(args.output).resolve(), json.dumps(str(Path(args.data).resolve()))
    checkpoints = [word for name in about["checkpoints"] for word in ("-r", str(here / name))]
    command = [sys.executable, "test.py", *checkpoints, "-o", str(output), "--split", "test", "-d", "cpu", "--verbosity", "1"]
    status = subprocess.run([*command, "--set", f"data_loader.args.data_dir={data}"], cwd=here).returncode
    if status:
        return status
    return compare(output, about["submission"])


def compare(output: Path, expected: dict[str, str] | None) -> int:
    """Print whether the submission equals the submission handed in, byte for byte; return the exit status."""
    if expected is None:
        return say(f"{output}: rebuilt; the bundle does not say what it should be", 0)
    digest = sha256(output / expected["file"])
    if digest != expected["sha256"]:
        return say(f"{output / expected['file']}: is another submission ({digest[:16]}, handed in: {expected['sha256'][:16]})", 1)
    return say(f"{output / expected['file']}: byte for byte the submission that was handed in ({digest[:16]})", 0)


def sums(folder: Path) -> list[tuple[str, str]]:
    """Return (file, SHA-256) of every file of the bundle."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    return [(line[66:], line[:64]) for line in lines]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def say(text: str, status: int) -> int:
    print(text, file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
