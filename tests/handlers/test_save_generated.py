"""Generated images become a data set that can be read as such, and count when all of a mask is written."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from noise2mask.data.datalist import datalist
from noise2mask.diffusion.image_inferer import ImageInferer, seed_of
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.handlers import save_generated as module
from noise2mask.handlers.generation_batch import GenerationBatch
from noise2mask.handlers.save_generated import SaveGenerated
from noise2mask.transforms.structure_masks import StructureMasksd

MASK = np.array([[0, 1, 1], [2, 2, 2]])  # (H, W)
STRUCTURES = {"benign": [1], "malignant": [2]}


@pytest.fixture
def folder(tmp_path):
    """Three masks, a reference and weights."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c", "style"):
        Image.fromarray(MASK.astype(np.uint8) + (5 if name == "style" else 0)).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "model.pt").write_bytes(b"weights")
    return tmp_path


def batch(folder, names="abc"):
    known = {"a": {"patient": 0, "slide": "s", "image": str(folder / "in" / "style.png")}, "b": {"patient": "p"}}
    style = str(folder / "in" / "style.png")
    items = [
        {"label": str(folder / "in" / f"{n}.png"), "reference": style, "name": n, **known.get(n, {})} for n in names
    ]
    return GenerationBatch(items, str(folder / "out"), str(folder / "model.pt"))


def images(samples):
    """(N, C, H, W): red grows with the row, green is the sample."""
    made = torch.zeros(samples, 3, 2, 3)
    made[:, 0, 1] = 1
    made[:, 1] = torch.arange(samples)[:, None, None] / 10
    return made


def generate(folder, samples=2, section="training", names="abc", structures=STRUCTURES):
    """What a run writes, in batches of two masks."""
    made = batch(folder, names)
    handler = SaveGenerated(made, structures, section=section)
    inferer = ImageInferer(NoiseSchedule("cosine", 10), steps=2, samples=samples, seed=7)
    engine = SimpleNamespace(inferer=inferer, state=SimpleNamespace(device="cpu"))
    handler.start(engine)
    one_hot = torch.nn.functional.one_hot(torch.tensor(MASK), 3).movedim(2, 0).float()  # (K, H, W)
    for some in (made.unfinished[:2], made.unfinished[2:]):
        output = {"name": [item["name"] for item in some], "label": one_hot.expand(len(some), -1, -1, -1)}
        engine.state.output = output | {"pred": images(samples).expand(len(some), -1, -1, -1, -1)}
        handler.save(engine)
    handler.finish(engine)
    return folder / "out"


def test_the_folder_is_a_data_set_of_all_images_in_the_section_with_patient_and_slide(folder):
    items = datalist(generate(folder), "training")
    assert [item["image"].rsplit("/", 1)[1] for item in items] == [f"{name}_{n}.png" for name in "abc" for n in (0, 1)]
    assert [item["patient"] for item in items] == ["0", "0", "p", "p", "c", "c"]
    assert [item.get("slide") for item in items] == ["s", "s", None, None, None, None]
    (folder / "out").rename(folder / "moved")
    assert all(item["image"].startswith(str(folder / "moved")) for item in datalist(folder / "moved", "training"))
    with pytest.raises(ValueError, match="no images for validation"):
        datalist(folder / "moved", "validation")


def test_masks_hold_the_numbers_of_classes_and_images_stand_upright(folder):
    out = generate(folder)
    mask = Image.open(out / "masks" / "b_1.png")
    assert mask.mode == "L" and np.array_equal(np.asarray(mask), MASK)
    image = np.asarray(Image.open(out / "images" / "b_1.png"))
    assert image.shape == (2, 3, 3) and image[:, 0].tolist() == [[0, 26, 0], [255, 26, 0]]


