"""Volumes that train whole are augmented along all of their axes, image and mask alike."""

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

BUNDLES = Path(__file__).parents[2] / "bundles"
SHAPE = (32, 24, 16)


def ball():
    """(1, 32, 24, 16) of 0 and 1, longer than it is wide."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in SHAPE), indexing="ij")
    return sum((axis / radius) ** 2 for axis, radius in zip(axes, (0.7, 0.35, 0.6), strict=True))[None].lt(1).float()


@pytest.fixture(params=["medsegdiff", "medsegdiff_v2"])
def augmented(request):
    """Twenty augmented volumes, image in -1 .. 1 and label of background and ball, and what they were."""
    configs = BUNDLES / request.param / "configs"
    config = ConfigParser()
    config.read_config([str(configs / name) for name in ("train.yaml", "presets/volumes.yaml")])
    transforms = Compose(config.get_parsed_content("train::random_transforms")).set_random_state(0)
    mask = ball()
    before = {"image": 2 * mask - 1, "label": torch.cat([1 - mask, mask])}
    return before, [transforms({key: value.clone() for key, value in before.items()}) for _ in range(20)]


def test_image_and_mask_move_together_and_every_voxel_keeps_one_class(augmented):
    before, after = augmented
    for item in after:
        assert item["image"].shape == before["image"].shape and item["label"].shape == before["label"].shape
        assert torch.equal(item["label"].sum(dim=0), torch.ones(SHAPE))
        mask, bright = item["label"][1] > 0.5, item["image"][0] > (item["image"].max() + item["image"].min()) / 2
        assert 2 * (mask & bright).sum() / (mask.sum() + bright.sum()) > 0.85


def test_basic_unet_beside_it_takes_volumes_of_any_number_of_slices(augmented, request):
    configs = BUNDLES / request.node.callspec.params["augmented"] / "configs"
    config, names = ConfigParser(), ("train.yaml", "presets/volumes.yaml", "presets/basic_unet.yaml")
    config.read_config([str(configs / name) for name in names])
    network, (before, _) = config.get_parsed_content("network_def").eval(), augmented
    assert network.spatial_dims == 3
    assert network.encode(before["image"][None, ..., :3])["logits"].shape[2:] == (32, 24, 3)


def test_they_turn_about_every_axis(augmented):
    """A rotation leaves the axis that it is about alone, and couples the other two."""
    _, after = augmented
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert any(abs(_coupling(item["label"][1], first, second)) > 0.004 for item in after)


def _coupling(mask, first, second):
    """Covariance of two coordinates in the mask, of coordinates in -1 .. 1."""
    points = mask.nonzero().float() / torch.tensor(SHAPE) * 2 - 1
    return torch.cov(points.T)[first, second]
