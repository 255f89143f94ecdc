"""Plain tensors inside MONAI's."""

import torch
from monai.data import MetaTensor

from noise2mask.meta import without_meta


def test_the_meta_data_are_left_behind_and_a_plain_tensor_stays():
    values = torch.arange(3.0)
    plain = without_meta(MetaTensor(values))
    assert type(plain) is torch.Tensor and torch.equal(plain, values)
    assert without_meta(values) is values
