"""Time vectors."""

import torch

from noise2mask.layers.time_embedding import TimeEmbedding, TimeVector


def test_a_vector_per_timestep_is_ready_to_be_added():
    assert TimeVector(8, 16)(torch.tensor([0, 1, 999])).shape == (3, 16, 1, 1)


def test_whole_and_fractional_timesteps_are_the_same_number():
    time = TimeVector(8, 16)
    assert torch.equal(time(torch.tensor([5])), time(torch.tensor([5.0])))
    assert not torch.equal(time(torch.tensor([5.0])), time(torch.tensor([5.5])))


def test_the_sinusoid_has_the_paper_s_frequencies():
    time = TimeVector(4, 4)
    for layer in (time.mlp[0], time.mlp[2]):
        layer.weight.data.copy_(torch.eye(4))
        layer.bias.data.zero_()
    angles = 3 * torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(2) / 2)
    expected = torch.nn.functional.silu(torch.cat([angles.cos(), angles.sin()]))
    assert torch.allclose(time(torch.tensor([3]))[0, :, 0, 0], expected, atol=1e-6)


def test_it_follows_the_weights_type():
    assert TimeVector(8, 8).double()(torch.tensor([3])).dtype == torch.float64


def test_the_shared_embedding_is_four_times_as_wide_and_has_the_same_sinusoid():
    embedding, vector = TimeEmbedding(8), TimeVector(8, 32)
    vector.mlp.load_state_dict(embedding.mlp.state_dict())
    t = torch.tensor([3.5, 900])
    assert embedding.width == 32 and torch.equal(embedding(t), vector(t)[:, :, 0, 0])
