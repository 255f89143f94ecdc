"""A plain folder gives a datalist, or an error that names every file that is wrong."""

import pytest

from noise2mask.data.datalist import datalist
from noise2mask.data.layout_folder import folder_datalist
from noise2mask.data.problems import Problems
from noise2mask.data.splits import KEYS


@pytest.fixture
def make(tmp_path):
    def make(images, masks, manifest=None, where="masks"):
        for folder, names in (("images", images), (where, masks)):
            (tmp_path / folder).mkdir(exist_ok=True)
            for name in names:
                (tmp_path / folder / name).touch()
        if manifest is not None:
            (tmp_path / "manifest.csv").write_text(manifest, encoding="utf-8-sig")
        return tmp_path

    return make


def stems(n):
    return [f"a{i}.png" for i in range(n)]


def items(content):
    return [item for key in KEYS for item in content[key]]


def test_images_meet_masks_of_another_type_and_each_is_its_own_patient(make):
    folder = make(["a.nii.gz", "b.JPG", ".hidden.png", "notes.txt"], ["a.nii", "b.png"], where="labels")
    content = folder_datalist(folder)
    assert content["split_by"] == content["group_by"] == "image"
    expected = {"image": str(folder / "images/b.JPG"), "label": str(folder / "labels/b.png"), "patient": "b"}
    assert expected in items(content) and len(items(content)) == 2


@pytest.mark.parametrize("column", ["patient", "group"])
def test_a_patient_is_in_one_split_only(make, column):
    rows = "".join(f"a{i}.png,{i // 4}\n" for i in range(40))
    content = folder_datalist(make(stems(40), stems(40), f"file,{column}\n{rows}"))
    assert content["split_by"] == column and [len(content[key]) for key in KEYS] == [28, 4, 8]
    found = [{item["patient"] for item in content[key]} for key in KEYS]
    assert not found[0] & found[1] and not found[0] & found[2] and not found[1] & found[2]


def test_the_split_of_the_manifest_is_kept(make):
    table = "stem,patient,split\na0,x,train\na1,y,Val\na2,z,testing\na3,z,test\n"
    content = folder_datalist(make(stems(4), stems(4), table))
    assert content["split_by"] == "manifest" and content["group_by"] == "patient"
    assert [[item["patient"] for item in content[key]] for key in KEYS] == [["x"], ["y"], ["z", "z"]]


