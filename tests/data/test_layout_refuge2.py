"""REFUGE-2 in its two forms: the published parts are kept, and the cup is the value 0."""

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.datalist import build
from noise2mask.data.fingerprint import survey
from noise2mask.data.layout_refuge2 import refuge2_datalist
from noise2mask.data.layouts import MASK_VALUES, layout_of
from noise2mask.data.splits import KEYS

CODES = np.array([[255, 255, 128, 0, 0, 128]] * 5, np.uint8)


def write(folder, image, mask):
    for path in (folder / image, folder / mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (5, 6, 3)).astype(np.uint8)).save(folder / image)
    Image.fromarray(CODES).save(folder / mask)


def names(content):
    return [[item["image"].rsplit("/", 1)[1] for item in content[key]] for key in KEYS]


@pytest.fixture
def parts(tmp_path):
    """A folder per part, pictures of the same names in all of them."""
    for part in ("train", "val", "test"):
        for n in (1, 2):
            write(tmp_path, f"{part}/Images/{n:04d}.jpg", f"{part}/gts/{n:04d}.bmp")
    return tmp_path


def test_a_folder_per_part_keeps_the_parts(parts):
    content = refuge2_datalist(parts)
    assert names(content) == [["0001.jpg", "0002.jpg"]] * 3 and layout_of(parts) == "refuge2"
    assert content["training"][0]["label"] == str(parts / "train" / "gts" / "0001.bmp")
    assert len({item["patient"] for key in KEYS for item in content[key]}) == 6


@pytest.mark.parametrize("masks", ["mask", "masks", "Masks"])
def test_other_names_of_the_folders_are_known(tmp_path, masks):
    for n in range(8):
        write(tmp_path, f"train/images/{n}.png", f"train/{masks}/{n}.png")
    write(tmp_path, "test/images/9.png", f"test/{masks}/9.png")
    assert [len(part) for part in names(refuge2_datalist(tmp_path))] == [7, 1, 1] and layout_of(tmp_path) == "refuge2"


def test_the_challenge_s_archives_are_known(tmp_path):
    annotation = "Annotation-Training400/Annotation-Training400/Disc_Cup_Masks"
    write(tmp_path, "Training400/Glaucoma/g0001.jpg", f"{annotation}/Glaucoma/g0001.bmp")
    write(tmp_path, "Training400/Non-Glaucoma/n0001.jpg", f"{annotation}/Non-Glaucoma/n0001.bmp")
    write(tmp_path, "REFUGE-Validation400/V0001.jpg", "REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.bmp")
    write(tmp_path, "Test400/T0001.jpg", "REFUGE-Test-GT/Disc_Cup_Masks/G/T0001.bmp")
    assert names(refuge2_datalist(tmp_path)) == [["g0001.jpg", "n0001.jpg"], ["V0001.jpg"], ["T0001.jpg"]]
    assert layout_of(tmp_path) == "refuge2"


def test_what_stands_alone_is_named_and_a_plain_folder_is_one(parts, tmp_path_factory):
    (parts / "val" / "gts" / "0002.bmp").unlink()
    with pytest.raises(ValueError, match=r"val/Images/0002.jpg has no mask"):
        refuge2_datalist(parts)
    with pytest.raises(ValueError, match="expected images/ and one of masks/ and labels/"):
        refuge2_datalist(tmp_path_factory.mktemp("empty"))


def test_a_check_takes_the_cup_and_refuses_a_lossy_mask(parts):
    found = survey(build(parts, "refuge2", "folder"), values=MASK_VALUES["refuge2"])
    assert found.problems == [] and found.fingerprint["lesion_share_of_image"]["median"] == pytest.approx(1 / 3)
    Image.fromarray(CODES + np.uint8(3)).save(parts / "val" / "gts" / "0001.bmp")
    found = survey(build(parts, "refuge2", "folder"), values=MASK_VALUES["refuge2"])
    assert "0001.bmp holds the values 2, 3, 131; expected 0, 128, 255" in found.problems[0]
