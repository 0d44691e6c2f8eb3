"""Supervised training: a batch goes through the model, its outputs through the loss, and the optimiser moves."""

from __future__ import annotations

import gc
import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from base.base_loss import BaseLoss
from base.base_metric import BaseMetric
from base.base_model import BaseModel
from base.base_trainer import TRAINERS, BaseTrainer, Loop, Stateful
from base.contracts import Batch, Given, Points, Target
from base.predictions import Predictions, not_finite
from base.settings import TrainerSettings
from base.table import some
from trainer.training.ema import Ema
from trainer.training.guard import FiniteGuard, NotFinite
from trainer.training.optimizers import BaseOptimizer, trainable
from trainer.training.predict import Inference, evaluating, predict
from trainer.training.schedule import Schedule
from trainer.training.schedulers import BaseScheduler
from utils import distributed
from utils.batch import cut, pieces
from utils.device import autocast, to_float32
from utils.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_SCALE = 2.0**-10  # the scaler begins at 2 ** 16 and halves at each overflow; real gradients are in range long before


@dataclass(frozen=True)
class Parts(Given):
    """The parts of a supervised trainer: model, loss, optimiser, scheduler, metrics and inference.

    scheduler: None leaves the rates as they are. inference: settings of the predictions on validation samples.
    """

    model: BaseModel
    loss: BaseLoss
    optimizer: BaseOptimizer
    scheduler: BaseScheduler | None = None
    metrics: Sequence[BaseMetric] = ()
    inference: Inference = field(default_factory=Inference)


class Objective(nn.Module):
    """Model and loss as one module, which is wrapped for several processes together with the loss's parameters."""

    def __init__(self, network: nn.Module, loss: BaseLoss, device: torch.device, precision: str) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.device, self.precision = device, precision

    def forward(self, image: Tensor, target: Target) -> dict[str, Tensor]:
        """Return the named loss terms, scalars (), of images (B, 3, H, W) uint8; the loss is computed in float32."""
        with autocast(self.device, self.precision):
            outputs = self.network(image, target)
        terms: dict[str, Tensor] = self.loss(to_float32(outputs), target)
        return terms


