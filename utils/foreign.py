"""Open files that somebody else made: what a file claims is checked before memory is given to it, and nothing is executed."""

from __future__ import annotations

import io
import os
import pickletools
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.errors import UserError

MOST = 2**35  # bytes of a file that is read as a whole
MAX_PICKLE = 2**24  # bytes of the pickle of a file of tensors; 10,000 tensors take about 2 MB
ELEMENTS = 2**26  # of one value in an ONNX graph whose size is known before it runs: 256 MB of float32
ENDLESS = {"Loop", "Scan", "SequenceMap"}  # operators that may run for ever
# The entries of a zip that torch.save writes, below one folder. torch searches them without regard to case.
_ENTRIES = re.compile(r"data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+")


def read(path: Path, most: int = MOST) -> bytes:
    """Return a file's bytes. Raises UserError if it cannot be read, is no regular file, or has more bytes than `most`."""
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise UserError(f"{path}: is no regular file, and is not read; give a file")
            if facts.st_size > most:
                raise UserError(f"{path}: has {facts.st_size:,} bytes; allowed: at most {most:,}")
            return file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


# Files of torch.save -------------------------------------------------------------------------------------------------


def torch_pickle(content: bytes, name: str, verify: bool = True) -> bytes:
    """Return the pickle in a zip of torch.save, and refuse a zip that torch.save does not write.

    verify: also check the checksums of the zip. Raises UserError for other entries, compressed data, or more data than there
    are bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            folders = {entry.filename.partition("/")[0] for entry in entries}
            names = [entry.filename.partition("/")[2] for entry in entries]
            if strange := [part for part in names if not _ENTRIES.fullmatch(part)]:
                raise UserError(f"{name}: refused, it has an entry {strange[0][:60]!r}, which torch.save does not write")
            if len(folders) != 1 or len(set(names)) != len(names) or "data.pkl" not in names:
                raise UserError(f"{name}: is no file of torch.save (it has not one entry of each name)")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise UserError(f"{name}: refused, it holds compressed data, which torch.save does not write")
            if sum(entry.file_size for entry in entries) > len(content):
                raise UserError(f"{name}: refused, it claims more data than the file has")
            if verify and archive.testzip() is not None:
                raise UserError(f"{name}: is damaged (a checksum in it is wrong)")
            pickled = entries[names.index("data.pkl")]
            if pickled.file_size > MAX_PICKLE:
                raise UserError(f"{name}: refused, its pickle has {pickled.file_size:,} bytes; allowed: at most {MAX_PICKLE:,}")
            return archive.read(pickled)
    except (zipfile.BadZipFile, EOFError, ValueError, IndexError, KeyError, NotImplementedError, OSError, RuntimeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{name}: is damaged, or no file of torch.save ({str(error)[:80]})") from None


def opcodes(program: bytes, name: str) -> Iterator[tuple[str, Any]]:
    """Yield name and argument of each opcode of a pickle, executing none. Raises UserError if the pickle is damaged."""
    steps = pickletools.genops(program)
    while True:
        try:
            opcode, argument, _ = next(steps)
        except StopIteration:
            return
        except Exception as error:  # pickletools has many kinds for malformed bytes
            raise UserError(f"{name}: is damaged, or no checkpoint ({str(error)[:80]})") from None
        yield opcode.name, argument


def refuse_shared_tuples(program: bytes, name: str) -> None:
    """Raise UserError if a pickle uses a tuple twice: hashing nested tuples of that kind takes exponential time."""
    tuples: set[Any] = set()
    before = ""
    for opcode, argument in opcodes(program, name):
        if opcode.endswith("BINPUT") and before.startswith("TUPLE"):
            tuples.add(argument)
            continue  # `before` stays TUPLE…: a second BINPUT would name the same tuple
        if opcode.endswith("BINGET") and argument in tuples:
            raise UserError(f"{name}: refused, it uses a tuple twice, which no checkpoint does")
        before = opcode


# ONNX ----------------------------------------------------------------------------------------------------------------


def onnx_session(content: bytes, name: str, threads: int) -> Any:
    """Return an onnxruntime session on the CPU for the bytes of an ONNX file. threads: within an operator.

    Raises UserError if onnxruntime cannot run the graph, and for the reasons of `refuse_harmful_graph`.
    """
    import onnxruntime

    refuse_harmful_graph(content, name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has one exception for each kind of fault, without a common base
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name}: onnxruntime {onnxruntime.__version__} cannot run it ({reason})") from None


def refuse_harmful_graph(content: bytes, name: str) -> None:
    """Raise UserError if an ONNX graph reads other files, may never end, or allocates far more than its bytes hold.

    Only sizes that follow from the graph alone are known here; a graph may still allocate more for large pictures.
    """
    import onnx

    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # protobuf has several exceptions, without a common base
        raise UserError(f"{name}: is no ONNX file ({' '.join(str(error).split())[:80]})") from None
    if not model.HasField("graph"):
        raise UserError(f"{name}: is no ONNX file (it has no graph)")
    graphs = [model.graph, *(function for function in model.functions)]
    while graphs:
        graph = graphs.pop()
        for tensor in getattr(graph, "initializer", ()):
            _require_held(tensor, name)
        for node in graph.node:
            if node.op_type in ENDLESS:
                raise UserError(f"{name}: refused, it has a {node.op_type}, which may run for ever; export the model without it")
            for attribute in node.attribute:
                for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
                    _require_held(tensor, name)
                graphs += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
    _require_small(model, name)


def _require_held(tensor: Any, name: str) -> None:
    """Raise UserError if a tensor's values are in another file, or its shape has more elements than its bytes can hold."""
    if tensor.data_location or tensor.external_data:
        raise UserError(f"{name}: refused, its values are in another file ({tensor.name[:40]}); give one file with all values")
    elements = _elements(tensor.dims)
    if elements < 0 or elements > 2 * tensor.ByteSize():  # the smallest elements take half a byte
        raise UserError(
            f"{name}: refused, {tensor.name[:40] or 'a constant'} claims {elements:,} elements, more than the file holds"
        )


