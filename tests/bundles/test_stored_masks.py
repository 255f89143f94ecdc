"""The weights that ship make of a generated image what they made when they were published.

After other weights or other defaults make what is stored anew, look at it, and commit it:

    python -m tests.bundles.test_stored_masks
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import noise2mask
from noise2mask.bundles import all_bundles
from noise2mask.data.demo import main as make_demo

STORED = Path(__file__).parent / "stored"
SEGMENTING = ("pgdiffseg", "medsegdiff", "medsegdiff_v2", "diffusiondci_segmentation")
SEVERAL = SEGMENTING[2:]  # with several structures, of which the stored mask has two at least
GENERATING = "diffusiondci_generation"
VOLUME, FUNDUS = "medsegdiff_v2_volumes", "medsegdiff_v2_fundus"  # of weights beside a bundle's own
TILE = 64  # pixels


def image_of(name: str) -> Path:
    """Of the kind that its weights know."""
    if name == "medsegdiff_v2":
        return STORED / "ellipse.png"
    return STORED / ("tissue.png" if name.startswith("diffusiondci") else "ultrasound.png")


def ellipse() -> np.ndarray:
    """A dark one in grey texture, which the weights take for a hippocampus: 192 x 128 pixels."""
    rows, columns = np.mgrid[0:48, 0:32]
    along, across = rotated(rows - 24, columns - 16, 10)
    body = gaussian_filter(((across / 7) ** 2 + (along / 16) ** 2 < 1).astype(float), 1)
    texture = gaussian_filter(np.random.default_rng(0).normal(size=(48, 32)), 2)
    grey = np.clip(110 + 15 * texture / texture.std() - 50 * body, 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(grey).resize((128, 192), Image.Resampling.BILINEAR))


def rotated(rows: np.ndarray, columns: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return rows * cosine - columns * sine, columns * cosine + rows * sine


def mask_of(name: str) -> np.ndarray:
    return noise2mask.segment(name, image_of(name)).mask.astype(np.uint8)


def volume() -> np.ndarray:
    """Three dark ellipsoids in a bright shell, where the Decathlon's crops have the hippocampus: (51, 35, 35)."""
    places = np.stack(np.mgrid[0:51, 0:35, 0:35], axis=-1)
    parts = (((13, 17, 11), (8, 10, 6)), ((32, 20, 18), (12, 7, 7)), ((22, 18, 14), (7, 8, 6)))
    distance = np.min([np.linalg.norm((places - centre) / radii, axis=-1) for centre, radii in parts], axis=0)
    shell = gaussian_filter(((distance >= 1) & (distance < 1.35)).astype(float), 1)
    body = gaussian_filter((distance < 1).astype(float), 0.8)
    texture = gaussian_filter(np.random.default_rng(0).normal(size=distance.shape), 1.5)
    return (64 + 30 * shell - 14 * body + 5 * texture / texture.std()).astype(np.float32)


def mask_of_volume() -> np.ndarray:
    """By the weights of three dimensions, slice beside slice: (rows, columns * slices)."""
    mask = noise2mask.segment("medsegdiff_v2", volume(), weights="volumes").mask
    return np.concatenate([*np.moveaxis(mask, -1, 0)], axis=1).astype(np.uint8)


def fundus() -> np.ndarray:
    """A reddish eye on black, a bright disc in it and a brighter cup in that: 288 x 320 pixels, three colours."""
    eye, disc, cup = (blurred_ellipse(*at) for at in ((144, 160, 138, 150), (140, 185, 30, 27), (142, 186, 17, 15)))
    texture = gaussian_filter(np.random.default_rng(0).normal(size=eye.shape[:2]), 4)[..., None]
    retina = eye * (np.array([100, 45, 20]) + 6 * texture / texture.std())
    return np.clip(retina + disc * np.array([75, 60, 20]) + cup * np.array([30, 50, 40]), 0, 255).astype(np.uint8)


