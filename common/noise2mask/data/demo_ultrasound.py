"""Pictures that look like breast ultrasound, with masks: a data set to try everything on, without a patient's picture.

Tissue and echo come from demo_echo; here are the lesions. A benign one is a smooth ellipse, wider than tall, with a
thin bright capsule and often enhancement behind it; a malignant one is taller, angular, often spiculated, with an
uneven inside, a blurred border with a bright halo and often a shadow behind it: the signs of the BI-RADS lexicon.
About one picture in six has none. A threshold does not find them, since shadows, fat, muscle and the depth are as
dark and the gain varies.

One generator per patient and per picture: picture `index` of `patient` depends on the seed and these two numbers
alone, and the lesions of one patient are alike.

Legend: H W rows (depth) and columns of the picture, dB decibel of echo amplitude.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from .demo_echo import bad_contact, depth_gain, display, path_levels, smooth_noise, tissue
from .demo_files import Case, write_cases

__all__ = ["KINDS", "Case", "Lesion", "Patient", "draw_patient", "make_case", "make_cases", "write_demo"]

KINDS = ("normal", "benign", "benign", "benign", "malignant", "malignant")  # of every six patients


@dataclass(frozen=True)
class Lesion:
    """One lesion. Its outline is r(angle) = 1 + waves + spicules, stretched to an ellipse of the given area."""

    area: float  # share of the picture
    aspect: float  # width / height
    angle: float  # radian
    depth: float  # 0..1 of the room between skin and bottom
    side: float  # 0..1 of the room between left and right
    contrast: float  # dB against glandular tissue, < 0
    behind: float  # dB behind its thickest part: < 0 shadow, > 0 enhancement
    margin: float  # width of its border, pixels
    rim: float  # dB, bright capsule or halo
    grain: float  # dB, unevenness inside
    waves: np.ndarray  # (orders, 2) amplitudes of cosine and sine of 2, 3, ... times the angle
    spicules: np.ndarray  # (n, 3) angle, length, width


@dataclass(frozen=True)
class Patient:
    """What the pictures of one patient have in common."""

    kind: str  # normal, benign or malignant
    images: int  # 1 to 3
    shape: tuple[int, int]  # H, W
    layers: np.ndarray  # (4,) where skin, fat, glandular tissue and muscle end, share of H
    levels: np.ndarray  # (5,) dB of skin, fat, glandular tissue, muscle, chest wall
    attenuation: float  # dB from top to bottom that is not compensated
    gain: float  # dB
    looks: int  # echoes averaged by spatial compounding, 1 (raw speckle) to 4
    lesions: tuple[Lesion, ...]


def write_demo(folder: str | os.PathLike, patients: int = 200, seed: int = 0, layout: str = "folder") -> Path:
    """Write the pictures of some patients in the layout "folder" or "busi" (see demo_files); return the folder."""
    if patients < 1:
        raise ValueError(f"patients is {patients}, expected at least 1: ask for more")
    arguments = {"kind": "ultrasound", "patients": patients, "seed": seed}
    return write_cases(folder, make_cases(seed, patients), layout, arguments)


def make_cases(seed: int, patients: int) -> Iterator[tuple[int, Case]]:
    """All pictures of patients 0, 1, ..., as (patient, case)."""
    for patient in range(patients):
        for index in range(draw_patient(seed, patient).images):
            yield patient, make_case(seed, patient, index)


def make_case(seed: int, patient: int, index: int) -> Case:
    """Picture number `index` (from 0) of a patient: each is the same region, seen again from nearby."""
    who, rng = draw_patient(seed, patient), generator(seed, patient, index + 1)
    levels = tissue(who.shape, jitter(who.layers, 0.05, rng), who.levels, rng)
    behind, masks = np.zeros(who.shape), []
    for lesion in who.lesions:
        lesion = seen_again(lesion, rng)
        distance = signed_distance(lesion, who.shape, who.layers[0])
        levels = add_lesion(levels, distance, lesion, rng)
        behind = behind + path_levels(expit(distance), lesion.behind)
        masks.append(distance > 0)
    levels = levels + behind + depth_gain(who.shape, who.attenuation, rng) + bad_contact(who.shape, rng)
    return Case(display(levels, who.gain + rng.normal(0, 1.5), who.looks, rng), masks, who.kind)


def generator(seed: int, *key: int) -> np.random.Generator:
    """Independent random numbers for a seed and a key."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def jitter(value: Any, share: float, rng: np.random.Generator) -> Any:
    """Change a number, or each of an array, by a random factor of about 1 +- share."""
    return value * np.exp(rng.uniform(-share, share, np.shape(value)))


