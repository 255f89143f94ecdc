"""Channels of structures from mask files, by hand; wrong values and impossible structures are named."""

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.data.structures import label_map, masks_of, structures_of_label_maps
from noise2mask.transforms.structure_masks import LabelMapd, StructureMasksd

PARTS = {"anterior": [1], "posterior": [2, 3]}
NESTED = {"disc": [1, 2], "cup": [2]}


def channels(mask, structures, **options):
    mask = MetaTensor(torch.tensor(mask, dtype=torch.float32), meta={"filename_or_obj": "scan.nii.gz"})
    return StructureMasksd("label", structures, **options)({"label": mask})["label"].tolist()


def test_exclusive_structures_have_a_background_and_every_pixel_one_channel():
    assert channels([[0, 1, 2, 3]], PARTS) == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]


def test_a_value_to_ignore_has_no_class_whatever_another_file_says():
    assert channels([[0, 1, 255, 2]], PARTS, ignore=[255]) == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert channels([[1, 1], [0, 255]], PARTS, ignore=[255]) == [[0, 0], [1, 0], [0, 0]]
    with pytest.raises(ValueError, match="Only exclusive structures have pixels of no class"):
        StructureMasksd("label", NESTED, exclusive=False, ignore=[255])


def test_nested_structures_share_pixels_and_have_no_background():
    assert channels([[0, 1, 2]], NESTED, exclusive=False) == [[0, 1, 1], [0, 0, 1]]


def test_files_of_one_image_are_joined():
    assert channels([[1, 0, 0], [0, 0, 2]], NESTED, exclusive=False) == [[1, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize(
    ("structures", "expected"),
    [
        (PARTS, {"anterior": [1], "posterior": [2]}),
        ({"disc": [0, 128], "cup": [0]}, {"disc": [1, 2], "cup": [2]}),
        (
            {"whole": [1, 2, 4], "core": [1, 4], "enhancing": [4]},
            {"whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]},
        ),
    ],
)
def test_a_label_map_has_the_structures_of_the_files_that_it_was_made_of(structures, expected):
    assert structures_of_label_maps(structures) == expected
    masks = masks_of(torch.tensor([[[0.0, 1, 2, 3, 4, 128]]]), structures)
    assert torch.equal(masks_of(label_map(masks)[None], expected), masks)


def test_a_single_structure_is_1_or_255_in_a_map_of_its_own():
    assert structures_of_label_maps({"nodule": range(128, 256)}) == {"nodule": [1, 255]}


def test_nested_structures_from_the_inside_out_are_refused_in_a_label_map():
    with pytest.raises(ValueError, match="cup has no value of its own: .* expected the outer one first"):
        structures_of_label_maps({"cup": [0], "disc": [0, 128]})


def test_a_structure_that_never_occurs_has_an_empty_channel():
    assert channels([[0, 1]], PARTS) == [[1, 0], [0, 1], [0, 0]]


def test_a_value_that_is_in_no_structure_is_named_with_its_file_unless_it_is_background():
    with pytest.raises(ValueError, match="scan.nii.gz holds the values 0, 4; expected 0, 1, 2, 3"):
        channels([[0, 4]], PARTS)
    assert channels([[0, 4]], PARTS, background=(0, 4)) == [[1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("structures", "words"),
    [
        ({}, "structures are {}; expected names"),
        ({"organ": []}, "each with the values of its mask"),
        (NESTED, "but disc and cup share 2: correct structures, or exclusive"),
        ({"background": [0], "tumour": [1]}, "a structure is called 'background', which is what has no structure"),
    ],
)
def test_impossible_structures_are_refused(structures, words):
    with pytest.raises(ValueError, match=words):
        StructureMasksd("label", structures)


def test_exclusive_structures_of_several_files_that_share_a_pixel_are_refused():
    with pytest.raises(ValueError, match="scan.nii.gz: anterior and posterior share pixels"):
        channels([[1, 0], [2, 0]], PARTS)


@pytest.mark.parametrize("name", ["left kidney", "../organ", "", "a/b"])
def test_a_name_that_can_not_name_a_file_is_refused(name):
    with pytest.raises(ValueError, match="expected letters, digits, _ and -, which its files are named with"):
        StructureMasksd("label", {name: [1]})


# Label maps


def numbered(masks, exclusive):
    return LabelMapd("pred", exclusive)({"pred": torch.tensor(masks, dtype=torch.uint8)})["pred"].tolist()


def test_exclusive_structures_are_numbered_from_1():
    assert numbered([[1, 0, 0], [0, 1, 0], [0, 0, 1]], exclusive=True) == [0, 1, 2]


def test_of_structures_that_overlap_the_last_has_the_pixel():
    assert numbered([[0, 1, 1], [0, 0, 1]], exclusive=False) == [0, 1, 2]


def test_a_value_that_is_ignored_and_means_something_is_refused():
    for ignore in ([2], [0]):
        with pytest.raises(ValueError, match=f"{ignore[0]} stands in ignore and in structures or background"):
            StructureMasksd("label", {"a": [1], "b": [2]}, background=[0], ignore=ignore)
