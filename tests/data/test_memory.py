"""A training that does not fit into memory is told before it starts."""

import os

import nibabel as nib
import numpy as np

from noise2mask.data.memory import warn_of_memory
from noise2mask.data.reader import GreyReader


def test_what_does_not_fit_is_told_with_its_size(tmp_path, caplog):
    paths = [str(tmp_path / f"{kind}.nii.gz") for kind in ("t1", "flair")]
    for path in paths:
        nib.save(nib.Nifti1Image(np.zeros((3, 4, 10), np.uint8), np.eye(4)), path)
    bytes_each = (2 + 1) * 64 * 32 * 10 * 4  # two modalities and a mask, at the network's size
    fits = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // bytes_each
    warn_of_memory([{"image": paths}] * fits, GreyReader(), (64, 32), 3)
    assert caplog.text == ""
    warn_of_memory([{"image": paths}] * (fits + 1), GreyReader(), (64, 32), 3)
    assert f"take about {(fits + 1) * bytes_each / 1e9:.1f} GB of memory, more than the" in caplog.text
