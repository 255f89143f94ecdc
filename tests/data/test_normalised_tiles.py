"""A copy of tiles in the colours of their slides: as the step of preprocessing has them, lists and masks the same."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from noise2mask.data.datalist import datalist, load_whole, write_datalist
from noise2mask.data.normalised_tiles import main
from noise2mask.data.reader import ColourReader
from noise2mask.data.slide_colours import main as find_colours
from noise2mask.data.splits import KEYS
from noise2mask.transforms.reinhard import ReinhardToSlided


@pytest.fixture
def tiles(tmp_path):
    """Two tiles of each of two slides, oblong, with masks and a manifest."""
    items = []
    for number in range(4):
        noise = np.random.default_rng(number).integers(40 + 20 * number, 160, (6, 8, 3)).astype(np.uint8)
        for kind, array in (("images", noise), ("masks", noise[..., 0] // 64)):
            (tmp_path / "tiles" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "tiles" / kind / f"{number}.png")
        paths = {
            key: str(tmp_path / "tiles" / kind / f"{number}.png")
            for key, kind in (("image", "images"), ("label", "masks"))
        }
        items.append({**paths, "slide": "ab"[number // 2], "patient": "ppqr"[number], "place": [0, 0, 8]})
    write_datalist(
        {"training": items[:2], "validation": items[2:3], "testing": items[3:]}, tmp_path / "tiles/datalist.json"
    )
    (tmp_path / "tiles/manifest.csv").write_text("image,slide\n")
    find_colours([str(tmp_path / "tiles")])
    return tmp_path / "tiles"


def test_each_tile_is_as_preprocessing_makes_it_and_all_else_is_the_same(tiles, tmp_path, capsys):
    main([str(tiles), "--output", str(tmp_path / "out")])
    assert "tiles 4" in capsys.readouterr().out
    assert (tmp_path / "out/manifest.csv").read_text() == (tiles / "manifest.csv").read_text()
    step = ReinhardToSlided("image", tiles / "slide_colours.json")
    for key in KEYS:
        for old, new in zip(datalist(tiles, key), datalist(tmp_path / "out", key), strict=True):
            assert {k: v for k, v in new.items() if k not in ("image", "label")} == {
                k: v for k, v in old.items() if k not in ("image", "label")
            }
            before, after = (torch.from_numpy(ColourReader().channels(item["image"])[0]) for item in (old, new))
            expected = step({"image": before, "slide": old["slide"]})["image"]
            assert (after - expected).abs().max() <= 0.51 and not torch.equal(after, before)
            assert np.array_equal(Image.open(new["label"]), Image.open(old["label"]))


@pytest.mark.parametrize("wrong", ["same", "no colours", "another slide"])
def test_what_can_not_be_written_is_said(tiles, tmp_path, capsys, wrong):
    output = tiles if wrong == "same" else tmp_path / "out"
    colours = tiles / "slide_colours.json"
    if wrong == "no colours":
        colours.unlink()
    if wrong == "another slide":
        content = json.loads(colours.read_text())
        del content["slides"]["b"]
        colours.write_text(json.dumps(content))
    before = load_whole(tiles / "datalist.json")
    with pytest.raises(SystemExit) as stopped:
        main([str(tiles), "--output", str(output)])
    words = {"same": "has the tiles themselves", "no colours": "holds no colours", "another slide": "has no slide b"}
    assert stopped.value.code == 2 and words[wrong] in capsys.readouterr().err
    assert load_whole(tiles / "datalist.json") == before and not (tmp_path / "out/images").exists()
