"""The evaluator that samples once and derives all maps from the same samples."""

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Lambdad

from noise2mask.diffusion.evaluator import UncertaintyEvaluator
from noise2mask.diffusion.fusion import fuse
from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.uncertainty import entropy, standard_deviation, triage
from noise2mask.networks.pgdiffseg import PGDiffSeg

EACH = {"agreement_each", "area_mean_each", "area_std_each"}
MAPS = {"pred", "fused", "samples", "std", "entropy", "agreement", "area_mean", "area_std", "triage"} | EACH
INFERER = EnsembleInferer(NoiseSchedule("linear", 100), steps=2, samples=3)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PGDiffSeg(base=8, multipliers=(1, 2)).eval()


def items(label=True):
    images = [torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(n)) for n in range(2)]
    found = [{"image": MetaTensor(image, meta={"filename_or_obj": f"case{n}.png"})} for n, image in enumerate(images)]
    return [{**item, "label": torch.zeros(1, 8, 8)} for item in found] if label else found


def evaluate(network, data, **options):
    loader = DataLoader(Dataset(data), batch_size=2)
    evaluator = UncertaintyEvaluator(torch.device("cpu"), loader, network, inferer=INFERER, **options)
    evaluator.run()
    return evaluator.state.output


def test_the_output_holds_all_maps_and_numbers(network):
    output = evaluate(network, items(), decollate=False)
    assert set(output) == MAPS | {"image", "label"}
    assert output["pred"].shape == output["std"].shape == output["entropy"].shape == (2, 1, 8, 8)
    assert all(output[key].shape == (2,) for key in ("agreement", "area_mean", "area_std", "triage"))


def test_a_label_may_be_missing(network):
    assert set(evaluate(network, items(label=False), decollate=False)) == MAPS | {"image"}


def test_all_maps_come_from_one_and_the_same_samples(network):
    output = evaluate(network, items(), decollate=False)
    samples = INFERER.sample(torch.stack([item["image"].as_tensor() for item in items()]), network)
    probability = fuse(samples)
    expected = {
        "pred": probability,
        "fused": probability,
        "std": standard_deviation(samples),
        "entropy": entropy(probability),
    }
    expected |= triage(samples) | {"samples": samples.flatten(1, 2)}
    assert all(torch.equal(output[key], value) for key, value in expected.items())


def test_items_are_decollated_and_postprocessed(network):
    output = evaluate(network, items(), postprocessing=Lambdad("pred", lambda pred: pred > 0.5))
    assert [item["image"].meta["filename_or_obj"] for item in output] == ["case0.png", "case1.png"]
    assert all(item["pred"].dtype == torch.bool and item["pred"].shape == (1, 8, 8) for item in output)
    assert all(0 <= item["triage"] <= 1 for item in output)


def test_an_image_that_is_not_finite_stops_the_run_and_is_named(network):
    data = items()
    data[1]["image"][0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match=r"image 1.*Files of this batch: case0.png, case1.png"):
        evaluate(network, data)


def test_a_validation_that_is_not_finite_names_its_files_too(network):
    data = items()
    data[1]["image"][0, 3, 3] = torch.nan
    loader = DataLoader(Dataset(data), batch_size=2)
    validation = SupervisedEvaluator(torch.device("cpu"), loader, network, inferer=INFERER)
    with pytest.raises(ValueError, match=r"image 1.*weights\. Files of this batch: case0.png, case1.png\.$"):
        validation.run()


@pytest.mark.parametrize("training", [True, False])
def test_the_network_s_mode_is_kept(network, training):
    evaluate(network.train(training), items())
    assert network.training is training
    network.eval()
