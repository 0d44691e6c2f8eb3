"""One process or many: the same calls, which do nothing where there is one.

Losses are defined over the *global* batch, so that the number of processes changes nothing but the speed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from utils import meeting
from utils.errors import RunError, UserError
from utils.heartbeat import Heartbeat

T = TypeVar("T")
TIMEOUT = timedelta(minutes=10)
_heartbeats: list[Heartbeat] = []  # that of the group, while there is one


def initialise(device_type: str) -> None:
    """Join the group that torchrun describes in the environment; nothing without it. Raises RunError where others do not."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    backend, joining = "cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo", timedelta(seconds=meeting.PATIENCE)
    try:
        store, number, processes = next(rendezvous("env://", timeout=joining))
        store = PrefixStore(meeting.agree(store, number, processes), store)
        dist.init_process_group(backend, store=store, rank=number, world_size=processes, timeout=joining)
        store.set_timeout(TIMEOUT)
        dist.set_timeout(TIMEOUT)
        _heartbeats.append(Heartbeat(store, number, processes))
    except RuntimeError as error:
        cause = str(error).splitlines()[0]
        raise RunError(f"process {os.environ.get('RANK')}: cannot join the other processes of this run ({cause})") from None


def finish(in_order: bool = True) -> None:
    """Leave the group, if there is one. in_order: the others need not miss this process."""
    if dist.is_initialized():
        dist.destroy_process_group()
    while _heartbeats:
        _heartbeats.pop().stop(in_order)


@contextmanager
def joined(device_type: str) -> Iterator[None]:
    """In the group that torchrun describes, for as long as this lasts; errors as `explained` puts them."""
    initialise(device_type)
    try:
        with explaining():
            yield
    except BaseException:
        finish(in_order=False)
        raise
    finish()


def leave() -> bool:
    """Leave the group for good, at the end of what was done together; whether this is the main process."""
    main = is_main()
    finish()
    return main


def explained(error: BaseException) -> BaseException:
    """The error itself, or in its place one line where it says that another process has gone."""
    words = ("gloo", "NCCL", "TCPStore", "Connection closed by peer", "Connection reset by peer")
    if world_size() == 1 or not isinstance(error, RuntimeError) or not any(word in str(error) for word in words):
        return error
    return RunError(
        f"process {rank()}: another process of this run has ended, and says itself why; the last checkpoint is whole: "
        "run the same command again with -r auto"
    )


@contextmanager
def explaining() -> Iterator[None]:
    """What is raised in here is raised as `explained` puts it."""
    try:
        yield
    except RuntimeError as error:
        cause = explained(error)
        if cause is error:
            raise
        raise cause from None


def rank() -> int:
    """This process's number, 0 the main one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """This process's number on its machine: the GPU it takes."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main() -> bool:
    """Whether this process writes files and speaks to the user."""
    return rank() == 0


def shares(samples: int) -> list[int]:
    """How many of a global batch's samples each process has, as `numpy.array_split` deals them."""
    each, rest = divmod(samples, world_size())
    return [each + (number < rest) for number in range(world_size())]


def any_rank(flag: bool) -> bool:
    """Whether `flag` holds on any process. Goes over the CPU's group, so it does not wait for the device."""
    if world_size() == 1:
        return flag
    total = torch.tensor([float(flag)])
    dist.all_reduce(total)
    return bool(total.item())


def gather_objects(value: Any) -> list[Any]:
    """The values of all processes in order of rank, on rank 0; elsewhere an empty list."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.gather_object(value, values if is_main() else None)
    return values if is_main() else []


def broadcast_object(value: Any) -> Any:
    """Rank 0's value, on every process."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def on_main(make: Callable[[], T]) -> T:
    """What `make` gives on the main process, on every process. A UserError that it raises there is raised on all."""
    if world_size() == 1:
        return make()
    value: Any = None
    problem: UserError | None = None
    if is_main():
        try:
            value = make()
        except UserError as error:
            problem = error
    value, status, text = broadcast_object((value, problem and problem.status, str(problem)))
    if status is not None:
        raise problem or (RunError if status == RunError.status else UserError)(text)
    result: T = value
    return result


def same_everywhere(tensors: Iterable[Tensor]) -> None:
    """Give the tensors the values that they have on rank 0."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def gather(value: Tensor) -> Tensor:
    """The tensors of all processes, which have one shape, stacked in order of rank: (R, …), on every process."""
    if world_size() == 1:
        return value[None]
    values = [torch.empty_like(value) for _ in range(world_size())]
    dist.all_gather(values, value)
    return torch.stack(values)


def sum_over_ranks(value: Tensor) -> Tensor:
    """Sum of a tensor of any shape over all processes, without gradient."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def differentiable_sum(value: Tensor) -> Tensor:
    """Sum over all processes through which gradients flow, for statistics of the whole global batch.

    Its backward sums the gradients of every process; DistributedDataParallel then averages, which leaves the gradient
    of one process that holds the whole batch. Without gradients it is the value alone: evaluation deals whole batches
    to the processes, which then do not meet.
    """
    if world_size() == 1 or not torch.is_grad_enabled():
        return value
    from torch.distributed.nn.functional import all_reduce

    summed: Tensor = all_reduce(value)
    return summed


def differentiable_gather(value: Tensor) -> Tensor:
    """The rows of all processes in order of rank, (N of all, …), through which gradients flow; N may differ between them.

    For losses that compare samples with each other. Its backward sums the gradients of every process for each row; where every
    process computes the same loss, DistributedDataParallel's average then leaves the gradient of one process that holds the
    whole batch. Without gradients it is the value alone, as `differentiable_sum` is.
    """
    if world_size() == 1 or not torch.is_grad_enabled():
        return value
    from torch.distributed.nn.functional import all_gather

    sizes = gather(torch.tensor(len(value), device=value.device)).tolist()
    padded = torch.cat([value, value.new_zeros(max(sizes) - len(value), *value.shape[1:])])
    # all_gather has a gradient for what requires one; whole numbers have none.
    parts = all_gather(padded) if value.requires_grad else gather(padded).unbind()
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
