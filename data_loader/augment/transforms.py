"""The transforms of albumentations: the allowed names, their checked arguments, and their seeds.

albumentations 2.0.8 is the last release under the MIT licence; all code that knows the library is in this file.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import os
import random
import re
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from base.registry import Part, Registry, TypeNames, part_model, union_of
from base.types import Share
from utils.errors import UserError
from utils.validate import Settings

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise the import asks the network for a newer release

ALLOWED = (
    "Affine AdditiveNoise AutoContrast Blur CLAHE CenterCrop ChannelDropout ChannelShuffle CoarseDropout ColorJitter "
    "Crop CropAndPad Defocus Downscale ElasticTransform Emboss Equalize Erasing FancyPCA GaussNoise GaussianBlur GlassBlur "
    "GridDistortion GridDropout HorizontalFlip HueSaturationValue ISONoise Illumination "
    "ImageCompression InvertImg LongestMaxSize MedianBlur MotionBlur MultiplicativeNoise NoOp OpticalDistortion Pad "
    "PadIfNeeded Perspective PiecewiseAffine PlanckianJitter PlasmaBrightnessContrast PlasmaShadow Posterize RGBShift "
    "RandomBrightnessContrast RandomCrop RandomGamma RandomResizedCrop RandomRotate90 RandomScale RandomShadow RandomSizedCrop "
    "RandomSunFlare RandomToneCurve Resize RingingOvershoot Rotate SafeRotate SaltAndPepper Sharpen ShiftScaleRotate ShotNoise "
    "SmallestMaxSize Solarize SquareSymmetry Superpixels ThinPlateSpline ToGray ToSepia Transpose UnsharpMask VerticalFlip "
    "ZoomBlur"
).split()

DETERMINISTIC = frozenset(  # deterministic with p=1, if no argument is random
    "AutoContrast CLAHE CenterCrop Crop Equalize LongestMaxSize NoOp Pad PadIfNeeded Resize SmallestMaxSize ToGray".split()
)

# Boxes do not stay on their objects: in one of fifty cases a box shares less than half its area with its object.
LOSES_BOXES = frozenset(("PiecewiseAffine", "ThinPlateSpline"))

Probability = Annotated[Share, Field(description="probability of applying it to a picture")]
COMPOSITIONS: dict[str, dict[str, Any]] = {  # with their arguments besides `transforms`
    "OneOf": {"p": (Probability, 0.5)},
    "SomeOf": {
        "n": (int, Field(ge=1, description="number of the steps that are applied to a picture")),
        "replace": (bool, Field(default=False, description="the same step may be applied more than once")),
        "p": (Probability, 1.0),
    },
    "Sequential": {"p": (Probability, 0.5)},
}


class _Later(types.ModuleType):
    """A stand-in for a module, which imports the module when one of its names is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


@functools.cache
def _albumentations() -> Any:
    """Import the library without two of its imports: they would take as long again, and no `--check` needs them."""
    hub = types.ModuleType("albumentations.core.hub_mixin")
    vars(hub)["HubMixin"] = type("HubMixin", (), {})  # up- and download of pipelines over HTTP, which we do not need
    sys.modules.setdefault(hub.__name__, hub)
    scipy = importlib.import_module("scipy")
    if "scipy.special" not in sys.modules:
        vars(scipy)["special"] = _Later("scipy.special")  # only one function of RingingOvershoot needs it
    return importlib.import_module("albumentations")


class BaseTransform:
    """A step of a pipeline, for type annotations only: the steps themselves are albumentations' classes."""


class TransformRegistry(Registry[BaseTransform]):
    """albumentations' transforms as registered classes; the library is imported when a pipeline is first checked."""

    @property
    def names(self) -> list[str]:
        """The allowed transforms, and the compositions of transforms."""
        return [*ALLOWED, *COMPOSITIONS]

    def make_part(self, name: str, among: TypeNames) -> type[Part]:
        """Return the model of a step's arguments: albumentations' own schema, or the list of a composition's steps."""
        cls = getattr(_albumentations(), name)
        if name not in COMPOSITIONS:
            return part_model(name, cls, _arguments(cls))
        leaves = [self.part(leaf, among) for leaf in ALLOWED if among is None or leaf in among]
        one = union_of(leaves or [self.part("NoOp", among)])
        kind: Any = Annotated[list[one], Field(min_length=1), AfterValidator(_some_possible)]  # type: ignore[valid-type]
        several = (kind, Field(description="the steps that the composition is made of"))
        fields: dict[str, Any] = {"transforms": several, **COMPOSITIONS[name]}
        return part_model(name, cls, create_model(f"{name}Args", __base__=Settings, **fields))


