"""Test that dangerous checkpoint files (pickles that execute code, bombs) are refused before anything happens."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict

import pytest
import torch

from tests.helpers import ROOT
from tests.unit.utils.test_checkpoint import state_of
from utils import checkpoint
from utils.checkpoint import CheckpointError, CheckpointFolder
from utils.checkpoint_names import LAST

# Pickles that execute code ------------------------------------------------------------------------------------------


class Calls:
    """An object whose pickle calls `function` with `arguments`."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call


def payloads(marker):
    touch = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w').close()"
    line = f"cos\nsystem\n(S'{touch}'\ntR.".encode()
    return {
        "os.system, protocol 2": pickle.dumps(Calls(os.system, touch), 2),
        "os.system, protocol 4 (STACK_GLOBAL)": pickle.dumps(Calls(os.system, touch), 4),
        "os.system, protocol 0 (GLOBAL)": pickle.dumps(Calls(os.system, touch), 0),
        "os.system written by hand": line,
        "INST": f"(S'{touch}'\nios\nsystem\n.".encode(),
        "OBJ": f"(cos\nsystem\nS'{touch}'\no.".encode(),
        "builtins.eval": pickle.dumps(Calls(eval, code), 2),
        "builtins.exec, deep in a state": pickle.dumps({**state_of(1), "model": {"weight": [{"x": (Calls(exec, code),)}]}}, 2),
        "subprocess.Popen": pickle.dumps(Calls(subprocess.Popen, ["touch", str(marker)]), 2),
        "as a key": pickle.dumps({Calls(os.system, touch): 1}, 2),
        "as a state (BUILD)": pickle.dumps(Calls(OrderedDict, state={"x": Calls(os.system, touch)}), 2),
        "by way of torch": pickle.dumps(Calls(torch.load, io.BytesIO(line)), 2),
        "by way of getattr": f"cbuiltins\ngetattr\n(cos\nenviron\nS'clear'\ntR(S'{touch}'\ntR.".encode(),
    }


def archive(path, program, records=(), compression=zipfile.ZIP_STORED):
    """Write a file as torch.save writes it, with the given pickle."""
    with zipfile.ZipFile(path, "w", compression) as written:
        written.writestr("archive/data.pkl", program)
        for name, content in {"version": b"3\n", "byteorder": b"little", **dict(records)}.items():
            written.writestr(f"archive/{name}", content)


@pytest.mark.parametrize("kind", sorted(payloads("x")))
@pytest.mark.parametrize("wrapped", ["in torch's zip", "as it is"])
def test_a_pickle_that_calls_something_is_refused_and_nothing_executed(tmp_path, kind, wrapped):
    marker, path = tmp_path / "executed", tmp_path / LAST
    program = payloads(marker)[kind]
    archive(path, program) if wrapped == "in torch's zip" else path.write_bytes(program)

    with pytest.raises(CheckpointError) as error:
        CheckpointFolder(tmp_path).load(LAST)
    assert ("refused, it asks for" in str(error.value)) == (wrapped == "in torch's zip")
    assert "\n" not in str(error.value)
    assert not marker.exists()


def test_a_refusal_names_the_global_that_the_pickle_asks_for(tmp_path):
    archive(tmp_path / LAST, pickle.dumps(Calls(os.system, "true"), 2))

    with pytest.raises(CheckpointError, match=r'last\.pth: refused, it asks for "posix system"; nothing in it was executed'):
        checkpoint.load(tmp_path / LAST)


def test_a_whole_module_is_refused(tmp_path):
    torch.save({**state_of(1), "format": 1, "model": torch.nn.Linear(2, 2)}, tmp_path / LAST)

    with pytest.raises(CheckpointError, match=r'it asks for "torch.nn.modules.linear Linear"'):
        checkpoint.load(tmp_path / LAST)


@pytest.mark.parametrize("state", [{}, [1], {"format": 1}, {"format": 2, **state_of(1)}, {"format": 1, "config": {}}])
def test_a_file_of_another_program_is_refused(tmp_path, state):
    torch.save(state, tmp_path / LAST)

    with pytest.raises(CheckpointError, match="is no checkpoint of this project"):
        checkpoint.load(tmp_path / LAST)


# Bombs --------------------------------------------------------------------------------------------------------------


