"""The keys of `trainer` that every kind of trainer takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from base.types import Count, Positive, ProperShare
from utils.validate import Settings


class TrainerSettings(Settings):
    """The settings of training: its length, the monitored score, saving, and numerical precision."""

    epochs: Count = Field(description="passes over the training samples")
    monitor: Annotated[str, Field(pattern=r"^((min|max) \S+|off)$")] = Field(
        default="min val/loss",
        description='the score that decides which checkpoint is the best: "min NAME", "max NAME", or "off"',
    )
    early_stop: Count | None = Field(default=None, description="number of validations without a better score after which to stop")
    validate_every: Count = Field(default=1, description="epochs between validations; the last epoch is always validated")
    save_dir: str = Field(default="saved", description="folder for models and logs")
    save_period: Count = Field(default=1, description="epochs from one kept checkpoint to the next")
    keep: Count = Field(default=2, description="number of these checkpoints to keep, beside the last and the best")
    save_steps: Count | None = Field(default=None, description="steps between further saves within an epoch")
    precision: Literal["fp32", "bf16", "fp16"] = Field(default="fp32", description="precision of the network; weights stay fp32")
    accumulate: Count = Field(
        default=1,
        description="number of pieces of a batch that pass the network one after the other, to need less memory; "
        "the loss is averaged within each piece",
    )
    clip_norm: Positive | None = Field(default=None, description="largest norm of the gradient")
    nonfinite: Literal["stop", "skip"] = Field(
        default="stop", description="at a loss or gradient that is not finite: end the run, or leave out the step"
    )
    max_skips: Count = Field(default=20, description="number of steps in a row that may be skipped before the run ends")
    ema: ProperShare | None = Field(
        default=None,
        description="decay per step of an exponential moving average of the model's weights; the average is evaluated",
    )
    compile: bool = Field(default=False, description="torch.compile the network")
    channels_last: bool = Field(default=True, description="memory format of images and weights; faster for convolutions")
    sync_batchnorm: bool = Field(default=False, description="batch-norm statistics over all processes")
    deterministic: bool = Field(default=False, description="refuse operations that are not reproducible on this device")
    log_every: Count = Field(default=20, description="steps between values in the progress bar and the step log")
    tensorboard: bool = Field(default=True, description="write TensorBoard files")
    wandb: bool = Field(default=False, description="log to Weights & Biases: offline unless you are logged in")
    verbosity: Annotated[int, Field(ge=0, le=2)] = Field(default=2, description="0 silent, 1 epoch table, 2 also progress bars")

    def shares(self) -> str | None:
        """Return the key that gives samples a weight below 1; None if every weight is 1."""
        return None
