"""What MedSegDiff-V2 takes from the image: pictures of what the network really has, in numbers."""

import csv

import pytest
import torch

from noise2mask.explain.anchor import AnchorFigures
from noise2mask.networks.medsegdiff_v2 import MedSegDiffV2

from . import toy


def network(**options):
    torch.manual_seed(0)
    small = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "former_blocks": 1, "heads": 2}
    return MedSegDiffV2(**{**small, **options}).eval()


def test_the_table_has_the_anchor_s_and_the_gate_s_means(tmp_path):
    net, data = network(), toy.dataset()
    rows = AnchorFigures(toy.subject(tmp_path, net, data)).run()
    with torch.no_grad():
        condition = net.encode(data[1]["image"].as_tensor()[None])
    assert rows[1]["anchor_mean"] == pytest.approx(float(net.coarse(condition).mean()), abs=1e-5)
    assert rows[1]["gate_0_mean"] == pytest.approx(float(condition["gate_0"].mean()), abs=1e-5)
    assert (tmp_path / "anchor.png").is_file() and (tmp_path / "anchor.csv").is_file()


def test_the_filter_s_table_has_a_line_per_module_and_timestep(tmp_path):
    net = network()
    AnchorFigures(toy.subject(tmp_path, net, toy.dataset(1))).run()
    with open(tmp_path / "nbp_filter.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["module"], row["timestep"]) for row in table] == [
        (str(module), str(t)) for t in toy.inferer().timesteps for module in (1, 2)
    ]
    with torch.no_grad():
        image = toy.dataset(1)[0]["image"].as_tensor()[None]
        filters = net.at(net.encode(image), torch.tensor([toy.inferer().timesteps[0]]))["filters"]
    assert float(table[0]["mean"]) == pytest.approx(float(filters[0, 0].mean()), abs=1e-5)


@pytest.mark.parametrize("options", [{"nbp_filter": False}, {"semantic": "sum"}])
def test_without_a_filter_there_is_no_picture_of_one(tmp_path, options):
    AnchorFigures(toy.subject(tmp_path, network(**options), toy.dataset(1))).run()
    assert {path.name for path in tmp_path.iterdir()} == {"anchor.png", "anchor.csv"}


def test_of_exclusive_classes_the_anchor_is_what_is_no_background(tmp_path):
    net = network(exclusive=True, out_channels=3)
    inferer = toy.inferer(out_channels=3, exclusive=True)
    data = toy.dataset(1, labelled=False)
    (row,) = AnchorFigures(toy.subject(tmp_path, net, data, inferer)).run()
    with torch.no_grad():
        coarse = net.coarse(net.encode(data[0]["image"].as_tensor()[None]))
    assert row["anchor_mean"] == pytest.approx(float(1 - coarse[:, 0].mean()), abs=1e-5)


def test_a_network_that_has_nothing_of_it_is_left_out(tmp_path):
    assert AnchorFigures(toy.subject(tmp_path, toy.network(), toy.dataset())).run() == []
    assert list(tmp_path.iterdir()) == []
