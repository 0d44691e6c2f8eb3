"""The file of an exported model: what it carries, and that nothing else passes for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from base.base_model import BaseModel
from base.contracts import Outputs, Prediction, Target
from model.exporting import convert, exported
from model.exporting.convert import Graph
from model.exporting.exported import ExportedModel, UndecodedModel
from utils.errors import UserError

SIZE = (8, 6)


class Small(BaseModel):
    """A linear layer, and a head that predicting does without."""

    def __init__(self, ragged: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head_of_training, self.ragged = nn.Linear(3, 4), nn.Linear(3, 1000), ragged

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        features = self.normalise(image).mean(dim=(2, 3))
        return {"logits": self.layer(features), "identity": self.head_of_training(features)}

    def decode(self, outputs: Outputs) -> Prediction:
        if self.ragged:
            return {"over": [row[row > 0] for row in outputs["logits"]]}
        return {"image": outputs["logits"].softmax(1)}

    def training_only(self) -> list[nn.Module]:
        return [self.head_of_training]


def write(path: Path, model: BaseModel | None = None, **changes: Any) -> Path:
    graph = Graph(model or Small(), SIZE)
    about = {"outputs": graph.names, "decoded": graph.decoded, "preprocessing": {"size": list(SIZE)}, **changes}
    path.write_bytes(exported.seal(convert.to_onnx(graph), about))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("exported") / "small.onnx", note="größer")


def pictures(number: int, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (number, 3, *size), dtype=np.uint8))


def test_any_number_of_pictures_gives_what_the_original_decodes(file: Path) -> None:
    loaded, original, image = ExportedModel(*exported.unseal(file), file), Small().eval(), pictures(5)
    torch.testing.assert_close(loaded.decode(loaded(image)), original.decode(original(image)))


def test_what_belongs_to_the_model_is_in_the_file(file: Path) -> None:
    assert exported.unseal(file)[1] == {
        "outputs": ["image"], "decoded": True, "preprocessing": {"size": [8, 6]}, "note": "größer",
    }  # fmt: skip


def test_the_order_of_labels_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "small.onnx", classes={"b": ["y", "x"], "a": []})
    assert list(exported.unseal(path)[1]["classes"]) == ["b", "a"]


def test_weights_that_predicting_does_without_are_not_in_the_file(file: Path) -> None:
    assert file.stat().st_size < 4 * 3 * 1000


def test_the_sealed_file_is_ordinary_onnx(file: Path) -> None:
    import onnx

    proto = onnx.load(str(file))
    onnx.checker.check_model(proto)
    assert [text.key for text in proto.metadata_props] == ["laurel", "laurel.sha256"]
    assert json.loads(proto.metadata_props[0].value)["decoded"] is True


def test_lists_are_decoded_outside_the_graph(tmp_path: Path) -> None:
    original = Small(ragged=True).eval()
    path, image = write(tmp_path / "ragged.onnx", original), pictures(3)
    session, about = exported.unseal(path)
    loaded = UndecodedModel(session, about, path, original)
    assert about["outputs"] == ["logits", "identity"]
    torch.testing.assert_close(loaded.decode(loaded(image))["over"], original.decode(original(image))["over"])


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.99])
def test_a_turned_bit_is_found(file: Path, tmp_path: Path, place: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 4
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(content)
    with pytest.raises(UserError, match=r"broken.onnx: (is damaged|is no exported model)") as raised:
        exported.unseal(broken)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_a_file_that_is_cut_off_is_refused(file: Path, tmp_path: Path, length: int) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(file.read_bytes()[:length])
    with pytest.raises(UserError, match="is no exported model of this project, or is cut off"):
        exported.unseal(broken)


def test_an_unknown_operator_is_one_line(file: Path, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(str(file))
    proto.graph.node[0].op_type = "Frobnicate"
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(exported.seal(proto, {}))
    with pytest.raises(UserError, match=r"broken.onnx: onnxruntime .* cannot run it .*Frobnicate") as raised:
        exported.unseal(broken)
    assert "\n" not in str(raised.value)


def test_a_graph_that_says_nothing_of_itself_is_refused(file: Path, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(str(file))
    del proto.metadata_props[:]
    body = proto.SerializeToString()
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(body + exported._tail(body))
    with pytest.raises(UserError, match="is no exported model of this project"):
        exported.unseal(bare)


@pytest.mark.parametrize("image", [pictures(1, (6, 8)), pictures(1).float()], ids=["size", "dtype"])
def test_other_pictures_are_refused_in_one_line(file: Path, image: Tensor) -> None:
    loaded = ExportedModel(*exported.unseal(file), file)
    with pytest.raises(UserError, match=r"small.onnx: takes pictures of 3x8x6 uint8, found 3x"):
        loaded(image)


def test_half_and_int8_say_nearly_the_same(file: Path) -> None:
    image, original = pictures(16), Small().eval()
    graph = Graph(original, SIZE)
    expected = graph(image)[0].detach().numpy()
    for proto in (convert.to_half(convert.to_onnx(graph)), convert.to_int8(convert.to_onnx(graph), image.numpy())):
        (found,) = exported.start(proto.SerializeToString(), "test").run(None, {convert.INPUT: image.numpy()})
        assert np.abs(found - expected).max() < 0.05
