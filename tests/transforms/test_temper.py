"""Tempered probabilities of an image."""

import torch
from monai.data import MetaTensor

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.transforms.temper import Temperd


def test_probabilities_are_tempered_by_the_inferer_and_all_else_stays():
    inferer = EnsembleInferer(NoiseSchedule(), temperature=2.0)
    item = {"probability": MetaTensor(torch.tensor([[[0.9, 0.5]]])), "mask": torch.ones(1)}
    found = Temperd("probability", inferer)(item)
    assert torch.allclose(found["probability"].as_tensor(), torch.tensor([[[0.75, 0.5]]]))
    assert found["mask"] is item["mask"] and item["probability"][0, 0, 0] == 0.9
