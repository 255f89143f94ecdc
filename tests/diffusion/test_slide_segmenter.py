"""Whole slides: as their tiles where none overlap, background where there is no tissue, whatever the batch; resumed."""

import csv
import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from noise2mask.data.whole_slide import open_slide
from noise2mask.diffusion.denoiser import Condition, Denoiser
from noise2mask.diffusion.feature_inferer import FeatureInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.slide_segmenter import SlideSegmenter, slides_of

SCHEDULE = NoiseSchedule("cosine", 100)


class Red(Denoiser):
    """Class 1 where the clean image is red, else class 2, and sure by how much of the noise it does not see."""

    calls = 0

    def encode(self, image):
        return Condition(image, self.training, {})

    def denoise(self, x, timesteps, condition):
        self.calls += 1
        image = condition.image.repeat_interleave(len(x) // len(condition.image), dim=0)
        red = 20 * (image[:, :1] - image[:, 1:2]) + 0.1 * x[:, :1]
        return torch.cat([-9 + 0 * red, red, -red], dim=1)


def slide_file(folder, size=(40, 52), name="a.tif"):
    """Red above, green below, black in the last columns, which is no tissue."""
    picture = np.zeros((*size, 3), np.uint8)
    picture[: size[0] // 2, :, 0] = picture[size[0] // 2 :, :, 1] = 200
    picture[:, -12:] = 0
    picture[::3, ::5] += 9
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / name, picture, photometric="rgb", tile=(16, 16))
    return folder / name


def segmenter(folder, network=None, samples=2, **options):
    (folder / "model.pt").write_bytes(b"weights")
    options = {"tile_size": 16, "image_size": (16, 16), "stride": 16, "output_dir": str(folder / "out")} | options
    inferer = FeatureInferer(SCHEDULE, 20, out_channels=3, samples=samples)
    return SlideSegmenter(network or Red(), inferer, ["red", "green"], model_file=str(folder / "model.pt"), **options)


def mask(folder, stem="a"):
    return tifffile.imread(folder / "out" / f"{stem}_mask.tif")


def test_tissue_has_its_class_and_what_is_none_is_background_and_not_looked_at(tmp_path):
    path, network = slide_file(tmp_path / "in"), Red()
    segmenter(tmp_path, network)(path)
    labels = mask(tmp_path)
    assert labels.shape == (40, 52) and (labels[:20, :40] == 1).all() and (labels[20:, :40] == 2).all()
    rows = {row["class"]: row for row in csv.DictReader((tmp_path / "out/classes.csv").open())}
    assert {name: int(row["pixels"]) for name, row in rows.items()} == {
        name: int((labels == value).sum()) for value, name in enumerate(("background", "red", "green"))
    }
    assert float(rows["red"]["fraction"]) == pytest.approx((labels == 1).mean(), abs=1e-6)


def _broken(folder):
    path = folder / "in" / "broken.tif"
    path.write_bytes(b"no picture")
    return path


def test_without_overlap_a_slide_is_its_tiles(tmp_path):
    path, network = slide_file(tmp_path / "in"), Red()
    segmenter(tmp_path, network)(path)
    labels = mask(tmp_path)
    inferer = FeatureInferer(SCHEDULE, 20, out_channels=3, samples=2)
    with open_slide(path) as slide:
        whole = slide.colours(0, 40)
    for top, left in ((0, 0), (16, 16), (0, 32)):
        tile = torch.from_numpy(whole[top : top + 16, left : left + 16].transpose(2, 0, 1) / 127.5 - 1).float()
        expected = inferer(tile[None], network)[0].argmax(0).numpy()
        assert np.array_equal(labels[top : top + 16, left : left + 16], expected)


@pytest.mark.parametrize("options", [{"tiles_at_once": 1}, {"stride": 8}, {"stride": 4, "tiles_at_once": 3}])
def test_batches_change_nothing_and_overlap_little(tmp_path, options):
    path = slide_file(tmp_path / "in")
    segmenter(tmp_path)(path)
    expected = mask(tmp_path)
    segmenter(tmp_path, output_dir=str(tmp_path / "other" / "out"), **options)(path)
    found = mask(tmp_path / "other")
    assert (found == expected)[:, :36].all() and (found == expected).mean() > 0.9


def test_a_mask_is_enlarged_where_the_network_sees_less(tmp_path):
    path = slide_file(tmp_path / "in", (64, 76))
    segmenter(tmp_path, tile_size=32, stride=24)(path)
    labels = mask(tmp_path)
    assert labels.shape == (64, 76) and (labels[:31, :60] == 1).all() and (labels[33:, :60] == 2).all()
    with Image.open(tmp_path / "out/a_std.png") as picture:
        assert picture.size == (38, 32)


def test_a_slide_smaller_than_a_tile_is_segmented(tmp_path):
    segmenter(tmp_path, tile_size=64, image_size=(64, 64), stride=64)(slide_file(tmp_path / "in", (30, 40)))
    assert mask(tmp_path).shape == (30, 40) and (mask(tmp_path)[:15, :28] == 1).all()


def test_the_deviation_is_that_of_the_noises_and_none_of_one(tmp_path):
    path = slide_file(tmp_path / "in")
    segmenter(tmp_path, samples=1)(path)
    assert not np.asarray(Image.open(tmp_path / "out/a_std.png")).any()
    rows = segmenter(tmp_path, samples=4)(path)
    assert rows[0]["mean_std"] >= 0 and json.loads((tmp_path / "out/a.json").read_text())["rows"] == rows


def test_what_is_finished_is_not_done_again_unless_something_is_another(tmp_path):
    path, network = slide_file(tmp_path / "in"), Red()
    first = segmenter(tmp_path, network)(path)
    calls = network.calls
    assert segmenter(tmp_path, network)(path) == first and network.calls == calls
    segmenter(tmp_path, network, stride=8)(path)
    assert network.calls > calls
    calls = network.calls
    slide_file(tmp_path / "in", (44, 52))
    segmenter(tmp_path, network, stride=8)(path)
    assert network.calls > calls and mask(tmp_path).shape == (44, 52)


def test_slides_that_can_not_be_read_are_named_and_the_others_are_segmented(tmp_path):
    slide_file(tmp_path / "in")
    _broken(tmp_path)
    with pytest.raises(ValueError, match=r"1 of 2 slides could not be segmented:\n.*broken\.tif can not be read"):
        segmenter(tmp_path)(tmp_path / "in")
    assert mask(tmp_path).shape == (40, 52) and not (tmp_path / "out/broken_mask.tif").exists()
    assert {row["slide"] for row in csv.DictReader((tmp_path / "out/classes.csv").open())} == {"a.tif"}


def test_slides_of_one_stem_and_a_folder_without_any_are_refused(tmp_path):
    slide_file(tmp_path / "in", name="a.tif")
    slide_file(tmp_path / "in", name="a.ome.tif")
    with pytest.raises(ValueError, match="would write the same files: rename one"):
        slides_of(tmp_path / "in", tmp_path)
    with pytest.raises(ValueError, match="holds no slide; expected .ome.tiff"):
        (tmp_path / "nothing").mkdir()
        slides_of(tmp_path / "nothing", tmp_path)
    with pytest.raises(ValueError, match="stands in the output folder and might be overwritten"):
        segmenter(tmp_path, output_dir=str(tmp_path / "in"))(tmp_path / "in")


@pytest.mark.parametrize(
    ("tile_size", "side", "stride"), [(3450, 64, 1725), (3450, 256, 1725), (1150, 64, 575), (128, 64, 96)]
)
def test_the_default_stride_fits_every_size_of_the_paper(tmp_path, tile_size, side, stride):
    own = segmenter(tmp_path, tile_size=tile_size, image_size=(side, side), stride=None)
    assert own.cut.stride == stride
    assert segmenter(tmp_path, tile_size=17, image_size=(16, 16), stride=None).cut.stride == 17  # nothing smaller fits


def test_a_slide_that_was_interrupted_is_not_taken_for_the_earlier_one(tmp_path, monkeypatch):
    path, network = slide_file(tmp_path / "in"), Red()
    segmenter(tmp_path, network)(path)
    other = segmenter(tmp_path, network, stride=8)
    monkeypatch.setattr("noise2mask.diffusion.slide_segmenter._rows", None)  # stops before its record
    with pytest.raises(TypeError):
        other(path)
    monkeypatch.undo()
    calls = network.calls
    segmenter(tmp_path, network)(path)
    assert network.calls > calls


@pytest.mark.parametrize("change", [{"samples": 3}, {"intensity_range": (0, 200)}, {"normalise": True}])
def test_another_sampling_or_scale_is_another_result(tmp_path, change):
    path, network = slide_file(tmp_path / "in"), Red()
    segmenter(tmp_path, network)(path)
    calls = network.calls
    segmenter(tmp_path, network, **change)(path)
    assert network.calls > calls


def test_a_slide_without_tissue_is_background_with_and_without_normal_colours(tmp_path):
    path = slide_file(tmp_path / "in")
    tifffile.imwrite(path, np.zeros((40, 52, 3), np.uint8), photometric="rgb", tile=(16, 16))
    for normalise in (False, True):
        rows = segmenter(tmp_path, normalise=normalise)(path)
        assert [row["fraction"] for row in rows] == [1, 0, 0] and rows[0]["mean_std"] == ""
        assert not mask(tmp_path).any()


def test_processes_share_the_slides_and_the_table_has_all_of_them(tmp_path, monkeypatch):
    for name in "abc":
        slide_file(tmp_path / "in", name=f"{name}.tif")
    module = "noise2mask.diffusion.slide_segmenter"
    whole = segmenter(tmp_path)(tmp_path / "in")
    shares = []
    for rank in (1, 0):
        monkeypatch.setattr("ignite.distributed.get_rank", lambda rank=rank: rank)
        monkeypatch.setattr("ignite.distributed.get_world_size", lambda: 2)
        monkeypatch.setattr(f"{module}.gathered", lambda own: shares.append(own) or sum(shares, []))
        found = segmenter(tmp_path, output_dir=str(tmp_path / "shared"))(tmp_path / "in")
        assert (tmp_path / "shared/classes.csv").is_file() == (rank == 0)
    assert [[number for number, *_ in own] for own in shares] == [[1], [0, 2]] and found == whole


@pytest.mark.parametrize("wrong", [{"image_size": (16, 8)}, {"image_size": (6, 6), "stride": 15}, {"stride": 17}])
def test_settings_that_do_not_fit_one_another_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"expected a square, and a stride|stride is 17, expected 1 to 16"):
        segmenter(tmp_path, **wrong)


