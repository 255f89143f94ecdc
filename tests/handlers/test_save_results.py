"""What results of one image are written, and when they count."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from noise2mask.data.results import write_label_map
from noise2mask.handlers import save_results as module
from noise2mask.handlers.batch import Batch
from noise2mask.handlers.save_results import NUMBERS, OF_EACH, SaveResults


def doubt(*of_each):
    """Numbers of an image and of each of its structures, as the evaluator gives them."""
    return dict.fromkeys(NUMBERS, 0.5) | {f"{name}_each": torch.tensor(of_each) for name in OF_EACH}


@pytest.fixture
def folder(tmp_path):
    """An image and weights."""
    (tmp_path / "in").mkdir()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(tmp_path / "in" / "a.png")
    (tmp_path / "model.pt").write_bytes(b"weights")
    return tmp_path


def save(folder, monkeypatch, value=1.0, window=None, **config):
    """What a run with this config writes, whose probability is `value` everywhere."""
    monkeypatch.setattr("noise2mask.handlers.batch.resolved_config", lambda: config)
    image, whole = str(folder / "in" / "a.png"), torch.ones(1, 8, 6)
    maps = {"mask": whole, "probability": whole * value, "std": whole * 0, "entropy": whole * 0}
    item = {"image": MetaTensor(whole, meta={"filename_or_obj": image}), **maps, **doubt(0.5)}
    batch = Batch([{"image": image}], str(folder / "out"), str(folder / "model.pt"), intensity_range=window)
    SaveResults(batch).save(SimpleNamespace(state=SimpleNamespace(output=[item])))


def stop(*_, **__):
    raise KeyboardInterrupt


def finished(folder, monkeypatch, **config):
    monkeypatch.setattr("noise2mask.handlers.batch.resolved_config", lambda: config)
    items = [{"image": str(folder / "in" / "a.png")}]
    return len(Batch(items, str(folder / "out"), str(folder / "model.pt")).finished)


def test_a_case_is_finished_once_all_its_files_are_there(folder, monkeypatch):
    save(folder, monkeypatch, steps=2)
    names = json.loads((folder / "out" / "a.json").read_text())["files"]
    assert sorted(names) == ["a_mask.png", "a_preview.png", "a_probability.png", "a_std.png"]
    assert finished(folder, monkeypatch, steps=2) and not finished(folder, monkeypatch, steps=10)


@pytest.mark.parametrize("broken", ["write_mask", "write_map", "write_preview"])
def test_results_that_were_overwritten_in_part_are_not_taken_for_the_earlier_ones(folder, monkeypatch, broken):
    save(folder, monkeypatch, steps=2)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(module, broken, stop)
        save(folder, killed, value=0.5, steps=10)
    assert not finished(folder, monkeypatch, steps=2) and not finished(folder, monkeypatch, steps=10)
    save(folder, monkeypatch, steps=2)
    assert finished(folder, monkeypatch, steps=2)
    assert (np.asarray(Image.open(folder / "out" / "a_probability.png")) == 255).all()


def test_a_case_whose_grey_values_do_not_fit_says_so(folder, monkeypatch):
    save(folder, monkeypatch, window=(100, 200))
    assert (
        "a.png has 0.0% of its values between 100 and 200" in json.loads((folder / "out/a.json").read_text())["warning"]
    )
    save(folder, monkeypatch, window=(0, 48))
    assert "warning" not in json.loads((folder / "out" / "a.json").read_text())


def test_the_preview_shows_the_modality_that_is_named(folder, monkeypatch):
    monkeypatch.setattr("noise2mask.handlers.batch.resolved_config", dict)
    shown = []
    monkeypatch.setattr(module, "write_preview", lambda image, *others: shown.append(image) or others[2])
    paths = [str(folder / "in" / f"{name}.png") for name in ("a", "b")]
    Image.fromarray(np.full((6, 8), 7, np.uint8)).save(paths[1])
    batch = Batch([{"image": paths}], str(folder / "out"), str(folder / "model.pt"), in_channels=2)
    whole = torch.ones(1, 8, 6)
    maps = {"mask": whole, "probability": whole, "std": whole * 0, "entropy": whole * 0}
    item = {"image": MetaTensor(whole, meta={"filename_or_obj": paths[0]}), **maps, **doubt(0.5)}
    SaveResults(batch, modality=1).save(SimpleNamespace(state=SimpleNamespace(output=[item])))
    assert (shown[0] == 7).all() and (folder / "out" / "a.json").is_file()
    with pytest.raises(ValueError, match="a.png has 2 files, but the preview is to show modality 2"):
        SaveResults(batch, modality=2)


def test_a_report_of_an_earlier_run_goes_before_its_results_are_overwritten(folder, monkeypatch):
    monkeypatch.setattr("noise2mask.handlers.batch.resolved_config", dict)
    (folder / "out").mkdir()
    (folder / "out" / "report.json").write_text("{}")
    handler = SaveResults(Batch([{"image": str(folder / "in/a.png")}], str(folder / "out"), str(folder / "model.pt")))
    assert (folder / "out" / "report.json").is_file()  # until something is done
    handler.start(None)
    assert not (folder / "out" / "report.json").is_file()


# Several structures


@pytest.mark.parametrize("exclusive", [True, False])
def test_several_structures_make_a_label_map_and_a_probability_each(folder, monkeypatch, exclusive):
    monkeypatch.setattr("noise2mask.handlers.batch.resolved_config", dict)
    image = str(folder / "in" / "a.png")
    low = torch.zeros(8, 6)  # (W, H)
    low[:4] = 1
    high = torch.zeros(8, 6)
    high[6:] = 1
    channels = torch.stack([1 - low - high, low, high] if exclusive else [low, high])
    maps = {"mask": channels, "probability": channels * 0.75, "std": low[None] * 0.5, "entropy": low[None]}
    item = {"image": MetaTensor(low[None], meta={"filename_or_obj": image}), **maps, **doubt(0.25, 0.75)}
    batch = Batch([{"image": image}], str(folder / "out"), str(folder / "model.pt"))
    handler = SaveResults(batch, structures={"low": [1], "high": [7]}, exclusive=exclusive)
    handler.save(SimpleNamespace(state=SimpleNamespace(output=[item])))
    mask = Image.open(folder / "out" / "a_mask.png")
    assert mask.mode == "P" and np.asarray(mask)[0].tolist() == [1, 1, 1, 1, 0, 0, 2, 2]
    case = json.loads((folder / "out" / "a.json").read_text())
    names = ["a_mask.png", "a_preview.png", "a_probability_high.png", "a_probability_low.png", "a_std.png"]
    assert sorted(case["files"]) == names and case["pixels"] == 36
    found = {name: (own["number"], own["pixels"], own["centroid_pixel"]) for name, own in case["structures"].items()}
    assert found == {"low": (1, 24, [1.5, 2.5]), "high": (2, 12, [6.5, 2.5])}
    assert {name: own["agreement"] for name, own in case["structures"].items()} == {"low": 0.25, "high": 0.75}
    assert np.asarray(Image.open(folder / "out" / "a_probability_high.png"))[0].tolist() == [0] * 6 + [191] * 2


def test_a_volume_has_its_size_in_mm3_and_that_of_its_samples(folder, monkeypatch):
    monkeypatch.setattr("noise2mask.handlers.batch.resolved_config", dict)
    image, affine = str(folder / "in" / "a.nii.gz"), np.diag([2.0, 3, 4, 1])
    nib.save(nib.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), affine), image)
    half = torch.zeros(1, 3, 4, 5)
    half[:, 1] = 1  # 20 of 60 voxels of 24 mm3
    meta = {"filename_or_obj": image, "original_affine": affine}
    maps = {"mask": half, "probability": half, "std": half * 0, "entropy": half * 0}
    item = {"image": MetaTensor(half, meta=meta), **maps, **doubt(0.5), "area_mean": 0.25, "area_std": 0.1}
    batch = Batch([{"image": image}], str(folder / "out"), str(folder / "model.pt"))
    SaveResults(batch).save(SimpleNamespace(state=SimpleNamespace(output=[item])))
    case = json.loads((folder / "out" / "a.json").read_text())
    assert [case["volume_mm3"], case["volume_mean_mm3"]] == pytest.approx([480, 360])
    assert case["volume_std_mm3"] == pytest.approx(144) and case["structure"] == "foreground"


def test_a_label_map_of_a_volume_keeps_its_geometry(tmp_path):
    affine = np.diag([2.0, 3, 4, 1])
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.float32), affine), tmp_path / "scan.nii.gz")
    numbers = np.arange(60).reshape(3, 4, 5) % 3
    path = write_label_map(numbers, str(tmp_path / "scan.nii.gz"), affine, tmp_path)
    found = nib.load(path)
    assert np.array_equal(found.dataobj, numbers) and np.array_equal(found.affine, affine)
    assert found.get_data_dtype() == np.uint8
