"""An ensemble of 5 at 128 x 128: one by one and uncached; in one batch and cached; with the fast solver.

python benchmarks/ensemble.py --bundle medsegdiff_v2

Each way runs in a process of its own, in turn, so that its peak memory is its own. All three sample the same noise.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from operations import NAMES, made
from side_by_side import header
from torch import Tensor

from noise2mask.diffusion.denoiser import Condition, Denoiser
from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule

SIZE, SAMPLES = 128, 5
PAPER = {"sampler": "ddpm", "steps": 100}
FAST = {"sampler": "dpm_solver_pp", "steps": 10}  # the bundles' default before that of 2 steps
WAYS = {
    "(a) one by one, uncached, 100 steps of DDPM": (PAPER, False),
    "(b) in one batch, cached, 100 steps of DDPM": (PAPER, True),
    "(c) in one batch, cached, 10 steps of DPM-Solver++": (FAST, True),
}


class Uncached(Denoiser):
    """Computes all that depends on the image anew at every step."""

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network

    def encode(self, image: Tensor) -> Condition:
        """(B, C, H, W) -> nothing."""
        return Condition(image, self.training, {})

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor | dict[str, Tensor]:
        """x (B, K, H, W) -> (B, K, H, W)."""
        return self.network(x, timesteps, condition.image)


def main() -> None:
    """All ways in turn, and their ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", choices=NAMES, default=NAMES[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help="run this one here")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measured(options.bundle, *WAYS[options.way])))
        return
    header()
    found: dict[str, list[dict]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, results in found.items():
            command = [sys.executable, __file__, "--bundle", options.bundle, "--way", way]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    first = next(iter(found.values()))
    for way, results in found.items():
        seconds, memory = (statistics.median(result[name] for result in results) for name in ("seconds", "mebibytes"))
        faster = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(first, results, strict=True))
        print(f"{way:52}{seconds:8.2f} s per image{memory:8.0f} MiB more at the peak{faster:8.2f}x", flush=True)
    samples = [torch.tensor(results[0]["samples"]) for results in found.values()]
    print(f"largest difference of a sample's pixel, (a) and (b): {(samples[0] - samples[1]).abs().max():.1e}")


def measured(bundle: str, options: dict, together: bool) -> dict:
    """Seconds, peak memory beyond that of the loaded network, and some pixels of the samples."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    network, classes = made(bundle)  # compact
    options = {**options, "samples": SAMPLES, "out_channels": classes}
    for weight in network.parameters():
        weight.data += 0.02 * torch.randn(weight.shape)  # else the prediction is zero
    network.to(device).eval()
    image = torch.randn(1, 1, SIZE, SIZE).clamp(-1, 1).to(device)
    if together:
        runs = [(EnsembleInferer(NoiseSchedule(), **options), network)]
    else:
        one = EnsembleInferer(NoiseSchedule(), **options).changed(samples=1)
        runs = [(one.changed(seed=seed), Uncached(network).eval()) for seed in range(SAMPLES)]
    before = _peak(device)
    runs[0][0].changed(steps=1).sample(image, runs[0][1])  # warm-up
    start = time.perf_counter()
    samples = torch.cat([inferer.sample(image, denoiser) for inferer, denoiser in runs], dim=1)  # (1, N, K, H, W)
    thinned = samples[..., ::16, ::16].cpu()  # waits for the GPU
    return {"seconds": time.perf_counter() - start, "mebibytes": _peak(device) - before, "samples": thinned.tolist()}


def _peak(device: str) -> float:
    """MiB at most so far."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main()
