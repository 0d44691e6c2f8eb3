"""An exported model: an ONNX file with its metadata, and a model that runs the file.

The file is ONNX with two texts beside the graph: the model's metadata as JSON under `laurel`, and at its very end, under
`laurel.sha256`, the SHA-256 of all bytes before it. A file that was cut off or changed is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from base.base_model import BaseModel
from base.contracts import Outputs, Prediction, Target
from model.exporting.convert import INPUT
from utils import foreign
from utils.errors import UserError

KEY = "laurel"
NEEDED = ("outputs", "decoded", "preprocessing")  # metadata without which the graph cannot run
_SEAL = b"laurel.sha256"
_METADATA_PROPS = 14 << 3 | 2  # ModelProto's field of texts by name: protobuf joins repeated fields, so one can be appended


class ExportedModel(BaseModel):
    """Run the graph of an exported file on the CPU, with onnxruntime. metadata: the JSON of the file."""

    def __init__(self, session: Any, metadata: Mapping[str, Any], path: Path) -> None:
        super().__init__()
        self.session, self.path = session, path
        self.names: list[str] = metadata["outputs"]
        self.size: tuple[int, int] = tuple(metadata["preprocessing"]["size"])

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        """Return the graph's outputs by name. image: (B, 3, H, W) uint8 of the file's size.

        Raises UserError for another size or dtype.
        """
        if tuple(image.shape[1:]) != (3, *self.size) or image.dtype != torch.uint8:
            height, width = self.size
            found = f"{'x'.join(map(str, image.shape[1:]))} {str(image.dtype).removeprefix('torch.')}"
            raise UserError(f"{self.path}: takes pictures of 3x{height}x{width} uint8, found {found}; export for that size")
        values = self.session.run(None, {INPUT: image.cpu().contiguous().numpy()})
        return {name: torch.from_numpy(value).to(image.device) for name, value in zip(self.names, values, strict=True)}

    def decode(self, outputs: Outputs) -> Prediction:
        """Return the graph's outputs: the decoder is part of the graph."""
        return outputs


class UndecodedModel(ExportedModel):
    """An exported model whose graph ends before the decoder. decoder: a model of the same config, with any weights."""

    def __init__(self, session: Any, metadata: Mapping[str, Any], path: Path, decoder: BaseModel) -> None:
        super().__init__(session, metadata, path)
        self.decoder = decoder

    def decode(self, outputs: Outputs) -> Prediction:
        """Return the graph's outputs as decoded by the decoder."""
        return self.decoder.decode(outputs)

    def move(self, prediction: Prediction, affine: Tensor) -> Prediction:
        """Return the prediction as moved by the decoder. affine: (B, 2, 3) float32."""
        return self.decoder.move(prediction, affine)


def seal(proto: Any, metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes of an onnx.ModelProto with its metadata.

    The keys keep their order, because the order of labels has a meaning.
    """
    del proto.metadata_props[:]
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode()
    body = proto.SerializeToString(deterministic=True) + _entry(KEY.encode(), text)
    return bytes(body + _tail(body))


def unseal(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the session and the metadata of an exported file. Raises UserError for any other file."""
    content = foreign.read(path)
    length = len(_tail(b""))
    if _SEAL not in content[-length:]:
        raise UserError(f"{path}: is no exported model of this project, or is cut off; write one with python laurel.py export")
    if content[-length:] != _tail(content[:-length]):
        raise UserError(f"{path}: is damaged, or was changed after its export (its SHA-256 is another); export it again")
    session = start(content, str(path))
    try:
        metadata = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no exported model of this project ({str(error)[:80]})") from None
    if not isinstance(metadata, dict):
        raise UserError(f"{path}: is no exported model of this project (its metadata are no object)")
    if missing := [name for name in NEEDED if name not in metadata]:
        raise UserError(f"{path}: is no exported model of this project (it lacks {', '.join(missing)})")
    _require_usable(metadata, len(session.get_outputs()), path)
    return session, metadata


def _require_usable(metadata: Mapping[str, Any], outputs: int, path: Path) -> None:
    """Raise UserError if the metadata do not name each of the graph's outputs, or give no size of pictures."""
    names, preprocessing = metadata["outputs"], metadata["preprocessing"]
    if not isinstance(names, list) or len(names) != outputs or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: is no exported model of this project (it does not name its {outputs} outputs)")
    size = preprocessing.get("size") if isinstance(preprocessing, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(side, int) and 0 < side < 2**15 for side in size):
        raise UserError(f"{path}: is no exported model of this project (it has no size of pictures)")


def start(content: bytes, name: str) -> Any:
    """Return an onnxruntime session on the CPU with as many threads as torch has. Raises UserError if it cannot run the graph."""
    return foreign.onnx_session(content, name, torch.get_num_threads())


def _tail(body: bytes) -> bytes:
    return _entry(_SEAL, hashlib.sha256(body).hexdigest().encode())


def _entry(key: bytes, value: bytes) -> bytes:
    """Return one text of a ModelProto's `metadata_props` as protobuf writes it."""
    pair = _field(1 << 3 | 2, key) + _field(2 << 3 | 2, value)
    return _field(_METADATA_PROPS, pair)


def _field(tag: int, value: bytes) -> bytes:
    """Return a protobuf field with a length: its tag, the length in base 128 with the lowest digit first, its bytes."""
    digits, length = [], len(value)
    while length >= 128:
        digits.append(length % 128 | 128)
        length //= 128
    return bytes([tag, *digits, length]) + value
