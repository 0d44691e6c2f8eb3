"""Croppers that run an ONNX model of somebody else from a local file."""

from __future__ import annotations

import functools
import os
import threading
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import Field

from base.types import CountOrZero, Pixels, Positive, Share
from data_loader.crop.croppers import CROPPERS, BaseCropper, CropperBoxes, largest
from data_loader.pictures.decode import Size, resize
from data_loader.pictures.letterbox import fitted, rounded_up
from utils import foreign
from utils.errors import UserError
from utils.validate import Settings

Mean = Annotated[
    tuple[float, float, float], Field(description="value that is subtracted from each channel; channels are in 0..255")
]
Std = Annotated[tuple[Positive, Positive, Positive], Field(description="divisor of each channel after the subtraction")]
# The outputs of YuNet: name -> (pixels of a cell's side, numbers for each cell).
_YUNET_OUTPUTS = {
    f"{kind}_{stride}": (stride, numbers)
    for kind, numbers in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
    for stride in (8, 16, 32)
}
_own = threading.local()  # OpenCV's detector stores the size of the picture: each thread needs its own detector


@CROPPERS.register()
class YunetCropper(BaseCropper):
    """Faces by YuNet (Wu, Peng and Yu 2023) in OpenCV; the file is `face_detection_yunet_2023mar.onnx` of the OpenCV Zoo."""

    def __init__(
        self,
        model: Annotated[str, Field(description="the ONNX file")],
        score: Annotated[Share, Field(description="faces with less confidence are dropped")] = 0.6,
        overlap: Annotated[
            Share, Field(description="of two faces whose intersection over union is more, the surer one stays")
        ] = 0.3,
        side: Annotated[Pixels, Field(description="pixels of the longer side to which larger pictures are shrunk")] = 640,
    ) -> None:
        self.model, self.score, self.overlap, self.side = model, score, overlap, side

    def find(self, image: np.ndarray) -> CropperBoxes:
        """Return the box of every face. image: (H, W, 3) uint8 RGB. Raises UserError if OpenCV cannot run the model."""
        original = image.shape[0], image.shape[1]
        size = fitted(original, (self.side, self.side)) if max(original) > self.side else original
        small = np.ascontiguousarray(resize(image, size)[..., ::-1])
        try:
            detector = self._detector(size)
            detector.setInputSize((size[1], size[0]))
            _, faces = detector.detect(small)
        except cv2.error as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"{self.model}: is no YuNet that OpenCV {cv2.__version__} can run ({reason})") from None
        faces = np.zeros((0, 15)) if faces is None else faces.astype(np.float64)
        faces = faces[np.isfinite(faces).all(axis=1) & (faces[:, 2:4] > 0).all(axis=1)]
        corners = np.hstack([faces[:, :2], faces[:, :2] + faces[:, 2:4]])
        return CropperBoxes(corners * np.tile([original[1] / size[1], original[0] / size[0]], 2), faces[:, -1])

    def _detector(self, size: Size) -> Any:
        """Return this thread's detector. size: height and width of the picture.

        Raises UserError for other models before OpenCV loads them and trusts their outputs' shapes.
        """
        key = (self.model, self.score, self.overlap)
        kept: dict[Any, Any] = _own.__dict__.setdefault("detectors", {})
        if key not in kept:
            outputs = {output.name for output in session(self.model).get_outputs()}
            if not outputs >= _YUNET_OUTPUTS.keys():
                lacks = ", ".join(sorted(_YUNET_OUTPUTS.keys() - outputs)[:4])
                raise UserError(f"{self.model}: is no YuNet of 2023: it lacks outputs ({lacks}, …); it has {_listed(outputs)}")
            kept[key] = cv2.FaceDetectorYN.create(self.model, "", (320, 320), self.score, self.overlap, 100)
        padded = rounded_up(size[0], 32), rounded_up(size[1], 32)  # as OpenCV pads a picture
        checked: set[Any] = _own.__dict__.setdefault("checked", set())
        if (self.model, padded) not in checked:
            self._require_cells(padded)
            checked.add((self.model, padded))
        return kept[key]

    def _require_cells(self, size: Size) -> None:
        """Raise UserError unless each output has its numbers for each cell: OpenCV reads them without looking at the shape."""
        network = cv2.dnn.readNet(self.model)
        network.setInput(np.zeros((1, 3, *size), np.float32))
        names = list(_YUNET_OUTPUTS)
        for name, output in zip(names, network.forward(names), strict=True):
            stride, numbers = _YUNET_OUTPUTS[name]
            wanted = (1, (size[0] // stride) * (size[1] // stride), numbers)
            if output.shape != wanted or output.dtype != np.float32:
                found = " x ".join(map(str, output.shape))
                raise UserError(
                    f"{self.model}: is no YuNet: its output {name} is {found}; allowed: {' x '.join(map(str, wanted))}"
                )


class OnnxSettings(Settings):
    """The network in an ONNX file, and the size and normalisation of the pictures that it takes."""

    model: str = Field(description="the ONNX file")
    size: tuple[Pixels, Pixels] | None = Field(
        default=None, description="height and width that the network takes; default: as the file says"
    )
    mean: Mean
    std: Std
    colours: Literal["RGB", "BGR"] = Field(default="RGB", description="order of the channels")


class OnnxCropper(BaseCropper):
    """A network that onnxruntime runs on the CPU: one input (1, 3, h, w) float32, the picture stretched to h x w."""

    def __init__(self, settings: OnnxSettings) -> None:
        self.model, self.size, self.colours = settings.model, settings.size, settings.colours
        self.mean, self.std = np.array(settings.mean, np.float32), np.array(settings.std, np.float32)

    @abstractmethod
    def read(self, outputs: dict[str, np.ndarray], size: Size, inner: Size) -> CropperBoxes:
        """Return the boxes from the network's outputs, in pixels of a picture of `size`.

        inner: the size to which the picture was resized for the network. Both sizes are (height, width).
        """

    def find(self, image: np.ndarray) -> CropperBoxes:
        """Return the boxes that the network finds. image: (H, W, 3) uint8 RGB. Raises UserError if the network cannot run."""
        ran = session(self.model)
        name, inner = self._input(ran)
        pixels = resize(image, inner)[..., :: 1 if self.colours == "RGB" else -1]
        normal = (pixels.astype(np.float32) - self.mean) / self.std
        try:
            values = ran.run(None, {name: np.ascontiguousarray(normal.transpose(2, 0, 1)[None])})
        except Exception as error:  # onnxruntime has one exception for each kind of fault, without a common base
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"{self.model}: cannot run on a picture of {inner[0]} x {inner[1]} pixels ({reason})") from None
        outputs = dict(zip([output.name for output in ran.get_outputs()], values, strict=True))
        return self.read(outputs, (image.shape[0], image.shape[1]), inner)

    def _input(self, ran: Any) -> tuple[str, Size]:
        """Return the input's name, and its height and width.

        Raises UserError if the network needs other inputs, or if its size and the config's do not agree.
        """
        inputs = ran.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3) or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise UserError(f"{self.model}: takes {found}; allowed: one input of floats, 1 x 3 x height x width")
        declared = (shape[2], shape[3]) if isinstance(shape[2], int) and isinstance(shape[3], int) else None
        if declared and self.size and tuple(self.size) != declared:
            raise UserError(f"{self.model}: takes pictures of {declared[0]} x {declared[1]} pixels; size says {list(self.size)}")
        size = declared or self.size
        if size is None:
            raise UserError(f"{self.model}: takes pictures of any size; say which in the cropper's size, [height, width]")
        return inputs[0].name, size

    def output(self, outputs: dict[str, np.ndarray], name: str) -> np.ndarray:
        """Return an output. Raises UserError if the output does not exist or is not finite."""
        if name not in outputs:
            raise UserError(f"{self.model}: has no output {name}; it has {_listed(outputs)}")
        value = outputs[name]
        if not np.isfinite(value).all():
            raise UserError(f"{self.model}: its output {name} is not finite")
        return value

    def refuse(self, name: str, value: np.ndarray, allowed: str) -> UserError:
        """Return the UserError for an output of a wrong shape."""
        return UserError(f"{self.model}: its output {name} is {' x '.join(map(str, value.shape))}; allowed: {allowed}")


