"""Supervised training: a batch goes through the model, its outputs through the loss, and the optimiser moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from base.base_loss import BaseLoss
from base.base_metric import BaseMetric
from base.base_model import BaseModel
from base.base_trainer import BaseTrainer, Stateful, register_trainer
from base.contracts import Batch, Target
from base.predictions import Predictions
from base.settings import TrainerSettings
from base.table import some
from trainer.ema import Ema
from trainer.guard import FiniteGuard, NotFinite
from trainer.optim import BaseOptimizer, BaseScheduler, Schedule, trainable
from trainer.predict import evaluating, predict
from utils import distributed
from utils.batch import cut, pieces
from utils.device import autocast, to_float32

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SupervisedSettings(TrainerSettings):
    """Keys of the ordinary trainer."""

    type: Literal["SupervisedTrainer"] = "SupervisedTrainer"


class Objective(nn.Module):
    """Model and loss as one module: what is wrapped for several processes, so that the loss's parameters are in it too."""

    def __init__(self, network: nn.Module, loss: BaseLoss, device: torch.device, precision: str) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.device, self.precision = device, precision

    def forward(self, image: Tensor, target: Target) -> dict[str, Tensor]:
        """Named loss terms () of images (B, 3, H, W); the loss is computed in float32."""
        with autocast(self.device, self.precision):
            outputs = self.network(image, target)
        terms: dict[str, Tensor] = self.loss(to_float32(outputs), target)
        return terms


