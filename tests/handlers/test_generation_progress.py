"""Every validation shows what the weights of the moment make of the same masks, references and noise."""

import random

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from PIL import Image

from noise2mask.diffusion.image_inferer import ImageInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.explain.caption import BAR
from noise2mask.explain.progress import generation_picture
from noise2mask.handlers.generation_progress import GenerationProgress
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.reference_encoder import ReferenceEncoder
from noise2mask.seeding import derived_seed, seed_everything

INFERER = ImageInferer(NoiseSchedule("cosine", 10), target="v", steps=2, samples=1, seed=3)


@pytest.fixture
def network():
    torch.manual_seed(0)
    options = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "head_channels": 4, "spade_hidden": 4}
    encoder = ReferenceEncoder(embedding=6, width=4)
    network = DSDMWithReference(encoder, attention_levels=(1,), token_sides=(2,), **options).eval()
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    return network


@pytest.fixture
def data():
    """Ten tiles in batches of four."""
    draw = torch.Generator().manual_seed(0)
    images = torch.rand((10, 2, 3, 8, 8), generator=draw) * 2 - 1
    masks = torch.nn.functional.one_hot(torch.randint(0, 3, (10, 8, 8), generator=draw), 3).movedim(3, 1).float()
    items = [{"label": m, "image": i, "reference": r} for m, (i, r) in zip(masks, images, strict=True)]
    return DataLoader(Dataset(items), batch_size=4)


def validator(folder, network):
    engine = Engine(lambda engine, batch: None)
    engine.network, engine.state.device = network, torch.device("cpu")
    GenerationProgress(str(folder), INFERER).attach(engine)
    return engine


def picture(folder):
    return np.asarray(Image.open(folder / "progress.png"))[:-BAR]


def test_a_row_has_mask_reference_what_the_inferer_makes_and_the_real_image(tmp_path, network, data):
    validator(tmp_path, network).run(data)
    chosen = [data.dataset[i] for i in (0, 3, 6, 9)]
    mask, reference = (torch.stack([item[key] for item in chosen]) for key in ("label", "reference"))
    made = INFERER.generate(mask, reference, network, seeds=[derived_seed(3, n) for n in range(4)])[:, 0]
    unit = [((item["reference"] + 1) / 2, own, (item["image"] + 1) / 2) for item, own in zip(chosen, made, strict=True)]
    expected = generation_picture([(item["label"], *own) for item, own in zip(chosen, unit, strict=True)])
    assert np.abs(picture(tmp_path).astype(int) - expected).max() <= 1


def test_the_same_weights_make_the_same_picture_and_others_another(tmp_path, network, data):
    shown = []
    for scale in (1.0, 1.0, 0.5):
        torch._foreach_mul_([weights.data for weights in network.parameters()], scale)
        validator(tmp_path, network).run(data)
        shown.append(picture(tmp_path))
    assert np.array_equal(shown[0], shown[1]) and not np.array_equal(shown[0], shown[2])


def test_random_states_stay_as_they_are(tmp_path, network, data):
    engine = validator(tmp_path, network)
    states = []
    for own in (engine, Engine(lambda engine, batch: None)):
        seed_everything(0)
        own.run(data)
        states.append((random.random(), np.random.rand(), float(torch.rand(()))))
    assert states[0] == states[1]
