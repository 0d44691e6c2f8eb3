"""Files of somebody else are opened by utils/foreign.py alone: no other module calls the readers that trust a file."""

from __future__ import annotations

import re

import pytest

from tests.guards.sources import ROOT

# Call -> the modules that may have it: they check the bytes before, or read what was just written.
ALLOWED = {
    r"onnxruntime\.InferenceSession\(": {"utils/foreign.py", "trainer/shipping/card.py"},
    r"torch\.load\(": {"utils/checkpoint.py", "model/backbones/timm_backbone.py"},
    r"FaceDetectorYN": {"data_loader/crop/onnx_croppers.py"},
    r"cv2\.dnn\.readNet": {"data_loader/crop/onnx_croppers.py", "trainer/shipping/card.py"},
    r"cv2\.imread\(": {"trainer/shipping/card.py"},  # in lines for other programs
    r"pickle\.loads?\(": set(),
    r"safetensors\.torch import load_file": set(),
}
PACKAGES = ("base", "data_loader", "model", "trainer", "inspection", "logger", "utils", "commands", "project")


@pytest.mark.parametrize("call", ALLOWED)
def test_a_reader_that_trusts_a_file_is_called_in_its_module_alone(call: str) -> None:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    users = {str(path.relative_to(ROOT)) for path in paths if re.search(call, path.read_text(encoding="utf-8"))}
    assert len(paths) > 100
    assert users <= ALLOWED[call]
