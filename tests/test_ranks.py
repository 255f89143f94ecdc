"""One process alone: what all ranks know is what it knows; and joining, over Gloo and, where there is a GPU, over NCCL.

Several processes are tested with the commands of the bundles.
"""

import pytest
import torch
from torch import distributed

from noise2mask.ranks import Share, from_first, gathered, idist, join

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


@pytest.mark.parametrize(("items", "ranks"), [(7, 3), (4, 2), (1, 3), (0, 2), (5, 1)])
def test_every_item_is_in_the_share_of_one_rank_however_few_there_are(monkeypatch, items, ranks):
    monkeypatch.setattr(idist, "get_world_size", lambda: ranks)
    shares = []
    for rank in range(ranks):
        monkeypatch.setattr(idist, "get_rank", lambda rank=rank: rank)
        share = Share(range(items))
        shares.append(list(share))
        assert len(share) == len(shares[-1])
    assert sorted(sum(shares, [])) == list(range(items)) and max(map(len, shares)) - min(map(len, shares)) <= 1


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
