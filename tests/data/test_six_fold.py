"""Six fixed copies of every training image."""

import pytest
import torch

from noise2mask.data.six_fold import COPY, SixFoldd, copies

ITEMS = [{"image": "a.png", "label": "b.png"}, {"image": "c.png", "label": "d.png"}]
PICTURE = torch.arange(4.0).reshape(1, 2, 2)  # [[0, 1], [2, 3]]


def test_545_images_become_3270():
    assert len(copies(ITEMS[:1] * 545, "six_fold")) == 3270


def test_each_item_is_listed_six_times_with_its_number():
    found = copies(ITEMS, "six_fold")
    assert [item[COPY] for item in found] == [0, 1, 2, 3, 4, 5] * 2
    assert {item["image"] for item in found[:6]} == {"a.png"}


@pytest.mark.parametrize("augmentation", ["random", "none"])
def test_other_augmentations_list_each_item_once(augmentation):
    assert copies(ITEMS, augmentation) == ITEMS


def test_copies_are_identity_flips_and_turns_of_image_and_mask_alike():
    turned = []
    for number in range(6):
        item = SixFoldd(["image", "label"])({"image": PICTURE, "label": PICTURE + 10, COPY: number})
        assert torch.equal(item["label"], item["image"] + 10)
        turned.append(item["image"][0].tolist())
    # identity, left to right, upside down; 90, 180 and 270 degrees against the clock
    assert turned == [
        [[0, 1], [2, 3]],
        [[1, 0], [3, 2]],
        [[2, 3], [0, 1]],
        [[1, 3], [0, 2]],
        [[3, 2], [1, 0]],
        [[2, 0], [3, 1]],
    ]


def test_an_item_that_is_no_copy_stays_as_it_is():
    item = {"image": torch.zeros(1, 2, 3)}
    assert SixFoldd("image")(item)["image"] is item["image"]


@pytest.mark.parametrize("number", range(6))
def test_every_slice_of_a_volume_is_turned_alike(number):
    volume = torch.arange(18.0).reshape(1, 3, 3, 2)
    whole = SixFoldd("image")({"image": volume, COPY: number})["image"]
    for k in range(2):
        assert torch.equal(whole[..., k], SixFoldd("image")({"image": volume[..., k], COPY: number})["image"])


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 2, 3, 2)])
def test_what_is_not_square_is_refused(shape):
    with pytest.raises(ValueError, match=r"turns square pictures, found size \(2, 3\)"):
        SixFoldd("image")({"image": torch.zeros(shape), COPY: 3})


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="'sixfold', expected one of random, six_fold, none"):
        copies(ITEMS, "sixfold")
