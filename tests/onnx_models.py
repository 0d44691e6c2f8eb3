"""Tiny ONNX models whose answers are known: the outputs are constants, or follow from the picture's brightness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_constant(
    path: Path, outputs: Mapping[str, Any], size: tuple[int | str, int | str] = (24, 32), channels: int = 3
) -> Path:
    """A model of one input (1, channels, h, w) that gives these outputs, whatever it sees."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, values = [], []
    for name, value in outputs.items():
        array = np.asarray(value, np.float32)
        nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, *size])
    return _write(path, nodes, [given], values)


def write_brightness(path: Path, size: tuple[int, int]) -> Path:
    """A segmenter whose map (1, 1, h, w) is the mean of the channels."""
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *size])
    value = helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 1, *size])
    return _write(path, [helper.make_node("ReduceMean", ["input", "axes"], ["map"], keepdims=1)], [given], [value], axes=[1])


def write_yunet(path: Path, side: int, coarse: int = 1) -> Path:
    """By its outputs a YuNet of 2023: each cell of 8, 16 or 32 pixels is a face as far as it is bright, `side` pixels large.

    coarse: how many times as large the cells really are; above 1 the outputs have fewer rows than those of a YuNet.
    """
    from onnx import TensorProto, helper

    nodes, values, weights = [], [], {}
    for stride in (8, 16, 32):
        step = stride * coarse
        mean = np.full((1, 3, step, step), 1 / (3 * 255 * step * step), np.float32)
        corners = np.array([0.5, 0.5, *[np.log(side / stride)] * 2], np.float32)
        for kind, number, kernel, bias in (
            ("cls", 1, mean, np.zeros(1)), ("obj", 1, mean, np.zeros(1)),
            ("bbox", 4, np.zeros((4, 3, step, step)), corners), ("kps", 10, np.zeros((10, 3, step, step)), np.zeros(10)),
        ):  # fmt: skip
            name = f"{kind}_{stride}"
            weights |= {f"{name}_w": kernel.astype(np.float32), f"{name}_b": bias.astype(np.float32)}
            nodes += [
                helper.make_node(
                    "Conv", ["input", f"{name}_w", f"{name}_b"], [f"{name}_c"], strides=[step] * 2, kernel_shape=[step] * 2
                ),
                helper.make_node("Transpose", [f"{name}_c"], [f"{name}_t"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}_t", f"rows_{number}"], [name]),
            ]
            weights[f"rows_{number}"] = np.array([1, -1, number], np.int64)
            values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, number]))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "h", "w"])
    return _write(path, nodes, [given], values, **weights)


def _write(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **weights: Any) -> Path:
    from onnx import checker, helper, numpy_helper

    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, outputs, constants), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
