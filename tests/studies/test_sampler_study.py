"""The sampler study on a toy, in seconds."""

import csv

import pytest
from PIL import Image

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.studies.sampler_study import SamplerStudy, steps_within

INFERER = EnsembleInferer(NoiseSchedule("linear", 20))
SAMPLERS = ("ddim", "dpm_solver", "dpm_solver_pp", "unipc")


def study(toy, network, folder, **options):
    arguments = {"samplers": SAMPLERS, "budgets": (1, 4), "repeats": 3, "ddpm_steps": 20, **options}
    return SamplerStudy(*toy, network, INFERER, output_dir=str(folder), **arguments)


def test_an_exact_network_scores_one_with_every_sampler_and_never_varies(toy, threshold, tmp_path):
    rows = study(toy, threshold, tmp_path).run()
    assert [(row["sampler"], row["evaluations"]) for row in rows] == [
        *((name, n) for name, counts in zip(SAMPLERS, ((1, 4), (1, 3), (1, 4), (1, 4)), strict=True) for n in counts),
        ("ddpm", 20),
    ]
    assert all(row["dice_mean"] == 1 and row["dice_variance"] == 0 and row["repeats"] == 3 for row in rows)
    assert all(row["seconds_per_sample"] > 0 and "seconds_per_image" not in row for row in rows)
    with open(tmp_path / "sampler_study.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 9
    assert Image.open(tmp_path / "sampler_study.png").size == (840, 540)


def test_repeats_are_samples_from_seed_on_and_their_dice_is_averaged_over_images(toy, threshold, tmp_path, monkeypatch):
    # sample n of every image is right from pixel 8 n on
    def sample(self, image, network):
        bright = (image > 0).float()[:, None].repeat(1, self.samples, 1, 1, 1)
        for n in range(self.samples):
            bright[:, n] *= n > 0
        return bright

    monkeypatch.setattr(EnsembleInferer, "sample", sample)
    (row,) = study(toy, threshold, tmp_path, samplers=("ddim",), budgets=(2,), ddpm_steps=0).run()
    assert [row["dice_0"], row["dice_1"], row["dice_2"]] == [0, 1, 1]
    assert row["dice_mean"] == pytest.approx(2 / 3) and row["dice_variance"] == pytest.approx(1 / 3)


def test_repeats_differ_in_noise_alone_whatever_views_the_weights_have(toy, threshold, tmp_path):
    seen = INFERER.changed(flips=[[], [1]], zooms=[1.0, 0.85])
    own = SamplerStudy(*toy, threshold, seen, ("ddim",), (2,), 3, 0, str(tmp_path))
    assert [len(inferer.views) for inferer in own.inferers] == [1] and own.inferers[0].samples == 3


def test_a_single_repeat_has_no_variance(toy, threshold, tmp_path):
    rows = study(toy, threshold, tmp_path, samplers=("ddim",), budgets=(1, 2), repeats=1, ddpm_steps=0).run()
    assert [row["dice_variance"] for row in rows] == [None, None]
    assert "NaN" not in (tmp_path / "sampler_study.json").read_text()


def test_a_budget_of_single_steps_is_not_exceeded():
    assert [steps_within("dpm_solver", budget) for budget in (1, 2, 5, 10)] == [1, 1, 3, 5]
    assert steps_within("unipc", 10) == 10


def test_more_evaluations_than_timesteps_are_refused_before_anything_is_sampled(toy, threshold, tmp_path):
    with pytest.raises(ValueError, match="steps is 21, expected 1 to 20"):
        study(toy, threshold, tmp_path, budgets=(5, 21))
