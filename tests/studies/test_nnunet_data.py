"""What nnU-Net is given is what our networks are given: the same images, masks and split."""

import json

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from noise2mask.studies.nnunet_data import NAME, clear_dataset, codes_of, coding_of, median_spacing, write_dataset

SHAPE = (4, 6)  # rows, columns


def item(label, channels=1, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {"image": torch.randn(channels, *label.shape[1:], generator=generator), "label": label}


def half(rows):
    """(1, H, W), the upper rows."""
    return (torch.arange(SHAPE[0])[:, None].expand(SHAPE) < rows).float()[None]


def written(tmp_path, training, validation, **options):
    folder = write_dataset(tmp_path, training, validation, **options)
    return (
        folder,
        json.loads((folder / "dataset.json").read_text()),
        json.loads((folder / "splits_final.json").read_text()),
    )


def read(path):
    """As nnU-Net reads it: (D, H, W)."""
    return np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0)


def test_only_our_own_data_set_is_deleted_before_a_fresh_start(tmp_path):
    for path in (f"raw/{NAME}/dataset.json", f"results/{NAME}/fold_0/log.txt", "raw/Dataset007_Liver/dataset.json"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    clear_dataset(tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("*/*"))] == ["Dataset007_Liver"]


def test_a_binary_mask_and_both_channels_of_its_image_are_written_as_they_are(tmp_path):
    one, two = item(half(2), 2), item(half(1), 2, seed=1)
    folder, content, splits = written(tmp_path, [one], [two])
    assert folder.name == NAME and content["labels"] == {"background": 0, "structure": 1}
    assert splits == [{"train": ["training_00000"], "val": ["validation_00000"]}]
    assert content["numTraining"] == 2 and list(content["channel_names"]) == ["0", "1"]
    assert np.array_equal(read(folder / "labelsTr/training_00000.nii.gz"), one["label"])
    second = read(folder / "imagesTr/validation_00000_0001.nii.gz")
    assert second.dtype == np.float32 and np.array_equal(second[0], two["image"][1])


def test_exclusive_structures_have_their_channel_s_number_and_pixels_without_a_label_are_ignored(tmp_path):
    label = torch.cat([half(2), 1 - half(3), torch.zeros(1, *SHAPE)])  # background, first, second; row 2 has none
    folder, content, _ = written(tmp_path, [item(label)], [item(label)], structures=["first", "second"], exclusive=True)
    assert content["labels"] == {"background": 0, "first": 1, "second": 2, "ignore": 3}
    assert read(folder / "labelsTr/training_00000.nii.gz")[0, :, 0].tolist() == [0, 0, 3, 1]


def test_where_every_pixel_is_labelled_nothing_is_ignored():
    label = torch.cat([half(2), 1 - half(2)])
    assert coding_of([label], ["first"], True).labels == {"background": 0, "first": 1}


def test_nested_structures_are_regions_the_outer_one_first():
    coding = coding_of([torch.cat([half(3), half(1)])], ["disc", "cup"], False)
    assert coding.labels == {"background": 0, "disc": [1, 2], "cup": 2} and coding.order == [1, 2]


@pytest.mark.parametrize("structures", [["disc", "cup"], ["left", "right", "both"]])
def test_regions_give_back_every_structure_wherever_they_overlap(structures):
    label = torch.randint(0, 2, (len(structures), *SHAPE), generator=torch.Generator().manual_seed(2)).float()
    coding = coding_of([label], structures, False)
    numbers = coding.label_map(label)
    found = [np.isin(numbers, coding.labels[name]) for name in structures]
    assert np.array_equal(np.stack(found), label.bool())


def test_structures_that_never_overlap_need_no_regions():
    coding = coding_of([torch.cat([half(1), 1 - half(2)])], ["upper", "lower"], False)
    assert coding.labels == {"background": 0, "upper": 1, "lower": 2} and coding.order is None


def test_a_volume_keeps_its_slices_and_all_get_the_median_spacing(tmp_path):
    label = torch.zeros(1, *SHAPE, 3)
    label[..., 1] = 1
    affines = [torch.diag(torch.tensor([1.0, 2.0, between, 1.0])) for between in (3.0, 5.0, 4.0)]
    items = [{"image": MetaTensor(torch.rand(1, *SHAPE, 3), affine=affine), "label": label} for affine in affines]
    folder, _, _ = written(tmp_path, items, items[:1])
    file = nibabel.load(folder / "imagesTr/training_00001_0000.nii.gz")
    assert median_spacing(items) == [1, 2, 4] and file.header.get_zooms() == (2, 1, 4)
    assert np.array_equal(read(folder / "labelsTr/training_00000.nii.gz"), label[0].movedim(2, 0))


def test_a_name_that_nnu_net_gives_a_meaning_is_refused():
    with pytest.raises(ValueError, match="'ignore', which nnU-Net gives a meaning of its own: rename it"):
        coding_of([half(1)], ["ignore"], False)


def test_images_of_different_channels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 or 2 channels, expected one number"):
        write_dataset(tmp_path, [item(half(1))], [item(half(1), 2)])


def test_codes_are_sums_of_powers_of_two():
    assert codes_of(torch.tensor([[1.0, 0, 1], [0, 0, 1]])).tolist() == [1, 0, 3]


def test_a_structure_that_no_mask_holds_still_has_a_number():
    assert coding_of([torch.cat([half(1), half(0)])], ["disc", "cup"], False).labels["cup"] == 2
