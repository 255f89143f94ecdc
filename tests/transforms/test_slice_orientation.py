"""Rows are rows, slices agree whatever the file's axes, and results go back."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, EnsureChannelFirstd, Invertd, LoadImaged
from PIL import Image

from noise2mask.data.reader import GreyReader
from noise2mask.transforms.resize_slices import ResizeSlicesd
from noise2mask.transforms.slice_orientation import SliceOrientation, SliceOrientationd

CODES = [
    "".join(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in permutations(("RL", "AP", "SI"))
    for signs in product((0, 1), repeat=3)
]
AFFINE = np.array([[2.0, 0.1, 0, 5], [0, 3, 0.2, -7], [0.1, 0, 4, 11], [0, 0, 0, 1]])  # oblique, RAS
VALUES = np.arange(24.0).reshape(2, 3, 4)  # every voxel is a marker of its own


def stored_as(codes):
    """The same patient in a file whose axes run along `codes`."""
    ras = nib.Nifti1Image(VALUES, AFFINE)
    change = nib.orientations.ornt_transform(nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(codes))
    turned = ras.as_reoriented(change)
    return MetaTensor(torch.tensor(turned.get_fdata().copy())[None], affine=torch.tensor(turned.affine))


def test_there_are_48_orientations():
    assert len(set(CODES)) == 48


@pytest.mark.parametrize("codes", CODES)
def test_slices_agree_whatever_the_file_s_orientation_and_go_back(codes):
    volume = stored_as(codes)
    data, affine = volume.as_tensor().clone(), volume.affine.clone()
    transform = SliceOrientation()
    turned = transform(volume)
    assert torch.equal(turned.as_tensor()[0], torch.tensor(VALUES).flip(0, 1).transpose(0, 1))
    assert nib.aff2axcodes(turned.affine.numpy()) == ("P", "L", "S")
    back = transform.inverse(turned)
    assert torch.equal(back.as_tensor(), data) and torch.allclose(back.affine, affine) and not back.applied_operations


def test_the_input_is_left_alone():
    for image in (stored_as("RAS"), MetaTensor(torch.rand(1, 2, 3))):
        before = image.as_tensor().clone()
        SliceOrientation()(image)
        assert torch.equal(image.as_tensor(), before) and not image.applied_operations


def test_pictures_are_transposed_and_go_back():
    picture, transform = MetaTensor(torch.arange(6.0).reshape(1, 2, 3)), SliceOrientation()
    turned = transform(picture)
    assert turned.tolist() == [[[0, 3], [1, 4], [2, 5]]] and len(turned.applied_operations) == 1
    back = transform.inverse(turned)
    assert torch.equal(back, picture) and not back.applied_operations


def test_volumes_may_keep_the_slices_they_are_stored_in():
    volume = stored_as("SRA")
    transform = SliceOrientation(axcodes=None)
    turned = transform(volume)
    assert torch.equal(turned.as_tensor(), volume.as_tensor().transpose(1, 2))
    assert torch.equal(transform.inverse(turned).as_tensor(), volume.as_tensor())


def test_other_numbers_of_axes_are_refused():
    image = MetaTensor(torch.zeros(1, 2, 2, 2, 2), meta={"filename_or_obj": "cine.nii.gz"})
    with pytest.raises(ValueError, match="cine.nii.gz has 4 spatial axes, expected 2"):
        SliceOrientation()(image)


def pipeline():
    return Compose(
        [
            LoadImaged("image", reader=GreyReader()),
            EnsureChannelFirstd("image"),
            SliceOrientationd("image"),
            ResizeSlicesd("image", (8, 8), mode="nearest"),
        ]
    )


def test_rows_of_a_picture_are_rows_and_the_top_left_is_the_top_left(tmp_path):
    pixels = np.zeros((4, 6), np.uint8)  # 4 rows, 6 columns
    pixels[0, :3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = Compose(pipeline().transforms[:3])({"image": tmp_path / "a.png"})["image"]
    assert image.shape == (1, 4, 6)
    assert np.array_equal(image[0], pixels)


def test_rows_of_an_axial_slice_go_to_the_patient_s_back(tmp_path):
    values = np.zeros((5, 6, 3), np.float32)
    values[4, 5, 2] = 1  # in RAS the right, front, upper corner
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    image = Compose(pipeline().transforms[:3])({"image": tmp_path / "a.nii.gz"})["image"]
    assert image.shape == (1, 6, 5, 3) and image[0, 0, 0, 2] == 1  # front row, the patient's right on the left


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["png", "nii.gz"])
def test_results_return_to_the_file_s_geometry_through_a_loader(tmp_path, kind, workers):
    path = tmp_path / f"a.{kind}"
    values = np.random.default_rng(0).integers(0, 255, (4, 2) if kind == "png" else (4, 2, 3)).astype(np.uint8)
    if kind == "png":
        Image.fromarray(values.T).save(path)
    else:
        nib.save(nib.Nifti1Image(values, np.diag([-2.0, 3, 1, 1])), path)
    transform = pipeline()
    loader = DataLoader(Dataset([{"image": path}], transform), batch_size=1, num_workers=workers)
    item = decollate_batch(next(iter(loader)))[0]
    item["pred"] = MetaTensor(item["image"].as_tensor().clone())
    back = Invertd("pred", transform, orig_keys="image")(item)["pred"]
    assert np.array_equal(back[0], values)
    expected = np.eye(4) if kind == "png" else nib.load(path).affine
    assert np.allclose(back.affine, expected)
