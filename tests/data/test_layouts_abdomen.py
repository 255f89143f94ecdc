"""AMOS and BTCV as downloaded, and several data sets mixed."""

import pytest

from noise2mask.data.datalist import build, datalist
from noise2mask.data.layouts import layout_of
from noise2mask.data.splits import KEYS


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(content):
    return [[item["image"].rsplit("/", 1)[1] for item in content[key]] for key in KEYS]


@pytest.fixture
def amos(tmp_path):
    for part, numbers in {"Tr": range(1, 9), "Va": (13, 600)}.items():
        touch(tmp_path, *(f"{kind}{part}/amos_{n:04d}.nii.gz" for kind in ("images", "labels") for n in numbers))
    touch(tmp_path, "imagesTs/amos_0009.nii.gz", "dataset.json", "readme.md")
    return tmp_path


def test_amos_tests_on_its_validation_part_and_leaves_magnetic_resonance_out(amos):
    content = build(amos, "amos22", "folder")
    training, validation, testing = names(content)
    assert len(training) == 7 and len(validation) == 1 and testing == ["amos_0013.nii.gz"]
    assert content["testing"][0]["label"] == str(amos / "labelsVa" / "amos_0013.nii.gz")
    assert layout_of(amos) == "amos22" and content["group_by"] == "patient"


def test_a_case_of_amos_without_its_label_is_named(amos):
    (amos / "labelsTr" / "amos_0003.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"imagesTr/amos_0003.nii.gz has no mask"):
        build(amos, "amos22", "folder")


@pytest.mark.parametrize("inner", ["RawData/Training", "Training", "."])
def test_btcv_is_found_from_any_of_its_folders_and_split_by_case(tmp_path, inner):
    root = tmp_path / inner
    touch(root, *(f"{kind}/{kind}{n:04d}.nii.gz" for kind in ("img", "label") for n in range(1, 11)))
    content = build(tmp_path, "btcv", "folder")
    assert [len(part) for part in names(content)] == [7, 1, 2] and layout_of(tmp_path) == "btcv"
    for item in content["training"]:
        assert item["label"] == item["image"].replace("/img/img", "/label/label") and item["patient"] in item["image"]


def test_btcv_s_lone_files_and_an_empty_folder_are_named(tmp_path):
    touch(tmp_path, "img/img0001.nii.gz", "label/label0002.nii.gz")
    with pytest.raises(ValueError, match=r"img0001.nii.gz has no mask(.|\n)*label0002.nii.gz has no image"):
        build(tmp_path, "btcv", "folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected|it has no img/img0001.nii.gz and so on: give RawData"):
        build(tmp_path / "empty", "btcv", "folder")


@pytest.fixture
def mixture(tmp_path):
    """Two plain folders, of which one knows its patients, with images of the same names."""
    for name in ("one", "two"):
        touch(tmp_path, *(f"{name}/{kind}/{n}.png" for kind in ("images", "masks") for n in range(6)))
    rows = "".join(f"{n},p{n // 2},{split}\n" for n, split in enumerate(["train"] * 2 + ["val"] * 2 + ["test"] * 2))
    (tmp_path / "two" / "manifest.csv").write_text(f"image,patient,split\n{rows}")
    return tmp_path


def test_mixed_data_sets_keep_their_own_split_and_their_patients_apart(mixture):
    content = build(mixture, "mixed", "folder")
    tested = [item["patient"] for item in content["testing"]]
    assert tested.count("two/p2") == 2 and [name.split("/")[0] for name in tested] == ["one", "one", "two", "two"]
    assert sum(len(content[key]) for key in KEYS) == 12


def test_items_of_a_mixture_say_what_their_patient_is(mixture):
    items = datalist(mixture, "testing", "mixed", group_by=True)
    assert [item["group_by"] for item in items] == ["image", "image", "patient", "patient"]


def test_a_folder_without_data_sets_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no folder, expected one per data set"):
        build(tmp_path, "mixed", "folder")
