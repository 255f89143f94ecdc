"""Masks and their references: of one dominant class, drawn by the mask's name; all that is wrong is said at once."""

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImaged
from PIL import Image

from noise2mask.data.datalist import write_datalist
from noise2mask.data.generation_items import generation_items
from noise2mask.data.reader import ColourReader
from noise2mask.transforms.resize_slices import ResizeSlicesd

STRUCTURES = {"benign": [1], "malignant": [2]}


def picture(path, value=None):
    """A mask of one class in its upper half; without a value a picture of 12 x 10 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if value is None:
        noise = np.random.default_rng(len(path.name)).integers(0, 255, (10, 12, 3))
        Image.fromarray(noise.astype(np.uint8)).save(path)
    else:
        Image.fromarray(np.repeat([value, 0], 4)[:, None].repeat(8, 1).astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    """Masks to generate for, three of class 1 and one each of 2 and of none; a data set of references."""
    for name, value in (("a", 1), ("b", 1), ("c", 1), ("d", 2), ("e", 0)):
        picture(tmp_path / "wanted" / f"{name}.png", value)
    items = []
    for number in range(8):
        value = 1 + number % 2
        item = {"label": picture(tmp_path / f"set/masks/{value}_{number}.png", value), "slide": f"s{number}"}
        items.append({"image": picture(tmp_path / f"set/images/{value}_{number}.png"), **item})
    write_datalist({"training": items, "validation": [], "testing": []}, tmp_path / "set" / "datalist.json")
    return tmp_path


def found(folder, masks="wanted", references="set", **options):
    return generation_items(folder / masks, folder / references, STRUCTURES, **options)


def test_a_reference_has_the_dominant_class_of_its_mask_and_its_slide_is_known(folder, caplog):
    items = found(folder)
    assert [item["name"] for item in items] == ["a", "b", "c", "d", "e"]
    drawn = [item["reference"].rsplit("/", 1)[1] for item in items]
    assert [name[0] for name in drawn[:4]] == ["1", "1", "1", "2"]
    assert [item["slide"] for item in items] == [f"s{name[2]}" for name in drawn]
    assert "no reference has the dominant class of" in caplog.text and "e.png: any is taken" in caplog.text


def test_it_depends_on_the_mask_s_name_and_the_seed_not_on_the_other_masks(folder):
    together = {item["name"]: item["reference"] for item in found(folder)}
    for name in "abcd":
        (alone,) = found(folder, f"wanted/{name}.png")
        assert alone["reference"] == together[name]
    drawn = {found(folder, "wanted/a.png", seed=seed)[0]["reference"] for seed in range(20)}
    assert len(drawn) == 4


def test_references_without_masks_serve_every_class_and_a_single_one_all(folder):
    drawn = {item["reference"] for item in found(folder, references="set/images")}
    assert len(drawn) > 1
    assert {item["reference"] for item in found(folder, references="set/images/1_0.png")} == {
        str(folder / "set/images/1_0.png")
    }


def test_of_a_data_set_of_masks_a_section_is_taken_with_real_image_and_patient(folder):
    label, image = folder / "wanted" / "d.png", folder / "set" / "images" / "1_0.png"
    content = {"training": [], "validation": [{"image": str(image), "label": str(label), "patient": "p"}]}
    write_datalist(content, folder / "list.json")
    (item,) = found(folder, "list.json", section="validation")
    assert (item["name"], item["label"], item["image"], item["patient"]) == ("d", str(label), str(image), "p")


def test_everything_that_is_wrong_is_named_in_one_error(folder):
    picture(folder / "wanted" / "a.png", 7)
    picture(folder / "wanted" / "b.bmp", 1)
    (folder / "wanted" / "c.png").write_bytes(b"no picture")
    (folder / "set" / "images" / "1_0.png").write_bytes(b"no picture")
    (folder / "set" / "images" / "2_1.png").unlink()
    (folder / "set" / "masks" / "1_2.png").unlink()
    with pytest.raises(ValueError) as caught:
        found(folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == "There is nothing to generate from:"
    for words in (
        "a.png holds the values 0, 7; expected 0, 1, 2: correct structures and background",
        "b.bmp would give images of the same name: rename one",
        "c.png can not be read as an image",
        "1_0.png can not be read as an image",
        "2_1.png does not exist",
        "1_2.png does not exist",
    ):
        assert any(words in line for line in lines), (words, lines)


def test_masks_and_references_that_are_not_there_are_both_named(folder):
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"gone does not exist: give a file(.|\n)*empty holds no picture"):
        found(folder, "gone", "empty")
    with pytest.raises(ValueError, match=r"has no images for testing(.|\n)*gone does not exist"):
        found(folder, "set", "gone")


def test_references_of_other_channels_and_volumes_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match="1_0.png has 3 channels; expected 1: take references as in training"):
        found(folder, in_channels=1)
    nib.save(nib.Nifti1Image(np.ones((4, 4, 2), np.uint8), np.eye(4)), tmp_path / "wanted" / "v.nii.gz")
    with pytest.raises(ValueError, match=r"v.nii.gz is a volume; expected a picture"):
        found(folder)


def test_structures_that_share_values_are_refused(folder):
    with pytest.raises(ValueError, match="exclusive structures have values of their own"):
        generation_items(folder / "wanted", folder / "set", {"one": [1], "other": [1, 2]})


def test_a_reference_of_another_size_is_resized_by_the_preprocessing(folder):
    item = found(folder)[0]
    loaded = LoadImaged("reference", reader=ColourReader())(item)
    resized = ResizeSlicesd("reference", (16, 16))(loaded)["reference"]
    assert loaded["reference"].shape == (3, 12, 10) and resized.shape == (3, 16, 16)


def test_a_mask_never_gets_its_own_image_where_there_is_another(tmp_path):
    for name in ("a", "b", "c"):
        for kind, value in (("images", 90), ("masks", 1)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(np.full((4, 4), value, np.uint8)).save(tmp_path / kind / f"{name}.png")
    (tmp_path / "manifest.csv").write_text("image,split\na,train\nb,train\nc,val\n")
    for seed in range(6):
        items = generation_items(tmp_path, tmp_path, {"lesion": [1]}, section="training", in_channels=3, seed=seed)
        assert all(item["reference"] != item["image"] for item in items)


def test_a_mask_of_a_plain_folder_does_not_get_the_image_of_its_name(folder, caplog):
    for seed in range(12):
        items = found(folder, "set/masks", seed=seed)
        assert all(item["reference"].rsplit("/", 1)[1] != f"{item['name']}.png" for item in items)
    (alone,) = found(folder, "set/masks/1_0.png", "set/images/1_0.png")
    assert alone["reference"].endswith("images/1_0.png")  # there is no other
    assert "1_0.png gets its own image, or one that overlaps it, for want of another reference" in caplog.text


def test_a_tile_that_overlaps_the_mask_s_is_not_its_reference(tmp_path):
    rows = [("a", 0), ("b", 4), ("c", 8)]  # c alone shares no pixel with a
    items = [
        {
            "image": picture(tmp_path / f"images/{name}.png"),
            "label": picture(tmp_path / f"masks/{name}.png", 1),
            "slide": "s",
            "place": [row, 0, 8],
        }
        for name, row in rows
    ]
    write_datalist({"training": items, "validation": [], "testing": []}, tmp_path / "datalist.json")
    drawn = {seed: found(tmp_path, ".", ".", section="training", seed=seed) for seed in range(12)}
    assert {one["reference"].rsplit("/", 1)[1] for items in drawn.values() for one in items[::2]} == {"a.png", "c.png"}
