"""Real ultrasound, where NOISE2MASK_DATA names the folder that holds `busi`; nothing of it is in the project."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

import noise2mask
from noise2mask.bundles import find_bundle
from noise2mask.data.datalist import datalist
from noise2mask.data.near_duplicates import alike, thumbnail
from noise2mask.data.reader import GreyReader
from noise2mask.handlers.trained_on import digests_of, read_images

DATA = os.environ.get("NOISE2MASK_DATA")
CONFIGS = Path(__file__).parents[2] / "bundles" / "pgdiffseg" / "configs"
pytestmark = pytest.mark.skipif(DATA is None, reason="NOISE2MASK_DATA names no folder")


@pytest.fixture
def folder():
    return Path(str(DATA)) / "busi"


def test_the_manifest_split_is_taken_and_no_near_duplicates_are_in_two_parts(folder):
    with open(folder / "manifest.csv") as file:
        group = {row["stem"]: row["group"] for row in csv.DictReader(file)}
    parts = [datalist(folder, key, "busi", "folder") for key in ("training", "validation", "testing")]
    assert [len(part) for part in parts] == [475, 77, 152]
    groups = [{group[Path(item["image"]).stem] for item in part} for part in parts]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])


def test_known_near_duplicates_are_found_and_few_others(folder):
    with open(folder / "manifest.csv") as file:
        rows = list(csv.DictReader(file))
    paths = [str(folder / "images" / f"{row['stem']}.png") for row in rows]
    found = {(i, j) for i, j, _ in alike(np.stack([thumbnail(GreyReader().get_data([path])[0]) for path in paths]))}
    pairs = ((i, j) for i in range(len(rows)) for j in range(i + 1, len(rows)))
    known = {(i, j) for i, j in pairs if rows[i]["group"] == rows[j]["group"]}
    assert len(known) == 244
    assert len(found & known) / len(known) > 0.95 and len(found & known) / len(found) > 0.97


def test_images_and_masks_reach_the_network_in_range_and_aligned(folder):
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml", CONFIGS / "data" / "busi.yaml"])
    parser["dataset_dir"] = str(folder)
    parser["augmentation"] = "none"
    parser["train::dataset::data"] = datalist(folder, "training", "busi", "folder")[::40]
    for item in parser.get_parsed_content("train::dataset"):
        assert item["image"].shape == item["label"].shape == (1, 128, 128)
        assert item["image"].min() >= -1.01 and item["image"].max() <= 1.01
        assert set(torch.unique(item["label"]).tolist()) <= {0.0, 1.0}


def test_lesions_are_darker_than_what_is_around_them(folder):
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml", CONFIGS / "data" / "busi.yaml"])
    parser["dataset_dir"] = str(folder)
    parser["validate::dataset::data"] = [
        i for i in datalist(folder, "validation", "busi", "folder") if "normal" not in i["image"]
    ]
    items = list(parser.get_parsed_content("validate::dataset"))
    darker = [item["image"][item["label"] > 0].mean() < item["image"][item["label"] == 0].mean() for item in items]
    assert sum(map(bool, darker)) > 0.8 * len(items)  # a transposed or shifted mask would not be


def test_the_shipped_weights_outline_lesions_that_they_were_not_trained_on(folder):
    items = [i for i in datalist(folder, "validation", "busi", "folder") if "normal" not in i["image"]][::8]
    segmenter = noise2mask.Segmenter("pgdiffseg", samples=1)
    known = read_images(find_bundle("pgdiffseg").weights)
    assert known is not None and not known & set(digests_of(items)) and len(items) == 8
    masks = [(segmenter(item["image"]).mask, np.asarray(Image.open(item["label"])) > 0) for item in items]
    dice = [2 * (mask & label).sum() / (mask.sum() + label.sum()) for mask, label in masks]
    assert np.median(dice) > 0.75 and np.mean(dice) > 0.6
