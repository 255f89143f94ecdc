"""Strips and animations: every picture in its place, as it is."""

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from noise2mask.explain.caption import BAR
from noise2mask.explain.strip import FRAME, LAST_FRAME, write_animation, write_strip

RED, BLUE = (np.full((8, 8, 3), colour, np.uint8) for colour in ([255, 0, 0], [0, 0, 255]))


def colours(path, *places):
    """Those at some fractions of the height and the width."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    return [picture[int(y * picture.shape[0]), int(x * picture.shape[1])].tolist() for y, x in places]


def test_colours_are_drawn_as_they_are_numbers_in_viridis_and_a_short_row_ends_with_an_empty_place(tmp_path):
    path = write_strip([("a", [RED, BLUE]), ("b", [np.full((8, 8), 0.25)])], ["1", "2"], tmp_path / "strip.png")
    viridis = list(colormaps["viridis"](0.25, bytes=True)[:3])
    found = colours(path, (0.3, 0.3), (0.3, 0.8), (0.8, 0.3), (0.8, 0.8))
    assert found == [[255, 0, 0], [0, 0, 255], viridis, [255, 255, 255]]


def test_names_and_titles_are_drawn_and_no_file_is_left_beside(tmp_path):
    kinds = {"plain": ("", ""), "named": ("noised image", ""), "titled": ("", "timestep 999")}
    for file, (name, column) in kinds.items():
        write_strip([(name, [RED, RED])], [column, ""], tmp_path / f"{file}.png")
    write_strip([("", [RED, RED])], ["", ""], tmp_path / "headed.png", "case 7")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == len([*tmp_path.iterdir()]) == 4


@pytest.mark.parametrize(("shape", "times"), [((64, 64), 4), ((40, 100), 3), ((300, 200), 1)])
def test_frames_are_enlarged_to_256_pixels_by_the_nearest_one_above_their_captions(tmp_path, shape, times):
    first = np.random.default_rng(0).integers(0, 2, shape, np.uint8)[..., None].repeat(3, 2) * 255
    path = write_animation([first, 255 - first], ["timestep 1", "timestep 0"], tmp_path / "way.gif")
    with Image.open(path) as file:
        assert file.size == (shape[1] * times, shape[0] * times + BAR) and max(file.size) >= 256
        picture = np.asarray(file.convert("RGB"))
    assert np.array_equal(picture[: shape[0] * times : times, times - 1 :: times], first)
    assert (picture[shape[0] * times :] < 128).any()  # the caption


def test_an_animation_shows_every_frame_the_last_one_longer_and_begins_anew(tmp_path):
    with Image.open(write_animation([RED, BLUE, RED], ["2", "1", "result"], tmp_path / "way.gif")) as file:
        assert file.n_frames == 3 and file.info["loop"] == 0
        shown = []
        for number in range(3):
            file.seek(number)
            shown.append((file.info["duration"], *np.asarray(file.convert("RGB"))[5, 5].tolist()))
    assert shown == [(FRAME, 255, 0, 0), (FRAME, 0, 0, 255), (LAST_FRAME, 255, 0, 0)]


def test_pictures_without_a_place_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"sizes \[\(4, 8\), \(8, 8\)\], expected one size"):
        write_strip([("a", [RED]), ("b", [RED[:4]])], ["1"], tmp_path / "a.png")
    with pytest.raises(ValueError, match="Row 'a' has 2 pictures, expected at most 1, as titles"):
        write_strip([("a", [RED, RED])], ["1"], tmp_path / "a.png")
    with pytest.raises(ValueError, match="Found 1 captions for 2 frames, expected one for each"):
        write_animation([RED, RED], ["1"], tmp_path / "a.gif")
    assert not [*tmp_path.iterdir()]
