"""Patches get the mean and deviation of their slide's colours; what is no tissue keeps its own."""

import json

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.cielab import from_cielab, to_cielab
from noise2mask.data.slide_colours import SlideColours, fit, main, read_colours, to_slide, write_colours


def patch(mean=(50, 10, -5), deviation=(4, 3, 3), size=(24, 20), seed=0):
    """Colours in the middle of sRGB with about this mean and deviation in CIELAB."""
    noise = np.random.default_rng(seed).standard_normal((3, *size)).clip(-2.5, 2.5)
    return from_cielab(np.array(mean)[:, None, None] + noise * np.array(deviation)[:, None, None])


def moments(image):
    lab = to_cielab(image).reshape(3, -1)
    return lab.mean(1), lab.std(1)


def test_a_slides_colours_are_means_of_its_patches_weighted_by_their_tissue():
    small, large = patch((60, 0, 0), size=(10, 10)), patch((40, 20, 10), (6, 3, 3), size=(20, 15))
    black = np.zeros((3, 8, 8))
    colours = fit([("a", small), ("b", black + 200), ("a", large), ("a", black)])
    expected = [(100 * one + 300 * other) / 400 for one, other in zip(moments(small), moments(large), strict=True)]
    assert colours["a"].mean == pytest.approx(expected[0], abs=1e-5)
    assert colours["a"].deviation == pytest.approx(expected[1], abs=1e-5)
    assert (colours["a"].patches, colours["a"].pixels) == (3, 400) and colours["b"].deviation == [0, 0, 0]


def test_a_patch_gets_the_mean_and_deviation_of_its_slide():
    target = SlideColours([55.0, -4.0, 8.0], [5.0, 4.0, 2.0], 1, 1)
    mean, deviation = moments(to_slide(patch(), target))
    assert mean == pytest.approx(target.mean, abs=0.01) and deviation == pytest.approx(target.deviation, abs=0.01)


def test_a_patch_with_its_slides_statistics_stays():
    image = patch()
    assert to_slide(image, fit([("a", image)])["a"]) == pytest.approx(image, abs=1e-3)


def test_the_gain_is_clamped():
    _, before = moments(image := patch())
    _, after = moments(to_slide(image, SlideColours([50.0, 0.0, 0.0], [40.0, 0.1, 3.0], 1, 1)))
    assert after[:2] == pytest.approx([2 * before[0], 0.5 * before[1]], rel=0.01)


def test_the_background_keeps_its_colours_and_a_patch_without_tissue_stays():
    target = SlideColours([70.0, 0.0, 0.0], [5.0, 4.0, 2.0], 1, 1)
    image = patch()
    image[:, :5], image[:, -5:] = 3, 250
    moved = to_slide(image, target, (10, 85))
    assert np.array_equal(moved[:, :5], image[:, :5]) and np.array_equal(moved[:, -5:], image[:, -5:])
    assert abs(moved[:, 5:-5] - image[:, 5:-5]).min() > 1
    assert np.array_equal(to_slide(black := np.full((3, 4, 4), 2.0), target), black)


def test_a_slide_without_tissue_is_named():
    with pytest.raises(
        ValueError, match=r"slide b has no pixel of tissue in 2 patches; expected .* above 10 up to 100"
    ):
        fit([("a", patch()), ("b", np.zeros((3, 4, 4))), ("b", np.zeros((3, 4, 4)))])


def test_colours_survive_their_file(tmp_path):
    colours = fit([("a", patch()), ("b 1", patch((70, 0, 0)))])
    write_colours(colours, (10, 85), tmp_path / "colours.json")
    assert read_colours(tmp_path / "colours.json") == (colours, (10, 85))


@pytest.mark.parametrize("text", [None, "[1]", "{}", '{"luminance": [1, 2], "slides": {"a": {"mean": []}}}'])
def test_another_file_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "colours.json").write_text(text)
    with pytest.raises(ValueError, match=r"colours\.json holds no colours of slides"):
        read_colours(tmp_path / "colours.json")


def tile_folder(folder, **extra):
    (folder / "images").mkdir()
    items = []
    for number in range(4):
        name = f"images/{number}.png"
        Image.fromarray(patch((40 + 5 * number, 0, 0), seed=number).round().astype(np.uint8).T).save(folder / name)
        items.append({"image": name, "patient": "p"} | ({"slide": f"s{number % 2}"} if not extra else {}))
    (folder / "datalist.json").write_text(json.dumps({"training": items}))


def test_the_command_writes_colours_and_a_picture_before_and_after(tmp_path, capsys):
    tile_folder(tmp_path)
    main([str(tmp_path), "--luminance", "5", "90"])
    colours, luminance = read_colours(tmp_path / "slide_colours.json")
    assert [colours[name].mean[0] for name in ("s0", "s1")] == pytest.approx([45, 50], abs=0.5)
    assert luminance == (5, 90) and "slides 2, tiles 4" in capsys.readouterr().out
    assert np.asarray(Image.open(tmp_path / "slide_colours.png")).std() > 0


def test_tiles_that_name_no_slide_are_refused(tmp_path, capsys):
    tile_folder(tmp_path, slide=None)
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "0.png names no slide" in capsys.readouterr().err
