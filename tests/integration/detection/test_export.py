"""An exported detector gives the boxes of the network that it was made from."""

import pytest
import torch

from model.detection.boxes import BoxFilter
from model.exporting import convert, exported
from model.exporting.convert import Graph
from tests.unit.model.detection.test_detectors import KINDS, built, pictures


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_graph_gives_the_boxes_that_the_decoder_chooses_from(kind):
    detector, _ = built(kind, keep=BoxFilter(score=0.0))
    graph = Graph(detector, (64, 96))
    session = exported.start(convert.to_onnx(graph).SerializeToString(), "test")
    image = pictures(number=3)
    values = map(torch.from_numpy, session.run(None, {convert.INPUT: image.numpy()}))
    found = dict(zip(graph.names, values, strict=True))
    with torch.inference_mode():
        expected = detector.undecoded(detector(image))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert len(detector.decode(found)["boxes"]) == 3
