"""Plain tensors inside MONAI's."""

import torch
from monai.data import MetaTensor

from noise2mask.meta import SOURCE, files_of, without_meta


def test_the_meta_data_are_left_behind_and_a_plain_tensor_stays():
    values = torch.arange(3.0)
    plain = without_meta(MetaTensor(values))
    assert type(plain) is torch.Tensor and torch.equal(plain, values)
    assert without_meta(values) is values


def test_the_files_of_a_batch_are_named_where_somebody_knows_them():
    image = MetaTensor(torch.zeros(2), meta={"filename_or_obj": ["a.png", "b.png"]})
    assert files_of(image) == files_of({"image": image}) == " Files of this batch: a.png, b.png."
    assert files_of({SOURCE: ["c.nii (slice 3)"], "image": image}) == " Files of this batch: c.nii (slice 3)."
    assert files_of(torch.zeros(2)) == files_of({"image": torch.zeros(2)}) == files_of([torch.zeros(2)]) == ""
