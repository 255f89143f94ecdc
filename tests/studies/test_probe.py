"""The probe finds the mask where it stands, and nothing where it does not."""

import csv
import json

import pytest
import torch
from PIL import Image

from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.reference_encoder import ReferenceEncoder
from noise2mask.studies.probe import Probe

SHAPE = {"base": 8, "multipliers": (1, 2), "blocks": 1, "attention_levels": (1,), "token_sides": (2,)}


class Planted(DSDMWithReference):
    """Block 1 holds the image it was given as x, block 2 the mask it was given, the others nothing."""

    def __init__(self):
        torch.manual_seed(0)
        encoder = ReferenceEncoder(embedding=8, width=8)
        super().__init__(encoder, classes=2, num_groups=4, head_channels=8, spade_hidden=4, **SHAPE)
        self.calls = 0

    def encode(self, mask=None, reference=None):
        self.mask = mask
        return super().encode(mask, reference)

    def features(self, x, timesteps, condition, entries):
        self.calls += 1
        nothing = torch.zeros(len(x), 2, 8, 8)
        made = {1: x, 2: nothing if self.mask is None else self.mask}
        return {i: made.get(i, nothing) for i in entries}


def items(count, seed):
    """Images whose red channel is the mask."""
    drawn = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        mask = (torch.rand(1, 8, 8, generator=drawn) > 0.5).float()
        image = torch.cat([2 * mask - 1, torch.rand(2, 8, 8, generator=drawn) * 2 - 1])
        found.append({"image": image, "label": torch.cat([1 - mask, mask])})
    return found


def probe(folder, network=None, **options):
    settings = {"images": (24, 8), "timesteps": [50, 900], "epochs": 25, "learning_rate": 1e-2} | options
    return Probe(
        items(30, 0), items(10, 1), settings.pop("images"), network or Planted(),
        settings.pop("schedule", NoiseSchedule("cosine", 1000)),
        ["lesion"], settings.pop("timesteps"), str(folder), **settings,
    )  # fmt: skip


def by_place(rows):
    return {(row["block"], row["timestep"]): row["miou_with_background"] for row in rows}


def test_the_mask_is_found_in_the_image_with_little_noise_and_not_in_noise_or_nothing(tmp_path):
    found = by_place(probe(tmp_path).run())
    assert sorted(found) == [(block, timestep) for block in range(4) for timestep in (50, 900)]
    assert found[1, 50] > 0.9 and found[1, 900] < 0.6 and found[2, 50] < 0.6 and found[0, 50] < 0.6
    table = list(csv.DictReader((tmp_path / "probe.csv").open()))
    assert [row["oracle_mask"] for row in table] == ["False"] * 8 and "iou_lesion" in table[0]
    assert Image.open(tmp_path / "probe.png").width > 300


def test_a_given_mask_leaks_and_is_labelled_so(tmp_path):
    found = by_place(probe(tmp_path, oracle_mask=True, timesteps=[900]).run())
    assert found[2, 900] > 0.95 and found[0, 900] < 0.6
    assert {path.name for path in tmp_path.iterdir()} == {f"probe_oracle_mask.{end}" for end in ("csv", "json", "png")}


def test_an_interrupted_probe_goes_on_and_does_nothing_twice(tmp_path):
    network = Planted()
    whole = probe(tmp_path / "whole", network).run()
    probe(tmp_path / "parts", network, timesteps=[50]).run()
    calls = network.calls
    assert probe(tmp_path / "parts", network).run() == whole
    assert network.calls == calls + 3  # two passes of 24 images, one of 8, of the second timestep alone
    with pytest.raises(ValueError, match="probe.json holds rows of other weights, images, labels or settings"):
        probe(tmp_path / "parts", network, seed=1).run()
    with pytest.raises(ValueError, match="probe.json holds rows of other weights"):
        probe(tmp_path / "parts", network, schedule=NoiseSchedule("linear", 1000)).run()


def test_stored_features_give_the_same_rows(tmp_path):
    network = Planted()
    fresh = probe(tmp_path / "fresh", network, timesteps=[50]).run()
    kept = [probe(tmp_path / f"{i}", network, timesteps=[50], features_dir=str(tmp_path / "f")).run() for i in range(2)]
    assert kept == [fresh, fresh] and network.calls == 6 and len(list((tmp_path / "f").iterdir())) == 32


def test_pixels_that_nobody_labelled_are_neither_trained_nor_scored(tmp_path):
    unlabelled = [{**item, "label": item["label"].clone()} for item in items(10, 1)]
    for item in unlabelled:
        item["image"][0, :, 4:] *= -1  # wrong, but not labelled
        item["label"][:, :, 4:] = 0
    own = Probe(items(30, 0), unlabelled, (24, 8), Planted(), NoiseSchedule("cosine", 1000), ["lesion"], [50],
                str(tmp_path), epochs=25, learning_rate=1e-2)  # fmt: skip
    assert by_place(own.run())[1, 50] > 0.9


def test_what_can_not_be_probed_is_said_before(tmp_path):
    with pytest.raises(ValueError, match="timestep is 1000, expected 0 to 999"):
        probe(tmp_path, timesteps=[1000])
    empty = [{**item, "label": torch.stack([torch.ones(8, 8), torch.zeros(8, 8)])} for item in items(8, 0)]
    with pytest.raises(ValueError, match="No training image that was drawn holds lesion; expected some of each class"):
        Probe(empty, empty, (4, 4), Planted(), NoiseSchedule("cosine", 1000), ["lesion"], [50], str(tmp_path))
    assert json.dumps(list(tmp_path.iterdir())) == "[]"
