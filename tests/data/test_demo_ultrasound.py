"""The demonstration pictures are the same for the same seed, hard for a threshold, and their lesions are to be seen."""

import numpy as np
import pytest
from scipy import ndimage

from noise2mask.data.demo_ultrasound import draw_patient, make_case, make_cases, write_demo


@pytest.fixture(scope="module")
def cases():
    return list(make_cases(0, 30))


@pytest.fixture(scope="module")
def lesions(cases):
    return [(case.image, mask) for _, case in cases for mask in case.masks]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_picture_depends_on_seed_patient_and_index_alone(cases):
    patient, case = cases[-1]
    again = make_case(0, patient, draw_patient(0, patient).images - 1)
    assert np.array_equal(again.image, case.image) and again.kind == case.kind
    assert all(np.array_equal(a, b) for a, b in zip(again.masks, case.masks, strict=True))


def test_another_seed_patient_or_index_gives_another_picture():
    pictures = [make_case(*key).image[:112, :112] for key in ((0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1))]
    assert all((pictures[0] != other).mean() > 0.5 for other in pictures[1:])


def test_of_six_patients_one_is_normal_three_benign_two_malignant():
    for first in (0, 6, 60):
        kinds = sorted(draw_patient(7, patient).kind for patient in range(first, first + 6))
        assert kinds == ["benign"] * 3 + ["malignant"] * 2 + ["normal"]


def test_pictures_are_8_bit_of_many_sizes_and_one_to_three_per_patient(cases):
    sizes = {case.image.shape for _, case in cases}
    assert len(sizes) > 15 and all(112 <= h < 145 and 120 <= w < 161 for h, w in sizes)
    assert all(case.image.dtype == np.uint8 and case.image.ndim == 2 for _, case in cases)
    assert {[patient for patient, _ in cases].count(patient) for patient in range(30)} == {1, 2, 3}


def test_only_normal_pictures_have_no_mask_and_some_have_two(cases):
    assert all((case.kind == "normal") == (not case.masks) for _, case in cases)
    assert max(len(case.masks) for _, case in cases) == 2


def test_every_lesion_is_whole_and_of_3_to_20_percent(lesions):
    for image, mask in lesions:
        assert mask.dtype == bool and mask.shape == image.shape
        assert 0.03 <= mask.mean() <= 0.2 and ndimage.label(mask, np.ones((3, 3)))[1] == 1
        assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def test_lesions_are_darker_than_what_surrounds_them(lesions):
    rings = [ndimage.binary_dilation(mask, iterations=5) & ~ndimage.binary_dilation(mask) for _, mask in lesions]
    contrast = [image[ring].mean() - image[mask].mean() for (image, mask), ring in zip(lesions, rings, strict=True)]
    assert np.mean(contrast) > 35 and np.min(contrast) > 5


def test_no_global_threshold_finds_the_lesions(cases):
    pairs = [(case.image, np.any(case.masks, axis=0)) for _, case in cases if case.masks]
    scores = [np.mean([dice(image < level, mask) for image, mask in pairs]) for level in range(5, 200, 5)]
    assert max(scores) < 0.5


def test_lesions_of_one_patient_are_alike():
    for patient in range(12):
        areas = [[mask.mean() for mask in make_case(0, patient, index).masks] for index in range(2)]
        assert np.allclose(*areas, rtol=0.4)


def test_malignant_outlines_are_rougher(cases):
    def roughness(mask):
        return (mask & ~ndimage.binary_erosion(mask)).sum() / np.sqrt(mask.sum())

    benign, malignant = ([m for _, c in cases if c.kind == k for m in c.masks] for k in ("benign", "malignant"))
    assert np.mean([roughness(m) for m in malignant]) > 1.1 * np.mean([roughness(m) for m in benign])


def test_no_patient_is_refused(tmp_path):
    with pytest.raises(ValueError, match="patients is 0, expected at least 1"):
        write_demo(tmp_path, patients=0)
