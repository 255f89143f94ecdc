"""Tiles put together are the slide; what is done is not done again; what is wrong is named."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from noise2mask.data.datalist import load_whole
from noise2mask.data.splits import KEYS
from noise2mask.data.tiles import Cut, cut_slides, main, padded, starts, tiles_of_slide
from noise2mask.data.whole_slide import Slide

COMMON = str(Path(__file__).parents[2] / "common")


def arrays(size=(96, 64), seed=0):
    random = np.random.default_rng(seed)
    return random.integers(40, 256, (*size, 3), dtype=np.uint8), random.integers(0, 3, size, dtype=np.uint8)


def opened(image, mask):
    sizes = image.shape[:2], mask.shape
    return [Slide(Path(f"{name}.tif"), size, lambda first, last, a=array: a[first:last])
            for name, size, array in zip(("a", "mask"), sizes, (image, mask), strict=True)]  # fmt: skip


def slide_folder(folder, sizes=((96, 64), (64, 64), (70, 64)), patients=("p", "q", "r")):
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = [["image", "patient"]]
    for number, (size, patient) in enumerate(zip(sizes, patients, strict=True)):
        image, mask = arrays(size, number)
        tifffile.imwrite(folder / f"images/s{number}.tif", image, photometric="rgb", tile=(32, 32), compression="zlib")
        Image.fromarray(mask).save(folder / f"masks/s{number}.png")
        rows.append([f"s{number}.tif", patient])
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


CUT = Cut(tile_size=32, stride=32, image_size=32)


def test_tiles_put_together_give_the_slide_again():
    image, mask = arrays()
    again, again_mask = np.zeros_like(image), np.zeros_like(mask)
    for tile in tiles_of_slide(*opened(image, mask), CUT):
        part = np.s_[tile.place[0] : tile.place[0] + 32, tile.place[1] : tile.place[1] + 32]
        again[part], again_mask[part] = tile.image, tile.mask
    assert np.array_equal(again, image) and np.array_equal(again_mask, mask)


def test_overlapping_tiles_agree_where_they_overlap():
    image, mask = arrays()
    tiles = list(tiles_of_slide(*opened(image, mask), Cut(32, 16, 32)))
    assert [tile.place for tile in tiles] == [(top, left) for top in range(0, 65, 16) for left in range(0, 33, 16)]
    assert all(np.array_equal(t.image, image[t.place[0] :, t.place[1] :][:32, :32]) for t in tiles)


@pytest.mark.parametrize(("length", "first"), [(5, [0]), (32, [0]), (33, [0, 16]), (48, [0, 16]), (49, [0, 16, 32])])
def test_as_many_tiles_as_it_takes_to_reach_the_end(length, first):
    assert starts(length, Cut(32, 16, 32)) == first


def test_remainders_are_reflected_and_their_mask_is_ignored():
    image, mask = arrays((5, 7))
    more, own = padded(image, mask, Cut(8, 8, 8, ignore=255))
    assert np.array_equal(more[:5, :7], image) and np.array_equal(own[:5, :7], mask)
    assert np.array_equal(more[5:, :7], image[3:0:-1]) and np.array_equal(more[:5, 7], image[:, 5])
    assert (own[5:] == 255).all() and (own[:, 7:] == 255).all()


def test_images_are_averaged_and_masks_keep_their_classes():
    image, mask = arrays((32, 32))
    (tile,) = tiles_of_slide(*opened(image, mask), Cut(32, 32, 8))
    means = image.reshape(8, 4, 8, 4, 3).mean((1, 3))
    assert abs(tile.image - means).max() <= 1 and np.array_equal(tile.mask, mask[2::4, 2::4])


def test_what_was_reflected_is_no_tissue():
    image, mask = np.full((16, 32, 3), 90, np.uint8), np.zeros((16, 32), np.uint8)
    image[:, 8:] = 0
    (tile,) = tiles_of_slide(*opened(image, mask), CUT)
    assert tile.tissue == 16 * 8 / 32**2


def test_the_command_writes_tiles_and_their_slide_and_patient(tmp_path, capsys):
    main(
        [
            str(slide_folder(tmp_path / "in")),
            "--output",
            str(tmp_path / "out"),
            "--tile_size",
            "32",
            "--image_size",
            "16",
        ]
    )
    content = load_whole(tmp_path / "out" / "datalist.json")
    items = [item for key in KEYS for item in content[key]]
    assert len(items) == 6 + 4 + 6 and content["group_by"] == "patient"
    assert {(item["slide"], item["patient"]) for item in items} == {("s0", "p"), ("s1", "q"), ("s2", "r")}
    assert all(Image.open(item[key]).size == (16, 16) for item in items for key in ("image", "label"))
    places = {item["slide"]: item["place"] for item in items}  # of the last tile of each
    assert places == {"s0": [64, 32, 32], "s1": [32, 32, 32], "s2": [64, 32, 32]}
    lines = (tmp_path / "out" / "manifest.csv").read_text().splitlines()
    assert lines[:2] == ["image,slide,patient", "s0_y000000_x000000.png,s0,p"]
    assert "s0: 6 tiles, 0 left out" in capsys.readouterr().out


def test_tiles_with_little_tissue_are_left_out(tmp_path, capsys):
    folder = slide_folder(tmp_path / "in")
    image, _ = arrays()
    image[32:] = 0
    tifffile.imwrite(folder / "images/s0.tif", image, photometric="rgb")
    cut_slides(folder, tmp_path / "out", Cut(32, 32, 16, min_tissue=0.2))
    assert "s0: 2 tiles, 4 left out" in capsys.readouterr().out
    assert len(list((tmp_path / "out/images").glob("s0_*"))) == 2


def test_an_interrupted_run_goes_on_and_gives_the_same(tmp_path):
    folder = slide_folder(tmp_path / "in")
    cut_slides(folder, tmp_path / "whole", CUT)
    code = "import os, sys, noise2mask.data.tiles as t; write = t.write_text_atomically\n"
    code += "stop = lambda text, path: os.kill(os.getpid(), 9) if path.stem == 's1' else write(text, path)\n"
    code += "t.write_text_atomically = stop\n"
    code += "t.main(sys.argv[1:])"
    options = [str(folder), "--output", str(tmp_path / "out"), "--tile_size", "32", "--image_size", "32"]
    killed = subprocess.run([sys.executable, "-c", code, *options], env=os.environ | {"PYTHONPATH": COMMON})
    assert killed.returncode == -signal.SIGKILL
    assert {path.stem for path in (tmp_path / "out/slides").iterdir()} == {"s0"}
    before = (tmp_path / "out/images/s0_y000000_x000000.png").stat().st_mtime_ns
    main(options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert (tmp_path / "out/images/s0_y000000_x000000.png").stat().st_mtime_ns == before


def test_a_slide_or_a_mask_that_has_changed_is_cut_again_and_no_other(tmp_path):
    folder = slide_folder(tmp_path / "in")
    cut_slides(folder, tmp_path / "out", CUT)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/images").iterdir()}
    put_mask(folder, Image.open(folder / "masks/s0.png").size[::-1], 2)
    cut_slides(folder, tmp_path / "out", CUT)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/images").iterdir()}
    assert {name[:2] for name in before if before[name] != after[name]} == {"s0"}
    assert np.asarray(Image.open(tmp_path / "out/masks/s0_y000000_x000000.png")).min() == 2


def test_a_slide_that_is_cut_off_is_named_and_the_others_are_cut(tmp_path):
    folder = slide_folder(tmp_path / "in", [(64, 64)] * 4, "pqrs")
    path = folder / "images/s1.tif"
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"1 of 4 slides could not be cut:\n.*s1\.tif is cut off"):
        cut_slides(folder, tmp_path / "out", CUT)
    content = json.loads((tmp_path / "out/datalist.json").read_text())
    assert {item["slide"] for key in KEYS for item in content[key]} == {"s0", "s2", "s3"}


def test_tiles_that_an_interrupted_run_left_are_removed(tmp_path):
    folder = slide_folder(tmp_path / "in")
    cut_slides(folder, tmp_path / "whole", CUT)
    for kind in ("images", "masks"):
        left = tmp_path / "out" / kind / "s0_y000000_x000999.png"
        left.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(left)
    cut_slides(folder, tmp_path / "out", CUT)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_tiles_of_a_slide_that_is_gone_are_named_and_stay(tmp_path):
    folder = slide_folder(tmp_path / "in")
    cut_slides(folder, tmp_path / "out", CUT)
    for name in ("images/s2.tif", "masks/s2.png"):
        (folder / name).unlink()
    rows = (folder / "manifest.csv").read_text().splitlines()[:-1]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError, match=r"s2_y000000_x000000\.png and 5 more of other slides; .* put the slide back"):
        cut_slides(folder, tmp_path / "out", CUT)
    assert contents(tmp_path / "out") == before


def put_mask(folder, size, value=0):
    Image.fromarray(np.full(size, value, np.uint8)).save(folder / "masks/s0.png")


def put_black(folder):
    tifffile.imwrite(folder / "images/s0.tif", np.zeros((64, 64, 3), np.uint8), photometric="rgb")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: put_mask(folder, (64, 63)), r"s0\.png has 64 x 63 pixels, but .*s0\.tif has 64 x 64"),
        (lambda folder: put_mask(folder, (64, 64), 7), r"s0\.png holds the values 7; expected 0 to 2"),
        (put_black, r"s0\.tif has no pixel of tissue"),
    ],
)
def test_bad_slides_are_named_and_leave_no_tiles(tmp_path, damage, said):
    folder = slide_folder(tmp_path / "in", [(64, 64)] * 3)
    damage(folder)
    with pytest.raises(ValueError, match=said):
        cut_slides(folder, tmp_path / "out", CUT)
    assert not list((tmp_path / "out").rglob("*s0*")) and len(list((tmp_path / "out/images").iterdir())) == 8


def test_tiles_that_were_cut_in_another_way_are_refused(tmp_path):
    folder = slide_folder(tmp_path / "in")
    cut_slides(folder, tmp_path / "out", CUT)
    with pytest.raises(ValueError, match="cut in another way"):
        cut_slides(folder, tmp_path / "out", Cut(32, 16, 32))


@pytest.mark.parametrize(
    "wrong", [{"stride": 33}, {"image_size": 64}, {"classes": 0}, {"ignore": 256}, {"min_tissue": 2}]
)
def test_other_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Cut(**{"tile_size": 32, "stride": 32, "image_size": 32} | wrong)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_height_of_a_slide(tmp_path):
    code = "import resource, sys, noise2mask.data.tiles as t\n"
    code += "most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    code += "before = most(); t.main(sys.argv[1:]); print(most() - before)"
    folder = slide_folder(tmp_path / "in", [(4096, 4096)] * 3)
    options = [str(folder), "--output", str(tmp_path / "out"), "--tile_size", "512", "--image_size", "64"]
    done = subprocess.run([sys.executable, "-c", code, *options], env=os.environ | {"PYTHONPATH": COMMON}, check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert int(done.stdout.split()[-1]) < 40 * 1024, "KiB; a slide has 48 MiB, its mask, a PNG, 16 MiB"


def test_where_no_tile_has_enough_tissue_that_is_said(tmp_path, capsys):
    folder = slide_folder(tmp_path / "in")
    with pytest.raises(SystemExit) as stopped:
        main([str(folder), "--output", str(tmp_path / "out"), "--tile_size", "32", "--image_size", "32",
              "--luminance", "0", "0.5", "--min_tissue", "1"])  # fmt: skip
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and ("no tile has 1 of tissue" in told or "has no pixel of tissue" in told)


def test_a_tile_of_one_value_is_left_out(tmp_path, capsys):
    folder = slide_folder(tmp_path / "in")
    image, _ = arrays()
    image[:32, :32] = 255
    tifffile.imwrite(folder / "images/s0.tif", image, photometric="rgb")
    cut_slides(folder, tmp_path / "out", CUT)
    assert "s0: 5 tiles, 1 left out" in capsys.readouterr().out
    assert not (tmp_path / "out/images/s0_y000000_x000000.png").exists()


def test_a_stride_of_0_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(slide_folder(tmp_path / "in")), "--output", str(tmp_path / "out"), "--stride", "0"])
    assert "stride is 0, expected 1 to" in capsys.readouterr().err
