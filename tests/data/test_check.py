"""Everything that is wrong with the data is said before anything is trained, with file and remedy."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from noise2mask.data.check import check_before_contrast, check_before_evaluation, check_before_training
from noise2mask.data.copies import copies
from noise2mask.data.reader import ColourReader, GreyReader
from noise2mask.data.results import write_label_map
from noise2mask.files import LOCK
from noise2mask.networks.dsdm import DSDM
from noise2mask.networks.medsegdiff import MedSegDiff
from noise2mask.networks.pgdiffseg import PGDiffSeg
from noise2mask.transforms.crop_disc import CropDiscd

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)


@pytest.fixture
def items(tmp_path):
    """Six good pictures with masks: four to train, two to validate."""
    found = []
    for i in range(6):
        paths = {key: str(tmp_path / f"{key}{i}.png") for key in ("image", "label")}
        Image.fromarray(GREY + i).save(paths["image"])
        Image.fromarray((GREY > 20).astype(np.uint8) * 255).save(paths["label"])
        found.append({**paths, "patient": f"p{i}"})
    return found


def check(
    items, tmp_path, image_size=(16, 16), intensity_range=(0, 255), mask_scale=0.3, counts=None, data=None, **options
):
    data = data or {}
    channels = data.get("in_channels", 1)
    network = PGDiffSeg(base=8, multipliers=(1, 2), in_channels=channels, **options).train()
    settings = {"mask_scale": mask_scale, "counts": counts, **data}
    check_before_training(items[:4], items[4:], network, image_size, intensity_range, tmp_path / "out", **settings)
    assert network.training


def refused(items, tmp_path, *words, **options):
    with pytest.raises(ValueError) as caught:
        check(items, tmp_path, **options)
    assert str(caught.value).startswith("The data can not be trained on:")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_good_data_pass_and_the_folder_is_made(items, tmp_path):
    check(items, tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]


def test_all_that_can_not_be_scored_is_named_at_once(items, tmp_path):
    check_before_evaluation(items)
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(items[1]["label"])
    Image.fromarray(GREY).save(items[4]["label"])
    (tmp_path / "image5.png").unlink()
    with pytest.raises(ValueError, match=r"can not be scored:\n  .*label1.png has size \(7, 5\)") as caught:
        check_before_evaluation(items)
    assert "label4.png holds the values" in str(caught.value) and "image5.png does not exist" in str(caught.value)


def test_pictures_are_not_scored_by_a_network_of_volumes(items):
    with pytest.raises(ValueError, match=r"can not be scored:\n  .*image0.png is a picture; expected a volume"):
        check_before_evaluation(items, spatial_dims=3)


def test_structures_that_can_not_be_are_not_scored(items):
    with pytest.raises(ValueError, match="inner and outer share 1"):
        check_before_evaluation(items, structures={"inner": [1], "outer": [1, 2]})


def test_several_masks_and_copies_of_an_item_pass(items, tmp_path):
    items[0]["label"] = [items[0]["label"], items[1]["label"]]
    check([{**items[0], "copy": 0}, {**items[0], "copy": 1}, *items[2:]], tmp_path)


def test_the_mask_files_of_one_image_may_differ_in_their_white_and_the_wrong_one_is_named(items, tmp_path):
    items[0]["label"] = [items[0]["label"], str(tmp_path / "second.png")]
    Image.fromarray((GREY > 30).astype(np.uint8)).save(tmp_path / "second.png")
    check(items, tmp_path)
    Image.fromarray(GREY).save(tmp_path / "second.png")
    refused(items, tmp_path, "second.png holds the values 0, 1, 2")


@pytest.mark.parametrize("reader", [GreyReader(), ColourReader()])
def test_label_maps_that_were_written_are_trained_on_and_scored_against_by_their_numbers(items, tmp_path, reader):
    for item in items:
        item["label"] = str(write_label_map(GREY.T // 20, item["image"], np.eye(4), tmp_path))
    data = {"structures": {"outer": [1], "inner": [2]}, "background": [0], "reader": reader}
    data["in_channels"] = len(reader.channels(items[0]["image"])[0])
    check(items, tmp_path, data=data)
    check_before_evaluation(items, **data)
    with pytest.raises(ValueError, match="no mask holds a value of third \\(3\\)"):
        check_before_evaluation(items, **{**data, "structures": {"third": [3]}, "background": [0, 1, 2]})


def test_an_image_that_is_in_both_sections_under_two_names_is_told(items, tmp_path, caplog):
    check(items, tmp_path)
    assert "warning" not in caplog.text
    shutil.copy(items[1]["image"], items[4]["image"])
    check(items, tmp_path)
    assert "1 images of the validation are in the training, too" in caplog.text
    assert f"({items[1]['image']} and {items[4]['image']})" in caplog.text


def test_a_folder_of_slices_that_is_in_both_sections_is_found_and_sizes_alone_make_no_copy(tmp_path):
    for name, content in {"a": b"12", "b": b"12", "c": b"21"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.dcm").write_bytes(content)
    a, b, c = ({"image": str(tmp_path / name)} for name in "abc")
    assert copies([a], [b, c]) == [(a["image"], b["image"])] and copies([a], [a, c]) == []


def test_a_missing_image_is_named(items, tmp_path):
    items[1]["image"] = str(tmp_path / "gone.png")
    refused(items, tmp_path, "gone.png does not exist")


def test_an_unreadable_image_is_named(items, tmp_path):
    (tmp_path / "image5.png").write_text("<html>")
    refused(items, tmp_path, "image5.png can not be read as an image", "replace the file")


def test_an_image_without_mask_is_named(items, tmp_path):
    del items[2]["label"]
    items[3]["label"] = str(tmp_path / "gone.png")
    refused(items, tmp_path, "image2.png has no mask", "gone.png does not exist")


def test_sizes_that_differ_are_named(items, tmp_path):
    Image.fromarray(np.zeros((5, 8), np.uint8)).save(items[0]["label"])
    refused(items, tmp_path, "label0.png has size (8, 5), but", "image0.png has (8, 6)")


def test_wrong_mask_values_are_named(items, tmp_path):
    Image.fromarray(np.where(GREY > 20, 2, 1).astype(np.uint8)).save(items[0]["label"])
    refused(items, tmp_path, "label0.png holds the values 1, 2; a binary mask holds 0 and 1, or 0 and 255")


def test_a_transparent_picture_is_named(items, tmp_path):
    picture = Image.fromarray(GREY).convert("LA")
    picture.putalpha(7)
    picture.save(items[0]["image"])
    refused(items, tmp_path, "image0.png has transparent pixels (alpha down to 7)")


def test_a_constant_image_is_named(items, tmp_path):
    Image.fromarray(np.full((6, 8), 9, np.uint8)).save(items[0]["image"])
    refused(items, tmp_path, "image0.png has the value 9 everywhere")


def test_values_that_are_not_finite_are_named(items, tmp_path):
    values = GREY.astype(np.float32)
    values[2, 3] = np.nan
    items[0]["image"] = str(tmp_path / "float.tif")
    Image.fromarray(values).save(items[0]["image"])
    refused(items, tmp_path, "float.tif has 1 values that are not finite, the first at (3, 2)")


def test_a_patient_in_both_splits_is_named(items, tmp_path):
    items[5]["patient"] = "p0"
    refused(items, tmp_path, "patient p0 is in several splits (training, validation)")


def test_a_file_in_both_splits_is_named(items, tmp_path):
    items[5] = {**items[0], "patient": "p5"}
    refused(items, tmp_path, "image0.png is in training and validation")


def test_a_mask_at_another_place_than_its_volume_is_named(items, tmp_path):
    for key, shift in (("image", 0.0), ("label", 2.0)):
        items[0][key] = str(tmp_path / f"{key}.nii.gz")
        affine = np.eye(4)
        affine[0, 3] = shift
        values = np.arange(8).reshape(2, 2, 2) if key == "image" else np.ones((2, 2, 2))
        nib.save(nib.Nifti1Image(values.astype(np.uint8), affine), items[0][key])
    refused(items, tmp_path, "label.nii.gz has another position, spacing or orientation than", "resample the mask")


def test_all_problems_are_said_at_once_but_no_more_than_ten(items, tmp_path):
    for item in items:
        item["image"] = str(tmp_path / f"gone_{item['patient']}.png")
    refused(items, tmp_path, *(f"gone_p{i}.png" for i in range(6)))
    many = [{**items[0], "image": f"/gone/{i}.png", "patient": str(i)} for i in range(13)]
    refused(many, tmp_path, "/gone/9.png", "and 3 more")


def test_a_folder_that_can_not_be_written_to_is_named_first(items, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file/out can not be written to \(Not a directory\).*another output_dir"):
        check(items, tmp_path / "file")


def test_settings_that_a_later_phase_would_refuse_are_refused_first(items, tmp_path):
    with pytest.raises(ValueError, match=r"\(16, 18\); this network needs multiples of 4"):
        check(items, tmp_path, image_size=(16, 18))
    with pytest.raises(ValueError, match="intensity_range is 5 to 5; expected the lower value first"):
        check(items, tmp_path, intensity_range=(5, 5))
    with pytest.raises(ValueError, match="intensity_range is 0 to 255, of z-scores .* such as -3 to 3"):
        check(items, tmp_path, data={"z_score": True})
    with pytest.raises(ValueError, match="mask_scale is 0, expected more than 0"):
        check(items, tmp_path, mask_scale=0)


@pytest.mark.parametrize("count", [0, -1, 1.5, "two"])
def test_numbers_of_epochs_are_whole_and_at_least_one(items, tmp_path, count):
    check(items, tmp_path, counts={"epochs": 1, "val_interval": 1})
    with pytest.raises(ValueError, match=f"val_interval is {count!r}, expected a whole number from 1 up"):
        check(items, tmp_path, counts={"epochs": 1, "val_interval": count})


def test_classes_are_asked_for_where_the_prior_tells_several_apart(items, tmp_path):
    refused(items, tmp_path, "image0.png has no class; expected 0 to 2", prior_classes=3)
    items = [{**item, "class": i % 3} for i, item in enumerate(items)]
    check(items, tmp_path, prior_classes=3)
    refused(items, tmp_path, "image2.png has the class 2; expected 0 to 1", prior_classes=2)


def test_a_range_that_holds_hardly_any_grey_value_is_named(items, tmp_path):
    Image.fromarray(GREY.astype(np.uint16) + 300).save(items[0]["image"])
    refused(
        items, tmp_path, "image0.png has 0.0% of its values between 0 and 255 (they are 300 to 347)", "change intens"
    )


def test_what_is_trained_on_is_told(items, tmp_path, caplog):
    with caplog.at_level("INFO"):
        check([{**item, "patient": "one"} for item in items[:4]] + items[4:], tmp_path)
    assert "training: 4 images of 1 patients" in caplog.text and "validation: 2 images of 2 patients" in caplog.text


def test_a_mask_of_an_annotator_is_looked_at_too(items, tmp_path):
    other = tmp_path / "other.png"
    Image.fromarray(np.full((5, 8), 7, np.uint8)).save(other)
    items[0]["annotations"] = [items[0]["label"], str(other), str(tmp_path / "gone.png")]
    refused(items, tmp_path, "other.png has size (8, 5), but", "other.png holds the value", "gone.png does not exist")


# Colour, several modalities, masks of several classes


def test_pictures_in_colour_are_trained_on_by_a_network_of_three_channels(items, tmp_path):
    check(items, tmp_path, data={"reader": ColourReader(), "in_channels": 3})
    words = "image0.png has 3 channels, of 1 files; expected 1, the network's in_channels"
    refused(items, tmp_path, words, data={"reader": ColourReader()})
    refused(items, tmp_path, "has 1 channels, of 1 files; expected 3", data={"in_channels": 3})


def test_photographs_without_a_disc_are_all_named(items, tmp_path):
    rows, columns = np.mgrid[:90, :90]
    field, disc = ((rows - 45) ** 2 + (columns - x) ** 2 < r**2 for x, r in ((45, 44), (50, 9)))
    for i, item in enumerate(items):
        Image.fromarray((np.where(field, 120, 0) + 80 * disc * (i != 5)).astype(np.uint8)).save(item["image"])
        Image.fromarray((disc * (i != 1)).astype(np.uint8)).save(item["label"])
    crops = {"training": [CropDiscd(["image", "label"], "label")], "validation": [CropDiscd(["image", "label"])]}
    words = "label1.png has no optic disc", "image5.png has no region brighter than what is around it"
    refused(items, tmp_path, *words, data={"crops": crops})
    with pytest.raises(ValueError, match=words[1]):
        check_before_evaluation(items, crop=[CropDiscd("image")])


def test_a_network_of_three_dimensions_takes_whole_volumes(items, volumes, tmp_path):
    options = {"base": 4, "blocks": (1, 1, 1, 1), "grid": 2, "spatial_dims": 3}
    both = [*volumes[:4], items[0], volumes[4]], (16, 16), (0, 255), tmp_path / "out"
    network = MedSegDiff(in_channels=2, **options)
    check_before_training(volumes[:4], volumes[4:], network, *both[1:], **TUMOUR)
    with pytest.raises(ValueError, match=r"image0\.png is a picture; expected a volume"):
        check_before_training(both[0], volumes[5:], network, *both[1:], **TUMOUR)


@pytest.fixture
def volumes(tmp_path):
    """Six cases of two modalities with a mask of the values 0, 1, 2 and 4."""
    found = []
    for i in range(6):
        paths = {key: str(tmp_path / f"{key}{i}.nii.gz") for key in ("t1", "flair", "seg")}
        for key, path in paths.items():
            values = np.arange(8) + i if key != "seg" else np.array([0, 0, 0, 0, 1, 2, 4, 4])
            nib.save(nib.Nifti1Image(values.astype(np.uint8).reshape(2, 2, 2), np.eye(4)), path)
        found.append({"image": [paths["t1"], paths["flair"]], "label": paths["seg"], "patient": f"p{i}"})
    return found


TUMOUR = {"in_channels": 2, "foreground": [1, 2, 4], "background": [0]}


def test_modalities_are_channels_and_masks_may_hold_classes(volumes, tmp_path):
    check(volumes, tmp_path, data=TUMOUR)
    check_before_evaluation(volumes, **TUMOUR)
    refused(volumes, tmp_path, "seg0.nii.gz holds the values 0, 1, 2, 4; a binary mask", data={"in_channels": 2})
    words = "seg0.nii.gz holds the values 0, 1, 2, 4; expected 0, 1, 2: correct foreground"
    refused(volumes, tmp_path, words, data={**TUMOUR, "foreground": [1, 2]})


def test_a_modality_that_is_missing_or_not_listed_is_named(volumes, tmp_path):
    (tmp_path / "flair1.nii.gz").unlink()
    volumes[2]["image"] = volumes[2]["image"][:1]
    words = "flair1.nii.gz does not exist", "t12.nii.gz has 1 channels, of 1 files; expected 2", "list every modality"
    refused(volumes, tmp_path, *words, data=TUMOUR)
    with pytest.raises(ValueError, match="t12.nii.gz has 1 channels"):
        check_before_evaluation(volumes, **TUMOUR)


@pytest.mark.parametrize(
    ("shape", "spacing", "words"),
    [((2, 2, 3), 1, "has shape (2, 2, 3), but"), ((2, 2, 2), 3, "has another position, spacing or orientation than")],
)
def test_modalities_that_do_not_lie_on_one_another_are_both_named(volumes, tmp_path, shape, spacing, words):
    values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    nib.save(nib.Nifti1Image(values, np.diag([1, 1, spacing, 1])), tmp_path / "flair3.nii.gz")
    refused(volumes, tmp_path, f"flair3.nii.gz {words}", "t13.nii.gz", data=TUMOUR)
    with pytest.raises(ValueError, match="flair3.nii.gz has .*t13.nii.gz"):
        check_before_evaluation(volumes, **TUMOUR)


def test_a_modality_of_one_value_and_one_in_both_lists_are_named(volumes, tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), tmp_path / "flair0.nii.gz")
    volumes[5]["image"][1] = volumes[1]["image"][1]
    words = "flair0.nii.gz has the value 0 everywhere", "flair1.nii.gz is in training and validation"
    refused(volumes, tmp_path, *words, data=TUMOUR)


def test_masks_without_any_of_the_named_values_are_refused(volumes, tmp_path):
    data = {**TUMOUR, "foreground": [3], "background": [0, 1, 2, 4]}
    refused(volumes, tmp_path, "no training mask holds a value of the foreground (3)", data=data)
    with pytest.raises(ValueError, match=r"scored:\n  no mask holds a value of the foreground \(3\)"):
        check_before_evaluation(volumes, **data)


def test_a_section_without_any_lesion_is_scored(volumes):
    for item in volumes:
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), item["label"])
    check_before_evaluation(volumes, **TUMOUR)


def test_a_binary_mask_of_0_and_1_among_shades_of_grey_is_named(items, tmp_path):
    data = {"foreground": range(128, 256), "background": range(128)}
    check(items, tmp_path, data=data)
    Image.fromarray((GREY > 20).astype(np.uint8)).save(items[1]["label"])
    refused(items, tmp_path, "label1.png holds the values 0, 1, as a binary mask; expected shades", data=data)


# Several structures

PARTS = {"structures": {"low": [1], "high": [2]}, "background": [0]}


def labelled(items, *values):
    """Masks of the values, from the bottom up, in equal shares of the grey values."""
    for item in items:
        mask = np.array(values, np.uint8)[GREY * len(values) // 48]
        Image.fromarray(mask).save(item["label"])


def test_masks_of_several_structures_pass(items, tmp_path):
    labelled(items, 0, 1, 2)
    check(items, tmp_path, data=PARTS)
    check_before_evaluation(items, **PARTS)


def test_a_value_of_no_structure_is_named(items, tmp_path):
    labelled(items, 0, 1, 2, 5)
    refused(items, tmp_path, "label0.png holds the values 0, 1, 2, 5; expected 0, 1, 2: correct structures", data=PARTS)


def test_a_structure_that_no_training_mask_has_is_named(items, tmp_path):
    labelled(items, 0, 1)
    refused(items, tmp_path, "no training mask holds a value of high (2): correct structures", data=PARTS)


def test_exclusive_structures_that_share_pixels_of_two_files_are_named(items, tmp_path):
    labelled(items, 0, 1, 2)
    other = tmp_path / "other.png"
    Image.fromarray(np.full(GREY.shape, 1, np.uint8)).save(other)
    items[0]["label"] = [items[0]["label"], str(other)]
    refused(items, tmp_path, "other.png: low and high share pixels; expected exclusive structures", data=PARTS)
    check(items, tmp_path, data={**PARTS, "exclusive": False})


def test_impossible_structures_are_refused(items, tmp_path):
    with pytest.raises(ValueError, match="but low and high share 1"):
        check(items, tmp_path, data={"structures": {"low": [1], "high": [1, 2]}})


def test_the_network_is_tried_with_the_channels_of_neighbours(items, tmp_path):
    network = MedSegDiff(base=4, blocks=(1, 1, 1, 1), downsamplings=4, grid=8)
    with pytest.raises(ValueError, match="The image has 3 channels, this network takes 1"):
        check_before_training(items[:4], items[4:], network, (16, 16), (0, 255), tmp_path / "out", neighbours=1)


def test_a_structure_that_no_scored_mask_has_is_told_and_scored_and_none_at_all_is_refused(items, caplog):
    labelled(items, 0, 1)
    check_before_evaluation(items, **PARTS)
    assert "no mask holds a value of high (2)" in caplog.text
    with pytest.raises(ValueError, match=r"no mask holds a value of a \(2\)(.|\n)*no mask holds a value of b \(3\)"):
        check_before_evaluation(items, structures={"a": [2], "b": [3]}, background=[0, 1])


# Networks that make images


def test_a_network_that_encodes_masks_is_checked_with_their_channels(items, tmp_path):
    network = DSDM(
        2,
        1,
        base=8,
        multipliers=(1, 2),
        blocks=1,
        attention_levels=(1,),
        token_sides=(2,),
        num_groups=4,
        spade_hidden=4,
    ).train()
    structures = {"structures": {"lesion": [255]}, "background": [0], "condition_channels": 2}
    where = items[:4], items[4:], network
    check_before_training(*where, (16, 16), (0, 255), tmp_path / "out", **structures)
    with pytest.raises(ValueError, match=r"The mask has size \(16, 15\), expected multiples of 2"):
        check_before_training(*where, (16, 15), (0, 255), tmp_path / "out", **structures)
    with pytest.raises(ValueError, match="The mask has 3 channels, this network takes 2, one for each class"):
        check_before_training(*where, (16, 16), (0, 255), tmp_path / "out", **{**structures, "condition_channels": 3})


def contrast(items, tmp_path, window=(0, 255), **counts):
    check_before_contrast(items[:4], items[4:], tmp_path / "out", GreyReader(), 1, window, {"epochs": 1, **counts})


def test_an_encoder_of_images_asks_for_no_masks(items, tmp_path):
    contrast([{**item, "label": "gone.png"} for item in items[:4]] + items[4:], tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]


def test_all_images_that_no_encoder_can_be_trained_on_are_named_at_once(items, tmp_path):
    (tmp_path / "image0.png").write_text("<html>")
    (tmp_path / "image1.png").unlink()
    Image.fromarray(np.full((6, 8), 9, np.uint8)).save(items[2]["image"])
    Image.fromarray(GREY.astype(np.uint16) + 300).save(items[4]["image"])
    items[5]["patient"] = "p0"
    with pytest.raises(ValueError) as caught:
        contrast([*items, {**items[3], "patient": "p9"}], tmp_path)
    text = str(caught.value)
    assert text.startswith("The encoder can not be trained on the data:") and len(text.splitlines()) == 7
    for words in (
        "patient p0 is in several splits (training, validation)",
        "image3.png is in training and validation",
        "image0.png can not be read as an image",
        "image1.png does not exist",
        "image2.png has the value 9 everywhere",
        "image4.png has 0.0% of its values between 0 and 255",
    ):
        assert words in text, text


def test_channels_counts_and_the_window_of_an_encoder_are_checked(items, tmp_path):
    where = items[:4], items[4:], tmp_path / "out", ColourReader()
    with pytest.raises(ValueError, match="image0.png has 3 channels, of 1 files; expected 1"):
        check_before_contrast(*where, 1, (0, 255), {})
    with pytest.raises(ValueError, match="epochs is 0, expected a whole number from 1 up"):
        contrast(items, tmp_path, epochs=0)
    with pytest.raises(ValueError, match="intensity_range is 5 to 5; expected the lower value first"):
        contrast(items, tmp_path, (5, 5))
