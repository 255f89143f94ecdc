"""The contract of denoisers: forward, defaults, and what a condition remembers."""

import pytest
import torch
from torch import nn

from noise2mask.diffusion.denoiser import Condition, Denoiser, unwrap


class Add(Denoiser):
    """Predicts x + t + the image's mean."""

    def encode(self, image):
        return Condition(image, self.training, {"mean": image.mean(dim=(1, 2, 3), keepdim=True)})

    def denoise(self, x, timesteps, condition):
        samples = condition.samples_of(x, self.training)
        return x + timesteps + condition["mean"].repeat_interleave(samples, dim=0)


IMAGE = torch.arange(8.0).reshape(2, 1, 2, 2)  # means 1.5 and 5.5


def test_forward_is_denoise_after_encode():
    out = Add()(torch.zeros(4, 1, 2, 2), torch.tensor([10]), IMAGE)
    assert out[:, 0, 0, 0].tolist() == [11.5, 11.5, 15.5, 15.5]


def test_at_adds_nothing_unless_a_network_says_so():
    condition = Add().encode(IMAGE)
    assert Add().at(condition, torch.tensor([3])) is condition


def test_a_network_without_a_coarse_mask_says_what_to_do():
    with pytest.raises(ValueError, match=r"Add makes no coarse mask: sample from noise"):
        Add().coarse(Add().encode(IMAGE))


def test_an_extended_condition_leaves_the_first_one_alone():
    condition = Add().encode(IMAGE)
    longer = condition.extended({"more": IMAGE})
    assert set(longer) == {"mean", "more"} and set(condition) == {"mean"}
    assert longer.image is IMAGE and longer.training


def test_a_condition_counts_samples():
    condition = Condition(IMAGE, False, {})
    assert condition.samples_of(torch.zeros(6, 1, 2, 2), training=False) == 3
    with pytest.raises(ValueError, match="does not fit"):
        condition.samples_of(torch.zeros(5, 1, 2, 2), training=False)
    with pytest.raises(ValueError, match="another mode"):
        condition.samples_of(torch.zeros(6, 1, 2, 2), training=True)


def test_unwrap_leaves_a_plain_network_alone():
    network = nn.Linear(1, 1)
    assert unwrap(network) is network