@register_trainer
class SupervisedTrainer(BaseTrainer):
    """image -> model -> outputs -> loss terms -> gradient -> optimiser, and the metrics on complete predictions."""

    Settings = SupervisedSettings

    def __init__(
        self,
        *,
        model: BaseModel,
        loss: BaseLoss,
        metrics: Sequence[BaseMetric],
        optimizer: BaseOptimizer,
        scheduler: BaseScheduler | None,
        **loop: Any,
    ) -> None:
        super().__init__(**loop)
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        self.model = model.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.loss = loss.to(self.device)
        self.metrics = list(metrics)
        self.ema = Ema(self.model, self.settings.ema) if self.settings.ema else None
        self.objective = self._objective()
        self.parameters = trainable([self.model, self.loss])
        self.optimizer = optimizer.build(self.model, self.loss)
        self.schedule = Schedule(scheduler, self.optimizer, self.settings.epochs, len(self.batches), self.monitor.mode)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.settings.precision == "fp16")
        self.guard = FiniteGuard(self.settings.nonfinite, self.settings.max_skips, self.device)
        self.predictions: Predictions | None = None  # of the last validation; main process only
        self._fitted: dict[str, Any] = {}

    # The step -----------------------------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Forward and backward, a piece of the batch at a time; then one step of the optimiser."""
        self.objective.train()
        buffers = list(self.model.buffers()) if self.guard.skips else []
        before = [buffer.clone() for buffer in buffers]
        totals: dict[str, Tensor] = {}
        parts = list(pieces(batch, len(batch["index"]), self.settings.accumulate))
        for number, (piece, share) in enumerate(parts, 1):
            with self._synchronising(number == len(parts)):
                terms = self.objective(piece["image"], piece["target"])
                self.scaler.scale(share * torch.stack(list(terms.values())).sum()).backward()
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + share * value.detach()
        loss = torch.stack(list(totals.values())).sum()
        if not self._update(loss, batch):
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
            return {}
        return {"loss": loss, **{f"loss/{name}": value for name, value in totals.items()}}

    def _update(self, loss: Tensor, batch: Batch) -> bool:
        """Move the weights by the gradient, unless something is not finite; whether they were moved."""
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm or float("inf"))
        # Under fp16 a gradient that overflows is the scaler's everyday business: it skips the step and halves its scale.
        moved = self.guard.passes(loss, loss if self.scaler.is_enabled() else norm, self.progress.step)
        if moved:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif not self.guard.may_skip():
            raise NotFinite(self._complaint(self.progress.batch, self._culprits(batch)))
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.after_step()
        if moved and self.ema is not None:
            self.ema.update(self.progress.step)
        return moved

    # Validation ---------------------------------------------------------------------------------------------------

    @property
    def evaluated(self) -> BaseModel:
        """The model that is validated, and that `best` stands for: the average, if there is one."""
        return self.ema.module if self.ema is not None else self.model  # type: ignore[return-value]

    def evaluate(self) -> dict[str, float]:
        """Losses and metrics over all validation samples; what metrics fit is fitted here and nowhere else."""
        predictions, losses = predict(
            self.evaluated, self.loader, "valid", self.device, self.settings.precision, self.loss, self._after_batch
        )
        scores = dict(losses)
        if predictions is not None and distributed.is_main():
            table = self.loader.table("valid")
            predictions.require_ids(table)
            self.predictions = predictions
            self._fitted = {type(metric).__name__: metric.fit(predictions, table) for metric in self.metrics}
            for metric in self.metrics:
                metric.use(self._fitted[type(metric).__name__])
                scores |= metric.compute(predictions, table)
        scores, self._fitted = distributed.broadcast_object((scores, self._fitted))
        return {f"val/{name}": float(value) for name, value in scores.items()}

    def end_epoch(self, scores: Mapping[str, float]) -> None:
        """Move the schedule."""
        self.schedule.after_epoch(scores.get(self.monitor.name))

    # What the loop asks -------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise where a step since the last look was not finite."""
        step = self.guard.first_bad()
        if distributed.any_rank(step is not None):
            batch = self.progress.batch - (self.progress.step - (step if step is not None else self.progress.step))
            raise NotFinite(self._complaint(batch, self._names(batch)))

    def stateful(self) -> dict[str, Stateful]:
        """Everything with a state of its own."""
        parts: dict[str, Any] = {
            "model": self.model,
            "loss": self.loss,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "scaler": self.scaler,
        }
        return parts | ({"ema": self.ema} if self.ema is not None else {})

    def fitted(self) -> dict[str, Any]:
        """By metric, what was fitted at the last validation."""
        return self._fitted

    def learning_rates(self) -> dict[str, float]:
        """By parameter group."""
        return {group["name"]: float(group["lr"]) for group in self.optimizer.param_groups}

    def figures(self) -> dict[str, Figure]:
        """Every metric's plots of the last validation."""
        if self.predictions is None:
            return {}
        table, drawn = self.loader.table("valid"), {}
        for metric in self.metrics:
            drawn |= metric.figures(self.predictions, table, lambda row: self.loader.picture("valid", row))
        return drawn

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was saved."""
        super().load_state_dict(state)
        self._fitted = dict(state["fitted"])

    # Details ------------------------------------------------------------------------------------------------------

    def _objective(self) -> nn.Module:
        if self.settings.sync_batchnorm and distributed.world_size() > 1 and self.device.type == "cuda":
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)  # type: ignore[assignment]
        network = torch.compile(self.model) if self.settings.compile else self.model
        objective = Objective(network, self.loss, self.device, self.settings.precision)  # type: ignore[arg-type]
        if distributed.world_size() == 1:
            return objective
        return DistributedDataParallel(objective, device_ids=[self.device] if self.device.type == "cuda" else None)

    def _synchronising(self, last: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients with the last piece of a batch only."""
        wrapped = isinstance(self.objective, DistributedDataParallel)
        return self.objective.no_sync() if wrapped and not last else nullcontext()  # type: ignore[operator]

    def _after_batch(self, done: int, total: int) -> None:
        for callback in self.callbacks:
            callback.on_evaluation_step(self, done, total)
        self.poll()

    def _complaint(self, batch: int, samples: Sequence[str]) -> str:
        return (
            f"epoch {self.progress.epoch + 1}, batch {batch}: the loss or its gradient is not finite, for {some(samples)}; "
            f'lower optimizer.args.lr, set trainer.clip_norm or trainer.nonfinite="skip", or look at these samples; '
            f"the last checkpoint in {self.folder.models} is from before"
        )

    def _names(self, batch: int) -> list[str]:
        table = self.loader.table("train")
        return [table.id(int(row)) for row in self.batches[batch]] if 0 <= batch < len(self.batches) else []

    def _culprits(self, batch: Batch) -> list[str]:
        """The samples whose own loss is not finite; all of the batch where none can be singled out."""
        bad = []
        with evaluating(self.model, self.loss):
            for row in range(len(batch["index"])):
                sample = cut(batch, row, row + 1)
                terms = self.loss.terms(to_float32(self.model(sample["image"])), sample["target"])
                if not all(bool(torch.isfinite(term.total)) for term in terms.values()):
                    bad.append(row)
        table = self.loader.table("train")
        return [table.id(int(batch["index"][row])) for row in bad or range(len(batch["index"]))]
