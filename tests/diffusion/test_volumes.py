"""Networks of three dimensions: whole volumes through training, validation, sampling and fusion."""

import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import DiceMetric
from monai.transforms import Compose, RandFlipd, SpatialPadd
from torch import nn

from noise2mask.data.slice_dataset import SliceDataset
from noise2mask.diffusion.denoiser import Condition, Denoiser
from noise2mask.diffusion.evaluator import UncertaintyEvaluator
from noise2mask.diffusion.fusion import fuse
from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise import NoiseSource
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_batch import PrepareDiffusion
from noise2mask.diffusion.samplers import SAMPLERS
from noise2mask.handlers.reseed import Reseed
from noise2mask.handlers.scores import scored
from noise2mask.losses.hybrid_loss import HybridLoss
from noise2mask.transforms.hard_mask import HardMaskd
from noise2mask.transforms.own_size import OwnSize
from noise2mask.transforms.resize_slices import ResizeSlicesd

SCHEDULE, CPU = NoiseSchedule("linear", 100, 1e-3, 2e-1), torch.device("cpu")
SIZE = (6, 4, 3)


class Volumes(Denoiser):
    """A convolution over whole volumes of image and noisy masks; K channels, or 2 K with a variance."""

    spatial_dims = 3

    def __init__(self, classes=1, learn_sigma=False):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv3d(1 + classes, 2 * classes if learn_sigma else classes, 3, padding=1)
        self.shapes = []

    def encode(self, image):
        return Condition(image, self.training, {})

    def denoise(self, x, timesteps, condition):
        self.shapes.append(tuple(x.shape))
        image = condition.image.repeat_interleave(condition.samples_of(x, self.training), dim=0)
        prediction = self.layer(torch.cat([image, x], dim=1))
        return {"prediction": prediction} if self.training else prediction


def volumes(count=2, size=SIZE):
    return torch.randn(count, 1, *size, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)


def inferer(**options):
    return EnsembleInferer(SCHEDULE, **{"steps": 3, "samples": 3, **options})


def close(a, b):
    return a.shape == b.shape and (a - b).abs().max() <= 1e-5


# Sampling


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_volumes_go_whole_and_together_as_they_go_alone(sampler):
    network, run = Volumes(classes=2).eval(), inferer(sampler=sampler, out_channels=2)
    together = run.sample(volumes(), network)
    assert together.shape == (2, 3, 2, *SIZE) and set(network.shapes) == {(6, 2, *SIZE)}
    assert close(together, torch.cat([run.sample(volume[None], network) for volume in volumes()]))
    alone = [run.changed(samples=1, seed=n).sample(volumes(), network) for n in range(3)]
    assert close(together, torch.cat(alone, dim=1))


@pytest.mark.parametrize(("chunk_size", "images"), [(18, 6), (17, 3), (9, 3), (8, 2), (2, 1)])
def test_a_volume_counts_as_its_slices_in_a_chunk(chunk_size, images):
    network = Volumes().eval()
    found = inferer(chunk_size=chunk_size).sample(volumes(), network)
    assert max(shape[0] for shape in network.shapes) == images
    assert close(found, inferer().sample(volumes(), network))


def test_another_slice_matters_to_a_network_of_three_dimensions():
    changed = volumes()
    changed[..., 0] *= -1
    first, other = (inferer().sample(volume, Volumes().eval()) for volume in (volumes(), changed))
    assert not close(first[..., 1], other[..., 1])


def test_noise_is_that_of_the_whole_volume():
    class Still(Volumes):
        def denoise(self, x, timesteps, condition):
            return x

    samples = inferer(steps=1, clip=False).sample(0 * volumes(), Still())
    noise = NoiseSource(0, range(3), 2, (1, *SIZE))().unflatten(0, (2, 3))
    assert close(samples, ((noise / 0.3 + 1) / 2).clamp(0, 1))
    assert not close(noise[..., 0], noise[..., 1])