class OnnxDetectorSettings(OnnxSettings):
    """The arguments of an OnnxDetectorCropper."""

    mean: Mean = (127.0, 127.0, 127.0)
    std: Std = (128.0, 128.0, 128.0)
    boxes: str = Field(default="boxes", description="output with a box in each row, x1 y1 x2 y2")
    scores: str = Field(default="scores", description="output with a score for each box, or one for each class")
    label: CountOrZero = Field(default=1, description="number of the class whose score is used")
    units: Literal["share", "pixels"] = Field(
        default="share", description="units of the boxes: shares of width and height, or pixels of the network's input"
    )
    score: Share = Field(default=0.7, description="boxes with a lower score are ignored")
    overlap: Share = Field(default=0.3, description="of two boxes whose intersection over union is more, the surer one stays")


@CROPPERS.register()
class OnnxDetectorCropper(OnnxCropper):
    """A detector of one class that returns boxes and scores; the default arguments suit UltraFace (RFB-320, RFB-640)."""

    def __init__(self, settings: OnnxDetectorSettings) -> None:
        super().__init__(settings)
        self.boxes, self.scores, self.label, self.units = settings.boxes, settings.scores, settings.label, settings.units
        self.score, self.overlap = settings.score, settings.overlap

    def read(self, outputs: dict[str, np.ndarray], size: Size, inner: Size) -> CropperBoxes:
        """Return every box after non-maximum suppression. Raises UserError for outputs of a wrong shape."""
        boxes, scores = (_of_batch(self.output(outputs, name), 3) for name in (self.boxes, self.scores))
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise self.refuse(self.boxes, boxes, "1 x boxes x 4")
        if scores.ndim == 2 and scores.shape[1] > self.label:
            scores = scores[:, self.label]
        elif scores.shape in ((1, len(boxes)), (len(boxes), 1)):  # of one class
            scores = scores.reshape(-1)
        if scores.ndim != 1 or len(scores) != len(boxes):
            raise self.refuse(self.scores, scores, f"a score for each of {len(boxes)} boxes, of class {self.label} or of one")
        scale = np.tile([size[1], size[0]], 2) / (1 if self.units == "share" else np.tile([inner[1], inner[0]], 2))
        boxes = boxes.astype(np.float64) * scale
        sure = boxes[scores >= self.score]
        if (sure[:, 2:] < sure[:, :2]).any():
            raise UserError(f"{self.model}: its output {self.boxes} has boxes with x2 < x1 or y2 < y1; allowed: x1 y1 x2 y2")
        widths = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        kept = np.array(cv2.dnn.NMSBoxes(widths.tolist(), scores.tolist(), self.score, self.overlap), np.int64).reshape(-1)
        return CropperBoxes(boxes[kept], scores[kept].clip(0, 1))