TRANSFORMS = TransformRegistry("transform", BaseTransform)


def _some_possible(steps: list[Part]) -> list[Part]:
    if all(step.args.p == 0 for step in steps):
        raise ValueError("transforms of which at least one has p above 0")
    return steps


class _NoOthers(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _arguments(cls: Any) -> type[BaseModel]:
    """Return the schema with which albumentations checks arguments, with the constructor's defaults; unknown keys are refused."""
    schema: type[BaseModel] = cls.InitSchema
    defaults = {name: p.default for name, p in inspect.signature(cls.__init__).parameters.items()}
    docs = _documented(cls)
    fields: dict[str, Any] = {}
    for name, field in schema.model_fields.items():
        default = defaults.get(name, False if name == "strict" else inspect.Parameter.empty)
        annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        given: Any = ... if default is inspect.Parameter.empty else default
        fields[name] = (
            annotation,
            Field(default=given, exclude=name == "strict", description=field.description or docs.get(name)),
        )
    return create_model(f"{cls.__name__}Args", __base__=(schema, _NoOthers), **fields)


def _documented(cls: Any) -> dict[str, str]:
    """Return argument -> the first sentence that the docstring of one of albumentations' classes says of it, below `Args:`."""
    block = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", inspect.getdoc(cls) or "", re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+)(?: \([^\n]*?\))?: (.*(?:\n {6,}.*)*)", block[1], re.MULTILINE) if block else []
    return {name: " ".join(text.split()).partition(". ")[0].removesuffix(".") for name, text in entries}


