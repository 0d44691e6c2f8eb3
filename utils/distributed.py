"""Functions for several processes; with one process they do nothing.

Losses are defined over the *global* batch, so that the number of processes changes only the speed.
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
_heartbeats: list[Heartbeat] = []  # the heartbeat of the group, if this process is in a group


def initialise(device_type: str) -> None:
    """Join the group that torchrun describes in the environment; do nothing without torchrun.

    Raises RunError if the other processes do not join.
    """
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
    """Leave the group, if there is one. in_order: tell the others that this process has left on purpose."""
    if dist.is_initialized():
        dist.destroy_process_group()
    while _heartbeats:
        _heartbeats.pop().stop(in_order)


@contextmanager
def joined(device_type: str) -> Iterator[None]:
    """Join the group that torchrun describes for the `with` block, then leave it; explain errors as `explained` does."""
    initialise(device_type)
    try:
        with explaining():
            yield
    except BaseException:
        finish(in_order=False)
        raise
    finish()


def leave() -> bool:
    """Leave the group at the end of the common work; return whether this was the main process."""
    main = is_main()
    finish()
    return main


def explained(error: BaseException) -> BaseException:
    """Return the error itself; if its text says that another process has gone, return a RunError with one line instead."""
    words = ("gloo", "NCCL", "TCPStore", "Connection closed by peer", "Connection reset by peer")
    if world_size() == 1 or not isinstance(error, RuntimeError) or not any(word in str(error) for word in words):
        return error
    return RunError(
        f"process {rank()}: another process of this run has ended, and its output says why; the last checkpoint is whole: "
        "run the same command again with -r auto"
    )


@contextmanager
def explaining() -> Iterator[None]:
    """Turn every RuntimeError inside the `with` block into the error that `explained` returns."""
    try:
        yield
    except RuntimeError as error:
        cause = explained(error)
        if cause is error:
            raise
        raise cause from None


def rank() -> int:
    """Return this process's number; 0 is the main process."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Return this process's number on its machine, which is also the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main() -> bool:
    """Return whether this is the main process, which writes files and prints lines for the user."""
    return rank() == 0


def shares(samples: int) -> list[int]:
    """Return how many of a global batch's samples each process gets, divided as `numpy.array_split` divides."""
    each, rest = divmod(samples, world_size())
    return [each + (number < rest) for number in range(world_size())]


def any_rank(flag: bool) -> bool:
    """Return whether `flag` is true on any process. The exchange uses CPU tensors, so it does not wait for the device."""
    if world_size() == 1:
        return flag
    total = torch.tensor([float(flag)])
    dist.all_reduce(total)
    return bool(total.item())


def gather_objects(value: Any) -> list[Any]:
    """Return the values of all processes in order of rank on rank 0, an empty list on the others."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.gather_object(value, values if is_main() else None)
    return values if is_main() else []


def broadcast_object(value: Any) -> Any:
    """Return rank 0's value on every process."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def on_main(make: Callable[[], T]) -> T:
    """Call `make` on the main process and return its value on every process. A UserError of `make` is raised on all."""
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
    """Set the tensors (any shape and dtype), in place, to the values that they have on rank 0."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def gather(value: Tensor) -> Tensor:
    """Return the tensors of all R processes, of one shape (…), stacked in order of rank: (R, …), on every process."""
    if world_size() == 1:
        return value[None]
    values = [torch.empty_like(value) for _ in range(world_size())]
    dist.all_gather(values, value)
    return torch.stack(values)


def sum_over_ranks(value: Tensor) -> Tensor:
    """Return the sum of a tensor of any shape over all processes, without gradient."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def differentiable_sum(value: Tensor) -> Tensor:
    """Return the sum of a tensor of any shape over all processes, with gradients, for statistics of the whole global batch.

    The backward pass sums the gradients of all processes; DistributedDataParallel then averages them, which gives the
    gradient of one process with the whole batch. If gradients are off, the value itself is returned: in evaluation each
    process has whole batches of its own, and the processes do not exchange values.
    """
    if world_size() == 1 or not torch.is_grad_enabled():
        return value
    from torch.distributed.nn.functional import all_reduce

    summed: Tensor = all_reduce(value)
    return summed


def differentiable_gather(value: Tensor) -> Tensor:
    """Return the rows (N, …) of all processes in order of rank, (sum of all N, …), with gradients; N may differ between them.

    Losses that compare samples with each other use it. The backward pass sums the gradients of all processes for each row;
    if every process computes the same loss, DistributedDataParallel's average is then the gradient of one process with the
    whole batch. If gradients are off, the value itself is returned, as in `differentiable_sum`.
    """
    if world_size() == 1 or not torch.is_grad_enabled():
        return value
    from torch.distributed.nn.functional import all_gather

    sizes = gather(torch.tensor(len(value), device=value.device)).tolist()
    padded = torch.cat([value, value.new_zeros(max(sizes) - len(value), *value.shape[1:])])
    # The all_gather with gradients needs a tensor that requires a gradient; integers do not.
    parts = all_gather(padded) if value.requires_grad else gather(padded).unbind()
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
