"""What a mask costs by a bundle's default, in one step, in the paper's way, and by plain networks.

python benchmarks/peers.py --bundle pgdiffseg --size 128 128 --output bundles/pgdiffseg/docs/results/costs.json

Each in processes of its own, in turn; times are medians. The network is that of the weights that ship, as drawn, also
in the row of the paper's way, which takes sampler, steps, samples and fusion of presets/paper.yaml. `--weights` are
others beside the bundle's own, such as volumes; with --nnunet FOLDER, a training of presets/nnunet_train.yaml, nnU-Net
has a row, with its mirroring.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from side_by_side import seconds

from noise2mask.diffusion.samplers import evaluations

BUNDLES = Path(__file__).parents[1] / "bundles"
OF_SAMPLING = ("sampler", "steps", "samples", "fusion")
VIEWS = ("flips", "zooms")
DEFAULT, PAPER, NNUNET = "default", "the paper's way", "nnU-Net"
ROWS: dict[str, tuple[str, ...]] = {
    DEFAULT: (),
    "one step": ("presets/fast",),
    PAPER: (),
    "BasicUNet": ("presets/basic_unet",),
    NNUNET: ("presets/nnunet",),
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bundle", default="pgdiffseg")
    parser.add_argument("--size", type=int, nargs="+", default=[128, 128], help="rows, columns and, of volumes, slices")
    parser.add_argument("--weights", default="model", help="a name in the bundle's models/, such as volumes")
    parser.add_argument("--nnunet", type=Path, help="output folder of a training of nnU-Net")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON for a card")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not settings_of(given).is_file():
        parser.error(f"{settings_of(given)} does not exist: correct --bundle or --weights.")
    if given.row:
        print(json.dumps(measured(given)))
        return
    names = [name for name in ROWS if has_row(name, given)]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(given.rounds):
        for name in names:
            found[name].append(in_a_process(name))
    rows = [summary(name, own, found[DEFAULT]) for name, own in found.items()]
    threads = torch.get_num_threads()
    machine = (
        f"{platform.machine()}, {threads} thread{'s' if threads > 1 else ''}, PyTorch {torch.__version__.split('+')[0]}"
    )
    content = {"machine": machine, "size": given.size, "rounds": given.rounds, "rows": rows}
    print(json.dumps(content, indent=1))
    if given.output:
        given.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def settings_of(given: argparse.Namespace) -> Path:
    """What stands beside the weights."""
    return BUNDLES / given.bundle / "models" / f"{given.weights}.yaml"


def has_row(name: str, given: argparse.Namespace) -> bool:
    """Whether the bundle has its presets, and nnU-Net a training."""
    presets = [BUNDLES / given.bundle / "configs" / f"{preset}.yaml" for preset in ROWS[name]]
    return all(path.is_file() for path in presets) and (name != NNUNET or given.nnunet is not None)


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of one image after a warm-up in one step, and what it takes."""
    config = loaded(given)
    network, inferer = config.get_parsed_content("network_def").eval(), config.get_parsed_content("inferer")
    channels = next((name for name in ("network_channels", "in_channels") if name in config), None)
    image = torch.zeros(1, config.get_parsed_content(channels) if channels else 1, *given.size)
    if network.spatial_dims > len(given.size):  # nnU-Net takes volumes whole, also where it segments slices
        image = image[..., None]
    if given.row == PAPER and len(inferer.timesteps) > 1:
        inferer.changed(steps=1)(image, network)
    else:
        inferer(image, network)
    weights = sum(weight.numel() for weight in network.parameters())
    counted = evaluations(inferer.sampler, len(inferer.timesteps))
    took = seconds(lambda: inferer(image, network))
    return {"seconds": took, "parameters": weights, "samples": inferer.samples, "evaluations": counted}


def loaded(given: argparse.Namespace) -> ConfigParser:
    """inference.yaml with the settings of the weights, whose views only the first rows have, and the row's presets."""
    configs = BUNDLES / given.bundle / "configs"
    inference, presets = configs / "inference.yaml", [configs / f"{name}.yaml" for name in ROWS[given.row]]
    config = ConfigParser()
    config.read_config([str(path) for path in (inference, settings_of(given), *presets)])
    if given.row not in (DEFAULT, "one step"):
        plain = ConfigParser.load_config_file(inference)
        for name in VIEWS:
            config[name] = plain.get(name, config[name])
    if given.row == PAPER:
        paper = ConfigParser.load_config_file(configs / "presets" / "paper.yaml")
        for name in (name for name in OF_SAMPLING if name in config):  # DiffusionDCI samples no masks
            config[name] = paper.get(name, config[name])
    if given.row == NNUNET:
        config["model_file"] = str(given.nnunet / "model.pt")
    config["progress"], config["bundle_root"] = False, str(BUNDLES / given.bundle)
    return config


def in_a_process(name: str) -> dict[str, Any]:
    """The same command for one row, and the memory that it took."""
    process = subprocess.Popen([sys.executable, *sys.argv, "--row", name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, f"{name} failed: run it by hand with --row"
    return {**json.loads(text.splitlines()[-1]), "mib": used.ru_maxrss / 1024}


def summary(name: str, runs: list[dict[str, Any]], default: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians; how many times as long as the default, round by round."""
    ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(runs, default, strict=True))
    medians = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "mib")}
    kept = {key: runs[0][key] for key in ("parameters", "samples", "evaluations")}
    return {
        "title": name,
        **kept,
        "seconds": round(medians["seconds"], 4),
        "ratio": round(ratio, 3),
        "mib": round(medians["mib"]),
    }


if __name__ == "__main__":
    main()