def test_a_manifest_that_is_not_in_utf_8_is_named(make):
    folder = make(stems(2), stems(2))
    (folder / "manifest.csv").write_bytes("image,patient\na0,Müller\na1,Weiß\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"manifest\.csv can not be read \(.*utf-8.*: give a table as CSV in UTF-8"):
        folder_datalist(folder)


def test_a_manifest_without_validation_images_has_them_drawn_from_whole_training_patients(make):
    rows = "".join(f"a{i},{i // 2},{'train' if i < 32 else 'test'}\n" for i in range(40))
    content = folder_datalist(make(stems(40), stems(40), f"stem,patient,split\n{rows}"))
    assert [len(content[key]) for key in KEYS] == [28, 4, 8]
    train, validation = ({item["patient"] for item in content[key]} for key in KEYS[:2])
    assert not train & validation and len(validation) == 2


def test_the_same_seed_gives_the_same_split(make):
    folder = make(stems(20), stems(20))
    assert folder_datalist(folder, 5) == folder_datalist(folder, 5) != folder_datalist(folder, 6)


@pytest.mark.parametrize(
    "images, masks, manifest, message",
    [
        (["a.png", "b.png"], ["a.png"], None, "images/b.png has no mask in masks/"),
        (["a.png"], ["a.png", "b.png"], None, "masks/b.png has no image in images/"),
        (["a.png", "a.jpg"], ["a.png"], None, "images/a.png and images/a.jpg have the same stem"),
        ([], [], None, "it is empty"),
        (["a.png"], ["a.png"], "file,split\na,dev\n", "a has split 'dev', expected train, val or test"),
        (["a.png"], ["a.png"], "file\na\na\n", "a is listed twice"),
        (["a.png"], ["a.png"], "file\na\nb\n", "b is not in images/"),
        (["a.png"], ["a.png"], "file\n", "images/a.png is not in manifest.csv"),
        (["a.png"], ["a.png"], "id\na\n", "expected one of image, stem"),
        (stems(2), stems(2), "stem,patient,split\na0,x,train\na1,x,test\n", "patient x is in several splits"),
    ],
)
def test_what_is_wrong_is_named(make, images, masks, manifest, message):
    with pytest.raises(ValueError) as error:
        folder_datalist(make(images, masks, manifest))
    assert message in str(error.value)


def test_ten_problems_are_named_and_the_rest_counted(make):
    with pytest.raises(ValueError, match="a9.png has no mask.*\n  and 3 more$"):
        folder_datalist(make(stems(13), []))


def test_what_is_refused_carries_all_problems_with_remedies_and_the_pairs_there_are(make):
    with pytest.raises(Problems) as caught:
        folder_datalist(make(stems(15), stems(2)))
    assert len(caught.value.problems) == 13 and all(": " in text for text in caught.value.problems)
    assert [item["label"][-6:] for item in caught.value.pairs] == ["a0.png", "a1.png"]
    with pytest.raises(Problems, match="a14 is listed twice") as caught:
        folder_datalist(make([], stems(15), "image\n" + "\n".join([*stems(15), "a14"])))
    assert len(caught.value.pairs) == 15


def test_a_folder_that_is_not_there_or_of_another_form_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        folder_datalist(tmp_path / "nowhere")
    (tmp_path / "benign").mkdir()
    with pytest.raises(ValueError, match="holds benign, expected images/.*use layout busi"):
        folder_datalist(tmp_path)


def test_masks_of_several_annotators_are_found_by_stem(tmp_path):
    for name in ("images", "masks", "annotations/first", "annotations/second"):
        (tmp_path / name).mkdir(parents=True)
    for i in range(10):
        for name in ("images", "masks", "annotations/first"):
            (tmp_path / name / f"{i}.png").touch()
    (tmp_path / "annotations" / "second" / "3.png").touch()
    content = folder_datalist(tmp_path)
    found = {item["patient"]: item["annotations"] for key in KEYS for item in content[key]}
    assert found["1"] == [str(tmp_path / "annotations" / "first" / "1.png")]
    assert found["3"] == [str(tmp_path / "annotations" / name / "3.png") for name in ("first", "second")]
    assert "annotations" not in datalist(tmp_path, "training")[0]
    assert "annotations" in datalist(tmp_path, "training", annotations=True)[0]
    (tmp_path / "annotations" / "second" / "77.png").touch()
    with pytest.raises(ValueError, match="annotations/second/77.png has no image in images/"):
        folder_datalist(tmp_path)


@pytest.mark.parametrize("head", ["image, patient", "Image,Patient ID", "image,PatientID", "image,subject_id"])
def test_a_patients_column_is_known_by_other_names(make, head):
    rows = "".join(f"a{i}.png, p{i // 4}{' ' * (i % 2)}\n" for i in range(40))
    content = folder_datalist(make(stems(40), stems(40), f"{head}\n{rows}"))
    assert content["split_by"] == "patient" and len({item["patient"] for item in items(content)}) == 10


def test_a_split_in_capitals_is_taken(make):
    rows = "".join(f"a{i}.png,p{i},{'TEST' if i else 'Train'}\n" for i in range(4))
    content = folder_datalist(make(stems(4), stems(4), f"Image,Patient,Split\n{rows}"))
    assert content["split_by"] == "manifest" and len(content["testing"]) == 3


def test_patients_that_are_named_for_some_images_only_are_refused(make):
    rows = "".join(f"a{i}.png,{'p' if i else ''}\n" for i in range(4))
    with pytest.raises(ValueError, match=r"names no patient for 1 of 4 images, a0 for one.*fill it in"):
        folder_datalist(make(stems(4), stems(4), f"image,patient\n{rows}"))


def test_a_split_that_a_layout_does_not_have_is_refused(make):
    with pytest.raises(ValueError, match="split is 'pgdiffseg', but layout folder has none to choose from"):
        datalist(make(stems(9), stems(9)), "training", "folder", "pgdiffseg")
