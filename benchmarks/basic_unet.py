"""MONAI's BasicUNet on the data of a bundle's train.yaml, for a given time: a peer for the bundle's scores.

    python benchmarks/basic_unet.py --dataset_dir DIR --output_dir OUT --seconds 120 [--overlay CONFIG ...]

It takes data set, augmentation, batch size and seed from the bundle's config, trains with Dice + cross-entropy
(Adam, 1e-3) until the time is over, keeps the weights of the end, and scores by the policy of evaluate.yaml: at the
images' own size, mask = probability > 0.5. It writes scores.json and curve.csv.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric
from monai.networks.nets import BasicUNet
from monai.utils import set_determinism

from noise2mask.diffusion.prepare_batch import plain
from noise2mask.seeding import seed_everything
from noise2mask.transforms.hard_mask import HardMaskd

BUNDLE = Path(__file__).resolve().parent.parent / "bundles" / "pgdiffseg"
FEATURES = (16, 32, 64, 96, 128, 16)  # 0.9 million parameters


def main() -> None:
    """Train, score, print."""
    arguments = _arguments()
    train = _parser([BUNDLE / "configs" / "train.yaml", *arguments.overlay], arguments)
    set_determinism(train["seed"])
    network = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=FEATURES)
    print(f"BasicUNet, {sum(p.numel() for p in network.parameters()) / 1e6:.2f} million parameters", flush=True)
    curve = fit(network, train, arguments.seconds)
    names = ("inference.yaml", "evaluate.yaml")
    scores = score(network, _parser([*(BUNDLE / "configs" / name for name in names), *arguments.overlay], arguments))
    scores |= {"seconds": arguments.seconds, "epochs": len(curve), "features": FEATURES, "seed": train["seed"]}
    folder = Path(arguments.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.json").write_text(json.dumps(scores, indent=2))
    with open(folder / "curve.csv", "w", newline="") as file:
        csv.writer(file).writerows([("epoch", "seconds", "loss"), *curve])
    print(
        f"BasicUNet after {arguments.seconds:.0f} s: dice {scores['dice']:.4f}  dice_lesion {scores['dice_lesion']:.4f}"
    )


def fit(network: BasicUNet, config: ConfigParser, seconds: float) -> list[tuple[int, float, float]]:
    """Train until the time is over; (epoch, seconds, mean loss) per epoch. Filling the cache counts."""
    device, start = torch.device(config.get_parsed_content("device")), time.perf_counter()
    network.to(device).train()
    loader, loss_of = config.get_parsed_content("train::dataloader"), DiceCELoss(sigmoid=True, batch=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    curve: list[tuple[int, float, float]] = []
    while time.perf_counter() - start < seconds:
        seed_everything(config["seed"], len(curve) + 1)
        loader.dataset.set_epoch(len(curve) + 1)
        losses = []
        for batch in loader:
            image, label = plain(batch["image"], device), plain(batch["label"], device)  # (B, 1, H, W) twice
            optimizer.zero_grad()
            loss = loss_of(network(image), label)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if time.perf_counter() - start >= seconds:
                break
        curve.append((len(curve) + 1, time.perf_counter() - start, sum(losses) / len(losses)))
    return curve


@torch.no_grad()
def score(network: BasicUNet, config: ConfigParser) -> dict[str, float]:
    """Mean Dice over all images and over those with a lesion, at the images' own size."""
    device = torch.device(config.get_parsed_content("device"))
    network.eval()
    invert, harden = config.get_parsed_content("postprocessing").transforms[1], HardMaskd("pred")
    metrics = {"dice": DiceMetric(ignore_empty=False), "dice_lesion": DiceMetric(ignore_empty=True)}
    for item in config.get_parsed_content("dataset"):
        item["pred"] = item["image"].clone()
        item["pred"].set_array(network(plain(item["image"], device)[None])[0].sigmoid().cpu())
        mask = harden(invert(item))["pred"]
        for metric in metrics.values():
            metric(mask[None], item["label"][None])
    return {name: metric.aggregate().item() for name, metric in metrics.items()}


def _parser(files: list[Path], arguments: argparse.Namespace) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    parser.update({"bundle_root": str(BUNDLE), "dataset_dir": arguments.dataset_dir, "section": arguments.section})
    parser.parse()
    return parser


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True, help="as for the bundle")
    parser.add_argument("--output_dir", required=True, help="where scores.json and curve.csv go")
    parser.add_argument("--seconds", type=float, required=True, help="training time, data loading included")
    parser.add_argument(
        "--overlay",
        nargs="*",
        default=[],
        help="config files over train.yaml and evaluate.yaml, such as configs/data/busi.yaml",
    )
    parser.add_argument("--section", default="testing", help="split to score: testing or validation")
    return parser.parse_args()


if __name__ == "__main__":
    main()
