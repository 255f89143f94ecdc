"""One binary mask from one or several files."""

import pytest
import torch
from monai.data import MetaTensor

from noise2mask.transforms.binary_mask import BinaryMaskd


def joined(*files, **meta):
    tensor = MetaTensor(torch.tensor(files, dtype=torch.float32), meta=meta)
    return BinaryMaskd("label")({"label": tensor, "image": 1})


@pytest.mark.parametrize("white", [1, 255])
def test_the_files_are_joined(white):
    out = joined([[0, white], [0, 0]], [[0, white], [white, 0]])
    assert out["label"].tolist() == [[[0, 1], [1, 0]]]
    assert out["label"].dtype == torch.float32 and out["image"] == 1


def test_each_file_has_its_own_white():
    assert joined([[0, 1], [0, 0]], [[0, 0], [255, 0]])["label"].tolist() == [[[0, 1], [1, 0]]]
    with pytest.raises(ValueError, match="holds the values 0, 1, 255;"):
        joined([[0, 1], [0, 0]], [[0, 1], [255, 0]])


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_mask_of_one_value_is_fine(value):
    assert joined([[value, value]])["label"].tolist() == [[[float(value > 0)] * 2]]


@pytest.mark.parametrize("values", [[0, 128, 255], [0, 1, 2], [0, 0.5, 1], [0, float("nan"), 1], [-1, 0, 1]])
def test_other_values_are_refused_and_the_file_is_named(values):
    with pytest.raises(ValueError, match=r"a_mask.png holds the values .*PNG, not JPEG"):
        joined([values], filename_or_obj="a_mask.png")


def test_a_long_list_of_values_is_cut():
    with pytest.raises(ValueError, match=r"a mask holds the values 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.;"):
        BinaryMaskd("label")({"label": torch.arange(20.0).reshape(1, 4, 5)})


def test_meta_data_and_volumes_are_kept():
    mask = MetaTensor(torch.zeros(1, 2, 3, 4), meta={"filename_or_obj": "a.nii.gz"})
    out = BinaryMaskd("label")({"label": mask})["label"]
    assert out.shape == (1, 2, 3, 4) and out.meta["filename_or_obj"] == "a.nii.gz"


def test_a_missing_key_is_an_error_unless_it_may_be_missing():
    assert BinaryMaskd("label", allow_missing_keys=True)({"image": 1}) == {"image": 1}
    with pytest.raises(KeyError):
        BinaryMaskd("label")({"image": 1})


def classes(values, **options):
    return BinaryMaskd("label", **options)({"label": torch.tensor(values)[None]})["label"][0].tolist()


def test_of_several_classes_the_named_values_are_the_mask():
    assert classes([0.0, 128, 255, 0], foreground=[0], background=[128, 255]) == [1, 0, 0, 1]  # REFUGE-2's cup
    assert classes([0.0, 1, 2, 4], foreground=[1, 2, 4], background=[0]) == [0, 1, 1, 1]  # BraTS' whole tumour
    assert classes([0, 1, 2, 1], foreground=(2,), background=(0, 1)) == [0, 0, 1, 0]


def test_a_value_that_is_in_neither_list_is_refused():
    with pytest.raises(ValueError, match=r"holds the values 0, 3, 255; expected 0, 128, 255: correct foreground"):
        classes([0.0, 3, 255], foreground=[0], background=[128, 255])
