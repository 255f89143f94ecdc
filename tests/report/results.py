"""Results as commands write them, of generated images: discs in noise, of which the mask finds most."""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from noise2mask.explain.case_file import CaseRecord, case_path, write_case
from noise2mask.metrics.case_scores import case_scores, summarise
from noise2mask.metrics.score_files import write_scores

FACTS = {
    "bundle": {"name": "pgdiffseg", "title": "PGDiffSeg", "version": "0.1.0"},
    "weights": "0123abcd" * 8,
    "device": "cpu",
    "versions": {"torch": "2.13.0"},
    "sampling": {"sampler": "ddim", "samples": 3},
    "config": {"image_size::0": "16", "seed": "0"},
}


def disc(shape, centre, radius):
    """(H, W[, D]) bool; of a volume a ball."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) <= radius**2


def record(image, shape=(16, 16), structures=(), samples=3, steps=2, labelled=True, seed=0, **facts):
    """A case: of several structures each has a disc, one below the other."""
    random = np.random.default_rng(seed)
    label, several = np.zeros(shape, np.uint8), np.zeros((samples, *shape), np.uint8)
    for number in range(1, max(1, len(structures)) + 1):
        middle = [shape[0] * number / (max(1, len(structures)) + 1), *(n / 2 for n in shape[1:])]
        centre = np.array(middle) + random.normal(0, shape[0] / 16, len(shape))
        label[disc(shape, centre, shape[0] / 6)] = number
        for sample in several:
            sample[disc(shape, centre + random.normal(0, 1 + seed % 3, len(shape)), shape[0] / 6)] = number
    soft = gaussian_filter((several > 0).astype(float), sigma=(0, *(n / 40 for n in shape)))  # (N, H, W[, D])
    probability = (255 * soft.mean(axis=0)).astype(np.uint8)
    noise = random.integers(0, 256, (steps, *shape), np.uint8)
    picture = (80 * (label == 0) + random.integers(0, 100, shape)).astype(np.uint8)
    about = {"image": str(image), "triage": 0.1, "structures": list(structures)}
    return CaseRecord(
        image=picture[None],
        mask=several[-1],
        probability=probability,
        std=(255 * 2 * soft.std(axis=0)).clip(0, 255).astype(np.uint8),
        entropy=(255 - np.abs(probability.astype(int) * 2 - 255)).astype(np.uint8),
        samples=several,
        noisy=noise,
        clean=np.stack([probability] * steps) if steps else noise,
        timesteps=np.linspace(999, 0, steps).astype(np.int64),
        label=label if labelled else None,
        facts=about | {"slices": list(range(shape[2])) if len(shape) == 3 else None} | facts,
    )


def lines(case, number, structures):
    """Of cases.csv."""
    masks = [torch.tensor(array) for array in (case.mask, case.label, case.probability, case.samples)]
    mask, label, probability, samples = masks
    head = {"image": case.facts["image"], "patient": f"p{number // 2}", "group_by": "patient", "triage": number / 100}
    for k, name in enumerate(structures or [""], start=1):
        scores = case_scores(mask == k, label == k, probability / 255, (samples == k).float())
        yield head | ({"structure": name} if name else {}) | scores


def evaluation(folder, count=3, ending=".png", **how):
    """Writes what `noise2mask evaluate` writes of some cases, of triage 0, 0.01, 0.02 ...; returns its folder."""
    rows = []
    for number in range(count):
        case = record(f"/data/case_{number}{ending}", seed=number, **how)
        write_case(case, case_path(Path(folder), f"case_{number}"))
        rows += lines(case, number, how.get("structures", ()))
    write_scores(rows, summarise(rows) | FACTS, Path(folder))
    return Path(folder)


def segmentation(folder, count=3, **how):
    """Writes what `noise2mask segment` writes of some cases without labels; returns its folder."""
    cases = []
    for number in range(count):
        path = f"/data/case_{number}.png"
        write_case(record(path, labelled=False, seed=number, **how), case_path(Path(folder), f"case_{number}"))
        numbers = {"pixels": 9 * number, "fraction": 0.01 * number, "probability_max": 0.9, "std_mean": 0.01}
        cases.append({"image": path, "triage": number / 100, "agreement": 1 - number / 100, **numbers})
    (Path(folder) / "report.json").write_text(json.dumps({**FACTS, "cases": cases}))
    return Path(folder)


def training(folder):
    """Writes what a training of two epochs leaves for TensorBoard; returns its folder."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step in range(1, 701):
            writer.add_scalar("train_loss", 700 / step, step)
        for epoch, dice in ((1, 0.5), (2, 0.75)):
            writer.add_scalar("dice", dice, epoch)
    return Path(folder)