def blurred_ellipse(row: int, column: int, height: int, width: int) -> np.ndarray:
    """(288, 320, 1), 1 inside; height and width are from the centre on."""
    rows, columns = np.mgrid[0:288, 0:320]
    inside = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1
    return gaussian_filter(inside.astype(float), 1.5)[..., None]


def mask_of_fundus() -> np.ndarray:
    return noise2mask.segment("medsegdiff_v2", STORED / "fundus.png", weights="fundus").mask.astype(np.uint8)


def generated(folder: Path) -> np.ndarray:
    """An image for a mask of two halves, in the style of the tissue."""
    halves = np.repeat([[1] * (TILE // 2) + [2] * (TILE // 2)], TILE, axis=0).astype(np.uint8)
    Image.fromarray(halves).save(folder / "halves.png")
    where = [folder / "halves.png", "--references", image_of(GENERATING), "-o", folder / "out", "--steps", "5"]
    words = [sys.executable, "-m", "noise2mask.cli.app", "generate", GENERATING, *where]
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    return np.asarray(Image.open(folder / "out" / "images" / "halves_0.png"))


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Of all structures, each pixel with its own."""
    hit = ((first == second) & (first > 0)).sum()
    return 2 * hit / ((first > 0).sum() + (second > 0).sum())


def test_dice_on_four_pixels():
    assert dice(np.array([[1, 1], [2, 0]]), np.array([[1, 2], [2, 0]])) == 2 * 2 / 6


@pytest.mark.parametrize("name", SEGMENTING)
def test_a_generated_image_has_the_stored_mask(name):
    stored = np.asarray(Image.open(STORED / f"{name}.png"))
    assert len(np.unique(stored)) > (2 if name in SEVERAL else 1) and dice(mask_of(name), stored) >= 0.99


def test_a_generated_volume_has_the_stored_mask():
    assert {f"{bundle.name}_{name}" for bundle in all_bundles() for name in bundle.other_weights} == {FUNDUS, VOLUME}
    stored = np.asarray(Image.open(STORED / f"{VOLUME}.png"))
    assert set(np.unique(stored)) == {0, 1, 2} and dice(mask_of_volume(), stored) >= 0.99


def test_a_generated_fundus_has_the_stored_mask():
    stored = np.asarray(Image.open(STORED / f"{FUNDUS}.png"))
    assert set(np.unique(stored)) == {0, 1, 2} and dice(mask_of_fundus(), stored) >= 0.99


@pytest.mark.e2e
def test_a_mask_has_the_stored_image(tmp_path):
    stored = np.asarray(Image.open(STORED / f"{GENERATING}.png"), float)
    assert stored.std() > 5 and np.abs(generated(tmp_path) - stored).mean() < 1  # of 255


def store() -> None:
    """Write images, their masks, and the image of a mask."""
    STORED.mkdir(exist_ok=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        make_demo(["--output", str(folder / "ultrasound"), "--patients", "1"])
        make_demo(["--output", str(folder / "tissue"), "--patients", "1", "--kind", "tissue"])
        first = {kind: min((folder / kind / "images").iterdir()) for kind in ("ultrasound", "tissue")}
        Image.open(first["ultrasound"]).save(image_of("pgdiffseg"))
        Image.fromarray(ellipse()).save(image_of("medsegdiff_v2"))
        Image.fromarray(fundus()).save(STORED / "fundus.png")
        Image.open(first["tissue"]).crop((TILE, TILE // 2, 2 * TILE, 3 * TILE // 2)).save(image_of(GENERATING))
        for segmenter in SEGMENTING:
            Image.fromarray(mask_of(segmenter)).save(STORED / f"{segmenter}.png")
        Image.fromarray(mask_of_volume()).save(STORED / f"{VOLUME}.png")
        Image.fromarray(mask_of_fundus()).save(STORED / f"{FUNDUS}.png")
        Image.fromarray(generated(folder)).save(STORED / f"{GENERATING}.png")


if __name__ == "__main__":
    store()
