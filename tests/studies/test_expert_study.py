"""What experts get tells nothing but pixels, and the key stays outside of it."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from noise2mask.metrics.score_files import csv_text
from noise2mask.studies.expert_study import Pool, draw, export, main, pool_of

from .tile_files import tile_folder


@pytest.fixture
def folders(tmp_path):
    """Real and synthetic tiles of the classes 1 and 2."""
    return [tile_folder(tmp_path / kind, [1, 2] * 6, seed=i) for i, kind in enumerate(("real", "synthetic"))]


def exported(folders, output, tiles=6, **more):
    key = output.with_name(f"{output.name}_key.csv")
    export(*folders, output, more.pop("key", key), tiles, **more)
    return list(csv.DictReader(key.read_text().splitlines())) if key.is_file() else []


def pixels(path):
    return np.asarray(Image.open(path))


def test_as_many_real_as_synthetic_tiles_of_every_class_are_shown(folders, tmp_path):
    key = exported(folders, tmp_path / "study")
    assert Counter((row["class"], row["real_or_synthetic"]) for row in key) == {
        (name, kind): 3 for name in "12" for kind in ("real", "synthetic")
    }
    assert len({row["file"] for row in key}) == 12


def test_the_pictures_are_those_of_the_key(folders, tmp_path):
    for row in exported(folders, tmp_path / "study"):
        assert row["real_or_synthetic"] == Path(row["file"]).parts[-3]
        assert np.array_equal(pixels(tmp_path / "study/images" / f"{row['id']}.png"), pixels(row["file"]))


def test_files_differ_in_their_pixels_alone(folders, tmp_path):
    for number, path in enumerate((folders[0] / "images").iterdir()):  # real ones come from elsewhere
        about = PngImagePlugin.PngInfo()
        about.add_text("Software", "scanner" * (1 + number))
        Image.fromarray(pixels(path)).save(path, pnginfo=about, dpi=(300, 300), optimize=True)
    Image.new("L", (8, 8), 7).save(folders[1] / "images" / "t00.png")
    exported(folders, tmp_path / "study", tiles=12)
    written = [path.stat() for path in (tmp_path / "study/images").iterdir()]
    assert len({(own.st_size, own.st_mtime) for own in written}) == 1
    pictures = [Image.open(path) for path in (tmp_path / "study/images").iterdir()]
    assert {(picture.mode, picture.size, str(picture.info)) for picture in pictures} == {("RGB", (8, 8), "{}")}


def test_nothing_in_the_study_names_kind_or_origin(folders, tmp_path):
    exported(folders, tmp_path / "study")
    names = sorted(path.relative_to(tmp_path / "study").as_posix() for path in (tmp_path / "study").rglob("*"))
    assert names == ["images", *(f"images/{i:03}.png" for i in range(1, 13)), "instructions.md", "scores.csv"]
    lines = (tmp_path / "study/scores.csv").read_text().splitlines()
    assert lines == ["id,class,real_or_synthetic,confidence", *(f"{i:03},,," for i in range(1, 13))]
    assert "| `class` | 1, 2 |" in (tmp_path / "study/instructions.md").read_text()


def test_the_order_does_not_depend_on_the_kind(folders, tmp_path):
    there = exported(folders, tmp_path / "a")
    back = exported(folders[::-1], tmp_path / "b")
    assert [row["file"] for row in there] != [row["file"] for row in back]
    assert [row["real_or_synthetic"] for row in there] == [row["real_or_synthetic"] for row in back]
    first = [exported(folders, tmp_path / f"s{i}", tiles=2, seed=i)[0]["real_or_synthetic"] for i in range(10)]
    assert 2 <= first.count("real") <= 8


def test_the_same_seed_gives_the_same_study_and_another_one_another(folders, tmp_path):
    one, two, other = (exported(folders, tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert one == two != other
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_a_class_with_few_tiles_leaves_its_place_to_others():
    real = Pool({}, {"a": ["a0"], "b": list("bcde"), "only": ["x"]}, {})
    synthetic = Pool({}, {"a": ["a1", "a2"], "b": list("BCDE")}, {})
    assert Counter(name for name, *_ in draw(real, synthetic, 4, np.random.default_rng(0))) == {"a": 1, "b": 3}
    with pytest.raises(ValueError, match=r"6 real and 6 .* 5 of each were found .*a 1 and 2, b 4 and 4, only 1 and 0"):
        draw(real, synthetic, 6, np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(5))
def test_no_real_tile_is_shown_that_a_synthetic_one_was_made_of(seed):
    stems = [f"t{i}" for i in range(8)]
    made_of = {stem: {stem, stems[i - 1]} for i, stem in enumerate(stems)}
    pools = Pool({}, {"a": stems}, {}), Pool({}, {"a": stems}, made_of)
    pairs = draw(*pools, 2, np.random.default_rng(seed))
    assert not {real for _, real, _ in pairs} & set().union(*(made_of[own] for _, _, own in pairs))


def test_what_a_tile_was_made_of_stands_in_the_manifest(tmp_path):
    folder = tile_folder(tmp_path / "made", [1, 0], mask=["a.png", "b"], reference=["c", "b"])
    pool = pool_of(folder, ["background", "benign", "malignant"])
    assert pool.made_of == {"t00": {"a", "c"}, "t01": {"b"}}
    assert pool.classes == {"background": ["t01"], "benign": ["t00"]}


def test_a_key_in_the_study_is_refused(folders, tmp_path):
    for key in (tmp_path / "study/key.csv", tmp_path / "study/../study/images/key.csv", tmp_path / "study"):
        with pytest.raises(ValueError, match="expected it outside: change --key"):
            exported(folders, tmp_path / "study", key=key)
    assert not (tmp_path / "study").exists()


def test_a_study_that_is_there_and_its_key_stay(folders, tmp_path):
    exported(folders, tmp_path / "study")
    with pytest.raises(ValueError, match="study is not empty; expected a new folder"):
        exported(folders, tmp_path / "study", seed=1)
    with pytest.raises(ValueError, match=r"study_key\.csv is there already, the key of another study"):
        exported(folders, tmp_path / "other", key=tmp_path / "study_key.csv", seed=1)
    assert not (tmp_path / "other").exists()


def test_after_an_interruption_the_same_call_gives_the_same(folders, tmp_path):
    key = exported(folders, tmp_path / "study")
    (tmp_path / "study").rename(tmp_path / ".study.part")  # killed after the key, before the folder had its name
    assert exported(folders, tmp_path / "study") == key and len(list((tmp_path / "study/images").iterdir())) == 12


def larger(folders):
    tile_folder(folders[0].parent / "large", [1, 2] * 6, size=16)
    folders[0] = folders[0].parent / "large"


def deep(folders):
    for path in (folders[1] / "images").iterdir():
        Image.fromarray(np.full((8, 8), 999, np.uint16)).save(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (larger, r"the tiles have 2 sizes; (.|\n)*(8 x 8|16 x 16): 6 tiles, .*\.png for one"),
        (deep, r"t\d\d\.png is no picture of 8 bits"),
        (lambda folders: folders.reverse() or folders.pop() and folders.append(folders[0]), "real and as synthetic"),
    ],
)
def test_tiles_that_would_tell_themselves_are_refused(folders, tmp_path, damage, said):
    damage(folders)
    with pytest.raises(ValueError, match=said):
        exported(folders, tmp_path / "study")
    assert not list(tmp_path.glob("*study*"))


def test_a_class_without_a_name_is_named(folders, tmp_path):
    with pytest.raises(ValueError, match=r"t01\.png holds the value 2; expected 0 to 1: name more --classes"):
        exported(folders, tmp_path / "study", names=["background", "benign"])


def test_the_commands_export_and_score(folders, tmp_path, capsys):
    study, key, sheet = (tmp_path / name for name in ("study", "study_key.csv", "me.csv"))
    options = ["--tiles", "3", "--classes", "background", "benign", "malignant"]
    main(["export", "--real", str(folders[0]), "--synthetic", str(folders[1]), "--output", str(study), *options])
    assert "study: 6 tiles for the experts" in capsys.readouterr().out
    answers = [{**row, "confidence": 4} for row in csv.DictReader(key.read_text().splitlines())]
    sheet.write_text(csv_text(answers))
    main(["score", str(key), str(sheet)])
    assert "| me | 100.0 | 100.0 | 100.0 | 100.0 to 100.0 | no | 4.00 |" in capsys.readouterr().out
    assert (tmp_path / "expert_study.json").is_file() and (tmp_path / "expert_study.md").is_file()
    sheet.write_text(csv_text(answers[1:]))
    with pytest.raises(SystemExit, match="2"):
        main(["score", str(key), str(sheet)])
    assert "me.csv: id 001 missing" in capsys.readouterr().err