class Pipeline:
    """Transforms in their order; their random numbers depend only on the seed of each picture.

    transforms: albumentations' objects. key: the config's key, for messages.
    """

    def __init__(self, transforms: Sequence[Any], key: str = "train_transforms") -> None:
        self.steps, self.key = list(transforms), key
        # All steps share one source of random numbers. If each step had its own source with the same seed, as in
        # albumentations' Compose, all would draw the same numbers, and a rare step would only occur together with all others.
        self._numbers, self._python = np.random.Generator(np.random.PCG64()), random.Random()
        for step in self.steps:
            step.set_random_state(self._numbers, self._python)

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """Return the transformed picture, (h, w, 3) uint8 RGB. image: (H, W, 3) uint8 RGB. seed: any number below 2**63.

        Raises UserError if a step fails on the picture.
        """
        *_, image = self._steps(seed, {"image": image})
        return self._with_channels(image)

    def with_boxes(
        self, image: np.ndarray, boxes: np.ndarray, seed: int, min_area: float, min_visibility: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Transform a picture with its boxes; return the picture, the remaining boxes (m, 4), and their indices (m,) int64.

        image: (H, W, 3) uint8 RGB. boxes: (n, 4) float, xyxy in absolute pixels of the picture; the returned boxes are in
        pixels of the returned picture. After every step a box is left out if its area is below min_area square pixels, or if
        the share of its area that is within the picture and not covered by the step is below min_visibility. Raises UserError
        if a step fails on the picture.
        """
        if not self.steps:
            return image, boxes, np.arange(len(boxes))
        _albumentations()
        from albumentations.core.bbox_utils import denormalize_bboxes, filter_bboxes, normalize_bboxes

        _mind_holes(self.steps, min_area, min_visibility)
        shape = image.shape[:2]
        places = np.arange(len(boxes), dtype=np.float32)[:, None]
        left = normalize_bboxes(np.hstack([boxes, places]).astype(np.float32), shape)
        data = {"image": image, "bboxes": left}
        for image in self._steps(seed, data):
            left, shape = data.get("bboxes", left[:0]), image.shape[:2]
            left = filter_bboxes(left, {"height": shape[0], "width": shape[1]}, min_area, min_visibility, 0, 0)
            if len(left):
                data["bboxes"] = left
            else:
                data.pop("bboxes", None)  # some transforms fail on an empty list of boxes
                left = np.zeros((0, 5), np.float32)
        return self._with_channels(image), denormalize_bboxes(left, shape)[:, :4], left[:, 4].astype(np.int64)

    def _steps(self, seed: int, data: dict[str, Any]) -> Iterator[np.ndarray]:
        """Yield the picture before the first step and after each step; `data` holds the results of the last step."""
        if self.steps:
            self._seed(seed)
        yield data["image"]
        for step in self.steps:
            shape = data["image"].shape
            try:
                data.update(step(**data))
            except Exception as error:  # OpenCV and albumentations raise many kinds if arguments do not suit the picture
                reason = " ".join(str(error).split()) or type(error).__name__
                place = f"data_loader.args.{self.key}: {type(step).__name__}"
                raise UserError(f"{place} fails on a picture of {shape[0]} x {shape[1]} pixels ({reason})") from None
            yield data["image"]

    def _with_channels(self, image: np.ndarray) -> np.ndarray:
        if image.shape[2:] != (3,):
            raise UserError(f"data_loader.args.{self.key}: gives pictures of shape {image.shape}; 3 channels are needed")
        return image

    def _seed(self, seed: int) -> None:
        """Reset both generators in place: making new generators for every picture would take ten times as long."""
        state = {"state": seed, "inc": 1}  # PCG64 is a linear congruential step, then a hash: every state is equally good
        self._numbers.bit_generator.state = {"bit_generator": "PCG64", "state": state, "has_uint32": 0, "uinteger": 0}
        self._python.seed(seed)

    def as_json(self) -> dict[str, Any]:
        """Return the pipeline with all its arguments and albumentations' version, as it is saved with a run."""
        if not self.steps:
            return {}
        A = _albumentations()
        return dict(A.to_dict(A.Compose(copy.deepcopy(self.steps))))  # copied, because Compose replaces the steps' generators


def _mind_holes(steps: Iterable[Any], min_area: float, min_visibility: float) -> None:
    """Make the steps that cover parts of a picture drop boxes by the rule of `uncovered`, also within compositions.

    Without this, the steps keep all boxes or, within a Compose, cut the kept boxes to whole pixels of their visible part.
    """
    from albumentations.augmentations.dropout.transforms import BaseDropout

    for step in steps:
        _mind_holes(getattr(step, "transforms", []), min_area, min_visibility)
        if isinstance(step, BaseDropout):
            step._key2func["bboxes"] = functools.partial(uncovered, min_area=min_area, min_visibility=min_visibility)


def uncovered(
    bboxes: np.ndarray, *, holes: np.ndarray, shape: Sequence[int], min_area: float, min_visibility: float, **_: Any
) -> np.ndarray:
    """Return the boxes that are still visible enough, unchanged: an object behind something does not become smaller.

    bboxes: (n, 4 or more) float, xyxy as shares of the picture. holes: (m, 4), xyxy in pixels of the picture; holes may
    overlap. shape: height and width of the picture. min_area: square pixels of a box outside the holes, min_visibility: share
    of a box's area outside the holes; a box that is completely covered is always dropped.
    """
    height, width = shape[:2]
    open_ = np.ones((height, width), bool)
    for x1, y1, x2, y2 in holes.astype(int).tolist():
        open_[y1:y2, x1:x2] = False
    kept = []
    for x1, y1, x2, y2 in (bboxes[:, :4] * [width, height, width, height]).tolist():
        left, top = min(round(x1), width - 1), min(round(y1), height - 1)
        seen = float(open_[top : max(round(y2), top + 1), left : max(round(x2), left + 1)].mean())
        kept.append(seen > 0 and seen >= min_visibility and seen * (x2 - x1) * (y2 - y1) >= min_area)
    visible: np.ndarray = bboxes[np.array(kept, bool)]
    return visible


def random_steps(transforms: Sequence[Part]) -> Iterable[tuple[str, str]]:
    """Yield (key, message) for every step of an evaluation pipeline that is random."""
    for index, step in enumerate(transforms):
        choice = _choice(step)
        if choice is not None:
            allowed = ", ".join(sorted(DETERMINISTIC))
            yield f"eval_transforms[{index}]", f"found {step.type}{choice}, which is random; allowed, with p=1: {allowed}"


def steps_that_lose_boxes(transforms: Sequence[Part], key: str = "train_transforms") -> Iterable[tuple[str, str]]:
    """Yield (key, message) for every step, also within compositions, that moves objects out of their boxes."""
    for index, step in enumerate(transforms):
        if step.type in LOSES_BOXES:
            yield f"{key}[{index}]", f"found {step.type}, which moves objects out of their boxes; use ElasticTransform or Affine"
        yield from steps_that_lose_boxes(getattr(step.args, "transforms", []), f"{key}[{index}].args.transforms")


def _choice(step: Part) -> str | None:
    """Return the random part of a step, as text to put behind its name; None if the step is deterministic."""
    if step.type not in DETERMINISTIC:
        return ""
    if step.args.p != 1:
        return f" with p={step.args.p}"
    if getattr(step.args, "position", None) == "random":
        return ' with position="random"'
    limit = getattr(step.args, "clip_limit", (0, 0))
    low, high = limit if isinstance(limit, tuple) else (1, limit)  # as albumentations reads a number
    return f" with a clip_limit from {low:g} to {high:g}" if low != high else None
