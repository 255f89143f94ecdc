"""BUSI, as downloaded or as a plain folder, gives PGDiffSeg's split or one that keeps groups together."""

import pytest

from noise2mask.data.layout_busi import busi_datalist
from noise2mask.data.splits import KEYS


@pytest.fixture
def download(tmp_path):
    for kind, total in (("normal", 10), ("benign", 20), ("malignant", 10)):
        (tmp_path / kind).mkdir()
        for i in range(1, total + 1):
            (tmp_path / kind / f"{kind} ({i}).png").touch()
            (tmp_path / kind / f"{kind} ({i})_mask.png").touch()
    for i in (1, 2):
        (tmp_path / "benign" / f"benign (4)_mask_{i}.png").touch()
    return tmp_path


@pytest.fixture
def plain(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for i in range(1, 11):
            (tmp_path / name / f"benign_{i:03d}.png").touch()
    return tmp_path


def manifest(folder, header, rows):
    (folder / "manifest.csv").write_text(f"{header}\n" + "".join(f"benign_{i:03d},{row(i)}\n" for i, row in rows))


def test_the_download_is_split_by_the_rule_of_the_paper(download):
    content = busi_datalist(download, "pgdiffseg")
    assert [len(content[key]) for key in KEYS] == [28, 4, 8] and content["split_by"] == "image"
    assert content["validation"][0]["patient"] == "benign (15)"


def test_several_mask_files_become_a_list_in_order(download):
    item = next(item for item in busi_datalist(download)["training"] if item["patient"] == "benign (4)")
    names = ["benign (4)_mask.png", "benign (4)_mask_1.png", "benign (4)_mask_2.png"]
    assert item["label"] == [str(download / "benign" / name) for name in names]
    assert item["image"] == str(download / "benign" / "benign (4).png")


def test_the_folder_of_the_archive_is_looked_into(download):
    inner = download / "Dataset_BUSI_with_GT"
    inner.mkdir()
    for kind in ("normal", "benign", "malignant"):
        (download / kind).rename(inner / kind)
    assert len(busi_datalist(download)["training"]) == 28


def test_a_random_split_of_the_download_is_possible(download):
    content = busi_datalist(download, "folder", seed=1)
    assert [len(content[key]) for key in KEYS] == [28, 4, 8] and content != busi_datalist(download)


def test_a_plain_folder_follows_the_rule_or_its_manifest(plain):
    assert [len(busi_datalist(plain, "pgdiffseg")[key]) for key in KEYS] == [7, 1, 2]
    both = {i: ("train,test", "test,train")[i % 2] for i in range(1, 11)}
    manifest(plain, "stem,pgdiffseg_split,split,group", ((i, lambda i: f"{both[i]},{i}") for i in both))
    first, second = busi_datalist(plain, "pgdiffseg"), busi_datalist(plain, "folder")
    assert first["split_by"] == second["split_by"] == "manifest" and second["group_by"] == "group"
    assert [item["image"] for item in first["training"]] == [item["image"] for item in second["testing"]]
    assert len(first["training"]) == 5 and first["group_by"] == "image"


def test_the_papers_split_may_tear_groups_apart_and_the_other_may_not(plain):
    def row(i):
        return "train,train,g" if i < 6 else "test,test,g"

    manifest(plain, "stem,pgdiffseg_split,split,group", ((i, row) for i in range(1, 11)))
    assert len(busi_datalist(plain, "pgdiffseg")["testing"]) == 5
    with pytest.raises(ValueError, match="patient g is in several splits"):
        busi_datalist(plain, "folder")


def test_a_missing_mask_and_a_missing_image_are_named(download):
    (download / "normal" / "normal (3)_mask.png").unlink()
    (download / "benign" / "benign (4).png").unlink()
    with pytest.raises(ValueError) as error:
        busi_datalist(download)
    assert "normal (3).png has no mask file" in str(error.value) and "no image benign (4).png" in str(error.value)


def test_every_item_has_the_class_its_name_begins_with(download, plain):
    for item in busi_datalist(download)["training"]:
        assert ("normal", "benign", "malignant")[item["class"]] in item["image"]
    assert {item["class"] for item in busi_datalist(plain)["training"]} == {1}


def test_an_empty_folder_and_an_unknown_split_are_refused(tmp_path):
    with pytest.raises(ValueError, match="neither images/ nor files"):
        busi_datalist(tmp_path)
    with pytest.raises(ValueError, match="expected 'pgdiffseg' or 'folder'"):
        busi_datalist(tmp_path, "random")
