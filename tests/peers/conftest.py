"""Tiny data sets of what nnU-Net is to learn, and nnU-Net trained on them for a few seconds.

In an environment without nnU-Net (`tox -e peers` has it) these tests are left out.
"""

from importlib.util import find_spec

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

collect_ignore_glob = [] if find_spec("nnunetv2") else ["test_*.py"]
SIDE = 32
SECONDS = 6.0


def disc(radius, side=SIDE):
    """(side, side) bool, around a point that moves with the radius."""
    rows, columns = np.mgrid[:side, :side]
    return (rows - side / 2) ** 2 + (columns - side / 2 - radius / 4) ** 2 < radius**2


def numbers(radius, volume=False):
    """A mask of 2 in 1 in 0, (H, W), or (H, W, 8) with nothing in the outer slices."""
    picture = disc(radius).astype(np.uint8) + disc(radius / 2)
    return np.stack([picture * (0 < k < 7) for k in range(8)], axis=2) if volume else picture


def grey(mask, seed):
    """The mask's classes in grey, with noise: uint8."""
    noise = np.random.default_rng(seed).normal(0, 12, mask.shape)
    return np.clip(60 + 50.0 * np.minimum(mask, 2) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def write(tmp_path_factory):
    """write(change, volume): a plain folder of eight images, five to train, one to validate, two to test."""

    def write(change=lambda mask: mask, volume=False):
        folder = tmp_path_factory.mktemp("data")
        lines = ["image,split"]
        for kind in ("images", "masks"):
            (folder / kind).mkdir()
        for n, split in enumerate(["train"] * 5 + ["val"] + ["test"] * 2):
            mask = numbers(6 + n % 5, volume)
            for kind, array in (("images", grey(mask, n)), ("masks", change(mask))):
                if volume:
                    nibabel.save(nibabel.Nifti1Image(array, np.diag([1, 1, 2, 1])), folder / kind / f"case_{n}.nii.gz")
                else:
                    Image.fromarray(array).save(folder / kind / f"case_{n}.png")
            lines.append(f"case_{n},{split}")
        (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
        return folder

    return write


@pytest.fixture(scope="session")
def binary(write):
    return write(lambda mask: (mask > 0).astype(np.uint8) * 255)


class Prepared(list):
    """Prepared items, as a `SliceDataset` hands them out."""

    transform = None

    @property
    def data(self):
        return [{"image": f"case {n}"} for n in range(len(self))]


@pytest.fixture(scope="session")
def prepared():
    """prepared(channels, volume, count): images in -1 .. 1 and what `channels` makes of masks of 0, 1 and 2."""

    def prepared(channels, volume=False, count=6):
        items = []
        for n in range(count):
            mask = numbers(6 + n % 5, volume)
            image = torch.from_numpy(grey(mask, n)).float()[None] / 127.5 - 1
            affine = torch.diag(torch.tensor([1.0, 1.1, 1.0, 1.0]))  # columns lie furthest from one another
            items.append({"image": MetaTensor(image, affine=affine), "label": channels(torch.from_numpy(mask)).float()})
        return Prepared(items[:-1]), Prepared(items[-1:])

    return prepared
