"""Scores of generated tiles by an extractor that the user names: which one it was, at which size, of which files."""

import csv
import json

import numpy as np
import pytest
import torch
from monai.data import Dataset
from PIL import Image

from noise2mask.digest import sha256
from noise2mask.handlers.generation_batch import GenerationBatch
from noise2mask.handlers.trained_on import digests_of, write_images
from noise2mask.networks.reference_encoder import ReferenceEncoder
from noise2mask.studies.generated_tiles import check_square, score_generated


class Seen(torch.nn.Module):
    """Four places of each colour, and the least and greatest value: what the range and the size were."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = torch.full((x.shape[0], 1), float(x.shape[3]))
        return torch.cat([torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1), size], dim=1)


@pytest.fixture
def folder(tmp_path):
    """Two masks with two images each, four real and four training tiles, an extractor as a file."""
    random = np.random.default_rng(0)
    for name in ("in/a", "in/b", *(f"{kind}/{n}" for kind in ("real", "train") for n in range(4))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "out/images").mkdir(parents=True)
    for name in ("a_0", "a_1", "b_0"):
        Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"out/images/{name}.png")
    Image.open(tmp_path / "train/2.png").transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(
        tmp_path / "out/images/b_1.png"
    )
    (tmp_path / "model.pt").write_bytes(b"weights")
    torch.jit.script(Seen()).save(tmp_path / "seen.pt")
    return tmp_path


def tiles(folder, kind):
    """Items as the config's transforms give them, with their files."""

    def read(item):
        return {"image": torch.from_numpy(np.array(Image.open(item["image"]))).movedim(2, 0) / 255}

    return Dataset([{"image": str(folder / kind / f"{n}.png")} for n in range(4)], read)


def score(folder, **options):
    items = [
        {"label": str(folder / f"in/{name}.png"), "reference": str(folder / "train/0.png"), "name": name}
        for name in "ab"
    ]
    batch = GenerationBatch(items, str(folder / "out"), str(folder / "model.pt"))
    real, training = tiles(folder, "real"), tiles(folder, "train")
    torch.manual_seed(0)
    score_generated(batch, 2, real, training, ReferenceEncoder(embedding=6, width=4), folder / "model.pt", **options)
    return json.loads((folder / "out/generation_scores.json").read_text())


def test_the_extractor_that_was_named_makes_the_features_at_its_size_and_says_which_it_is(folder):
    scores = score(folder, features=folder / "seen.pt", features_size=24, features_range=(0.0, 1.0))
    expected = {"name": "seen.pt", "sha256": sha256(folder / "seen.pt"), "size": 24, "value_range": [0.0, 1.0]}
    assert scores["extractor"] == expected and scores["counts"]["masks"] == 2
    other = score(folder, features=folder / "seen.pt")
    assert other["extractor"]["size"] is None and other["frechet_distance"] != scores["frechet_distance"]
    assert score(folder)["extractor"]["name"] == "own contrastive encoder"


def test_a_mirrored_training_tile_is_named_as_the_one_that_was_copied(folder):
    score(folder, features=folder / "seen.pt")
    first, *others = csv.DictReader((folder / "out/nearest_tiles.csv").open())
    assert (first["generated"], first["training"]) == ("b_1.png", "2.png")
    assert sorted(row["generated"] for row in others) == ["a_0.png", "a_1.png", "b_0.png"]
    assert (folder / "out/nearest_tiles.png").is_file()


def test_real_tiles_that_the_network_was_trained_on_are_counted_and_told(folder, caplog):
    assert "real_trained_on" not in score(folder)["counts"]
    known = digests_of([*tiles(folder, "train").data, tiles(folder, "real").data[1]])
    write_images(known, folder / "model.pt")
    counts = score(folder)["counts"]
    assert (counts["real_trained_on"], counts["training_trained_on"]) == (1, 4)
    assert "1 of the 4 real tiles were trained on: they hide copies" in caplog.text


def test_tiles_that_can_not_be_turned_are_refused_before():
    check_square([8, 8])
    with pytest.raises(ValueError, match=r"image_size is \[8, 16\], expected a square to score"):
        check_square([8, 16])
