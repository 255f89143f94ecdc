"""A label map in a tiled TIFF: the same at full resolution, halved above, in colours, from strips of any height."""

import numpy as np
import pytest
import tifffile

from noise2mask.data import slide_pyramid
from noise2mask.data.slide_pyramid import levels_of, write_pyramid
from noise2mask.data.whole_slide import open_slide


@pytest.mark.parametrize(("size", "count"), [((512, 100), 0), ((513, 100), 1), ((100, 2049), 3), ((21024, 2592), 6)])
def test_a_slide_is_halved_until_it_is_small(size, count):
    assert levels_of(size) == count


@pytest.mark.parametrize("heights", [[700], [1] * 10 + [345, 345], [256, 256, 188]])
def test_what_is_written_is_read_again_at_every_level(tmp_path, heights):
    labels = np.random.default_rng(0).integers(0, 4, (700, 1100), dtype=np.uint8)
    strips = np.split(labels, np.cumsum(heights)[:-1])
    write_pyramid(strips, labels.shape, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        levels = [level.asarray() for level in file.series[0].levels]
        assert file.pages[0].is_tiled and file.pages[0].colormap[:, 1].tolist() == [0xE6 * 257, 0x9F * 257, 0]
    assert len(levels) == 3 and np.array_equal(levels[0], labels)
    assert np.array_equal(levels[1], labels[::2, ::2]) and np.array_equal(levels[2], labels[::4, ::4])
    with open_slide(tmp_path / "a.tif") as slide:
        assert np.array_equal(slide.classes(100, 400), labels[100:400])


@pytest.mark.parametrize("shape", [(9, 20), (11, 20), (10, 19)])
def test_strips_of_another_size_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match=r"are not of a \(10, 20\) map|There are 9 rows, expected 10"):
        write_pyramid([np.zeros(shape, np.uint8)], (10, 20), tmp_path / "a.tif")


def test_strips_are_taken_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(slide_pyramid, "TILE", 16)
    alive = []

    def strips():
        for number in range(8):
            alive.append(number)
            yield np.full((16, 32), number, np.uint8)

    tiles = slide_pyramid._tiles(strips())
    assert next(tiles).max() == 0 and alive == [0]
    assert [int(tile[0, 0]) for tile in tiles] == [0, *np.repeat(range(1, 8), 2)]
