"""The model of verification: pictures of the same person get embeddings that are near, pictures of others far apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from base.base_model import MODELS, BaseModel
from base.contracts import DataSpec, Outputs, OutputSpec, Prediction, Target
from base.types import NotAllShare
from base.verification.pairs import IDENTITY
from model.backbones.timm_backbone import DropPathRate, stages
from model.verification.backbones import faces


@MODELS.register("verification")
class EmbeddingModel(BaseModel):
    """A backbone, dropout, and a linear layer whose output is the embedding."""

    def __init__(
        self,
        spec: DataSpec,
        backbone: Annotated[
            str,
            Field(
                description="`mobilefacenet`, `mobilefacenet_relu` (twice as fast on a CPU), `ir_50`, `ir_100`, "
                "`ir_se_50`, `ir_se_100`, or the name of a timm model"
            ),
        ],
        pretrained: Annotated[
            bool | str,
            Field(
                description="true for timm's weights, a local file of weights for a timm model (.pth, .pt, "
                ".safetensors), or false for random weights"
            ),
        ] = False,
        embedding_size: Annotated[int, Field(ge=2, le=65_536, description="numbers in an embedding")] = 512,
        batch_norm: Annotated[bool, Field(description="batch-norm on the embedding; the linear layer then has no bias")] = True,
        unit_length: Annotated[
            bool,
            Field(
                description="scale embeddings to length 1, for the cosine; false leaves their length, for the Euclidean distance"
            ),
        ] = True,
        identity: Annotated[
            Literal["none", "linear", "batch_norm"],
            Field(
                description="a head, for training alone, that tells the training identities apart by the embedding: "
                'linear, or linear with batch-norm on its logits; "none" if the loss has class weights '
                "of its own"
            ),
        ] = "none",
        drop_rate: Annotated[NotAllShare, Field(description="dropout before the linear layer")] = 0.0,
        drop_path_rate: DropPathRate = 0.0,
    ) -> None:
        network, width, normalisation = faces.create(backbone, pretrained, drop_path_rate, spec.image_size)
        super().__init__(**normalisation)
        self.embedding_size, self.unit_length = embedding_size, unit_length
        self.backbone = network
        self.dropout = nn.Dropout(drop_rate)
        self.embed = nn.Linear(width, embedding_size, bias=not batch_norm)
        self.neck = nn.BatchNorm1d(embedding_size) if batch_norm else nn.Identity()
        self.classes = spec.trained(IDENTITY) if identity != "none" else 0
        self.identify = _identity_head(identity, embedding_size, self.classes)

    def forward(self, image: Tensor, target: Target | None = None) -> Outputs:
        """Return `embedding` (B, D) float32, not scaled; with an identity head also `identity`, logits (B, K) float32.

        image: (B, 3, H, W), uint8 or float in 0..255.
        """
        features = self.dropout(self.backbone(self.normalise(image)))  # (B, width)
        embedding = self.neck(self.embed(features)).float()
        outputs = {"embedding": embedding}
        if self.identify is not None:
            outputs[IDENTITY] = self.identify(embedding).float()
        return outputs

    def decode(self, outputs: Outputs) -> Prediction:
        """Return `embedding` (B, D) float32, of length 1 unless `unit_length` is off.

        A zero vector stays zero; metrics refuse it.
        """
        embedding = outputs["embedding"].float()
        return {"embedding": functional.normalize(embedding) if self.unit_length else embedding}

    @property
    def output_spec(self) -> OutputSpec:
        """The widths of `embedding`, and of `identity` if the model has an identity head."""
        return OutputSpec({"embedding": self.embedding_size, **({IDENTITY: self.classes} if self.identify is not None else {})})

    def head(self) -> list[nn.Module]:
        """Return the linear layer of the embedding, and the identity head."""
        return [self.embed, *self.training_only()]

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return the parameters of a timm backbone by stage; empty for our own networks."""
        return stages(self.backbone)

    def training_only(self) -> list[nn.Module]:
        """Return the identity head."""
        return [self.identify] if self.identify is not None else []

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """Return (key, message) for an unknown backbone, without importing timm."""
        return faces.problems(args.backbone, args.pretrained, args.drop_path_rate)


def _identity_head(kind: str, width: int, classes: int) -> nn.Module | None:
    if kind == "none":
        return None
    linear = nn.Linear(width, classes)
    return linear if kind == "linear" else nn.Sequential(linear, nn.BatchNorm1d(classes))
