"""The way from noise to image is kept of the first image of each mask, whatever the chunks."""

import csv

import pytest
import torch
from ignite.engine import Engine
from PIL import Image

from noise2mask.diffusion.image_inferer import ImageInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.handlers.save_sampling import FRAMES, SaveSampling
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.reference_encoder import ReferenceEncoder


@pytest.fixture(scope="module")
def network():
    options = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "head_channels": 4, "spade_hidden": 4}
    torch.manual_seed(0)
    return DSDMWithReference(ReferenceEncoder(embedding=6, width=4), attention_levels=(1,), token_sides=(2,), **options)


def save(folder, network, **options):
    """Of three masks in one batch; the handler and the batch's output."""
    inferer = ImageInferer(NoiseSchedule("cosine", 40), target="v", **{"steps": 3, "samples": 2, **options})
    mask = torch.nn.functional.one_hot(torch.arange(3)[:, None, None].expand(3, 8, 8), 3).movedim(3, 1).float()
    batch = {"label": mask, "reference": torch.rand(3, 3, 8, 8) * 2 - 1, "name": ["a", "b", "c"]}

    def step(engine, batch):
        pred = inferer.generate(batch["label"], batch["reference"], network, engine.watch, seeds=[5, 6, 7])
        return {**batch, "pred": pred}

    engine, handler = Engine(step), SaveSampling(str(folder))
    engine.inferer = inferer
    handler.attach(engine)
    engine.run([batch])
    return handler, engine.state.output


@pytest.mark.parametrize("chunk_size", [1, 2, 64])
def test_the_last_estimate_is_the_first_image_of_its_mask(tmp_path, network, chunk_size):
    handler, output = save(tmp_path, network, chunk_size=chunk_size)
    assert [len(handler.kept[number]) for number in range(3)] == [3, 3, 3]
    for number in range(3):
        last = (handler.kept[number][-1][2] + 1) / 2
        assert torch.allclose(last.clamp(0, 1), output["pred"][number, 0], atol=1e-5)


def test_each_mask_has_a_strip_an_animation_and_a_row_for_each_step(tmp_path, network):
    save(tmp_path, network)
    files = {f"sampling_{name}.{ending}" for name in "abc" for ending in ("png", "gif")}
    assert {path.name for path in tmp_path.iterdir()} == files | {"sampling.csv"}
    rows = list(csv.DictReader((tmp_path / "sampling.csv").open()))
    assert list(rows[0]) == ["mask", "timestep", "alpha", "sigma", "mean", "std", "rmse"]
    assert [row["mask"] for row in rows] == [name for name in "abc" for _ in range(3)]
    assert [float(row["rmse"]) == 0 for row in rows] == [False, False, True] * 3


def test_of_many_steps_some_are_kept_the_first_and_the_last_among_them(tmp_path, network):
    handler, _ = save(tmp_path, network, steps=40)
    timesteps = [step[0] for step in handler.kept[0]]
    assert len(timesteps) == FRAMES and (timesteps[0], timesteps[-1]) == (39, 0)
    with Image.open(tmp_path / "sampling_a.gif") as file:
        assert file.n_frames == FRAMES