def test_the_table_has_the_slides_of_earlier_calls_and_one_sample_has_no_deviation(tmp_path):
    for name in "ab":
        segmenter(tmp_path, samples=1)(slide_file(tmp_path / "in", name=f"{name}.tif"))
    rows = list(csv.DictReader((tmp_path / "out/classes.csv").open()))
    assert [row["slide"] for row in rows] == ["a.tif"] * 3 + ["b.tif"] * 3
    assert {row["mean_std"] for row in rows} == {""}


def test_the_table_has_no_lines_of_another_network(tmp_path):
    segmenter(tmp_path, samples=1)(slide_file(tmp_path / "in", name="a.tif"))
    segmenter(tmp_path, samples=2)(slide_file(tmp_path / "other", name="b.tif"))
    assert {row["slide"] for row in csv.DictReader((tmp_path / "out/classes.csv").open())} == {"b.tif"}


def test_what_looks_wrong_is_said(tmp_path, caplog):
    path = slide_file(tmp_path / "in", (30, 40))
    (tmp_path / "in" / "b.ndpi").write_bytes(b"")
    segmenter(tmp_path, tile_size=64, stride=64)(tmp_path / "in")
    assert "b.ndpi: not segmented, of an unknown kind" in caplog.text
    assert "a.tif has 30 x 40 pixels, less than one tile of 64" in caplog.text
    with pytest.raises(ValueError, match="tile_size is 0, expected the side"):
        segmenter(tmp_path, tile_size=0)(path)
    with pytest.raises(ValueError, match="nowhere does not exist: give a slide"):
        segmenter(tmp_path)(tmp_path / "nowhere")
