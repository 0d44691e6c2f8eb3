"""Test that files of somebody else are refused by what they claim, in a line, before memory is given to them."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from utils import foreign
from utils.errors import UserError


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pth")
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"x\.pth: is no regular file, and is not read; give a file"):
        foreign.read(tmp_path / "x.pth")
    assert time.monotonic() - begin < 1


def test_a_device_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="is no regular file"):
        foreign.read(tmp_path / "x.onnx")


def test_a_file_over_the_limit_is_refused_by_its_size(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"123")
    assert foreign.read(tmp_path / "x", most=3) == b"123"
    with pytest.raises(UserError, match="has 3 bytes; allowed: at most 2"):
        foreign.read(tmp_path / "x", most=2)


# Zips of torch.save --------------------------------------------------------------------------------------------------


def saved() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, buffer)
    return buffer.getvalue()


def rezipped(change: Callable[[dict[str, bytes]], Any], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of torch.save whose entries a function has changed."""
    with zipfile.ZipFile(io.BytesIO(saved())) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_file_of_torch_is_read() -> None:
    assert foreign.torch_pickle(saved(), "x.pth").startswith(b"\x80\x02")


@pytest.mark.parametrize(
    "name", ["archive/data.PKL", "archive/zz.pkl", "archive/constants.pkl", "archive/data/x", "archive/code/m.py"]
)
def test_an_entry_that_torch_does_not_write_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="x.pth: refused, it has an entry .*, which torch.save does not write"):
        foreign.torch_pickle(rezipped(lambda entries: entries.update({name: b""})), "x.pth")


def test_entries_in_two_folders_are_refused() -> None:
    with pytest.raises(UserError, match="it has not one entry of each name"):
        foreign.torch_pickle(rezipped(lambda entries: entries.update({"other/data.pkl": b"."})), "x.pth")


def test_compressed_data_are_refused() -> None:
    with pytest.raises(UserError, match="it holds compressed data"):
        foreign.torch_pickle(rezipped(lambda entries: None, zipfile.ZIP_DEFLATED), "x.pth")


def test_a_pickle_that_is_far_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "MAX_PICKLE", 10)
    with pytest.raises(UserError, match=r"its pickle has \d+ bytes; allowed: at most 10"):
        foreign.torch_pickle(saved(), "x.pth")


@pytest.mark.parametrize("program", [b"", b"\x80", b"no pickle", b"\x80\x02X\xff\xff\xff\x7f"])
def test_a_damaged_pickle_is_refused_in_one_line(program: bytes) -> None:
    with pytest.raises(UserError, match="x.pth: is damaged, or no checkpoint"):
        list(foreign.opcodes(program, "x.pth"))


# ONNX ----------------------------------------------------------------------------------------------------------------


def graph(nodes: list[Any], *weights: Any, output: tuple[int | str, ...] = ("n",)) -> bytes:
    """Return the bytes of an ONNX model with one input `x` (n,) and one output `y`, both float32."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", ("n",)), ("y", output))]
    made = helper.make_graph(nodes, "g", values[:1], values[1:], list(weights))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def filled(*shape: int) -> bytes:
    constant = helper.make_node("Constant", [], ["s"], value=numpy_helper.from_array(np.array(shape, np.int64)))
    return graph([constant, helper.make_node("ConstantOfShape", ["s"], ["y"])], output=("a",) * len(shape))


def test_a_harmless_graph_runs() -> None:
    session = foreign.onnx_session(filled(2, 3), "m.onnx", threads=1)
    assert session.run(None, {"x": np.zeros(1, np.float32)})[0].shape == (2, 3)


def test_a_graph_that_allocates_far_more_than_it_holds_is_refused() -> None:
    with pytest.raises(UserError, match=r"m\.onnx: refused, y has 268,435,456 elements; allowed: at most 67,108,864"):
        foreign.onnx_session(filled(2**14, 2**14), "m.onnx", threads=1)


def test_weights_that_claim_more_than_the_file_holds_are_refused() -> None:
    weight = numpy_helper.from_array(np.zeros(2, np.float32), "w")
    weight.dims[0] = 2**40
    with pytest.raises(UserError, match="w claims 1,099,511,627,776 elements, more than the file holds"):
        foreign.onnx_session(graph([helper.make_node("Identity", ["w"], ["y"])], weight), "m.onnx", threads=1)


def test_weights_in_another_file_are_refused() -> None:
    weight = numpy_helper.from_array(np.zeros(2, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    with pytest.raises(UserError, match="its values are in another file"):
        foreign.onnx_session(graph([helper.make_node("Identity", ["w"], ["y"])], weight), "m.onnx", threads=1)


def test_a_loop_is_refused_also_within_a_branch() -> None:
    loop = helper.make_node("Loop", ["", ""], ["y"], body=helper.make_graph([], "body", [], []))
    branch = helper.make_graph([loop], "branch", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n",))])
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    for nodes in ([loop], [choice]):
        with pytest.raises(UserError, match="it has a Loop, which may run for ever; export the model without it"):
            foreign.onnx_session(graph(nodes), "m.onnx", threads=1)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x09"])
def test_bytes_that_are_no_graph_are_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(UserError, match=r"m\.onnx: is no ONNX file") as error:
        foreign.onnx_session(content, "m.onnx", threads=1)
    assert "\n" not in str(error.value)
