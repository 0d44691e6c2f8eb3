"""Conversion of a trained model to the bytes of an ONNX graph in float32, float16 or int8.

torch.onnx, onnx and onnxruntime are slow to import: only the functions that convert import them.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from base.base_model import BaseModel
from utils.errors import UserError

INPUT = "image"
CALIBRATION_BATCH = 8


class Graph(nn.Module):
    """The module that is exported: a model as a function from pictures to a tuple of tensors.

    If the decoder returns tensors it is part of the graph. If it returns lists (a different number of items for each picture)
    the graph ends with the tensors of `undecoded`, and the program that runs the graph calls `decode`. Raises UserError if an
    output is not a tensor.
    """

    def __init__(self, model: BaseModel, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.size = model.eval(), size
        with torch.inference_mode():
            image = torch.zeros(1, 3, *size, dtype=torch.uint8, device=next(model.parameters()).device)
            outputs = model(image)
            prediction = model.decode(outputs)
            self.decoded = all(isinstance(value, Tensor) for value in prediction.values())
            results = prediction if self.decoded else model.undecoded(outputs)
        others = [name for name, value in results.items() if not isinstance(value, Tensor)]
        if others:
            raise UserError(f"the output {', '.join(others)} is no tensor; such a model cannot be exported")
        self.names = list(results)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of `names`, in their order. image: (B, 3, H, W) uint8."""
        outputs = self.model(image)
        results = self.model.decode(outputs) if self.decoded else self.model.undecoded(outputs)
        return tuple(results[name] for name in self.names)


def to_program(graph: Graph) -> torch.export.ExportedProgram:
    """Return the graph as traced by torch.export, for any number of pictures of its size."""
    example = torch.zeros(2, 3, *graph.size, dtype=torch.uint8)
    with torch.inference_mode(False), torch.no_grad():
        return torch.export.export(graph, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def program_bytes(program: torch.export.ExportedProgram, extra: dict[str, str]) -> bytes:
    """Return the program as written by torch.export.save. extra: texts that the file holds, by name."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=extra)
    return buffer.getvalue()


def to_onnx(graph: Graph) -> Any:
    """Return the graph as an onnx.ModelProto, for any number of pictures of its size.

    Raises UserError if ONNX lacks an operator of the model.
    """
    with _quiet():
        try:
            program = torch.onnx.export(
                to_program(graph),
                input_names=[INPUT],
                output_names=onnx_names(graph.names),
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise UserError(f"the model cannot be written as ONNX ({str(error).splitlines()[0][:200]})") from error
    assert program is not None
    return program.model_proto


def to_half(proto: Any) -> Any:
    """Return the graph in float16; inputs and outputs keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        return convert_float_to_float16(proto, keep_io_types=True)


def to_int8(proto: Any, pictures: np.ndarray) -> Any:
    """Return the graph with 8-bit weights (a scale per channel) and activations; `pictures` set the ranges of the activations.

    pictures: (N, 3, H, W) uint8. The method is the static quantisation of onnxruntime, in its QDQ form.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Pictures(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(range(0, len(pictures), CALIBRATION_BATCH))

        def get_next(self) -> dict[str, np.ndarray] | None:
            start = next(self.batches, None)
            return None if start is None else {INPUT: pictures[start : start + CALIBRATION_BATCH]}

    with _quiet(), tempfile.TemporaryDirectory() as folder:
        given, prepared, written = (Path(folder) / f"{name}.onnx" for name in ("given", "prepared", "int8"))
        onnx.save(proto, str(given))
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(written),
            Pictures(),
            per_channel=True,
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(str(written))


def onnx_names(names: Sequence[str]) -> list[str]:
    """Return the names of outputs in an ONNX file, with a prefix so that no output has the name of the input."""
    return [f"out.{name}" for name in names]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log messages and warnings of the converters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
