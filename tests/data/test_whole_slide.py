"""Rows of slides are those of the whole picture, however the file stores them."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from noise2mask.data import whole_slide
from noise2mask.data.whole_slide import open_slide

SLIDE = np.random.default_rng(0).integers(0, 256, (230, 190, 3), dtype=np.uint8)
PLANES = SLIDE.transpose(2, 0, 1)
STORED = {
    "tiles.tif": {"tile": (64, 48)},
    "deflated_tiles.ome.tif": {"tile": (64, 48), "compression": "zlib"},
    "one_strip.tiff": {},
    "deflated_strips.svs": {"compression": "zlib", "rowsperstrip": 37},
    "large_and_big_endian.tif": {"bigtiff": True, "byteorder": ">"},
    "planes.tif": {"planarconfig": "separate"},
    "deflated_planes.tif": {"planarconfig": "separate", "tile": (64, 48), "compression": "zlib"},
}


def written(folder, name):
    array = PLANES if "planarconfig" in STORED[name] else SLIDE
    tifffile.imwrite(folder / name, array, photometric="rgb", **STORED[name])
    return folder / name


@pytest.mark.parametrize("name", STORED)
def test_rows_of_a_tiff_are_those_of_the_whole(tmp_path, name):
    with open_slide(written(tmp_path, name)) as slide:
        assert slide.size == (230, 190)
        rows = [slide.colours(*some) for some in ((0, 50), (50, 131), (131, 230))]
        assert np.array_equal(np.concatenate(rows), SLIDE) and np.array_equal(slide.colours(63, 129), SLIDE[63:129])


def test_rows_of_a_jpeg_compressed_slide_are_those_of_the_whole(tmp_path):
    pytest.importorskip("imagecodecs", reason="the extra `slides`")
    smooth = np.asarray(Image.fromarray(SLIDE[:23, :19]).resize((190, 230)))
    tifffile.imwrite(path := tmp_path / "a.svs", smooth, tile=(64, 48), compression="jpeg", photometric="rgb")
    with open_slide(path) as slide:
        rows = slide.colours(20, 200)
    assert np.array_equal(rows, tifffile.imread(path)[20:200])
    assert abs(rows.astype(int) - smooth[20:200]).mean() < 5


def test_rows_of_pngs_and_masks_are_those_of_the_whole(tmp_path):
    Image.fromarray(SLIDE).save(tmp_path / "a.png")
    mask = SLIDE[..., 0] % 3
    tifffile.imwrite(tmp_path / "mask.tif", mask, tile=(64, 64), compression="zlib")
    with open_slide(tmp_path / "a.png") as slide, open_slide(tmp_path / "mask.tif") as own:
        assert np.array_equal(slide.colours(7, 90), SLIDE[7:90]) and np.array_equal(own.classes(60, 130), mask[60:130])


@pytest.mark.parametrize("name", [*STORED, "a.png"])
def test_a_file_that_is_cut_off_is_named(tmp_path, name):
    if name == "a.png":
        Image.fromarray(SLIDE).save(tmp_path / name)
    path = tmp_path / name if name == "a.png" else written(tmp_path, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"{name} (is cut off|can not be read)"), open_slide(path):
        pass


def test_damaged_tiles_are_an_error_that_names_the_file(tmp_path):
    path = written(tmp_path, "deflated_tiles.ome.tif")
    with tifffile.TiffFile(path) as file:
        start, count = file.pages[0].dataoffsets[3], file.pages[0].databytecounts[3]
    content = bytearray(path.read_bytes())
    content[start : start + count] = bytes(count)
    path.write_bytes(content)
    with open_slide(path) as slide, pytest.raises(ValueError, match=r"deflated_tiles\.ome\.tif can not be read"):
        slide.colours(0, 64)


@pytest.mark.parametrize("name", ["a.mrxs", "a.tif", "a.png"])
def test_another_kind_of_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"no picture at all")
    with (
        pytest.raises(ValueError, match=rf"{name} (is of an unknown kind|can not be read)"),
        open_slide(tmp_path / name),
    ):
        pass


@pytest.mark.parametrize("name", ["deflated_strips.svs", "a.png"])
def test_what_can_only_be_read_whole_has_a_largest_size(tmp_path, monkeypatch, name):
    Image.fromarray(SLIDE).save(tmp_path / "a.png")
    written(tmp_path, "deflated_strips.svs")
    monkeypatch.setattr(whole_slide, "WHOLE", 37 * 190 * 3 - 1)
    with pytest.raises(ValueError, match=rf"{name} is a .* can only be read whole"), open_slide(tmp_path / name):
        pass


def test_grey_slides_and_masks_in_colour_are_refused(tmp_path):
    Image.fromarray(SLIDE).save(tmp_path / "colour.png")
    Image.fromarray(SLIDE[..., 0]).save(tmp_path / "grey.png")
    with open_slide(tmp_path / "colour.png") as mask, pytest.raises(ValueError, match="3 channels of type uint8"):
        mask.classes(0, 9)
    with open_slide(tmp_path / "grey.png") as slide, pytest.raises(ValueError, match="1 channels of type uint8"):
        slide.colours(0, 9)


def test_an_alpha_channel_must_be_opaque(tmp_path):
    alpha = np.full((230, 190, 1), 255, np.uint8)
    Image.fromarray(np.concatenate([SLIDE, alpha], -1)).save(tmp_path / "a.png")
    Image.fromarray(np.concatenate([SLIDE, alpha - 1], -1)).save(tmp_path / "b.png")
    with open_slide(tmp_path / "a.png") as slide:
        assert np.array_equal(slide.colours(0, 230), SLIDE)
    with open_slide(tmp_path / "b.png") as slide, pytest.raises(ValueError, match="expected opaque"):
        slide.colours(0, 9)


def test_a_mask_in_png_takes_a_quarter_of_the_memory_of_a_slide(tmp_path, monkeypatch):
    Image.fromarray(SLIDE).save(tmp_path / "slide.png")
    Image.fromarray(SLIDE[..., 0]).save(tmp_path / "mask.png")
    monkeypatch.setattr(whole_slide, "WHOLE", SLIDE.shape[0] * SLIDE.shape[1])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own bound is another
    with open_slide(tmp_path / "mask.png") as mask:
        assert np.array_equal(mask.classes(0, 230), SLIDE[..., 0])
    with (
        pytest.raises(ValueError, match=r"slide\.png is a PNG that can only be read whole"),
        open_slide(tmp_path / "slide.png"),
    ):
        pass
    assert Image.MAX_IMAGE_PIXELS == 100
