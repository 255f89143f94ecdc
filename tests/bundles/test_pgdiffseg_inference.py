"""Evaluation and segmentation by command: files, sizes, geometry, and what a result must not depend on."""

import csv
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image

from noise2mask.data.datalist import build, write_datalist

pytestmark = pytest.mark.e2e
NUMBERS = ("dice", "iou")


@pytest.fixture(scope="session")
def cases(demo, tmp_path_factory):
    """A data set of five test images of several sizes: four with a lesion, one without."""
    folder = tmp_path_factory.mktemp("cases") / "data"
    names = [path.stem for path in sorted((demo / "images").iterdir())]
    chosen = [name for name in names if not name.startswith("normal")][:4] + [names[-1]]
    assert names[-1].startswith("normal")
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for name in chosen:
            shutil.copy(demo / part / f"{name}.png", folder / part)
    (folder / "manifest.csv").write_text("image,patient,split\n" + "".join(f"{name},p{name},test\n" for name in chosen))
    return folder


@pytest.fixture(scope="session")
def inferring(commands, weights):
    """inferring(input, output_dir, options): the command that segments with the tiny network."""
    sampling = ("--model_file", weights, "--steps", "2", "--samples", "3", "--progress", "False")

    def command(source, output, *options, configs="inference.yaml"):
        where = ("--input", source, "--output_dir", output)
        return commands.bundle("inferring", configs, *sampling, *where, *options)

    return command


@pytest.fixture(scope="session")
def evaluating(commands, weights, cases):
    """evaluating(output_dir, options): the command that scores the tiny network."""
    sampling = ("--model_file", weights, "--steps", "2", "--samples", "3", "--progress", "False")

    def command(output, configs="inference.yaml evaluate.yaml data/folder.yaml"):
        return commands.bundle("evaluating", configs, *sampling, "--dataset_dir", cases, "--output_dir", output)

    return command


@pytest.fixture(scope="session")
def segmented(commands, inferring, cases, tmp_path_factory):
    """What a folder of pictures gives."""
    folder = tmp_path_factory.mktemp("segmented") / "results"
    commands.run(inferring(cases / "images", folder))
    return folder