def test_the_manifest_says_of_every_image_what_it_was_made_from(folder):
    with (generate(folder, section="testing") / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == "image slide patient split mask reference sample seed".split()
    assert list(rows[1].values()) == ["a_1.png", "s", "0", "test", "a.png", "style.png", "1", str(seed_of(7, "a") + 1)]
    assert len(rows) == 6 and {row["split"] for row in rows} == {"test"}
    (folder / "out" / "datalist.json").unlink()
    assert len(datalist(folder / "out", "testing")) == 6  # by the manifest alone


def test_a_second_call_does_what_is_left_and_lists_all(folder):
    out = generate(folder)
    (out / "images" / "b_0.png").unlink()
    first = (out / "images" / "a_0.png").stat().st_mtime_ns
    assert [item["name"] for item in batch(folder).unfinished] == ["b"]
    report = json.loads((generate(folder) / "report.json").read_text())
    assert (report["masks"], report["finished_earlier"], report["images"]) == (3, 2, 6)
    assert (out / "images" / "a_0.png").stat().st_mtime_ns == first and len(datalist(out, "training")) == 6


def test_a_call_with_fewer_images_leaves_none_of_the_earlier_ones(folder, monkeypatch):
    for samples in (3, 1):
        monkeypatch.setattr(
            "noise2mask.handlers.generation_batch.resolved_config", lambda samples=samples: {"samples": samples}
        )
        out = generate(folder, samples)
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["a_0.png", "b_0.png", "c_0.png"]
    assert len(datalist(out, "training")) == 3


@pytest.mark.parametrize("after", [1, 4, 6])
def test_killed_in_the_middle_it_leaves_no_record_of_a_mask_that_is_half_written(folder, monkeypatch, after):
    left, write = iter(range(after)), module._write  # four files of each mask

    def killed(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "_write", killed)
        generate(folder)
    assert [path.stem for path in (folder / "out").rglob("*.json")] == list("ab"[: after // 4])
    assert [item["name"] for item in batch(folder).unfinished] == list("abc"[after // 4 :])
    assert len(datalist(generate(folder), "training")) == 6


def test_killed_while_images_are_made_anew_it_leaves_no_record_of_the_earlier_ones(folder, monkeypatch):
    out = generate(folder, names="a")
    (folder / "model.pt").write_bytes(b"others")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "write_text_atomically", stop)
        generate(folder, names="a")
    assert not [*(out / "records").iterdir()]
    (folder / "model.pt").write_bytes(b"weights")
    assert len(batch(folder, "a").unfinished) == 1


def stop(*_):
    raise KeyboardInterrupt


def test_the_picture_shows_a_row_for_each_mask(folder):
    out = generate(folder)
    with Image.open(out / "generated.png") as picture:
        assert picture.size == (800, 480)  # mask, reference, two generated, real; three masks


def test_an_unknown_section_is_refused(folder):
    with pytest.raises(ValueError, match="section is 'train', expected one of training, validation, testing"):
        SaveGenerated(batch(folder), STRUCTURES, section="train")


@pytest.mark.parametrize(
    ("structures", "background", "values"),
    [
        ({"malignant": [2, 3], "benign": [1]}, (0,), [0, 2, 1]),
        ({"lesion": [255], "rest": [128]}, (9, 0), [9, 255, 128]),
        ({"a": [0], "b": [4]}, (0, 7), [7, 0, 4]),
    ],
)
def test_masks_are_read_again_by_the_structures_that_they_were_made_of(folder, structures, background, values):
    made = batch(folder, "a")
    handler = SaveGenerated(made, structures, background)
    one_hot = torch.nn.functional.one_hot(torch.tensor(MASK), 3).movedim(2, 0).float()  # (K, H, W)
    inferer = ImageInferer(NoiseSchedule("cosine", 10), steps=2, samples=1, seed=7)
    output = {"name": ["a"], "label": one_hot[None], "pred": images(1)[None]}
    handler.save(SimpleNamespace(inferer=inferer, state=SimpleNamespace(device="cpu", output=output)))
    written = np.asarray(Image.open(folder / "out/masks/a_0.png"))
    assert written.tolist() == [[values[number] for number in row] for row in MASK]
    again = StructureMasksd("label", structures, background=background)({"label": torch.tensor(written[None]).float()})
    assert torch.equal(again["label"], one_hot)


def test_classes_that_a_picture_of_8_bits_can_not_hold_are_refused(folder):
    with pytest.raises(ValueError, match=r"masks would be written with the values \[300\], expected whole numbers"):
        SaveGenerated(batch(folder), {"lesion": [300]})