@TRAINERS.register()
class SupervisedTrainer(BaseTrainer):
    """Train on labelled samples: a batch goes through the model, its outputs through the loss, and the optimiser moves.

    Validation computes the metrics on complete predictions.

    By hand: `SupervisedTrainer(TrainerSettings(epochs=3), Loop(loader, folder), Parts(model, loss, SGD(lr=0.1))).fit()`.
    """

    def __init__(self, settings: TrainerSettings, loop: Loop, parts: Parts) -> None:
        super().__init__(settings, loop)
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        self.model = self._synchronised(parts.model).to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.loss = parts.loss.to(self.device)
        self.metrics = list(parts.metrics)
        self.inference = parts.inference
        self.ema = Ema(self.model, self.settings.ema) if self.settings.ema else None
        self.objective = self._objective()
        self.parameters = trainable([self.model, self.loss])
        self.resting: list[nn.Module] = []  # batch norms in evaluation mode while all else is trained
        self.optimizer = parts.optimizer.build(self.model, self.loss)
        self.schedule = Schedule(parts.scheduler, self.optimizer, self.settings.epochs, len(self.batches), self.monitor.mode)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.settings.precision == "fp16")
        self.guard = FiniteGuard(self.settings.nonfinite, self.settings.max_skips, self.device)
        self.predictions: Predictions | None = None  # of the last validation; main process only
        self._figures: dict[str, Figure] = {}
        self._fitted: dict[str, Any] = {}
        self._fitted_at = -1  # the step whose weights it belongs to

    # The step -----------------------------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Run forward and backward for each piece of the batch, then make one step of the optimiser; return the loss terms."""
        self.objective.train()
        for module in self.resting:
            module.eval()
        buffers = [*self.model.buffers(), *self.loss.buffers()] if self.guard.at_once else []
        before = [buffer.clone() for buffer in buffers]
        totals: dict[str, Tensor] = {}
        sizes = distributed.shares(len(self.batches[self.progress.batch]))
        parts = list(pieces(batch, sizes, distributed.rank(), self.settings.accumulate))
        for number, (piece, share) in enumerate(parts, 1):
            with self._synchronising(number == len(parts)):
                terms = self.objective(piece["image"], piece["target"])
                self.scaler.scale(share * torch.stack(list(terms.values())).sum()).backward()
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + share * value.detach()
        loss = torch.stack(list(totals.values())).sum()
        if not self._update(loss):
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
            if not self.guard.may_skip():
                raise NotFinite(self._complaint(self.progress.batch, self._culprits(batch)))
            return {}
        return {"loss": loss, **{f"loss/{name}": value for name, value in totals.items()}}

    def _update(self, loss: Tensor) -> bool:
        """Make a step of the optimiser unless the guard forbids it; return whether the step was made."""
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm or float("inf"))
        # Under fp16 a gradient that overflows is the scaler's everyday business: it skips the step and halves its scale.
        moved = self.guard.passes(loss, loss if self.scaler.is_enabled() else norm, self.progress.step)
        if moved:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.after_step()
        if moved and self.ema is not None:
            self.ema.update(self.progress.step)
        return moved

    def freeze(self, frozen: Collection[nn.Parameter], rest_norms: bool) -> None:
        """Train all parameters except these from the next step on; parameters that the model does not train stay untrained.

        rest_norms: whether batch norms whose parameters are all frozen keep their statistics. Every process must call it.
        """
        still = {id(parameter) for parameter in frozen}
        norms = [module for module in self.model.modules() if isinstance(module, _BatchNorm)] if rest_norms else []
        own = [(module, list(module.parameters(recurse=False))) for module in norms]
        self.resting = [module for module, parameters in own if parameters and all(id(p) in still for p in parameters)]
        changed = [p for p in self.parameters if p.requires_grad == (id(p) in still)]
        if not changed:
            return
        for parameter in changed:
            parameter.requires_grad_(id(parameter) not in still)
        del self.objective  # otherwise two objectives would exchange gradients, each for the parameters trained at its creation
        gc.collect()
        self.objective = self._objective()

    # Validation ---------------------------------------------------------------------------------------------------

    @property
    def evaluated(self) -> BaseModel:
        """The model that is validated, and that `best` stands for: the average, if there is one."""
        return self.ema.module if self.ema is not None else self.model  # type: ignore[return-value]

    def evaluate(self) -> dict[str, float]:
        """Return losses and metrics over all validation samples. Only this method fits the values of metrics (thresholds)."""
        distributed.same_everywhere(self.evaluated.buffers())  # each process has batch-norm statistics of its own samples
        predictions, losses = predict(
            self.evaluated, self.loader, "valid", self.device, self.inference, self.loss, self._after_batch
        )
        judged, self._fitted = distributed.on_main(lambda: self._judge(predictions))
        self._fitted_at = self.progress.step
        return {f"val/{name}": float(value) for name, value in (losses | judged).items()}

    def _judge(self, predictions: Predictions | None) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the scores by name, and the metrics' fitted values. Raises NotFinite if predictions are not finite."""
        table = self.loader.table("valid")
        assert predictions is not None
        predictions.require_ids(table)
        bad = not_finite(predictions)
        if bad and not self.guard.skips:
            raise NotFinite(f"epoch {self.progress.epoch + 1}: the predictions for {some(bad)} are not finite; {self._advice()}")
        if bad:  # such an epoch is never the best
            return {name: math.nan for metric in self.metrics for name in metric.names}, {}
        self.predictions, self._figures = predictions, {}
        scores: dict[str, float] = {}
        fitted = {metric.state_key: metric.fit(predictions, table) for metric in self.metrics}
        for metric in self.metrics:
            metric.use(fitted[metric.state_key])
            scores |= metric.compute(predictions, table)
        return scores, fitted

    def end_epoch(self, scores: Mapping[str, float]) -> None:
        """Move the schedule after an epoch, and warn if every rate was 0 in it."""
        if self.schedule.after_epoch(scores.get(self.monitor.name)):
            self.warn(
                f"epoch {self.progress.epoch + 1}: every learning rate was 0, so that no weight was learned; "
                "look at lr_scheduler, or train fewer epochs"
            )

    @property
    def fruitless(self) -> bool:
        """True if no epoch is the best, or no weight has moved: each step was skipped, or each rate was 0."""
        return super().fruitless or not self._moved

    def doubts(self) -> list[str]:
        """Return a line for each reason to doubt the result."""
        if self._moved:
            return super().doubts()
        reason = "the loss or its gradient was not finite in any batch" if not self.guard.made else "every learning rate was 0"
        return [f"no weight has moved: {reason}; the checkpoints hold the weights of the start", *super().doubts()]

    @property
    def _moved(self) -> bool:
        return self.progress.step == 0 or bool(self.guard.made and self.schedule.idle < max(1, self.schedule.epochs))

    # What the loop asks -------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise NotFinite if a step since the last call was not finite."""
        step = self.guard.first_bad()
        if distributed.any_rank(step is not None):
            batch = self.progress.batch - (self.progress.step - (step if step is not None else self.progress.step))
            raise NotFinite(self._complaint(batch, self._names(batch)))
        if self.scaler.is_enabled() and self.scaler.get_scale() < MIN_SCALE:
            raise NotFinite('trainer.precision: in "fp16" the gradients overflow at any scale; use "bf16" or "fp32"')

    def stateful(self) -> dict[str, Stateful]:
        """Return everything with a state, by name."""
        parts: dict[str, Any] = {
            "model": self.model,
            "loss": self.loss,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "scaler": self.scaler,
            "guard": self.guard,
        }
        return parts | ({"ema": self.ema} if self.ema is not None else {})

    def growth(self) -> int:
        """Return the bytes by which the state will grow: two moments per weight (Adam) before the first step, later 0."""
        return 0 if self.optimizer.state else 2 * sum(p.numel() * p.element_size() for p in self.parameters)

    def fitted(self) -> dict[str, Any]:
        """Return metric -> values fitted with the current weights; empty in the middle of an epoch."""
        return self._fitted if self._fitted_at == self.progress.step else {}

    def learning_rates(self) -> dict[str, float]:
        """Return parameter group -> learning rate."""
        return {group["name"]: float(group["lr"]) for group in self.optimizer.param_groups}

    def figures(self) -> dict[str, Figure]:
        """Return every metric's plots of the last validation; they are drawn once, even if several logs ask for them."""
        if self.predictions is not None and not self._figures:
            table = self.loader.table("valid")
            for metric in self.metrics:
                self._figures |= metric.figures(self.predictions, table, lambda row: self.loader.picture("valid", row))
        return self._figures

    def points(self) -> dict[str, Points]:
        """Return every metric's vectors of the last validation."""
        if self.predictions is None:
            return {}
        table, predictions = self.loader.table("valid"), self.predictions
        return {name: found for metric in self.metrics for name, found in metric.points(predictions, table).items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        super().load_state_dict(state)
        self._fitted, self._fitted_at = dict(state["fitted"]), self.progress.step

    # Details ------------------------------------------------------------------------------------------------------

    def _synchronised(self, model: BaseModel) -> BaseModel:
        """Return the model, with batch-norm statistics over all processes if the config asks for that."""
        if not self.settings.sync_batchnorm or distributed.world_size() == 1:
            return model
        if self.device.type != "cuda":
            raise UserError(f"trainer.sync_batchnorm: needs GPUs, and this run is on {self.device.type}; set it to false")
        from timm.layers import convert_sync_batchnorm  # torch's own drops the activations within timm's batch-norms

        converted: BaseModel = convert_sync_batchnorm(model)
        return converted

    def _objective(self) -> nn.Module:
        network = torch.compile(self.model) if self.settings.compile else self.model
        objective = Objective(network, self.loss, self.device, self.settings.precision)  # type: ignore[arg-type]
        if distributed.world_size() == 1:
            return objective
        return DistributedDataParallel(objective, device_ids=[self.device] if self.device.type == "cuda" else None)

    def _synchronising(self, last: bool) -> AbstractContextManager[Any]:
        """Return a context in which processes exchange gradients with the last piece of a batch only."""
        wrapped = isinstance(self.objective, DistributedDataParallel)
        return self.objective.no_sync() if wrapped and not last else nullcontext()  # type: ignore[operator]

    def _after_batch(self, done: int, total: int) -> None:
        for callback in self.callbacks:
            callback.on_evaluation_step(self, done, total)
        self.poll()

    def _complaint(self, batch: int, samples: Sequence[str]) -> str:
        place = f"epoch {self.progress.epoch + 1}, batch {batch}"
        return f"{place}: the loss or its gradient is not finite, for {some(samples)}; {self._advice()}"

    def _advice(self) -> str:
        return (
            'lower optimizer.args.lr, set trainer.clip_norm or trainer.nonfinite="skip", or look at these samples; '
            f"the last checkpoint in {self.folder.models} is from before"
        )

    def _names(self, batch: int) -> list[str]:
        table = self.loader.table("train")
        return [table.id(int(row)) for row in self.batches[batch]] if 0 <= batch < len(self.batches) else []

    def _culprits(self, batch: Batch) -> list[str]:
        """Return the samples whose own loss is not finite, on any process; the whole batch if no sample can be singled out."""
        table, bad = self.loader.table("train"), []
        with evaluating(self.model, self.loss):
            for row in range(len(batch["index"])):
                sample = cut(batch, row, row + 1)
                with autocast(self.device, self.settings.precision):
                    outputs = self.model(sample["image"], sample["target"])
                terms = self.loss.terms(to_float32(outputs), sample["target"])
                if not all(bool(torch.isfinite(term.total)) for term in terms.values()):
                    bad.append(table.id(int(batch["index"][row])))
        everyone = distributed.broadcast_object(distributed.gather_objects(bad))
        return [name for names in everyone for name in names] or self._names(self.progress.batch)
