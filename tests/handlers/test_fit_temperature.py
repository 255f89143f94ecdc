"""The temperature that images with labels ask for."""

import json
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.temperature import tempered
from noise2mask.handlers.fit_temperature import PIXELS, FitTemperature, fitted
from noise2mask.metrics.calibration import calibration_bins, expected_calibration_error


def too_sure(temperature, count=40_000, classes=1):
    """Probabilities that are surer than labels drawn from the right ones: (1, K, pixels) twice."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(1, classes, count, generator=random)
    right = logits.sigmoid() if classes == 1 else logits.softmax(dim=1)
    given = (logits * temperature).sigmoid() if classes == 1 else (logits * temperature).softmax(dim=1)
    if classes == 1:
        return given, (torch.rand(1, 1, count, generator=random) < right).float()
    drawn = torch.multinomial(right[0].T, 1, generator=random)[:, 0]
    return given, torch.nn.functional.one_hot(drawn, classes).T[None].float()


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_that_made_probabilities_too_sure_is_found(temperature, classes):
    assert fitted(*too_sure(temperature, classes=classes), classes > 1) == pytest.approx(temperature, rel=0.05)


def output(probability, label):
    return {"probability": probability[0], "label": label[0]}


def test_the_file_says_what_it_does_to_the_calibration_error(tmp_path):
    handler, (probability, label) = FitTemperature(str(tmp_path)), too_sure(2.0)
    handler.collect(SimpleNamespace(state=SimpleNamespace(output=[output(probability, label)] * 2)))
    assert handler.pixels[0][0].shape == (1, PIXELS)
    handler.save(None)
    found = json.loads((tmp_path / "calibration.json").read_text())
    before, after = found["expected_calibration_error"]
    assert found["images"] == 2 and found["temperature"] == pytest.approx(2, rel=0.05) and after < before / 4


def test_what_is_tempered_already_is_refused(tmp_path):
    engine = Engine(lambda engine, batch: None)
    engine.inferer = EnsembleInferer(NoiseSchedule(), temperature=1.5)
    FitTemperature(str(tmp_path)).attach(engine)
    with pytest.raises(ValueError, match=r"temperature is 1\.5, expected 1"):
        engine.run([0])


def test_of_exclusive_classes_the_background_is_not_scored(tmp_path):
    handler, (probability, label) = FitTemperature(str(tmp_path), exclusive=True), too_sure(1.0, 1000, 3)
    handler.collect(SimpleNamespace(state=SimpleNamespace(output=[output(probability, label)])))
    handler.save(None)
    before, _ = json.loads((tmp_path / "calibration.json").read_text())["expected_calibration_error"]
    assert before == pytest.approx(expected_calibration_error(calibration_bins(probability[0, 1:], label[0, 1:])))


def test_pixels_that_nobody_labelled_do_not_count(tmp_path):
    handler, (probability, label) = FitTemperature(str(tmp_path), exclusive=True), too_sure(2.0, 1000, 3)
    label[..., ::2] = 0
    handler.collect(SimpleNamespace(state=SimpleNamespace(output=[output(probability, label)])))
    assert torch.equal(handler.pixels[0][0], probability[0, :, 1::2])


def test_flattened_probabilities_are_those_that_the_labels_were_drawn_from():
    probability, label = too_sure(2.0)
    assert tempered(probability, fitted(probability, label)).mean() == pytest.approx(label.mean().item(), abs=0.01)
