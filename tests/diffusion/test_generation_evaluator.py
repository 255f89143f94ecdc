"""The evaluator that generates: what a batch becomes, and what it says of one that fails."""

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset, MetaTensor

from noise2mask.diffusion.generation_evaluator import GenerationEvaluator
from noise2mask.diffusion.image_inferer import ImageInferer, seed_of
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.guidance import Guided
from noise2mask.networks.reference_encoder import ReferenceEncoder

SMALL = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "head_channels": 4, "spade_hidden": 4}
INFERER = ImageInferer(NoiseSchedule("cosine", 10), steps=1, samples=2)


def items(channels=3):
    """Two masks, as the preprocessing leaves them."""
    masks = [MetaTensor(torch.zeros(channels, 8, 8), meta={"filename_or_obj": f"{name}.png"}) for name in "ab"]
    for mask in masks:
        mask[1] = 1
    return [
        {"label": mask, "reference": torch.rand(3, 9, 9) - 0.5, "name": mask.meta["filename_or_obj"][0]}
        for mask in masks
    ]


def evaluator(data):
    network = DSDMWithReference(
        ReferenceEncoder(embedding=6, width=4), attention_levels=(1,), token_sides=(2,), **SMALL
    )
    loader = DataLoader(Dataset(data), batch_size=2)
    return GenerationEvaluator("cpu", loader, Guided(network), inferer=INFERER, decollate=False)


def test_its_output_holds_the_images_beside_the_batch_and_they_are_those_of_the_inferer():
    engine = evaluator(items())
    engine.run()
    output = engine.state.output
    assert output["name"] == ["a", "b"] and output["pred"].shape == (2, 2, 3, 8, 8)
    seeds = [seed_of(0, name) for name in "ab"]
    expected = INFERER.generate(output["label"], output["reference"], engine.network, seeds=seeds)
    assert torch.equal(output["pred"], expected)


def test_masks_do_not_share_their_noise_and_the_batch_does_not_matter():
    same = items()
    same[1] |= {"label": same[0]["label"], "reference": same[0]["reference"]}
    engine = evaluator(same)
    engine.run()
    first, second = engine.state.output["pred"]
    assert not torch.equal(first, second)
    alone = INFERER.generate(
        same[1]["label"][None], same[1]["reference"][None], engine.network, seeds=[seed_of(0, "b")]
    )
    assert torch.allclose(alone[0], second, atol=1e-4)


def test_masks_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"mask has 2 channels.* Files of this batch: a.png, b.png\."):
        evaluator(items(2)).run()


def test_a_run_of_no_masks_begins_and_ends_all_the_same():
    engine, seen = evaluator([]), []
    for event in (Events.STARTED, Events.COMPLETED):
        engine.add_event_handler(event, lambda _, event=event: seen.append(event))
    engine.run()
    assert seen == [Events.STARTED, Events.COMPLETED]
