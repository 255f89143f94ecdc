"""Real fundus photographs, where NOISE2MASK_DATA names the folder that holds `drishti_gs` (Drishti-GS1, 101 of them).

Crops of 0.4 of the field of view that are found in the photograph alone, 50 for training | 51 for testing: whole discs
inside 50 | 51, whole cups 50 | 51; from the crop's centre to the disc's 0.064 | 0.060 of the disc's width in the mean,
at most 0.126 | 0.114. The photographs are taken with the disc about in the middle: crops around the middle of the
picture hold 49 | 47 whole discs too, but are 0.34 away (training).
"""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from noise2mask.data.datalist import datalist
from noise2mask.transforms.crop_disc import CropDiscd, label_centre

DATA = os.environ.get("NOISE2MASK_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="NOISE2MASK_DATA names no folder")


def whole(item):
    """Image (3, H, W) and label (1, H, W) with 0 background, 1 rim, 2 cup."""
    image, label = (torch.from_numpy(np.array(Image.open(item[key]))) for key in ("image", "label"))
    meta = {"filename_or_obj": item["image"]}
    return {"image": MetaTensor(image.movedim(2, 0).float(), meta=meta), "label": MetaTensor(label[None].float())}


def distance(label, crop):
    """From the crop's centre to the disc's, in widths of the disc."""
    row, column = (first + crop.shape[1] / 2 for first in crop.applied_operations[-1]["extra_info"]["corner"])
    centre, places = label_centre(label), (label[0] > 0).nonzero()
    return math.hypot(row - centre[0], column - centre[1]) / (np.ptp(places, axis=0).max() + 1)


@pytest.fixture(scope="module")
def items():
    return {key: [whole(i) for i in datalist(Path(str(DATA)) / "drishti_gs", key)] for key in ("training", "testing")}


@pytest.mark.parametrize("find", ["label", "image"])
def test_every_disc_and_cup_of_the_training_photographs_is_in_the_crop(items, find):
    for item in items["training"]:
        crop = CropDiscd("label", find)(item)["label"]
        assert torch.equal(torch.bincount(crop.int().flatten())[1:], torch.bincount(item["label"].int().flatten())[1:])


@pytest.mark.parametrize(("key", "mean", "most"), [("training", 0.064, 0.126), ("testing", 0.060, 0.114)])
def test_the_crop_that_the_photograph_alone_gives_is_as_near_to_the_disc_as_is_said(items, key, mean, most):
    found = [distance(item["label"], CropDiscd("label")(item)["label"]) for item in items[key]]
    assert np.mean(found) == pytest.approx(mean, abs=0.001) and max(found) == pytest.approx(most, abs=0.001)


def test_cups_of_the_test_photographs_are_in_the_crop(items):
    cups = [(CropDiscd("label")(i)["label"] == 2).sum() == (i["label"] == 2).sum() for i in items["testing"]]
    assert sum(map(bool, cups)) == len(cups) == 51
