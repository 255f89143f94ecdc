"""Accumulated gradients: which iterations step, and that a run is that of the large batch."""

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from torch import nn

from noise2mask.diffusion.denoiser import Condition, Denoiser
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_batch import PrepareDiffusion
from noise2mask.handlers.ema import EMA
from noise2mask.handlers.gradients import ClipGradients
from noise2mask.handlers.learning_rate import CosineDecay
from noise2mask.handlers.optimiser_steps import is_step, step_number, steps_in_all
from noise2mask.losses.diffusion_loss import DiffusionLoss

SCHEDULE, CPU = NoiseSchedule("linear", 50), torch.device("cpu")


class Plain(Denoiser):
    """Two convolutions over image and noisy mask, without any norm."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 1, 3, padding=1))

    def encode(self, image):
        return Condition(image, self.training, {})

    def denoise(self, x, timesteps, condition):
        return {"prediction": self.layers(torch.cat([condition.image, x], dim=1))}


class Drawn(PrepareDiffusion):
    """Noise and timestep that belong to a mask, so that they are the same however masks are batched."""

    def draw(self, mask):
        generators = [torch.Generator().manual_seed(int(1e4 * one.std())) for one in mask]
        noise = torch.stack([torch.randn(one.shape, generator=g) for one, g in zip(mask, generators, strict=True)])
        return torch.stack([torch.randint(0, SCHEDULE.timesteps, (), generator=g) for g in generators]), noise


def trained(batch_size, accumulate, images=16, epochs=3):
    """Network, its average and the learning rates, after a run with all handlers of a training."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(images, 1, 6, 6, generator=generator)
    mask = (torch.rand(images, 1, 6, 6, generator=generator) > 0.5).float()
    network = Plain()
    optimizer, ema, rates = torch.optim.Adam(network.parameters(), lr=1e-2), EMA(network, 0.9), []
    trainer = SupervisedTrainer(
        CPU,
        max_epochs=epochs,
        train_data_loader=[
            {"image": image[i : i + batch_size], "label": mask[i : i + batch_size]}
            for i in range(0, images, batch_size)
        ],
        network=network,
        optimizer=optimizer,
        loss_function=DiffusionLoss(),
        prepare_batch=Drawn(SCHEDULE),
        train_handlers=[ema, CosineDecay(optimizer, warmup=3), ClipGradients(network, 0.01)],
        decollate=False,
        accumulation_steps=accumulate,
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: rates.append(optimizer.param_groups[0]["lr"]))
    trainer.run()
    return network.state_dict(), ema.network.state_dict(), rates


def test_four_batches_of_two_are_one_of_eight():
    whole, parts = trained(8, 1), trained(2, 4)
    assert parts[2] == [rate for rate in whole[2] for _ in range(4)]
    for found, expected in zip(parts[:2], whole[:2], strict=True):
        assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in expected)
    assert max((whole[0][name] - value).abs().max() for name, value in Plain().state_dict().items()) > 1e-2


def counted(length, accumulate, epochs=2):
    """Of every iteration: its step, and whether it ends with it; and the number of all steps."""
    engine = Engine(lambda engine, batch: None)
    engine.accumulation_steps, rows = accumulate, []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: rows.append((step_number(engine), is_step(engine))))
    engine.run(range(length), max_epochs=epochs)
    return [number for number, _ in rows], [number for number, ends in rows if ends], steps_in_all(engine)


@pytest.mark.parametrize(
    ("length", "accumulate", "numbers"),
    [(3, 1, [1, 2, 3, 4, 5, 6]), (4, 2, [1, 1, 2, 2, 3, 3, 4, 4]), (3, 2, [1, 1, 2, 3, 3, 4]), (2, 5, [1, 1, 2, 2])],
)
def test_every_step_has_a_number_and_an_epoch_ends_with_one(length, accumulate, numbers):
    found, ends, total = counted(length, accumulate)
    assert found == numbers and ends == sorted(set(numbers)) and total == numbers[-1]
