"""What studies share: own size, own patient, another one's condition."""

import torch

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.studies.cases import cases_of, samples_of

CPU = torch.device("cpu")


def test_the_other_condition_is_the_next_patient_s(toy):
    cases = cases_of(*toy, CPU)
    assert [case.patient for case in cases] == ["a", "a", "b", "c"]
    for case, other in zip(cases, (2, 2, 3, 0), strict=True):
        assert torch.equal(case.other, cases[other].image)


def test_an_image_without_another_patient_of_its_size_has_no_other(toy):
    dataset, preprocessing = toy
    assert [case.other for case in cases_of([dataset[0], dataset[1]], preprocessing, CPU)] == [None, None]


def test_dice_is_taken_at_the_image_s_own_size(toy):
    case = cases_of(*toy, CPU)[1]
    assert case.label.shape == (1, 24, 16)
    assert case.dice((case.image[0] + 1) / 2) == 1 and case.dice(torch.zeros(1, 16, 24)) == 0


def test_samples_come_with_the_time_they_took(toy, threshold):
    inferer = EnsembleInferer(NoiseSchedule("linear", 20), samples=3)
    for samples, seconds in samples_of(cases_of(*toy, CPU), inferer, threshold):
        assert samples.shape == (3, 1, 16, 24) and seconds > 0


def test_dice_of_several_structures_is_their_mean_without_the_background(toy):
    case = cases_of(*toy, CPU)[1]
    left, right = torch.zeros(2, 24, 16)
    left[:, :8], right[:, 8:] = 1, 1
    label = torch.stack([torch.zeros(24, 16), left, right])
    of_three = case._replace(label=label, exclusive=True, restore=lambda maps: maps)
    assert of_three.dice(label) == 1 and of_three.has_lesion
    assert of_three.dice(torch.stack([torch.zeros(24, 16), torch.ones(24, 16), right])) == (2 / 3 + 0) / 2
