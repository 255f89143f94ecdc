"""Rows of a study are computed once, unless what they depend on has changed."""

import json

import pytest
import torch
from torch import nn

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.digest import digest
from noise2mask.studies.cases import cases_of
from noise2mask.studies.rows import Rows, basis_of


def test_a_row_that_is_done_is_not_computed_again(tmp_path):
    calls = []
    row = Rows(tmp_path, "study", {"seed": 1}).get("a", lambda: calls.append(1) or {"dice": 0.5, "note": None})
    again = Rows(tmp_path, "study", {"seed": 1})
    assert again.get("a", lambda: calls.append(1) or {}) == row and len(calls) == 1
    again.get("b", lambda: {"dice": 0.25, "note": 3})
    assert (tmp_path / "study.csv").read_text() == "dice,note\n0.5,\n0.25,3\n"


def test_what_is_no_number_is_null_and_comes_back_as_it_was_given(tmp_path):
    row = Rows(tmp_path, "study", {}).get("a", lambda: {"dice": 0.5, "variance": float("nan")})
    json.loads((tmp_path / "study.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert row == {"dice": 0.5, "variance": None} == Rows(tmp_path, "study", {}).get("a", dict)
    assert (tmp_path / "study.csv").read_text() == "dice,variance\n0.5,\n"


def test_rows_of_another_basis_are_neither_taken_up_nor_thrown_away(tmp_path):
    Rows(tmp_path, "study", {"weights": "x"}).get("a", lambda: {"dice": 0.5})
    with pytest.raises(ValueError, match="holds rows of other weights.* give another output_dir"):
        Rows(tmp_path, "study", {"weights": "y"})
    assert Rows(tmp_path, "study", {"weights": "x"}).rows == {"a": {"dice": 0.5}}


def test_a_folder_that_can_not_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file/out can not be written to"):
        Rows(tmp_path / "file" / "out", "study", {})


def test_weights_have_a_digest_of_their_own():
    torch.manual_seed(0)
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    assert digest(one.state_dict()) != digest(two.state_dict())
    two.load_state_dict(one.state_dict())
    assert digest(one.state_dict()) == digest(two.state_dict())


def test_other_images_or_labels_are_another_basis(toy, threshold):
    cases, inferer = cases_of(*toy, torch.device("cpu")), EnsembleInferer(NoiseSchedule("linear", 20))
    first = basis_of(cases, inferer, threshold)
    assert basis_of(cases, inferer, threshold) == first
    assert basis_of(cases[1:] + cases[:1], inferer, threshold) != first
    assert basis_of([case._replace(label=1 - case.label) for case in cases], inferer, threshold) != first
    assert basis_of(cases, inferer.changed(target="v"), threshold) != first
    other = NoiseSchedule("linear", 20, beta_end=1e-2)
    assert basis_of(cases, inferer.changed(noise_schedule=other), threshold) != first
