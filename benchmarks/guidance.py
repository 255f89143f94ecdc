"""A guided step of DSDM: two whole evaluations, against one shared encoder with all that the conditions decide kept.

python benchmarks/guidance.py --preset paper

Counts the operations at the preset's image size, without memory or time for them, and times `compact` and `tiny`.
"""

import argparse
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from operations import operations
from side_by_side import header, ratio
from torch import Tensor

from noise2mask.networks.dsdm_with_reference import DSDMWithReference
from noise2mask.networks.guidance import Guided, guided

CONFIGS = Path(__file__).parents[1] / "bundles" / "diffusiondci_generation" / "configs"
TIMED = ("compact", "tiny")  # what a CPU can do in seconds
PUSH = 3.0  # s of equation 17


def main() -> None:
    """Operations of one preset; times of those that are small enough."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="compact", help="of the bundle's configs/presets, or compact")
    preset = parser.parse_args().preset
    with torch.device("meta"), torch.no_grad():
        network, inputs = made(preset)
        whole = operations(lambda: two_passes(network, *inputs))
        once = operations(lambda: Guided(network, PUSH).eval().encode(*inputs[2:]))
        step = operations(lambda: Guided(network, PUSH).eval()(*inputs)) - once
    print(f"{preset}: two passes {whole / 2e9:.1f} G multiply-adds, cached and shared {step / 2e9:.1f} G")
    print(f"{preset}: {once / 2e9:.1f} G once per mask and reference")
    if preset in TIMED:
        header()
        timed(preset)


def timed(preset: str) -> None:
    """Both ways, on equal numbers."""
    torch.manual_seed(0)
    with torch.no_grad():
        network, inputs = made(preset)
        for weight in network.parameters():
            weight += 0.02 * torch.randn(weight.shape)  # else the prediction is zero
        own = Guided(network, PUSH).eval()
        condition = own.encode(*inputs[2:])
        pair = (lambda: two_passes(network, *inputs), lambda: own.denoise(*inputs[:2], condition))
        difference = (pair[0]() - pair[1]()).abs().max()
        ratio(f"a guided step, {preset}: two passes / cached and shared", *pair)
    print(f"largest difference: {difference:.1e}")


def two_passes(network: DSDMWithReference, x: Tensor, timesteps: Tensor, mask: Tensor, reference: Tensor) -> Tensor:
    """With both conditions and with none, (1, 2C, H, W): nothing is kept, nothing shared."""
    own = network.denoise(x, timesteps, network.encode(mask, reference))
    null = network.denoise(x, timesteps, network.encode(torch.zeros_like(mask), torch.zeros_like(reference)))
    return guided(own, null, PUSH)


def made(preset: str) -> tuple[DSDMWithReference, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The network in eval mode; noisy image, timestep, mask and reference at the preset's size."""
    parser = ConfigParser()
    overlays = [] if preset == "compact" else [str(CONFIGS / "presets" / f"{preset}.yaml")]
    parser.read_config([str(CONFIGS / "inference.yaml"), *overlays])
    network: DSDMWithReference = parser.get_parsed_content("network_def").eval().requires_grad_(False)
    rows, columns = parser.get_parsed_content("image_size")
    image, mask = torch.randn(1, 3, rows, columns), torch.ones(1, network.classes, rows, columns)
    return network, (image, torch.tensor([500]), mask, torch.randn(1, 3, rows, columns))


if __name__ == "__main__":
    main()
