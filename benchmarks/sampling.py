"""What the inferer saves: encoding once per image, and one condition flow for all samples of an image.

python benchmarks/sampling.py
"""

import torch
from side_by_side import header, ratio

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.networks.pgdiffseg import PGDiffSeg

SAMPLES = 5


def main() -> None:
    """The compact preset on two images of 64 x 64, five steps."""
    header()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = PGDiffSeg(base=8, multipliers=(2, 4, 8, 12), dense_layers=2, num_groups=4).to(device).eval()
    images = torch.randn(2, 1, 64, 64, device=device)
    together = EnsembleInferer(NoiseSchedule(), steps=5, samples=SAMPLES)
    singles = [EnsembleInferer(NoiseSchedule(), steps=5, samples=1, seed=n) for n in range(SAMPLES)]
    ratio(
        f"{SAMPLES} samples: one by one, in one batch",
        lambda: [inferer.sample(images, network) for inferer in singles],
        lambda: together.sample(images, network),
    )

    x, timesteps = torch.randn(2 * SAMPLES, 1, 64, 64, device=device), torch.tensor([500], device=device)
    with torch.no_grad():
        condition = network.encode(images)
        repeated = images.repeat_interleave(SAMPLES, dim=0)
        ratio(
            f"one step of {SAMPLES} samples: uncached, cached",
            lambda: network(x, timesteps, repeated),
            lambda: network.denoise(x, timesteps, condition),
        )


if __name__ == "__main__":
    main()
