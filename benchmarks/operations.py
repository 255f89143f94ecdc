"""Counts what one evaluation of a network costs, how much of it is cached, and what training keeps per image.

python benchmarks/operations.py --bundle medsegdiff --preset b --size 256

Operations are those of convolutions and matrix products, two per multiplication and addition, without the FFT's.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from noise2mask.diffusion.denoiser import Denoiser

BUNDLES = Path(__file__).parents[1] / "bundles"
NAMES = ("medsegdiff", "medsegdiff_v2")


def main() -> None:
    """One line of operations, one of memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", choices=NAMES, default=NAMES[0])
    parser.add_argument("--preset", help="of the bundle's configs/presets; without it: compact")
    parser.add_argument("--size", type=int, default=128, help="rows and columns")
    options = parser.parse_args()
    network, classes = made(options.bundle, options.preset)
    x, image = (torch.zeros(1, channels, options.size, options.size) for channels in (classes, 1))
    timesteps = torch.tensor([500])
    with torch.no_grad():
        all_of_it = operations(lambda: network(x, timesteps, image))
        cached = operations(lambda: network.encode(image))
    print(f"{all_of_it / 1e9:.1f} GFLOP per evaluation, of which {cached / all_of_it:.1%} once per image")
    weights = sum(weight.nbytes for weight in network.parameters())
    for_gradients = kept(lambda: network(x, timesteps, image)) - weights
    print(f"{for_gradients / 2**30:.2f} GiB kept per image of a training's batch, weights not counted")


def made(bundle: str, preset: str | None = None) -> tuple[Denoiser, int]:
    """The network of a preset, and the channels of its mask."""
    parser, configs = ConfigParser(), BUNDLES / bundle / "configs"
    presets = [str(configs / "presets" / f"{preset}.yaml")] if preset else []
    parser.read_config([str(configs / "train.yaml"), *presets])
    network: Denoiser = parser.get_parsed_content("network_def")
    return network, parser.get_parsed_content("network_def::out_channels")


def operations(work: Callable[[], object]) -> int:
    """How many it takes."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def kept(work: Callable[[], object]) -> int:
    """Bytes that a forward pass keeps for the gradients, weights included, each storage counted once."""
    sizes: dict[int, int] = {}
    holding = []  # an address counts once as long as nothing is freed

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        holding.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(sizes.values())


if __name__ == "__main__":
    main()