def _require_small(model: Any, name: str) -> None:
    """Raise UserError if a value of the graph has more than ELEMENTS elements, as far as shapes follow from the graph."""
    import onnx

    try:
        shaped = onnx.shape_inference.infer_shapes(_without_weights(model), data_prop=True)
    except Exception as error:
        raise UserError(f"{name}: is no ONNX graph whose shapes agree ({' '.join(str(error).split())[:80]})") from None
    for value in (*shaped.graph.value_info, *shaped.graph.output):
        dimensions = [one.dim_value for one in value.type.tensor_type.shape.dim]
        elements = _elements(dimensions) if all(dimensions) else 0
        if elements > ELEMENTS:
            raise UserError(f"{name}: refused, {value.name[:40]} has {elements:,} elements; allowed: at most {ELEMENTS:,}")


def _without_weights(model: Any) -> Any:
    """Return a copy of a model in which inputs of the same shape stand for large weights, whose values shapes do not need."""
    import onnx

    small = onnx.ModelProto()
    small.CopyFrom(model)
    kept = [tensor for tensor in small.graph.initializer if _elements(tensor.dims) <= 1024]
    weights = [tensor for tensor in small.graph.initializer if _elements(tensor.dims) > 1024]
    inputs = {value.name for value in small.graph.input}
    stand_ins = [
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for tensor in weights
        if tensor.name not in inputs
    ]
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del small.graph.initializer[:]
    small.graph.initializer.extend(kept)
    small.graph.input.extend(stand_ins)
    return small


def _elements(dimensions: Any) -> int:
    number = 1
    for one in dimensions:
        number *= one if one >= 0 else 0
        if one < 0:
            return -1
    return number
