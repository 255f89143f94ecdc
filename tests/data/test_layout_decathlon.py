"""Data sets with a dataset.json: what is listed is found, what is not there is named."""

import json

import pytest

from noise2mask.data.datalist import build, datalist, write_datalist
from noise2mask.data.layout_decathlon import decathlon_datalist, nnunet_datalist
from noise2mask.data.layouts import layout_of
from noise2mask.data.splits import KEYS

NAMES = [f"case_{n:02d}" for n in range(10)]


def dataset(folder, **content):
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


@pytest.fixture
def decathlon(tmp_path):
    folder = tmp_path / "decathlon"
    touch(folder / "imagesTr", *(f"{name}.nii.gz" for name in NAMES))
    touch(folder / "labelsTr", *(f"{name}.nii.gz" for name in NAMES))
    pairs = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in NAMES]
    return dataset(folder, modality={"0": "MRI"}, training=pairs, test=["./imagesTs/x.nii.gz"])


@pytest.fixture
def nnunet(tmp_path):
    folder = tmp_path / "nnunet"
    touch(folder / "imagesTr", *(f"{name}_0000.png" for name in NAMES))
    touch(folder / "labelsTr", *(f"{name}.png" for name in NAMES))
    return dataset(folder, channel_names={"0": "US"}, file_ending=".png")


def stems(content, key):
    return [item["label"].rsplit("/", 1)[1].partition(".")[0] for item in content[key]]


def test_every_case_is_in_one_split(decathlon, nnunet):
    for content in (decathlon_datalist(decathlon), nnunet_datalist(nnunet)):
        assert sorted(name for key in KEYS for name in stems(content, key)) == NAMES
        assert [len(content[key]) for key in KEYS] == [7, 1, 2]


def test_an_image_stands_beside_its_label(nnunet):
    for item in (item for key in KEYS for item in nnunet_datalist(nnunet)[key]):
        assert item["image"] == item["label"].replace("labelsTr", "imagesTr").replace(".png", "_0000.png")


def test_labelled_test_images_are_the_test_split(nnunet):
    touch(nnunet / "imagesTs", "new_0000.png")
    touch(nnunet / "labelsTs", "new.png")
    content = nnunet_datalist(nnunet)
    assert stems(content, "testing") == ["new"] and [len(content[key]) for key in KEYS] == [8, 2, 1]


def test_a_manifest_keeps_patients_together(nnunet):
    rows = [f"{name},p{n // 5}" for n, name in enumerate(NAMES)]
    (nnunet / "manifest.csv").write_text("\n".join(["image,patient", *rows]))
    content = nnunet_datalist(nnunet)
    assert content["group_by"] == "patient" and sorted(len(content[key]) for key in KEYS) == [0, 5, 5]


def test_a_manifest_may_name_the_patients_of_both_parts_but_no_patient_is_in_both(nnunet):
    touch(nnunet / "imagesTs", "new_0000.png")
    touch(nnunet / "labelsTs", "new.png")
    rows = [f"{name},p{n // 2}" for n, name in enumerate(NAMES)]
    (nnunet / "manifest.csv").write_text("\n".join(["image,patient", *rows, "new,p9"]))
    assert nnunet_datalist(nnunet)["testing"][0]["patient"] == "p9"
    (nnunet / "manifest.csv").write_text("\n".join(["image,patient", *rows, "new,p0"]))
    with pytest.raises(ValueError, match="patient p0 is in several splits"):
        nnunet_datalist(nnunet)


@pytest.mark.parametrize("training", [3, ["imagesTr/a.nii.gz"], [{"image": "imagesTr/a.nii.gz"}], None])
def test_a_list_of_something_else_is_refused(decathlon, training):
    with pytest.raises(ValueError, match='"training" is no list of objects with "image" and "label"'):
        decathlon_datalist(dataset(decathlon, modality="MRI", training=training))


def test_a_datalist_remembers_its_layout(decathlon, tmp_path):
    path = write_datalist(build(decathlon, "decathlon", "folder"), tmp_path / "list.json")
    assert layout_of(path) == "decathlon"


def test_the_layout_is_seen(decathlon, tmp_path):
    assert layout_of(decathlon) == "decathlon"
    assert layout_of(dataset(tmp_path, file_ending=".png")) == "nnunet"
    (tmp_path / "dataset.json").unlink()
    assert layout_of(tmp_path) == "folder"
    (tmp_path / "benign").mkdir()
    assert layout_of(tmp_path) == "busi"
    with pytest.raises(ValueError, match="does not exist"):
        layout_of(tmp_path / "none")


def test_configs_take_the_layouts_by_name(decathlon):
    assert len(datalist(decathlon, "training", layout="decathlon")) == 7


def test_what_is_missing_is_named(decathlon):
    (decathlon / "labelsTr" / "case_03.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"labelsTr/case_03.nii.gz is missing"):
        decathlon_datalist(decathlon)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("imagesTr/more_0000.png", "has no labelsTr/more.png"),
        ("imagesTr/case_00_0001.png", "case_00_0001.png is a further channel"),
        ("imagesTr/plain.png", "plain.png does not end in _0000.png"),
    ],
)
def test_images_that_do_not_fit_are_named(nnunet, name, words):
    (nnunet / name).write_bytes(b"")
    with pytest.raises(ValueError, match=words):
        nnunet_datalist(nnunet)


def test_several_channels_and_a_damaged_dataset_json_are_refused(nnunet):
    with pytest.raises(ValueError, match="the channels T1, T2; expected one"):
        nnunet_datalist(dataset(nnunet, channel_names={"0": "T1", "1": "T2"}, file_ending=".png"))
    for text in ("{", "[]"):
        (nnunet / "dataset.json").write_text(text)
        with pytest.raises(ValueError, match=r"dataset.json .* expected a JSON object"):
            nnunet_datalist(nnunet)
