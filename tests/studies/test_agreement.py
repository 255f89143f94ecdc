"""Agreement by hand, and every tile with its lines or named."""

import pytest

from noise2mask.data.layout_folder import paired_files
from noise2mask.metrics.overlap import Counts
from noise2mask.studies.agreement import agreement_of, agreements

from .tile_files import cases_csv, tile_folder


@pytest.mark.parametrize(
    ("structures", "expected"),
    [
        ([(2, 1, 1), (3, 0, 1)], (2 / 4 + 3 / 4) / 2),
        ([(2, 1, 1), (0, 0, 0)], 2 / 4),  # in neither: says nothing of the tile
        ([(2, 1, 1), (0, 5, 0)], 2 / 4 / 2),  # in the segmentation alone
        ([(2, 1, 1), (0, 0, 5)], 2 / 4 / 2),  # in the mask alone
        ([(0, 0, 0), (0, 0, 0)], 1.0),
    ],
)
def test_agreement_is_the_mean_iou_over_what_is_there(structures, expected):
    assert agreement_of(Counts(*own) for own in structures) == expected


def made(tmp_path, **counts):
    folder = tile_folder(tmp_path / "tiles", [1, 2])
    return folder, paired_files(folder)[0], cases_csv(tmp_path / "cases.csv", folder, counts)


def test_several_cases_csv_are_read_together(tmp_path):
    folder, images, first = made(tmp_path, t00={"a": (1, 1, 0), "b": (0, 0, 0)})
    second = cases_csv(tmp_path / "more.csv", folder, {"t01": {"a": (0, 0, 0), "b": (3, 1, 0)}})
    assert agreements([first, second], folder, images) == {"t00": 0.5, "t01": 0.75}


def test_a_bundle_of_one_structure_names_none(tmp_path):
    folder, images, path = made(tmp_path, t00={"": (1, 1, 0)}, t01={"": (0, 0, 0)})
    path.write_text(path.read_text().replace(",structure", "").replace(",,", ","))
    assert agreements([path], folder, images) == {"t00": 0.5, "t01": 1.0}


def test_tiles_without_a_line_and_lines_without_a_tile_are_named_at_once(tmp_path):
    folder, images, path = made(tmp_path, t00={"a": (1, 1, 0)}, t09={"a": (1, 1, 0)})
    with pytest.raises(ValueError, match=r"t09 is not in images/(.|\n)*images/t01\.png has no line in cases\.csv"):
        agreements([path], folder, images)


def test_a_tile_without_a_structure_that_others_have_is_named(tmp_path):
    folder, images, path = made(tmp_path, t00={"a": (1, 1, 0), "b": (0, 0, 0)}, t01={"a": (1, 0, 0)})
    with pytest.raises(ValueError, match=r"images/t01\.png has no line of b"):
        agreements([path], folder, images)


def test_the_same_section_given_twice_is_refused(tmp_path):
    folder, images, path = made(tmp_path, t00={"a": (1, 1, 0)}, t01={"a": (1, 0, 0)})
    with pytest.raises(ValueError, match=r"cases\.csv, line 2: t00 has such a line already"):
        agreements([path, path], folder, images)


def test_an_evaluation_of_other_images_of_the_same_names_is_refused(tmp_path):
    folder, images, _ = made(tmp_path)
    other = tile_folder(tmp_path / "real", [1, 2], seed=1)
    path = cases_csv(tmp_path / "cases.csv", other, {"t00": {"a": (1, 0, 0)}, "t01": {"a": (1, 0, 0)}})
    with pytest.raises(ValueError, match=r"real/images/t00\.png is another image than .*tiles/images/t00\.png"):
        agreements([path], folder, images)


def test_a_segmenter_that_was_trained_on_the_tiles_is_refused(tmp_path):
    folder, images, path = made(tmp_path, t00={"a": (1, 1, 0)}, t01={"a": (1, 0, 0)})
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([f"{first},trained_on", *(f"{line},{i}" for i, line in enumerate(rest))]))
    with pytest.raises(ValueError, match="cases.csv: the segmenter was trained on t01") as error:
        agreements([path], folder, images)
    assert len(error.value.problems) == 1


@pytest.mark.parametrize("value", ["", "-1", "0.5", "many"])
def test_counts_that_are_none_are_named(tmp_path, value):
    folder, images, path = made(tmp_path, t00={"a": (value, 1, 0)}, t01={"a": (1, 0, 0)})
    with pytest.raises(ValueError, match=rf"t00 has tp '{value}', fp '1', fn '0'; expected whole numbers"):
        agreements([path], folder, images)
