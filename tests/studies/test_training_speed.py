"""What an epoch and a validation take, and how many fit into a time."""

import pytest
from tests.studies.times import write_times

from noise2mask.studies.training_speed import Speed, epochs_within, speed_of


@pytest.mark.parametrize(
    ("seconds", "speed", "prior_epochs", "expected"),
    [
        (100, Speed(1.0, 0.0), 0, {"epochs": 88, "val_interval": 4}),
        (100, Speed(1.0, 0.0, 6.0), 10, {"epochs": 30, "val_interval": 2}),
        (200, Speed(1.0, 2.0), 0, {"epochs": 132, "val_interval": 6}),  # 180 s less 24 validations of 2 s
        (100, Speed(40.0, 5.0), 0, {"epochs": 2, "val_interval": 1}),
    ],
)
def test_epochs_and_validations_fit_into_nine_tenths_of_the_time(seconds, speed, prior_epochs, expected):
    found = epochs_within(seconds, speed, prior_epochs)
    assert found == expected
    validations = found["epochs"] / found["val_interval"]
    takes = found["epochs"] * speed.epoch + validations * speed.validation + prior_epochs * speed.prior
    assert takes <= 0.9 * seconds


def test_too_little_time_is_said():
    words = "100 s are not enough for 5 epochs of the prior and two of 46.0 s: give more --minutes"
    with pytest.raises(ValueError, match=words):
        epochs_within(100, Speed(40.0, 6.0), 5)


def test_first_epochs_do_not_count_and_validation_is_told_apart(tmp_path):
    write_times(tmp_path / "run", prior=[9.0, 4.0, 6.0], diffusion=[9.0, 5.0, 1.0, 7.0, 3.0])
    assert speed_of(tmp_path / "run") == Speed(epoch=2.0, validation=4.0, prior=5.0)


def test_four_epochs_are_no_measurement(tmp_path):
    write_times(tmp_path / "run", diffusion=[9.0, 5.0, 1.0, 7.0])
    assert speed_of(tmp_path / "run") is None
