"""A toy data set and an exact network for studies."""

import numpy as np
import pytest
from monai.data import Dataset
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, ScaleIntensityRanged
from PIL import Image

from noise2mask.data.reader import GreyReader
from noise2mask.diffusion.denoiser import Condition, Denoiser
from noise2mask.transforms.binary_mask import BinaryMaskd
from noise2mask.transforms.resize_slices import ResizeSlicesd
from noise2mask.transforms.slice_orientation import SliceOrientationd

READ = [
    LoadImaged("image", reader=GreyReader()),
    EnsureChannelFirstd("image"),
    SliceOrientationd("image"),
    ScaleIntensityRanged("image", 0, 255, -1, 1, clip=True),
    ResizeSlicesd("image", (16, 24)),
]
LABEL = [LoadImaged("label", reader=GreyReader()), EnsureChannelFirstd("label"), BinaryMaskd("label")]


class Threshold(Denoiser):
    """Predicts x0 = where the image is bright, and half of it as coarse mask; sees the noisy mask only by its shape."""

    def encode(self, image):
        return Condition(image, self.training, {"bright": image.sign()})

    def coarse(self, condition):
        bright = (condition["bright"] > 0).float()
        bright[..., : bright.shape[-1] // 2] = 0
        return bright

    def denoise(self, x, timesteps, condition):
        return 0.3 * condition["bright"].repeat_interleave(condition.samples_of(x, self.training), dim=0)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """Bright boxes in pictures of the network's size, of patients a, a, b and c: (data set, preprocessing)."""
    folder, items = tmp_path_factory.mktemp("toy"), []
    for i, patient in enumerate("aabc"):
        picture = np.zeros((16, 24), np.uint8)
        picture[4 * i : 4 * i + 4, 6 * i : 6 * i + 6] = 255
        paths = {key: folder / f"{key}{i}.png" for key in ("image", "label")}
        for path in paths.values():
            Image.fromarray(picture).save(path)
        items.append({key: str(path) for key, path in paths.items()} | {"patient": patient})
    preprocessing = Compose(READ)
    return Dataset(items, Compose([*READ, *LABEL])), preprocessing


@pytest.fixture
def read():
    """Transforms that read and resize an image."""
    return list(READ)


@pytest.fixture
def threshold():
    return Threshold().eval()
