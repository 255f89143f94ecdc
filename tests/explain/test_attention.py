"""Grids of Grad-CAM: what they are made of, case by case, and that the network stays as it was."""

import csv
import math

import pytest
import torch

from noise2mask.explain.attention import AttentionFigures, attention, short_names
from noise2mask.explain.seen import seen_cases

from . import toy

GRIDS = {
    "before": ["taps.denoising_before_psa_*"],
    "after": ["taps.denoising_after_psa_*"],
    "condition": ["taps.condition_after_psa_*"],
}


def figures(folder, net=None, data=None, **options):
    chosen = {"grids": GRIDS, "score": "x0_foreground", "before_after": [["before", "after"]]}
    return AttentionFigures(toy.subject(folder, net, data, most_steps=2), **{**chosen, **options})


def test_every_case_has_a_picture_per_grid_and_a_line_per_layer_and_timestep(tmp_path):
    rows = figures(tmp_path).run()
    names = {path.name for path in tmp_path.glob("*.png")}
    kinds = (*GRIDS, "before_and_after")
    assert names == {f"attention_case_{i}_{kind}.png" for i in (0, 1) for kind in kinds}
    assert len(rows) == 2 * 2 * 3 * 2  # cases, timesteps, grids, levels
    with open(tmp_path / "attention.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["layer"] for row in table] == [row["layer"] for row in rows]
    assert {row["timestep"] for row in table} == {
        str(t) for t in (toy.inferer().timesteps[0], toy.inferer().timesteps[-1])
    }


def test_the_second_case_s_maps_are_its_own(tmp_path):
    both, alone = figures(tmp_path / "a").run(), figures(tmp_path / "b", data=toy.dataset(first=1)).run()
    own = [row["heat_in_lesion"] for row in both if row["case"] == "case_1"]
    assert own == pytest.approx([row["heat_in_lesion"] for row in alone], abs=1e-6, nan_ok=True)
    assert own != pytest.approx([row["heat_in_lesion"] for row in both if row["case"] == "case_0"], nan_ok=True)


@pytest.mark.parametrize("exchange", ["none", "map"])
def test_a_batch_s_maps_are_those_of_its_images_one_by_one(exchange, tmp_path):
    subject = toy.subject(tmp_path, toy.network(psa_exchange=exchange, num_groups=2))
    x = torch.randn(2, 1, 16, 16)
    image = torch.randn(2, 1, 16, 16).clamp(-1, 1)
    layers = ["taps.denoising_after_psa_1", "taps.condition_before_psa_2", "up_units.0"]

    def maps(i):
        return attention(subject, image[i], x[i], 500, layers, "eps_sum")

    together = maps(slice(0, 2))
    for i in (0, 1):
        for layer, own in maps(slice(i, i + 1)).items():
            assert torch.allclose(together[layer][i], own[0], atol=1e-4)


def test_weights_gradients_and_mode_stay(tmp_path):
    net = toy.network().train()
    net.freeze_prior()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    figures(tmp_path, net).run()
    assert net.training and not net.prior.training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_without_a_label_the_mask_that_was_found_is_the_lesion(tmp_path):
    rows = figures(tmp_path, data=toy.dataset(labelled=False)).run()
    (seen, _) = seen_cases(toy.dataset(labelled=False), toy.network(), toy.inferer(), torch.device("cpu"))
    area = float((seen.found > 0).mean())
    assert seen.label is None and rows[0]["area_of_lesion"] == pytest.approx(area)


def test_of_a_volume_the_slice_with_most_of_the_label_is_shown(tmp_path):
    data = toy.dataset(1, depth=3)
    (seen,) = seen_cases(data, toy.network(), toy.inferer(), torch.device("cpu"))
    assert seen.slice == 0 and seen.image.shape == (1, 1, 16, 16) and seen.label.sum() == 36
    assert torch.equal(seen.image[0], data[0]["image"].as_tensor()[..., 0])
    assert not math.isnan(figures(tmp_path, data=data).run()[0]["area_of_lesion"])


def test_a_layer_that_does_not_exist_stops_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"no layer 'tap\.denoising_before_psa_1'.*Did you mean"):
        figures(tmp_path / "out", grids={"one": ["tap.denoising_before_psa_1"]})
    assert not list((tmp_path / "out").iterdir())


def test_names_are_as_long_as_they_must_be():
    assert short_names(["taps.before_1", "taps.before_2"]) == ["level 1", "level 2"]
    assert short_names(["bottleneck", "up.0"]) == ["bottleneck", "up.0"]
    assert short_names(["a.b.middle"]) == ["middle"]
