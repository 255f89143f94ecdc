"""Several processes: how they find one another, and what they know together."""

import os
from collections.abc import Iterator, Sized
from typing import Any, TypeVar

import torch
from ignite import distributed as idist
from torch import distributed
from torch.utils.data import Sampler

Value = TypeVar("Value")


def join(device: torch.device) -> None:
    """Join the processes that torchrun has started, over NCCL where there are GPUs, else over Gloo.

    From here on CUDA's own default is this process's device: NCCL, and whatever names no device, would take the first.

    Where one has died, `torchrun --max-restarts` starts all of them again with the same store of addresses, and the
    first to come would connect to those of the dead (PyTorch 2.13). So each start has addresses of its own.
    """
    store, rank, world_size = next(distributed.rendezvous("env://"))
    store = distributed.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "gloo"
    if device.type == "cuda":
        backend = "nccl"
        torch.cuda.set_device(device)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world_size)


class Share(Sampler[int]):
    """A rank's part of a data set, each item once: every world_size-th, in order.

    MONAI's DistributedSampler refuses a set of fewer items than ranks, such as what an interrupted call has left.

    Args:
        dataset: of all ranks.
    """

    def __init__(self, dataset: Sized) -> None:
        self.dataset = dataset

    def _own(self) -> range:
        return range(idist.get_rank(), len(self.dataset), idist.get_world_size())

    def __iter__(self) -> Iterator[int]:
        """Numbers of the items."""
        return iter(self._own())

    def __len__(self) -> int:
        """How many; 0 where others have the last ones."""
        return len(self._own())


def gathered(cases: list[Any]) -> list[Any]:
    """The lists of all ranks as one, on every rank."""
    if idist.get_world_size() == 1:
        return list(cases)
    parts: Any = idist.all_gather(cases)
    return [case for part in parts for case in part]


def from_first(value: Value) -> Value:
    """What rank 0 has, on every rank."""
    if idist.get_world_size() == 1:
        return value
    parts: Any = idist.all_gather([value])
    return parts[0][0]