@pytest.fixture(scope="session")
def scored(commands, evaluating, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored") / "scores"
    commands.real(evaluating(folder))
    return folder


def pixels(path):
    return np.asarray(Image.open(path))


def files(folder, pattern="*_*"):
    """Content by name of masks, maps and previews."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}


def patients(folder):
    with open(folder / "cases.csv", newline="") as file:
        return [row["patient"] for row in csv.DictReader(file)]


def rows(folder):
    with open(folder / "cases.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    words = ("image", "patient", "group_by", "hd95_unit")
    return {row["image"]: {name: float(row[name] or "nan") for name in row if name not in words} for row in rows}


# Segmentation of pictures


def test_every_picture_has_its_files_in_its_own_size(segmented, cases):
    for path in (cases / "images").iterdir():
        names = {file.name for file in segmented.glob(f"{path.stem}*")}
        assert names == {f"{path.stem}{end}.png" for end in ("_mask", "_probability", "_std", "_preview")} | {
            f"{path.stem}.json"
        }
        for end in ("mask", "probability", "std"):
            result = Image.open(segmented / f"{path.stem}_{end}.png")
            assert (result.size, result.mode) == (Image.open(path).size, "L")


def test_masks_are_black_and_white_where_the_probability_says(segmented):
    for path in segmented.glob("*_mask.png"):
        mask, probability = pixels(path), pixels(segmented / path.name.replace("mask", "probability")).astype(int)
        assert set(np.unique(mask)) == {0, 255}
        assert ((mask == 255) >= (probability > 128)).all() and ((mask == 0) >= (probability < 127)).all()


def test_the_report_lists_the_most_uncertain_case_first(segmented, cases):
    report = json.loads((segmented / "report.json").read_text())
    triage = [case["triage"] for case in report["cases"]]
    assert triage == sorted(triage, reverse=True) and len(set(triage)) > 1
    assert {case["image"] for case in report["cases"]} == {str(path) for path in (cases / "images").iterdir()}
    assert report["sampling"]["seed"] == 0 and report["sampling"]["samples"] == 3 and report["versions"]["monai"]
    for case in report["cases"]:
        assert (pixels(segmented / case["files"][0]) == 255).sum() == case["pixels"]
        assert all((segmented / name).exists() for name in case["files"])


def test_one_file_gives_what_its_folder_gives(commands, inferring, segmented, cases, tmp_path):
    source = sorted((cases / "images").iterdir())[2]
    commands.run(inferring(source, tmp_path))
    found = files(tmp_path)
    assert found == {name: content for name, content in files(segmented).items() if name.startswith(source.stem)}


def test_a_datalist_and_a_second_run_give_the_same_files(commands, inferring, segmented, cases, tmp_path):
    datalist = write_datalist(build(cases, "folder", "folder"), tmp_path / "datalist.json")
    commands.run(inferring(datalist, tmp_path / "results"))
    assert files(tmp_path / "results") == files(segmented)


def test_batches_and_workers_change_nothing(commands, inferring, segmented, cases, tmp_path):
    commands.run(inferring(cases / "images", tmp_path, "--images_at_once", "3", "--num_workers", "2"))
    for path in segmented.glob("*_probability.png"):
        np.testing.assert_allclose(pixels(tmp_path / path.name).astype(int), pixels(path).astype(int), atol=1)
    for path in segmented.glob("*_mask.png"):
        assert (pixels(tmp_path / path.name) == pixels(path)).mean() > 0.999


def test_another_seed_gives_other_masks(commands, inferring, segmented, cases, tmp_path):
    commands.run(inferring(cases / "images", tmp_path, "--seed", "7"))
    found, expected = files(tmp_path, "*_std.png"), files(segmented, "*_std.png")
    assert all(found[name] != expected[name] for name in expected)


def test_sampling_options_are_taken_from_the_command_line(commands, inferring, cases, tmp_path):
    options = ("--sampler", "dpm_solver_pp", "--steps", "4", "--start", "400", "--fusion", "staple")
    source = next((cases / "images").iterdir())
    commands.run(inferring(source, tmp_path, *options))
    sampling = json.loads((tmp_path / "report.json").read_text())["sampling"]
    assert (sampling["sampler"], sampling["fusion"], sampling["timesteps"][0]) == ("dpm_solver_pp", "staple", 400)
    assert len(sampling["timesteps"]) == 4


def test_grey_and_colour_give_the_same_mask(commands, inferring, cases, tmp_path):
    picture = Image.open(next((cases / "images").iterdir()))
    (tmp_path / "in").mkdir()
    for mode in ("L", "RGB", "RGBA"):
        picture.convert(mode).save(tmp_path / "in" / f"{mode}.png")
    commands.run(inferring(tmp_path / "in", tmp_path / "out"))
    grey, *others = (files(tmp_path / "out", f"{mode}_[!p]*.png") for mode in ("L", "RGB", "RGBA"))
    assert len(grey) == 2 and all(list(other.values()) == list(grey.values()) for other in others)


# Segmentation of volumes


def volume():
    """(24, 20, 3) in 0 .. 255, smooth, different in every slice."""
    x, y, z = np.meshgrid(np.linspace(0, 3, 24), np.linspace(0, 2, 20), np.arange(3), indexing="ij")
    return np.round(127 * (1 + np.sin(x * (1 + z)) * np.cos(y * y + z))).astype(np.int16)


AFFINE = nib.affines.from_matvec(  # nearly LPS: slightly rotated, anisotropic
    nib.eulerangles.euler2mat(0.1, -0.05, 0.08) @ np.diag([-0.8, -0.7, 2.5]), [30, -20, 10]
)
ORIENTATIONS = ("LPS", "RAS", "PIR", "SAL")


def in_orientation(image, codes):
    return image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(codes)))


@pytest.fixture(scope="module")
def volumes(commands, inferring, tmp_path_factory):
    """Input and output of one volume in several orientations, and of its slices as pictures."""
    folder = tmp_path_factory.mktemp("volumes")
    (folder / "in").mkdir()
    image = nib.Nifti1Image(volume(), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    for codes in ORIENTATIONS:
        ending = ".nii" if codes == "RAS" else ".nii.gz"
        nib.save(in_orientation(image, codes), folder / "in" / f"{codes}{ending}")
    for k in range(3):
        Image.fromarray(volume()[..., k].T.astype(np.uint8)).save(folder / "in" / f"slice{k}.png")
    commands.run(inferring(folder / "in", folder / "out"))
    return folder


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_results_of_a_volume_have_its_geometry(volumes, codes):
    source = nib.load(next((volumes / "in").glob(f"{codes}.nii*")))
    for name, dtype in (("mask", np.uint8), ("probability", np.float32), ("std", np.float32)):
        result = nib.load(volumes / "out" / f"{codes}_{name}.nii.gz")
        assert result.shape == source.shape and result.get_data_dtype() == dtype
        np.testing.assert_allclose(result.affine, source.affine, atol=1e-5)
        np.testing.assert_allclose(result.header.get_zooms(), source.header.get_zooms(), rtol=1e-6)
        assert result.header.get_xyzt_units() == source.header.get_xyzt_units() == ("mm", "sec")
        assert nib.aff2axcodes(result.affine) == tuple(codes)
    assert set(np.unique(nib.load(volumes / "out" / f"{codes}_mask.nii.gz").get_fdata())) == {0, 1}


@pytest.mark.parametrize("codes", ORIENTATIONS[1:])
@pytest.mark.parametrize("name", ["mask", "probability", "std"])
def test_the_orientation_of_a_volume_does_not_matter(volumes, codes, name):
    first, other = (nib.load(volumes / "out" / f"{one}_{name}.nii.gz") for one in ("LPS", codes))
    np.testing.assert_allclose(in_orientation(other, "LPS").get_fdata(), first.get_fdata(), atol=1e-5)


def test_slices_of_a_volume_are_segmented_like_pictures(volumes):
    probability = nib.load(volumes / "out" / "LPS_probability.nii.gz").get_fdata()
    for k in range(3):
        picture = pixels(volumes / "out" / f"slice{k}_probability.png").T
        np.testing.assert_allclose(probability[..., k] * 255, picture, atol=0.51)


def test_the_report_gives_the_volume_of_a_lesion(volumes):
    case = json.loads((volumes / "out" / "PIR.json").read_text())
    assert case["volume_mm3"] == pytest.approx(case["pixels"] * 0.8 * 0.7 * 2.5, rel=1e-4)


# Interruptions


def stamps(folder):
    """When each result file was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*_*")}


def report(folder):
    return json.loads((folder / "report.json").read_text())


def test_a_killed_batch_goes_on_where_it_was_and_ends_like_one_that_was_not(
    commands, inferring, segmented, cases, tmp_path
):
    command = inferring(cases / "images", tmp_path)
    commands.start(command).kill_after(f"written: {tmp_path}")
    done = [path.stem for path in tmp_path.glob("*.json")]
    before = {name: stamp for name, stamp in stamps(tmp_path).items() if any(name.startswith(f"{n}_") for n in done)}
    assert 1 <= len(done) < 5
    commands.run(command)
    assert files(tmp_path) == files(segmented)
    assert before.items() <= stamps(tmp_path).items()
    assert report(tmp_path)["cases"] == report(segmented)["cases"]
    assert report(tmp_path)["finished_earlier"] == len(done)


def test_a_finished_batch_is_not_touched_and_one_of_other_settings_is_made_anew(commands, inferring, cases, tmp_path):
    source = next((cases / "images").iterdir())
    commands.run(inferring(source, tmp_path))
    before, first = stamps(tmp_path), report(tmp_path)
    commands.run(inferring(source, tmp_path, "--images_at_once", "2"))
    assert stamps(tmp_path) == before and report(tmp_path)["cases"] == first["cases"]
    commands.run(inferring(source, tmp_path, "--seed", "1"))
    assert all(stamp != before[name] for name, stamp in stamps(tmp_path).items())


@pytest.mark.distributed
def test_when_one_of_two_processes_dies_the_next_call_finishes_the_rest_and_nothing_twice(
    commands, inferring, segmented, cases, tmp_path
):
    command = inferring(cases / "images", tmp_path, configs="inference.yaml multi_gpu_evaluate.yaml")
    first, second = commands.ranks(command)
    second.kill_after(f"written: {tmp_path}")
    first.kill()  # torchrun stops the others
    first.wait()
    done = {path.stem for path in tmp_path.glob("*.json")}
    before = {name: stamp for name, stamp in stamps(tmp_path).items() if name.rsplit("_", 1)[0] in done}
    assert done
    assert [process.wait() for process in commands.ranks(command)] == [0, 0]
    assert files(tmp_path) == files(segmented) and before.items() <= stamps(tmp_path).items()
    assert report(tmp_path)["cases"] == report(segmented)["cases"]


# Refusals


def test_results_that_would_overwrite_one_another_are_refused_before_anything_is_written(
    commands, inferring, cases, tmp_path
):
    (tmp_path / "in").mkdir()
    picture = Image.open(next((cases / "images").iterdir()))
    for name in ("a.png", "a.bmp"):
        picture.save(tmp_path / "in" / name)
    text = commands.fails(inferring(tmp_path / "in", tmp_path / "out"))
    assert "a.png and " in text and "would write the same result files" in text
    assert not (tmp_path / "out").exists()


def test_results_never_go_where_the_images_are(commands, inferring, cases, tmp_path):
    shutil.copytree(cases / "images", tmp_path / "in")
    text = commands.fails(inferring(tmp_path / "in", tmp_path / "in"))
    assert "give another output_dir" in text
    assert len(list((tmp_path / "in").iterdir())) == 5


def test_weights_that_do_not_fit_and_missing_images_are_named(commands, inferring, cases, tmp_path):
    other, text = tmp_path / "other.pt", tmp_path / "text.pt"
    torch.save({"model": {"some.weight": torch.ones(2)}}, other)
    text.write_text("no weights")
    for options, words in (
        (("--model_file", other), f"{other} does not fit the network"),
        (("--model_file", text), f"{text} is no readable checkpoint"),
        (("--model_file", tmp_path / "none.pt"), f"{tmp_path}/none.pt does not exist"),
        (("--input", tmp_path / "nowhere"), f"{tmp_path}/nowhere does not exist"),
        (("--sampler", "magic"), "sampler is 'magic', expected one of ddpm"),
    ):
        assert words in commands.fails(inferring(cases / "images", tmp_path / "out", *options))
    assert not (tmp_path / "out").exists()


# Evaluation


def test_every_score_names_its_patient(scored):
    assert patients(scored) == [f"p{Path(image).stem}" for image in rows(scored)]


def test_scores_are_those_of_the_masks_that_segmentation_writes(scored, segmented, cases):
    found, lesions = rows(scored), []
    for path in sorted((cases / "images").iterdir()):
        mask, label = pixels(segmented / f"{path.stem}_mask.png") > 0, pixels(cases / "masks" / path.name) > 0
        both, sizes = (mask & label).sum(), mask.sum() + label.sum()
        row = found[str(path)]
        assert (row["tp"], row["fp"], row["fn"]) == (both, mask.sum() - both, label.sum() - both)
        assert row["dice"] == pytest.approx(2 * both / sizes if sizes else 1, abs=1e-5)
        assert row["iou"] == pytest.approx(both / (sizes - both) if sizes else 1, abs=1e-5)
        lesions += [row["dice"]] if label.any() else []
    summary = json.loads((scored / "scores.json").read_text())
    assert (summary["counts"]["images"], summary["counts"]["with_lesion"], summary["counts"]["patients"]) == (5, 4, 5)
    assert summary["means"]["dice_lesion"] == pytest.approx(np.mean(lesions), abs=1e-5)
    for name in NUMBERS:
        assert summary["means"][name] == pytest.approx(np.mean([row[name] for row in found.values()]), abs=1e-5)


@pytest.mark.distributed
def test_two_processes_score_five_images_like_one(commands, evaluating, scored, tmp_path):
    commands.torchrun(evaluating(tmp_path, "inference.yaml evaluate.yaml data/folder.yaml multi_gpu_evaluate.yaml"))
    found, expected = (json.loads((folder / "scores.json").read_text()) for folder in (tmp_path, scored))
    assert found["means"] == pytest.approx(expected["means"], abs=1e-6) and found["counts"] == expected["counts"]
    assert found["intervals"]["dice"] == pytest.approx(expected["intervals"]["dice"], abs=1e-6)
    ours, theirs = rows(tmp_path), rows(scored)
    assert list(ours) == list(theirs)
    for name in ours:
        assert ours[name] == pytest.approx(theirs[name], abs=1e-6, nan_ok=True)


@pytest.mark.distributed
def test_two_processes_segment_five_images_like_one(commands, inferring, segmented, cases, tmp_path):
    command = inferring(cases / "images", tmp_path, configs="inference.yaml multi_gpu_evaluate.yaml")
    started = commands.ranks(command)
    assert [process.wait() for process in started] == [0, 0], started[0].text
    assert files(tmp_path) == files(segmented)
    found, expected = (json.loads((folder / "report.json").read_text())["cases"] for folder in (tmp_path, segmented))
    assert found == expected


def test_weights_of_a_training_can_be_evaluated_and_know_what_they_were_trained_on(commands, trained, demo, tmp_path):
    options = ("--model_file", trained / "model.pt", "--dataset_dir", demo, "--output_dir", tmp_path, "--steps", "1")
    command = commands.bundle("evaluating", "inference.yaml evaluate.yaml", *options, "--progress", "False")
    commands.run(command)
    counts = json.loads((tmp_path / "scores.json").read_text())["counts"]
    assert (counts["images"], counts["trained_on"]) == (3, 0)
    text = commands.run([*command, "--section", "training", "--samples", "1"])
    counts = json.loads((tmp_path / "scores.json").read_text())["counts"]
    assert counts["trained_on"] == counts["images"] == 19 and "19 of these 19 images were trained on" in text


def test_a_temperature_is_found_on_validation_images_and_changes_probabilities_but_no_mask(
    commands, weights, demo, tmp_path
):
    options = ("--model_file", weights, "--dataset_dir", demo, "--steps", "1", "--samples", "2", "--progress", "False")
    configs = "inference.yaml evaluate.yaml calibrate.yaml data/folder.yaml"
    commands.run(commands.bundle("calibrating", configs, *options, "--output_dir", tmp_path))
    found = json.loads((tmp_path / "calibration.json").read_text())
    assert found["images"] == 2 and found["temperature"] > 0 and not (tmp_path / "scores.json").exists()
    scores = []
    for temperature in ("1.0", "3.0"):
        where = (*options, "--output_dir", tmp_path / temperature, "--temperature", temperature)
        commands.run(commands.bundle("evaluating", "inference.yaml evaluate.yaml data/folder.yaml", *where))
        scores.append(json.loads((tmp_path / temperature / "scores.json").read_text()))
    assert scores[0]["means"]["dice"] == scores[1]["means"]["dice"]
    assert scores[0]["calibration"] != scores[1]["calibration"] and scores[1]["sampling"]["temperature"] == 3


def test_annotations_of_several_people_give_an_energy_distance_and_do_not_disturb_training(
    commands, demo, weights, training, tmp_path
):
    data = Path(shutil.copytree(demo, tmp_path / "data"))
    masks = sorted((data / "masks").iterdir())
    for name, chosen in (("first", masks), ("second", masks[::2])):
        (data / "annotations" / name).mkdir(parents=True)
        for mask in chosen:
            shutil.copy(mask, data / "annotations" / name)
    options = ("--model_file", weights, "--dataset_dir", data, "--output_dir", tmp_path / "scores", "--samples", "2")
    commands.run(commands.bundle("evaluating", "inference.yaml evaluate.yaml", *options))
    found, summary = rows(tmp_path / "scores"), json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert all(0 <= row["energy_distance"] <= 2 for row in found.values())
    assert summary["means"]["energy_distance"] == pytest.approx(np.mean([r["energy_distance"] for r in found.values()]))
    short = ("--dataset_dir", str(data), "--output_dir", str(tmp_path / "run"), "--epochs", "1", "--prior_epochs", "1")
    assert "diffusion epoch 1/1" in commands.run([*training, *short])
