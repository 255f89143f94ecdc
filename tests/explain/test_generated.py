"""The picture of generation: a row for each mask, at most three images of it."""

import numpy as np
import pytest
from PIL import Image

from noise2mask.explain.generated import write_generated


def row(folder, images, real=True):
    """Files of a row: a mask of classes, the others black."""
    for name in ("reference", "real", *map(str, range(images))):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(np.full((4, 4), 1, np.uint8)).save(folder / "mask.png")
    generated = [folder / f"{n}.png" for n in range(images)]
    found = {"mask": folder / "mask.png", "reference": folder / "reference.png", "generated": generated}
    return found | {"real": str(folder / "real.png") if real else None}


@pytest.mark.parametrize(("images", "columns"), [(1, 4), (3, 6), (5, 6)])
def test_a_row_has_mask_reference_at_most_three_images_and_the_real_one(tmp_path, images, columns):
    path = write_generated([row(tmp_path, images), row(tmp_path, images, real=False)], [0, 1], tmp_path / "out.png")
    with Image.open(path) as picture:
        assert picture.size == (160 * columns, 320)


@pytest.mark.parametrize("values", [[0, 1], [0, 7, 1]])
def test_the_mask_has_the_colours_of_its_classes_and_a_missing_real_image_is_white(tmp_path, values):
    with Image.open(write_generated([row(tmp_path, 1, real=False)], values, tmp_path / "out.png")) as picture:
        middle = np.asarray(picture.convert("RGB"))[100, [80, 240, 400, 560]]
    first, second = [0xE6, 0x9F, 0], [0x56, 0xB4, 0xE9]
    assert middle.tolist() == [first if values[1] == 1 else second, [0, 0, 0], [0, 0, 0], [255, 255, 255]]


def test_of_no_mask_nothing_is_written(tmp_path):
    assert not write_generated([], [0, 1], tmp_path / "out.png").exists()