class Oracle(Volumes):
    """Predicts the noise that x holds of the image, which is the mask."""

    def denoise(self, x, timesteps, condition):
        alpha, sigma = SCHEDULE.alpha_sigma(timesteps.item())
        mask = condition.image.repeat_interleave(len(x) // len(condition.image), dim=0)
        return (x - alpha * 0.3 * mask) / sigma


@pytest.mark.parametrize("fusion", ["mean", "majority", "staple"])
def test_the_true_noise_leads_to_the_volume_s_mask(fusion):
    mask, run = volumes().sign(), inferer(target="epsilon", sampler="dpm_solver_pp", steps=7, fusion=fusion)
    assert torch.allclose(run(mask, Oracle()), (mask + 1) / 2, atol=1e-3)


def test_a_truncated_start_begins_at_the_volume_s_mask():
    coarse = torch.rand(2, 1, *SIZE)
    run, network = inferer(start=40), Volumes().eval()
    assert not close(run.sample(volumes(), network, coarse=coarse), run.sample(volumes(), network, coarse=1 - coarse))


@pytest.mark.parametrize("dims", [2, 3])
def test_25_samples_are_fused_by_staple_in_chunks(dims):
    network, sizes = Volumes().eval(), (2, 1, 16, 16, 6)
    image = torch.zeros(sizes)
    image[..., 4:12, 4:12, 1:5] = 1
    if dims == 2:
        network.layer = nn.Conv2d(2, 1, 3, padding=1)
    network.spatial_dims = dims
    run = inferer(samples=25, fusion="staple", steps=2)
    fused = run(image, network)
    assert max(shape[0] for shape in network.shapes) <= (64 if dims == 2 else 64 // 6)
    assert fused.shape == sizes and 0 <= fused.min() and fused.max() <= 1
    assert torch.equal(fused, fuse(run.sample(image, network), "staple"))


def test_an_image_without_slices_is_refused():
    with pytest.raises(ValueError, match=r"Expected volumes \(B, C, H, W, D\), found shape \(1, 1, 4, 4\)"):
        inferer().sample(torch.zeros(1, 1, 4, 4), Volumes())


# Training, validation and scores


def items(depths=(3, 2)):
    found = []
    for n, depth in enumerate(depths):
        image = MetaTensor(volumes(1, (6, 4, depth))[0], meta={"filename_or_obj": f"case{n}.nii.gz"})
        found.append({"image": image, "label": (image > 0).float()})
    return found


PREPARED = [
    ResizeSlicesd(["image", "label"], (4, 4), ["bilinear", "nearest"]),
    SpatialPadd(["image", "label"], (4, 4, 4)),
]


def dataset(*random, seed=0):
    return SliceDataset(items(), Compose([*PREPARED, *random]), seed=seed, slices=False)


def test_a_network_of_three_dimensions_trains_and_is_validated_on_padded_volumes():
    loader = DataLoader(dataset(RandFlipd(["image", "label"], prob=0.5, spatial_axis=2)), batch_size=2, shuffle=True)
    network = Volumes(learn_sigma=True)
    evaluator = SupervisedEvaluator(
        CPU,
        DataLoader(dataset(), batch_size=2),
        network,
        inferer=inferer(samples=1, sampler="ddpm", variance="learned"),
        postprocessing=HardMaskd("pred"),
        key_val_metric={
            "dice": IgniteMetricHandler(metric_fn=DiceMetric(), output_transform=from_engine(["pred", "label"]))
        },
    )
    trainer = SupervisedTrainer(
        CPU,
        4,
        loader,
        network,
        torch.optim.Adam(network.parameters(), 0.03),
        HybridLoss(SCHEDULE, dice_weight=1.0),
        prepare_batch=PrepareDiffusion(SCHEDULE),
        train_handlers=[Reseed(loader)],
        decollate=False,
    )
    losses = []
    trainer.add_event_handler("ITERATION_COMPLETED", lambda: losses.append(trainer.state.output["loss"].item()))
    trainer.run()
    evaluator.run()
    assert losses[-1] < losses[0] and 0 < evaluator.state.metrics["dice"] <= 1
    assert set(network.shapes) == {(2, 1, 4, 4, 4)}


def test_scores_are_of_whole_volumes_in_their_own_size():
    data, network = dataset(), Volumes().eval()
    evaluator = UncertaintyEvaluator(
        CPU, DataLoader(data, batch_size=2), network, inferer=inferer(samples=2), decollate=False
    )
    evaluator.run()
    output, own_size = evaluator.state.output, OwnSize(data.transform)
    for n, item in enumerate(items()):
        probability = own_size(data[n], output["pred"][n])
        assert probability.shape == item["image"].shape
        image = data[n]["image"]
        image.meta["original_affine"] = item["label"].meta["original_affine"] = torch.eye(4).numpy()
        case = {"image": image, "label": item["label"], "mask": (probability > 0.5).byte()}
        (row,) = scored(
            case | {"probability": probability.clamp(0, 1), "samples": output["samples"][n]}, item, own_size
        )
        assert row["hd95_unit"] == "mm" and 0 <= row["dice"] <= 1
        assert row["tp"] + row["fn"] == int(item["label"].sum())