# The patient


def draw_patient(seed: int, patient: int) -> Patient:
    """Draw body, machine settings and lesions; of six patients one is normal, three benign, two malignant."""
    rng = generator(seed, patient, 0)
    kind = KINDS[generator(seed, patient // len(KINDS)).permutation(len(KINDS))[patient % len(KINDS)]]
    return Patient(
        kind=kind,
        images=int(rng.integers(1, 4)),
        shape=(int(rng.integers(112, 145)), int(rng.integers(120, 161))),
        layers=rng.uniform((0.04, 0.15, 0.6, 0.8), (0.06, 0.3, 0.74, 0.95)),
        levels=rng.uniform((1, -10, -1, -11, -20), (4, -6, 1, -6, -12)),
        attenuation=rng.uniform(6, 24),
        gain=rng.normal(0, 4),
        looks=int(rng.integers(1, 5)),
        lesions=() if kind == "normal" else draw_lesions(kind, rng),
    )


def draw_lesions(kind: str, rng: np.random.Generator) -> tuple[Lesion, ...]:
    """One lesion, or (one patient in six) two smaller ones side by side."""
    draw = draw_benign if kind == "benign" else draw_malignant
    if rng.random() > 1 / 6:
        return (draw(np.exp(rng.uniform(np.log(0.035), np.log(0.16))), rng.uniform(0, 1), rng),)
    areas, sides = rng.uniform(0.033, 0.055, 2), (rng.uniform(0, 0.12), rng.uniform(0.88, 1))
    return tuple(draw(area, side, rng) for area, side in zip(areas, rng.permutation(sides), strict=True))


def draw_benign(area: float, side: float, rng: np.random.Generator) -> Lesion:
    """Oval, smooth, sharp, even; a cyst (one in three) is nearly free of echoes and brightens what lies behind."""
    cyst = rng.random() < 1 / 3
    return Lesion(
        area=area,
        aspect=rng.uniform(1.15, 1.9),
        angle=rng.normal(0, 0.2),
        depth=rng.uniform(0.05, 0.75),
        side=side,
        contrast=rng.uniform(-27, -20) if cyst else rng.uniform(-18, -12),
        behind=rng.uniform(4, 9) if cyst else rng.uniform(-4, 5),
        margin=rng.uniform(0.5, 1),
        rim=rng.uniform(2, 8),
        grain=rng.uniform(0.5, 2),
        waves=rng.normal(0, 1, (4, 2)) * np.array([0.06, 0.05, 0.03, 0.02])[:, None],
        spicules=np.zeros((0, 3)),
    )


def draw_malignant(area: float, side: float, rng: np.random.Generator) -> Lesion:
    """Round or taller than wide, angular, blurred, uneven, most with spicules and a shadow."""
    count = int(rng.integers(5, 11)) if rng.random() < 0.7 else 0
    angles = 2 * np.pi * (np.arange(count) + rng.uniform(-0.35, 0.35, count)) / max(count, 1)
    spicules = np.stack([angles, rng.uniform(0.15, 0.55, count), rng.uniform(0.1, 0.2, count)], axis=1)
    return Lesion(
        area=area,
        aspect=rng.uniform(0.75, 1.35),
        angle=rng.normal(0, 0.4),
        depth=rng.uniform(0, 0.6),
        side=side,
        contrast=rng.uniform(-20, -13),
        behind=rng.uniform(-18, -6) if rng.random() < 0.75 else rng.uniform(-3, 4),
        margin=rng.uniform(1, 2.2),
        rim=rng.uniform(1, 5),
        grain=rng.uniform(2, 4),
        waves=rng.normal(0, 1, (7, 2)) * np.array([0.08, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02])[:, None],
        spicules=spicules,
    )


# The lesion


def seen_again(lesion: Lesion, rng: np.random.Generator) -> Lesion:
    """The same lesion in a neighbouring plane: a little larger or smaller, elsewhere, with a slightly other outline."""
    return replace(
        lesion,
        area=float(np.clip(jitter(lesion.area, 0.15, rng), 0.033, 0.18)),
        aspect=jitter(lesion.aspect, 0.1, rng),
        angle=lesion.angle + rng.normal(0, 0.08),
        depth=float(np.clip(lesion.depth + rng.normal(0, 0.08), 0, 1)),
        side=float(np.clip(lesion.side + rng.normal(0, 0.05), 0, 1)),
        waves=lesion.waves + rng.normal(0, 0.15, lesion.waves.shape) * np.abs(lesion.waves),
        spicules=jitter(lesion.spicules, 0.1, rng),
    )


def radius(lesion: Lesion, angle: np.ndarray) -> np.ndarray:
    """Outline in units of the ellipse: 1 + sum a_k cos k angle + b_k sin k angle + narrow peaks; never below 0.4."""
    order = np.arange(2, 2 + len(lesion.waves))
    phase = angle[..., None] * order
    r = 1 + (np.cos(phase) * lesion.waves[:, 0] + np.sin(phase) * lesion.waves[:, 1]).sum(-1)
    for where, length, width in lesion.spicules:
        r = r + length * np.exp((np.cos(angle - where) - 1) / width**2)
    return np.maximum(r, 0.4)


def outline(lesion: Lesion, shape: tuple[int, int], points: int = 360) -> tuple[np.ndarray, np.ndarray]:
    """Half axes (2,) in pixels that give the wanted area, and the outline (points, 2) from the centre."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    r = radius(lesion, angle)
    scale = np.sqrt(lesion.area * shape[0] * shape[1] / (np.pi * np.mean(r**2)))  # area = a b 1/2 integral r^2
    axes = scale * np.array([np.sqrt(lesion.aspect), 1 / np.sqrt(lesion.aspect)])
    u, v = r * np.cos(angle) * axes[0], r * np.sin(angle) * axes[1]
    c, s = np.cos(lesion.angle), np.sin(lesion.angle)
    return axes, np.stack([s * u + c * v, c * u - s * v], axis=1)


def signed_distance(lesion: Lesion, shape: tuple[int, int], skin: float) -> np.ndarray:
    """About the distance to the outline in pixels, > 0 inside; the whole lesion is between skin and bottom: (H, W)."""
    axes, points = outline(lesion, shape)
    low = np.array([skin * shape[0] + 3, 2]) - points.min(axis=0)
    high = np.array([0.95 * shape[0], shape[1] - 3]) - points.max(axis=0)
    centre = low + (high - low) * np.array([lesion.depth, lesion.side])
    y, x = (grid - c for grid, c in zip(np.indices(shape), centre, strict=True))
    c, s = np.cos(lesion.angle), np.sin(lesion.angle)
    u, v = (c * x + s * y) / axes[0], (c * y - s * x) / axes[1]
    table = np.linspace(-np.pi, np.pi, 721)
    return (np.interp(np.arctan2(v, u), table, radius(lesion, table)) - np.hypot(u, v)) * axes.min()


def add_lesion(levels: np.ndarray, distance: np.ndarray, lesion: Lesion, rng: np.random.Generator) -> np.ndarray:
    """Put a lesion into a map of levels (H, W): its inside replaces the tissue, its rim is added."""
    inside = expit(distance / lesion.margin)
    grain = lesion.grain * smooth_noise(levels.shape, (2.5, 3.5), rng)
    width = 1 + 2 * lesion.margin
    rim = lesion.rim * np.exp(-(((distance + width) / width) ** 2))
    return (levels + rim) * (1 - inside) + (lesion.contrast + grain) * inside
