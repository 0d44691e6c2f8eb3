"""albumentations behind one door: which transforms a config may name, their checked arguments, their seeds.

albumentations 2.0.8 is the last release under the MIT licence; everything that knows it is in this file.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model

from base.registry import Part, Registry, part_model, union_of
from utils.validate import Settings

if TYPE_CHECKING:
    import albumentations as A

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer release when imported

ALLOWED = (
    "Affine AdditiveNoise AutoContrast Blur CLAHE CenterCrop ChannelDropout ChannelShuffle CoarseDropout ColorJitter "
    "ConstrainedCoarseDropout Crop CropAndPad Defocus Downscale ElasticTransform Emboss Equalize Erasing FancyPCA GaussNoise "
    "GaussianBlur GlassBlur GridDistortion GridDropout HorizontalFlip HueSaturationValue ISONoise Illumination "
    "ImageCompression InvertImg LongestMaxSize MedianBlur MotionBlur MultiplicativeNoise NoOp OpticalDistortion Pad "
    "PadIfNeeded Perspective PiecewiseAffine PlanckianJitter PlasmaBrightnessContrast PlasmaShadow Posterize RGBShift "
    "RandomBrightnessContrast RandomCrop RandomGamma RandomResizedCrop RandomRotate90 RandomScale RandomShadow RandomSizedCrop "
    "RandomSunFlare RandomToneCurve Resize RingingOvershoot Rotate SafeRotate SaltAndPepper Sharpen ShiftScaleRotate ShotNoise "
    "SmallestMaxSize Solarize SquareSymmetry Superpixels ThinPlateSpline ToGray ToSepia Transpose UnsharpMask VerticalFlip ZoomBlur"
).split()

DETERMINISTIC = frozenset("CLAHE CenterCrop Crop Equalize LongestMaxSize NoOp Pad PadIfNeeded Resize SmallestMaxSize ToGray".split())

_Probability = Annotated[float, Field(ge=0, le=1)]


class BaseTransform:
    """A step of a pipeline, for annotations: the steps themselves are albumentations' classes."""


class TransformRegistry(Registry[BaseTransform]):
    """albumentations' transforms as registered classes, imported when a pipeline is first looked at."""

    @functools.cached_property
    def parts(self) -> dict[str, type[Part]]:
        """A model per allowed transform, from albumentations' own argument schemas, and the compositions of them."""
        import albumentations as A

        leaves = {name: part_model(name, getattr(A, name), _arguments(getattr(A, name))) for name in ALLOWED if hasattr(A, name)}
        several = (list[union_of(leaves.values())], Field(min_length=1))  # type: ignore[misc]
        compositions = {
            "OneOf": {"transforms": several, "p": (_Probability, 0.5)},
            "SomeOf": {"transforms": several, "n": (int, Field(ge=1)), "replace": (bool, False), "p": (_Probability, 1.0)},
            "Sequential": {"transforms": several, "p": (_Probability, 0.5)},
        }
        for name, fields in compositions.items():
            arguments = create_model(f"{name}Args", __base__=Settings, **fields)  # type: ignore[call-overload]
            leaves[name] = part_model(name, getattr(A, name), arguments)
        return leaves


TRANSFORMS = TransformRegistry("transform", BaseTransform)


class _NoOthers(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _arguments(cls: Any) -> type[BaseModel]:
    """The schema that albumentations checks arguments with, its defaults from the constructor, unknown keys refused."""
    schema: type[BaseModel] = cls.InitSchema
    defaults = {name: p.default for name, p in inspect.signature(cls.__init__).parameters.items()}
    fields: dict[str, Any] = {}
    for name, field in schema.model_fields.items():
        default = defaults.get(name, False if name == "strict" else inspect.Parameter.empty)
        annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        fields[name] = (annotation, ... if default is inspect.Parameter.empty else Field(default=default, exclude=name == "strict"))
    return create_model(f"{cls.__name__}Args", __base__=(schema, _NoOthers), **fields)


class Pipeline:
    """Transforms in their order, with random numbers that depend on nothing but the seed given with each picture."""

    def __init__(self, transforms: Sequence[A.BasicTransform]) -> None:
        import albumentations as A

        self.compose = A.Compose(list(transforms)) if transforms else None

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """image: (H, W, 3) uint8 RGB -> the same, of the size that the pipeline gives."""
        if self.compose is None:
            return image
        self.compose.set_random_seed(seed % 2**32)
        result: np.ndarray = self.compose(image=image)["image"]
        return result

    def as_json(self) -> dict[str, Any]:
        """The pipeline with all its arguments and albumentations' version, as it is saved with a run."""
        import albumentations as A

        return {} if self.compose is None else dict(A.to_dict(self.compose))


def random_steps(transforms: Sequence[Part]) -> Iterable[tuple[str, str]]:
    """(key, message) for every step of an evaluation pipeline that could treat two runs differently."""
    for index, step in enumerate(transforms):
        if step.type not in DETERMINISTIC or step.args.p != 1:
            found = step.type if step.type not in DETERMINISTIC else f"{step.type} with p={step.args.p}"
            allowed = ", ".join(sorted(DETERMINISTIC))
            yield f"eval_transforms[{index}]", f"found {found}, which is random; allowed, with p=1: {allowed}"
