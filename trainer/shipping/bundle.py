"""Pack the files to hand in to a competition: `python laurel.py bundle -r CKPT`.

The zip holds the code, the config, the weights, the exact packages, the SHA-256 of every file, and `rebuild.py`, which makes
the submission again from the data. The same inputs give the same zip, byte for byte.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.shipping import rebuild
from utils import files
from utils.config import Overrides
from utils.errors import UserError

if TYPE_CHECKING:
    from base.saved.door import Saved
    from trainer.experiment.loading import Loaded

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "submission"  # folder of the bundle for all files that are not code
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can name


def run_bundle(several: Sequence[Saved], output: Path | None = None, overrides: Overrides = ()) -> Path:
    """Make the submission, and pack it with everything that is needed to make it again; return the path of the zip.

    output: None for bundle.zip in the first run's log. Raises UserError.
    """
    import torch

    from base.saved.door import model_file
    from base.saved.run_folder import RunFolder
    from trainer.experiment import loading

    paths = [model_file(saved) for saved in several]
    models = [loading.load_model(path, torch.device("cpu"), overrides) for path in paths]
    path = output or RunFolder.at(models[0].path.parent).log / "bundle.zip"
    contents = code()
    checkpoints = {f"{FOLDER}/checkpoint-{number}{one.path.suffix}": one for number, one in enumerate(models, 1)}
    contents |= {name: one.path.read_bytes() for name, one in checkpoints.items()}
    contents |= {f"{FOLDER}/config-{number}.json": _json(one.experiment.raw.values) for number, one in enumerate(models, 1)}
    contents[f"{FOLDER}/requirements.lock"] = "".join(f"{line}\n" for line in packages()).encode()
    contents["rebuild.py"] = Path(rebuild.__file__).read_bytes()
    submission = _submission(models, several, overrides)
    if submission is not None:
        contents[f"{FOLDER}/{submission[0]}"] = submission[1]
    contents[rebuild.ABOUT] = _json(_about(checkpoints, submission))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"-o {path}: cannot be written ({error.strerror}); choose another") from None
    files.write_bytes(path, packed(contents))
    print(f"{path}: {len(contents) + 1:,} files, {path.stat().st_size / 1e6:,.1f} MB; unpacked: python rebuild.py DATA")
    return path


def code() -> dict[str, bytes]:
    """Return name -> content of every file that git tracks. Raises UserError if the project is not in a git repository."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"{ROOT}: is no git repository, so what belongs to the project is not known; git init, git add") from None
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    return {name: (ROOT / name).read_bytes() for name in names}


def packages() -> list[str]:
    """Return `name==version` of every installed package."""
    return sorted({f"{found.metadata['Name']}=={found.version}" for found in distributions()}, key=str.lower)


def packed(contents: dict[str, bytes]) -> bytes:
    """Return a zip of the files, in order of name and without times, with a list of the SHA-256 of every file."""
    sums = "".join(f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted({**contents, rebuild.SUMS: sums.encode()}.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _submission(models: list[Loaded], several: Sequence[Saved], overrides: Overrides) -> tuple[str, bytes] | None:
    """Return the submission's file name and content, as test.py makes it; None if the config has none, or data are missing."""
    import torch

    from trainer.evaluation.testing import run_test

    part = models[0].experiment.config.submission
    if part is None:
        print("the config has no submission; rebuild.py will predict only")
        return None
    name = part.build(models[0].spec).file_name
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_test(several, torch.device("cpu"), split="test", output=Path(folder), overrides=overrides)
        except UserError as error:
            print(f"no submission is packed: {str(error).splitlines()[0]}")
            return None
        return name, (Path(folder) / name).read_bytes()


def _about(checkpoints: dict[str, Loaded], submission: tuple[str, bytes] | None) -> dict[str, Any]:
    made = {"file": submission[0], "sha256": hashlib.sha256(submission[1]).hexdigest()} if submission is not None else None
    first = next(iter(checkpoints.values()))
    return {
        "checkpoints": list(checkpoints),
        "submission": made,
        "commit": _commit(),
        "runs": [one.path.absolute().parent.name for one in checkpoints.values()],
        **{key: first.state.get(key) for key in ("config_hash", "split_hash", "parents", "scores")},
    }


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
