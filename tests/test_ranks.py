"""One process alone: what all ranks know is what it knows; and joining, over Gloo and, where there is a GPU, over NCCL.

Several processes are tested with the commands of the bundles.
"""

import pytest
import torch
from torch import distributed

from noise2mask.ranks import from_first, gathered, join

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def one_process(monkeypatch):
    """What torchrun tells the one process that it starts."""
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    yield
    distributed.destroy_process_group()


def test_one_process_has_its_own_cases_and_values():
    cases = [{"image": "a.png"}, {"image": "b.png"}]
    assert gathered(cases) == cases and gathered(cases) is not cases
    assert from_first(cases) is cases


def test_processes_without_a_gpu_join_over_gloo(one_process):
    join(torch.device("cpu"))
    assert (distributed.get_backend(), distributed.get_rank(), distributed.get_world_size()) == ("gloo", 0, 1)


@GPU
def test_a_process_joins_over_nccl_with_its_own_gpu_as_cuda_s_default(one_process):
    own = torch.cuda.device_count() - 1
    join(torch.device("cuda", own))
    assert distributed.get_backend() == "nccl" and torch.cuda.current_device() == own
    there = torch.ones(1, device="cuda")
    distributed.all_reduce(there)
    assert there.item() == 1 and there.device.index == own
