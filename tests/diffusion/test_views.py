"""Views: what is seen of an image, and back again."""

import pytest
import torch

from noise2mask.diffusion.views import View, views_of


def test_samples_take_flips_and_zooms_in_turn():
    found = views_of([[], [1]], [1.0, 0.8, 1.2], 8)
    assert [(view.axes, view.zoom) for view, _ in found] == [
        ((), 1.0), ((1,), 0.8), ((), 1.2), ((1,), 1.0), ((), 0.8), ((1,), 1.2)
    ]  # fmt: skip
    assert sorted(n for _, numbers in found for n in numbers) == list(range(8))
    assert found[1][1] == range(1, 8, 6)


def test_fewer_samples_than_views_take_the_first_ones():
    assert [view.axes for view, _ in views_of([[], [1], [0]], [1.0], 2)] == [(), (1,)]


def test_a_mirrored_image_by_hand():
    image = torch.arange(4.0).view(1, 1, 2, 2)
    assert View((1,)).of(image).flatten().tolist() == [1, 0, 3, 2]
    assert torch.equal(View((0, 1)).back(View((0, 1)).of(image)), image)


def test_twice_as_near_a_ramp_is_half_as_steep():
    ramp = torch.linspace(-3.5, 3.5, 8).expand(1, 1, 8, 8)
    assert torch.allclose(View(zoom=2.0).of(ramp), ramp / 2, atol=1e-6)
    assert torch.allclose(View(zoom=2.0).back(ramp / 2)[..., 2:6, 2:6], ramp[..., 2:6, 2:6], atol=1e-6)


@pytest.mark.parametrize("size", [(48, 48), (32, 32, 24)])
def test_a_blob_comes_back_to_its_place(size):
    axes = [torch.linspace(-1, 1, n) for n in size]
    blob = torch.exp(-4 * sum((axis - 0.2) ** 2 for axis in torch.meshgrid(*axes, indexing="ij")))[None, None]
    view = View((0,), 0.8)
    assert (view.back(view.of(blob)) - blob).abs().max() < 0.06  # two interpolations of few pixels


def test_an_image_without_views_is_itself():
    image = torch.randn(2, 1, 5, 7)
    assert torch.equal(View().of(image), image) and torch.equal(View().back(image), image)
