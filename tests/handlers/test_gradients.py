"""Clipping, and stopping where numbers are no longer finite."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.transforms import Compose, LoadImaged, RandFlipd
from PIL import Image
from torch import nn

from noise2mask.data.reader import GreyReader
from noise2mask.data.slice_dataset import SliceDataset
from noise2mask.diffusion.prepare_batch import plain
from noise2mask.handlers.gradients import ClipGradients

CPU = torch.device("cpu")


def trained(data, max_norm=1.0, **options):
    """The weight after training y = w x with loss = y, so that the gradient is x; learning rate 1, w starts at 0."""
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.zero_()
    trainer = SupervisedTrainer(
        torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[{"image": torch.tensor([[x]]), "label": torch.zeros(1)} for x in data],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        loss_function=lambda output, target: output.mean(),
        train_handlers=[ClipGradients(network, max_norm)],
        decollate=False,
        **options,
    )
    try:
        trainer.run()
    except RuntimeError as error:
        return network.weight.item(), str(error)
    return network.weight.item(), None


@pytest.mark.parametrize(("x", "expected"), [(0.25, -0.25), (8.0, -1.0), (-8.0, 1.0)])
def test_large_gradients_are_scaled_down_and_small_ones_left(x, expected):
    assert trained([x])[0] == pytest.approx(expected, abs=1e-5)


def test_the_norm_is_as_asked_for():
    assert trained([8.0], max_norm=3.0)[0] == pytest.approx(-3.0, abs=1e-5)


def test_accumulated_gradients_are_clipped_once_and_whole():
    assert trained([4.0, -3.5], accumulation_steps=2)[0] == pytest.approx(-0.25, abs=1e-5)
    assert trained([4.0, 4.0, 0.5], accumulation_steps=2)[0] == pytest.approx(-1.25, abs=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_the_weights(bad):
    weight, message = trained([0.25, bad, 0.25])
    assert weight == -0.25
    assert "loss is" in message and "at epoch 1, iteration 2: lower the learning rate" in message


@pytest.mark.parametrize("augmented", [True, False])
def test_a_loss_that_is_not_finite_names_the_files_of_its_batch(tmp_path, augmented):
    for i in range(4):
        Image.fromarray(np.full((4, 4), 60 * i, np.uint8)).save(tmp_path / f"{i}.png")
    items = [{"image": str(tmp_path / f"{i}.png")} for i in range(4)]
    flip = [RandFlipd("image", prob=0.5)] if augmented else []
    dataset = SliceDataset(items, Compose([LoadImaged("image", reader=GreyReader(), ensure_channel_first=True), *flip]))
    network = nn.Conv2d(1, 1, 1)
    trainer = SupervisedTrainer(
        torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(dataset, batch_size=2),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1e-9),
        loss_function=lambda output, target: output.mean() / (0 if target.max() > 150 else 1),
        prepare_batch=lambda batch, *options, **more: (plain(batch["image"], CPU), plain(batch["image"], CPU)),
        train_handlers=[ClipGradients(network)],
        decollate=False,
    )
    with pytest.raises(RuntimeError, match=f"Files of this batch: {tmp_path / '2.png'}, {tmp_path / '3.png'}.$"):
        trainer.run()


def test_gradients_that_are_not_finite_stop_the_run_and_leave_the_weights():
    class Sharp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * torch.nan

    weight, message = trained([0.25], inferer=lambda x, network: Sharp.apply(network(x)))
    assert weight == 0 and "norm of the gradients is nan at epoch 1, iteration 1" in message


def test_parts_are_clipped_apart_and_their_norms_are_told():
    network = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
    for part in network.values():
        part.weight.data.zero_()
    clip = ClipGradients(network, max_norm=1.0, apart=["a"])
    (4 * network["a"].weight + 0.5 * network["b"].weight).sum().backward()
    assert {name: norm.item() for name, norm in clip._clipped(SimpleNamespace()).items()} == pytest.approx(
        {"gradient_norm_a": 4, "gradient_norm_rest": 0.5}
    )
    assert network["a"].weight.grad.item() == pytest.approx(1, abs=1e-5)
    assert network["b"].weight.grad.item() == pytest.approx(0.5)


def test_a_part_that_the_network_has_not_is_refused():
    with pytest.raises(AttributeError, match="condition"):
        ClipGradients(nn.Linear(1, 1), apart=["condition"])
