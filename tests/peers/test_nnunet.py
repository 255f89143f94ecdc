"""nnU-Net learns what it is given and answers with its own predictor, on pictures and volumes, whatever the masks."""

import os

import numpy as np
import pytest
import torch

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.files import load_plain
from noise2mask.metrics.overlap import count, overlap
from noise2mask.networks.baseline import Baseline
from noise2mask.networks.nnunet import NNUNet
from noise2mask.networks.plain_segmenter import PlainSegmenter
from noise2mask.networks.weights import load_weights
from noise2mask.report.curves import read_curves, read_scalars
from noise2mask.studies.nnunet_training import NNUNetTraining

from .conftest import SECONDS, SIDE

pytestmark = [pytest.mark.peers, pytest.mark.slow]


def one_hot(mask):
    return torch.stack([mask == value for value in (0, 1, 2)])


def half_labelled(mask):
    """Nobody has labelled the first rows."""
    channels = one_hot(mask)
    channels[:, :8] = False
    return channels


KINDS = {  # name: channels of the mask, and how nnU-Net is told of them
    "binary": (lambda mask: (mask > 0)[None], {}),
    "exclusive": (half_labelled, {"structures": ["rim", "cup"], "exclusive": True}),
    "nested": (
        lambda mask: torch.stack([mask > 0, mask > 1]),
        {"structures": ["disc", "cup"], "precision": "bfloat16"},
    ),
    "slices": (one_hot, {"structures": ["rim", "cup"], "exclusive": True}),
    "volumes": (one_hot, {"structures": ["rim", "cup"], "exclusive": True, "configuration": "3d_fullres"}),
}


@pytest.fixture(scope="module", params=KINDS)
def run(request, prepared, tmp_path_factory):
    """Of each kind: its folder, its masks' channels, whether they exclude one another, what it was validated on."""
    channels, options = KINDS[request.param]
    training, validation = prepared(channels, volume=request.param in ("slices", "volumes"))
    folder = tmp_path_factory.mktemp(request.param)
    where = {"output_dir": str(folder), "model_file": str(folder / "model.pt")}
    NNUNetTraining(training, validation, **where, minutes=SECONDS / 60, iterations_per_epoch=4, **options).run()
    return folder, options, validation


@pytest.fixture
def network(run):
    folder, options, _ = run
    exclusive = options.get("exclusive", False)
    network = Baseline(NNUNet(folder / "model.pt", exclusive), exclusive=exclusive)
    return load_weights(network, folder / "model.pt").eval()


def test_its_mask_is_the_one_it_has_learned(run, network):
    folder, options, validation = run
    exclusive = options.get("exclusive", False)
    image, label = (validation[0][key].as_subclass(torch.Tensor)[None] for key in ("image", "label"))
    inferer = EnsembleInferer(
        NoiseSchedule("linear", 50), out_channels=label.shape[1], exclusive=exclusive, steps=1, samples=1
    )
    found = inferer(image, network)
    assert found.shape == label.shape
    largest = found[0].argmax(0) > 0 if exclusive else found[0, 0] > 0.5
    truth = label[0, 1:].any(0) if exclusive else label[0, 0].bool()
    labelled = label[0].any(0) if exclusive else torch.ones_like(truth)
    assert overlap(count(largest & labelled, truth & labelled))["dice"] > 0.5


def test_its_probabilities_are_those_of_nnu_net_s_own_predictor(run, network):
    _, options, validation = run
    image = validation[0]["image"].as_subclass(torch.Tensor)
    ours = network.coarse(network.encode(image[None]))[0]
    predictor = network.network._on(torch.device("cpu"))
    predictor.list_of_parameters = [network.network.network.state_dict()]
    volume = image.numpy()[:, None] if image.ndim == 3 else image.numpy().transpose(0, 3, 1, 2)
    spacing = [999.0, 1.0, 1.0] if image.ndim == 3 else [1.0, 1.0, 1.1]
    _, theirs = predictor.predict_single_npy_array(volume, {"spacing": spacing}, None, None, True)
    theirs = theirs[:, 0] if image.ndim == 3 else theirs.transpose(0, 2, 3, 1)
    theirs = theirs[1:] if len(theirs) > len(ours) else theirs  # of one structure the background is left out
    assert np.allclose(ours, theirs, atol=1e-5)