def bombs(folder):
    """Return name -> a small file that would unfold to gigabytes."""
    good, zeros = folder / "good", bytes(2**28)
    CheckpointFolder(folder).save(state_of(1, 1000), ["good"])
    with zipfile.ZipFile(good) as read:
        contents = {entry.filename: read.read(entry) for entry in read.infolist()}
    program = contents["archive/data.pkl"]
    records = {name.removeprefix("archive/"): content for name, content in contents.items() if not name.endswith(".pkl")}
    size = b"M\xe8\x03"  # 1000
    assert program.count(size) >= 2

    def path(name):
        return folder / f"{name}.pth"

    archive(path("deflated"), program, {**records, "data/0": zeros}, zipfile.ZIP_DEFLATED)
    overlapping(path("overlapping"), program, records)
    archive(path("shape"), program.replace(size, b"J\x00\xca\x9a\x3b"), records)  # 1,000,000,000
    archive(path("storage"), program.replace(size, b"J\x00\xca\x9a\x3b", 1), records)
    torch.save({"format": 1, **state_of(1), "x": torch.zeros(1).expand(2**30)}, path("expanded"))
    shared = ["x" * 1000]
    for _ in range(12):
        shared = [shared] * 10
    torch.save({"format": 1, **state_of(1), "config": {"name": shared}}, path("laughs"))
    circle = []
    circle.append(circle)
    torch.save({"format": 1, **state_of(1), "config": {"name": circle}}, path("circle"))
    deep = b"]" * 100_000 + b"a" * 99_999
    plain = b"}q\x00(X\x06\x00\x00\x00formatK\x01X\x06\x00\x00\x00config}X\x08\x00\x00\x00progress}X\x01\x00\x00\x00x%bu."
    archive(path("deep"), b"\x80\x02" + plain % deep)
    pair = b"K\x00" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(1, 60))
    archive(path("hash"), b"\x80\x02" + plain % (b"}" + pair + b"K\x01s"))
    archive(path("program"), b"\x80\x02" + plain % (b"](" + b"}" * 2**24 + b"e"))
    good.unlink()
    return sorted(p for p in folder.glob("*.pth"))


def overlapping(path, program, records):
    """Return a zip in which a hundred names refer to the same bytes."""
    archive(path, program, {**records, **{f"data/{number}": b"" for number in range(100, 200)}})
    content = bytearray(path.read_bytes())
    for place in [place for place in range(len(content)) if content[place : place + 4] == b"PK\x01\x02"]:
        name = content[place + 46 : place + 46 + int.from_bytes(content[place + 28 : place + 30], "little")]
        if name.startswith(b"archive/data/1") and len(name) == len(b"archive/data/100"):
            content[place + 20 : place + 28] = (2**16).to_bytes(4, "little") * 2  # both sizes
            content[place + 42 : place + 46] = bytes(4)  # where it begins
    path.write_bytes(content)


MEASURE = """
import re, sys, time
from pathlib import Path
from utils import checkpoint
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
for path in sorted(Path(sys.argv[1]).glob("*.pth")):
    start = time.monotonic()
    try:
        checkpoint.load(path)
        text = "LOADED"
    except checkpoint.CheckpointError as error:
        text = str(error)
    grown = (peak() - before) // 1024
    print(f"{path.stem}|{grown}|{time.monotonic() - start:.1f}|{text}", flush=True)
"""


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process's memory is read from /proc")


@linux
def test_bombs_are_refused_before_memory_is_allocated(tmp_path):
    assert len(bombs(tmp_path)) == 10
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=100)
    found = [line.split("|") for line in done.stdout.splitlines()]

    assert [name for name, *_ in found] == sorted(p.stem for p in tmp_path.glob("*.pth")), done.stderr
    assert [(name, text) for name, _, _, text in found if "refused" not in text and "no checkpoint" not in text] == []
    assert [(name, megabytes) for name, megabytes, _, _ in found if int(megabytes) > 200] == []
    assert [(name, seconds) for name, _, seconds, _ in found if float(seconds) > 5] == []


@linux
def test_the_memory_measurement_sees_an_allocation(tmp_path):
    torch.save({"format": 1, **state_of(1, 2**26)}, tmp_path / "large.pth")  # 256 MB
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=100)

    assert int(done.stdout.split("|")[1]) > 200
    assert done.stdout.strip().endswith("LOADED")
