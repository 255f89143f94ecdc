"""The picture of a training: rows of image, label and mask, or of mask, reference, generated and real image."""

import numpy as np
import pytest
import torch

from noise2mask.explain.colours import colour_of
from noise2mask.explain.progress import GAP, OPACITY, SIDE, generation_picture, progress_picture


def case(structures=1, **masks):
    """An image of zeros but for one bright pixel, with label and mask at some rows."""
    image = torch.zeros(1, 4, 8)
    image[0, 0, 0] = 1
    empty = torch.zeros(structures, 4, 8)
    label, mask = empty.clone(), empty.clone()
    for channels, rows in ((label, masks.get("label", {})), (mask, masks.get("mask", {}))):
        for structure, row in rows.items():
            channels[structure, row] = 1
    return image, label, mask


def panels(picture, row=0, count=3):
    top = row * (SIDE // 2 + GAP)
    return [picture[top : top + SIDE // 2, k * (SIDE + GAP) : k * (SIDE + GAP) + SIDE] for k in range(count)]


def test_label_and_mask_lie_over_the_image_in_the_colour_of_their_structure():
    picture = progress_picture([case(2, label={1: 2}, mask={0: 3})])
    image, label, mask = panels(picture)
    scale = SIDE // 8
    assert (image[:scale, :scale] == 255).all() and not image[scale:].any()
    colours = [np.array([int(colour_of(n)[i : i + 2], 16) for i in (1, 3, 5)]) for n in (1, 2)]
    assert np.abs(label[2 * scale + 1, 1] - OPACITY * colours[1]).max() <= 1
    assert np.abs(mask[3 * scale + 1, 1] - OPACITY * colours[0]).max() <= 1
    assert not label[3 * scale :].any() and not mask[scale : 3 * scale].any()


def test_there_is_a_row_for_each_case_and_panels_of_all_sizes_fit():
    high = torch.rand(3, 8, 4), torch.zeros(1, 8, 4), torch.zeros(1, 8, 4)
    picture = progress_picture([case(), high])
    assert picture.shape == (SIDE // 2 + SIDE + 2 * GAP, 3 * (SIDE + GAP), 3) and picture.dtype == np.uint8


def test_of_a_volume_the_slice_with_most_of_the_label_is_shown():
    image, label = torch.zeros(1, 4, 8, 3), torch.zeros(1, 4, 8, 3)
    image[..., 1], label[0, 1:3, :, 1], label[0, 0, :, 2] = torch.rand(4, 8), 1, 1
    flat = progress_picture([(image[..., 1], label[..., 1], label[..., 1])])
    assert np.array_equal(progress_picture([(image, label, label)]), flat)


def test_colours_are_shown_as_they_are_and_an_even_image_is_black():
    image = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 4, 8)
    none = torch.zeros(1, 4, 8)
    assert (panels(progress_picture([(image, none, none)]))[0] == [255, 0, 0]).all()
    assert not panels(progress_picture([(torch.full((1, 4, 8), 5.0), none, none)]))[0].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_of_generation_a_row_has_the_mask_in_its_colours_and_three_images_as_bright_as_they_are(channels):
    mask = torch.zeros(3, 4, 8)
    mask[0, :2], mask[2, 2:] = 1, 1
    images = [torch.full((channels, 4, 8), value) for value in (0.2, 0.4, 0.6)]
    shown, *others = panels(generation_picture([(mask, *images)]), count=4)
    second = [int(colour_of(2)[i : i + 2], 16) for i in (1, 3, 5)]
    assert not shown[: SIDE // 4].any() and (shown[SIDE // 4 :] == second).all()
    assert [np.unique(own).tolist() for own in others] == [[51], [102], [153]]
