"""From noise to image: what is shown of a sampler's steps, and the numbers beside it."""

import numpy as np
import pytest
import torch
from PIL import Image

from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.explain.image_sampling import Sampling, sampling_rows, write_sampling_animation, write_sampling_strip


def sampling(values, timesteps):
    """Images of one value each; x_t is all noise."""
    clean = torch.stack([torch.full((3, 4, 8), value) for value in values])
    mask = torch.zeros(3, 4, 8)
    mask[1] = 1
    return Sampling(timesteps, torch.randn(clean.shape), clean, mask, torch.zeros(3, 4, 8))


def test_numbers_are_of_colours_from_0_to_1_and_of_the_distance_to_the_result():
    own = sampling([-3.0, 0.0, 0.5], [9, 5, 0])
    own.clean[1, :, :2] = 1
    first, second, last = sampling_rows("a", own, NoiseSchedule("linear", 10))
    assert (first["mask"], first["timestep"], first["mean"], first["std"], first["rmse"]) == ("a", 9, 0, 0, 0.75)
    assert (second["mean"], second["std"], second["rmse"]) == (0.75, 0.25, 0.25)
    assert (last["mean"], last["rmse"]) == (0.75, 0)
    for row in (first, second, last):
        assert row["alpha"] ** 2 + row["sigma"] ** 2 == pytest.approx(1, abs=1e-5)
    assert first["alpha"] < second["alpha"] < last["alpha"]


def test_a_strip_has_at_most_eight_timesteps_and_beside_them_result_mask_and_reference(tmp_path):
    widths = []
    for steps in (2, 8, 30):
        path = write_sampling_strip(sampling([0.0] * steps, list(range(steps))[::-1]), tmp_path / "strip.png")
        widths.append(Image.open(path).width)
    column = (widths[1] - widths[0]) / 6
    assert widths[1] == widths[2] and widths[0] == pytest.approx(5 * column, rel=0.1)


def test_an_animation_shows_the_estimates_in_their_colours(tmp_path):
    path = write_sampling_animation(sampling([-1.0, 0.0, 1.0], [9, 5, 0]), tmp_path / "way.gif")
    shown = []
    with Image.open(path) as file:
        for number in range(file.n_frames):
            file.seek(number)
            shown.append(int(np.asarray(file.convert("L"))[20, 20]))
    assert shown == [0, 128, 255]
