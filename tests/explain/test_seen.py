"""Which part of a layer's map belongs to what is shown of a case."""

import numpy as np
import pytest
import torch

from noise2mask.explain.anchor import AnchorFigures
from noise2mask.explain.attention import AttentionFigures
from noise2mask.explain.seen import Seen
from noise2mask.explain.spectrum import SpectrumFigures
from noise2mask.networks.medsegdiff import MedSegDiff
from noise2mask.networks.medsegdiff_v2 import MedSegDiffV2

from . import toy


def seen(shape, number=None, stride=8):
    picture = np.zeros(shape[:2])
    return Seen("a", torch.zeros(1, 1, *shape), picture, None, np.zeros(shape[:2]), number, stride=stride)


def test_a_slice_is_found_in_a_map_of_the_padded_volume():
    depths = torch.arange(5.0).expand(1, 4, 4, 5)  # of 35 slices, padded to 40: eight to a place
    for number, expected in ((0, 0), (20, 2), (30, 3), (34, 4)):
        assert (seen((32, 32, 35), number).shown(depths) == expected).all()
    own = torch.arange(35.0).expand(1, 32, 32, 35)
    assert (seen((32, 32, 35), 30).shown(own) == 30).all()  # an output has been cut back


def test_a_map_is_not_stretched_over_what_is_padding():
    columns = torch.arange(3.0).expand(1, 2, 3)  # of 20 columns, padded to 24
    shown = seen((16, 20)).shown(columns)
    assert shown.shape == (1, 16, 20) and shown[0, 0, 4] == pytest.approx(0.0625) and shown[0, 0, 12] < 1.1
    assert (seen((16, 24)).shown(columns) == columns.numpy()).all()  # nothing is padded: as it is


def volumes():
    return toy.dataset(1, depth=6)


def test_figures_of_a_network_of_three_dimensions_show_the_slice_of_the_label(tmp_path):
    torch.manual_seed(0)
    small = {"base": 8, "multipliers": (1, 2), "blocks": 1, "num_groups": 4, "former_blocks": 1, "heads": 2}
    net = MedSegDiffV2(**small, spatial_dims=3).eval()
    subject = toy.subject(tmp_path, net, volumes(), most_steps=1)
    rows = AttentionFigures(subject, grids={"encoder": ["condition.encoder.stages.*"]}, score="x0_foreground").run()
    assert [row["slice"] for row in rows] == [0] * len(rows) and rows
    AnchorFigures(subject).run()
    assert (tmp_path / "attention_case_0_encoder.png").is_file() and (tmp_path / "anchor.png").is_file()


def test_filters_of_three_dimensions_have_a_picture(tmp_path):
    net = MedSegDiff(base=4, blocks=(1, 1, 1, 1), downsamplings=4, num_groups=2, grid=8, spatial_dims=3).eval()
    rows = SpectrumFigures(toy.subject(tmp_path, net, volumes(), most_steps=1)).run()
    assert all(row["mean"] == pytest.approx(1) for row in rows) and (tmp_path / "spectrum_case_0.png").is_file()
