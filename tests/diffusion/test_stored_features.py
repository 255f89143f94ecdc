"""Features kept on disk are the fresh ones to the last bit, and never those of anything else."""

import pytest
import torch
from torch import nn

from noise2mask.diffusion.feature_inferer import FeatureInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.stored_features import StoredFeatures
from noise2mask.networks.dci_segmenter import DCISegmenter
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.reference_encoder import ReferenceEncoder

SHAPE = {"base": 8, "multipliers": (1, 2), "blocks": 1, "attention_levels": (1,), "token_sides": (2,)}


def inputs(seed=0):
    return {"x": torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(seed))}


def layer(heads=1):
    """A network with weights, and with something that is not in them."""
    made = nn.Linear(2, 2)
    made.shape = {"heads": heads}
    return made


class Counting:
    """What makes features, and how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {i: torch.full((3, 2, 2, 2), float(self.calls * 10 + i)) for i in (1, 2)}


def test_they_are_computed_once_and_given_back_as_they_were(tmp_path):
    stored, compute = StoredFeatures(tmp_path, layer()), Counting()
    first, again = (stored.get(inputs(), 20, (1, 2), compute) for _ in range(2))
    assert compute.calls == 1 and all(torch.equal(first[i], again[i]) for i in (1, 2))
    assert len(list(tmp_path.glob("*.pt"))) == 3


def test_other_weights_images_timesteps_and_entries_have_files_of_their_own(tmp_path):
    net, compute = layer(), Counting()
    StoredFeatures(tmp_path, net).get(inputs(), 20, (1, 2), compute)
    StoredFeatures(tmp_path, layer()).get(inputs(), 20, (1, 2), compute)
    same = layer(heads=2)
    same.load_state_dict(net.state_dict())
    StoredFeatures(tmp_path, same).get(inputs(), 20, (1, 2), compute)
    for others in ((inputs(1), 20, (1, 2)), (inputs(), 30, (1, 2)), (inputs(), 20, (1,))):
        StoredFeatures(tmp_path, net).get(*others, compute)
    assert compute.calls == 6 and len(list(tmp_path.glob("*.pt"))) == 18


def test_a_damaged_file_is_named(tmp_path):
    stored = StoredFeatures(tmp_path, layer())
    stored.get(inputs(), 20, (1, 2), Counting())
    path = sorted(tmp_path.glob("*.pt"))[0]
    path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(ValueError, match=f"{path.name} is no readable checkpoint"):
        stored.get(inputs(), 20, (1, 2), Counting())


def segmenter(fusion="caa"):
    torch.manual_seed(0)
    dsdm = DSDMWithReference(
        ReferenceEncoder(embedding=8, width=8), classes=3, num_groups=4, head_channels=8, spade_hidden=4, **SHAPE
    )
    net = DCISegmenter(dsdm, 3, entries=(0, 1), fusion=fusion)
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.2)
    return net.eval()


@pytest.mark.parametrize("fusion", ["caa", "skip"])
def test_masks_of_stored_features_equal_those_of_fresh_ones(tmp_path, fusion):
    net = segmenter(fusion)
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    fresh = FeatureInferer(NoiseSchedule("cosine", 100), 20, samples=3)
    kept = fresh.changed(features_dir=tmp_path)
    expected = fresh.sample(image, net)
    assert torch.equal(kept.sample(image, net), expected) and len(list(tmp_path.glob("*.pt"))) == 6
    net.dsdm.features = None  # nothing is computed again
    assert torch.allclose(kept.sample(image, net), expected, atol=1e-6)


def test_without_fusion_nothing_is_kept(tmp_path):
    FeatureInferer(NoiseSchedule("cosine", 100), 20, features_dir=tmp_path).sample(
        torch.zeros(1, 3, 8, 8), segmenter("none")
    )
    assert not list(tmp_path.iterdir())
