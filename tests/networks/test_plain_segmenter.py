"""A plain network answers as itself, whatever the noise, and is trained by its logits."""

import torch
from monai.networks.nets import BasicUNet

from noise2mask.diffusion.feature_inferer import FeatureInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.losses.class_loss import ClassLoss
from noise2mask.networks.plain_segmenter import PlainSegmenter


def plain():
    torch.manual_seed(0)
    return PlainSegmenter(BasicUNet(2, 3, 4, features=(4, 4, 4, 4, 4, 4)))


def test_every_sample_is_the_networks_own_mask(tmp_path):
    net, image = plain().eval(), torch.rand(2, 3, 32, 32) * 2 - 1
    inferer = FeatureInferer(NoiseSchedule("cosine", 100), 20, out_channels=4, samples=3, features_dir=tmp_path)
    with torch.no_grad():
        expected = net.network(image).softmax(1)
        samples = inferer.sample(image, net)
    assert samples.shape == (2, 3, 4, 32, 32) and torch.allclose(samples, expected[:, None], atol=1e-6)
    assert not list(tmp_path.iterdir())


def test_a_loss_reaches_every_weight():
    net, image = plain().train(), torch.rand(2, 3, 32, 32)
    label = torch.eye(4)[torch.randint(4, (2, 32, 32))].movedim(-1, 1)
    ClassLoss()(net(image, torch.tensor([20]), image), {"mask": label}).backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in net.parameters() if weight.ndim > 1)