class OnnxSegmenterSettings(OnnxSettings):
    """The arguments of an OnnxSegmenterCropper."""

    mean: Mean = (123.675, 116.28, 103.53)
    std: Std = (58.395, 57.12, 57.375)
    output: str | None = Field(default=None, description="name of the output that is the map; default: the first output")
    threshold: Share = Field(default=0.5, description="pixels above this value belong to the object")


@CROPPERS.register()
class OnnxSegmenterCropper(OnnxCropper):
    """A segmenter with a map of the salient object, in [0, 1]; the default arguments suit U-2-Net and TRACER.

    The box encloses the largest connected piece; its confidence is the piece's share of all pixels above the threshold.
    """

    def __init__(self, settings: OnnxSegmenterSettings) -> None:
        super().__init__(settings)
        self.map, self.threshold = settings.output, settings.threshold

    def read(self, outputs: dict[str, np.ndarray], size: Size, inner: Size) -> CropperBoxes:
        """Return one box or none. Raises UserError for an output of a wrong shape."""
        name = self.map or next(iter(outputs))
        saliency = self.output(outputs, name)
        saliency = _of_batch(_of_batch(saliency, 4), 3)
        if saliency.ndim != 2:
            raise self.refuse(name, saliency, "1 x 1 x height x width")
        return largest(saliency > self.threshold, size)


def _of_batch(value: np.ndarray, dimensions: int) -> np.ndarray:
    """Return the array without the first dimension if it has `dimensions` dimensions and the first has length 1."""
    return value[0] if value.ndim == dimensions and value.shape[0] == 1 else value


def session(model: str) -> Any:
    """Return the session of a model, shared by all threads; a new one if the file has changed.

    Raises UserError for a file that cannot be read or is not an ONNX model.
    """
    try:
        return _session(model, os.stat(model).st_mtime_ns)
    except OSError as error:
        raise UserError(f"{model}: cannot be read ({error.strerror}); the model of a cropper is a local ONNX file") from None


@functools.lru_cache(maxsize=4)
def _session(model: str, changed: int) -> Any:
    return foreign.onnx_session(foreign.read(Path(model)), model, threads=1)  # pictures are processed in parallel


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)[:8]) or "none"