def test_the_time_is_kept_and_the_curves_are_there(run):
    folder, _, _ = run
    last, curves = load_plain(folder / "last.pt"), read_curves(folder)
    assert last["finished"] and last["elapsed"] < SECONDS + 5  # the last iteration and validation may take longer
    assert set(curves) == {"train_loss", "pseudo_dice", "nnunet_seconds"}
    assert sum(read_scalars(folder)["nnunet_seconds"].values()) == pytest.approx(last["elapsed"], abs=1)
    assert len(curves["pseudo_dice"].steps) == last["epoch"] and curves["train_loss"].axis == "iteration"
    assert curves["train_loss"].values[-1] < curves["train_loss"].values[0]


def test_nothing_of_it_is_left_in_the_environment(run):
    assert [name for name in os.environ if name.startswith("nnUNet_")] == []
    assert {path.name for path in run[0].iterdir() if path.is_dir()} == {"nnunet"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_convolves_in_the_precision_that_is_asked_for(prepared, tmp_path, precision):
    found = set()

    def record(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d):
            found.add(str(output.dtype).removeprefix("torch."))

    training, validation = prepared(KINDS["binary"][0])
    where = {"output_dir": str(tmp_path), "model_file": str(tmp_path / "model.pt"), "precision": precision}
    with torch.nn.modules.module.register_module_forward_hook(record):
        NNUNetTraining(training, validation, **where, minutes=0.01, iterations_per_epoch=1).run()
    assert found == {precision}
    weights = load_plain(tmp_path / "model.pt")["model"].values()
    assert {weight.dtype for weight in weights} == {torch.float32}


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_cases(prepared, tmp_path):
    training, validation = prepared(KINDS["binary"][0])
    where = {"output_dir": str(tmp_path), "model_file": str(tmp_path / "model.pt")}

    def spoil(module, inputs, output):
        return output * torch.nan if isinstance(module, torch.nn.Conv2d) else None

    expected = "The loss is nan in epoch 1; the last checkpoint is untouched. Cases of this batch.*: training_0000"
    with torch.nn.modules.module.register_module_forward_hook(spoil), pytest.raises(RuntimeError, match=expected):
        NNUNetTraining(training, validation, **where, minutes=0.01, iterations_per_epoch=1).run()
    assert not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("run", ["exclusive"], indirect=True)
def test_in_the_place_of_a_segmenter_with_features_it_gives_the_same_classes(run):
    folder, _, validation = run
    network = load_weights(PlainSegmenter(NNUNet(folder / "model.pt", True)), folder / "model.pt").eval()
    image = validation[0]["image"].as_subclass(torch.Tensor)[None]
    condition = network.encode(image)
    probability = network.denoise(image, torch.tensor([1.0]), condition).softmax(dim=1)
    assert torch.allclose(probability, condition["logits"].exp(), atol=1e-4)


@pytest.mark.parametrize("run", ["slices"], indirect=True)
def test_slices_are_those_of_our_networks_whichever_axis_has_the_widest_spacing(run):
    plans = load_plain(run[0] / "model.pt")["plans"]
    assert plans["transpose_forward"] == [0, 1, 2] and plans["configurations"]["2d"]["patch_size"] == [SIDE, SIDE]


def test_pictures_are_no_volumes(prepared, tmp_path):
    training, validation = prepared(KINDS["binary"][0])
    where = {"output_dir": str(tmp_path), "model_file": str(tmp_path / "model.pt"), "configuration": "3d_fullres"}
    with pytest.raises(ValueError, match="3d_fullres is of volumes, but the images are pictures: take '2d'"):
        NNUNetTraining(training, validation, **where, minutes=0.1).run()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"minutes": 0}, "minutes is 0"),
        ({"minutes": 1, "iterations_per_epoch": 0}, "iterations_per_epoch 0"),
        ({"minutes": 1, "memory_target": -1}, "memory_target -1"),
        ({"minutes": 1, "precision": "float16"}, "precision is 'float16'"),
        ({"minutes": 1, "configuration": "3d_lowres"}, "expected '2d' or '3d_fullres'"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, settings, words):
    with pytest.raises(ValueError, match=words):
        NNUNetTraining([], [], str(tmp_path), str(tmp_path / "model.pt"), **settings)


@pytest.mark.parametrize("run", ["binary"], indirect=True)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("plans"), "has no plans"),
        (lambda content: _architecture(content).update(network_class_name="os.system"), "names os.system"),
        (lambda content: _architecture(content)["arch_kwargs"].update(nonlin="os.system"), "names os.system"),
    ],
)
def test_weights_that_would_run_other_code_are_refused(run, tmp_path, change, words):
    content = load_plain(run[0] / "model.pt")
    change(content)
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=f"model.pt {words}"):
        NNUNet(tmp_path / "model.pt")


def _architecture(content):
    return content["plans"]["configurations"]["2d"]["architecture"]
