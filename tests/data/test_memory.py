"""A training that does not fit into memory is told before it starts."""

import os

import nibabel as nib
import numpy as np
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, RandFlipd, Spacingd

from noise2mask.data.memory import warn_of_memory
from noise2mask.data.reader import GreyReader, MaskReader
from noise2mask.transforms.resize_slices import ResizeSlicesd
from noise2mask.transforms.structure_masks import StructureMasksd

BOTH = ["image", "label"]


def test_what_does_not_fit_is_told_with_its_size_as_it_is_kept(tmp_path, caplog):
    paths = [str(tmp_path / f"{kind}.nii.gz") for kind in ("t1", "flair", "mask")]
    for path in paths:
        nib.save(nib.Nifti1Image(np.zeros((3, 4, 10), np.uint8), np.diag([1, 1, 2, 1])), path)
    loading = [LoadImaged("image", reader=GreyReader()), LoadImaged("label", reader=MaskReader())]
    masks = StructureMasksd("label", {"a": [1], "b": [2]})
    resampled = [
        EnsureChannelFirstd(BOTH),
        masks,
        Spacingd(BOTH, (1, 1, 6), mode="nearest"),
        ResizeSlicesd(BOTH, (64, 32)),
    ]
    transform = Compose([*loading, *resampled, RandFlipd(BOTH)])
    item = {"image": paths[:2], "label": paths[2]}
    bytes_each = 64 * 32 * 4 * (2 * 4 + 3)  # 20 mm are 4 slices; two modalities of floats, three channels of bytes
    fits = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // bytes_each
    warn_of_memory([item] * fits, transform)
    assert caplog.text == ""
    warn_of_memory([item] * (fits + 1), transform)
    assert f"take about {(fits + 1) * bytes_each / 1e9:.1f} GB of memory, more than the" in caplog.text
