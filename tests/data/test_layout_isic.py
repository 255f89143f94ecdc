"""ISIC's folders as downloaded: official test images test, and what stands alone is named."""

import pytest

from noise2mask.data.layout_isic import YEARS, isic_datalist
from noise2mask.data.layouts import layout_of
from noise2mask.data.splits import KEYS


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def write(root, year, key, numbers, ending):
    images, masks = YEARS[year][key]
    touch(root / images, *(f"ISIC_{n:07d}.jpg" for n in numbers), "LICENSE.txt", "ISIC_0000000_superpixels.png")
    touch(root / masks, *(f"ISIC_{n:07d}_{ending}.png" for n in numbers))


@pytest.fixture
def isic2016(tmp_path):
    write(tmp_path, "2016", "training", range(16), "Segmentation")
    write(tmp_path, "2016", "testing", range(20, 24), "Segmentation")
    return tmp_path


def test_the_test_pictures_of_2016_test_and_validation_is_drawn_from_training(isic2016):
    content = isic_datalist(isic2016)
    assert [len(content[key]) for key in KEYS] == [14, 2, 4] and content == isic_datalist(isic2016)
    assert content != isic_datalist(isic2016, seed=1) and content["split_by"] == "folder"
    item = content["testing"][0]
    assert item["image"].endswith("Test_Data/ISIC_0000020.jpg") and item["patient"] == "ISIC_0000020"
    assert item["label"].endswith("Test_GroundTruth/ISIC_0000020_Segmentation.png")
    assert layout_of(isic2016) == "isic"


def test_the_parts_of_2018_stay_what_they_are(tmp_path):
    for n, key in enumerate(KEYS):
        write(tmp_path, "2018", key, [n], "segmentation")
    assert [[item["patient"] for item in isic_datalist(tmp_path)[key]] for key in KEYS] == [
        ["ISIC_0000000"], ["ISIC_0000001"], ["ISIC_0000002"],
    ]  # fmt: skip


def test_without_test_pictures_all_three_are_drawn(tmp_path):
    write(tmp_path, "2016", "training", range(10), "Segmentation")
    assert [len(isic_datalist(tmp_path)[key]) for key in KEYS] == [7, 1, 2]


def test_a_plain_folder_is_one(tmp_path):
    for name in ("images", "masks"):
        touch(tmp_path / name, *(f"{n}.png" for n in range(10)))
    assert [len(isic_datalist(tmp_path)[key]) for key in KEYS] == [7, 1, 2]


def test_pictures_and_masks_that_stand_alone_are_named(isic2016):
    training, masks = (isic2016 / name for name in YEARS["2016"]["training"])
    (training / "ISIC_0000003.jpg").unlink()
    (masks / "ISIC_0000004_Segmentation.png").unlink()
    touch(isic2016 / YEARS["2016"]["testing"][0], "ISIC_0000005.jpg")
    touch(isic2016 / YEARS["2016"]["testing"][1], "ISIC_0000005_Segmentation.png")
    with pytest.raises(
        ValueError, match=r"ISIC_0000004.jpg has no mask(.|\n)*ISIC_0000003_\w+.png has no image"
    ) as error:
        isic_datalist(isic2016)
    assert "ISIC_0000005 is in training and testing" in str(error.value)


def test_another_folder_and_both_years_are_refused(isic2016, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(ValueError, match="no training folder of ISIC; expected one, ISBI2016"):
        isic_datalist(empty)
    write(isic2016, "2018", "training", [1], "segmentation")
    with pytest.raises(ValueError, match="the folders of 2016 and 2018; expected one"):
        isic_datalist(isic2016)
    touch(empty / YEARS["2016"]["training"][0])
    with pytest.raises(ValueError, match="no training images"):
        isic_datalist(empty)
