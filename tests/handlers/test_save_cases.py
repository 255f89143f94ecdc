"""What is kept of a case is what was sampled."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose

from noise2mask.data.structures import label_map
from noise2mask.diffusion.evaluator import UncertaintyEvaluator
from noise2mask.diffusion.fusion import fuse
from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.trace import grey
from noise2mask.explain.case_file import MOST_SLICES, UNLABELLED, case_names, read_case
from noise2mask.handlers.save_cases import SaveCases, placed
from noise2mask.networks.pgdiffseg import PGDiffSeg
from noise2mask.transforms.resize_slices import ResizeSlicesd
from noise2mask.transforms.slice_orientation import SliceOrientation

SIZE = (16, 16)


def evaluated(folder, items, channels=1, samples=2, steps=3, batch_size=2, fusion="mean", **options):
    """Run an evaluation of these items, whose images are brought to 16 x 16."""
    torch.manual_seed(0)
    network = PGDiffSeg(base=8, multipliers=(1, 2), out_channels=channels).eval()
    exclusive = options.get("exclusive", False)
    given = {"steps": steps, "samples": samples, "out_channels": channels, "exclusive": exclusive, "fusion": fusion}
    inferer = EnsembleInferer(NoiseSchedule(), **given)
    data = Dataset(items, Compose([ResizeSlicesd("image", SIZE)]))
    loader = DataLoader(data, batch_size=batch_size)
    folder.mkdir(exist_ok=True)
    (folder / "model.pt").write_bytes(b"weights")
    handlers = [SaveCases(str(folder), str(folder / "model.pt"), **options)]
    evaluator = UncertaintyEvaluator(torch.device("cpu"), loader, network, inferer=inferer, val_handlers=handlers)
    evaluator.run()
    return network, inferer, data


def item(name="a.png", shape=(32, 24), channels=1, labelled=True):
    """An image with a label of its own size: class 1 on the left half, of exclusive ones nothing in the last row."""
    image = MetaTensor(torch.rand(1, *shape) * 2 - 1, meta={"filename_or_obj": name})
    label = torch.zeros(channels, *shape)
    label[-1, :, : shape[1] // 2] = 1
    if channels > 1:
        label[0, :, shape[1] // 2 :] = 1
        label[:, -2:] = 0
    meta = {"filename_or_obj": name}
    return {"image": image} | ({"label": MetaTensor(label, meta=meta)} if labelled else {})


def test_samples_and_maps_are_those_that_the_inferer_gives(tmp_path):
    network, inferer, data = evaluated(tmp_path, [item("a.png"), item("b.png")])
    samples = inferer.sample(data[1]["image"].as_tensor()[None], network)  # (1, 2, 1, 16, 16)
    case = read_case(tmp_path / "cases" / "b.npz")
    assert np.array_equal(case.samples, (samples[0, :, 0] > 0.5).numpy())
    difference = case.probability.astype(int) - grey(2 * fuse(samples)[0, 0] - 1).numpy()
    assert np.abs(difference).max() <= 1  # a batch of one rounds otherwise
    assert case.facts["image"] == "b.png" and case.facts["structures"] == [] and case.facts["slices"] is None
    assert case.timesteps.tolist() == inferer.timesteps and case.noisy.shape == case.clean.shape == (3, *SIZE)


def test_the_label_is_brought_to_the_image_s_size_and_may_be_missing(tmp_path):
    evaluated(tmp_path, [item("a.png"), item("b.png", labelled=False)], batch_size=1)
    label = read_case(tmp_path / "cases" / "a.npz").label
    assert label.shape == SIZE and (label[:, :8] == 1).all() and not label[:, 8:].any()
    assert read_case(tmp_path / "cases" / "b.npz").label is None


def test_of_exclusive_classes_what_has_none_is_unlabelled(tmp_path):
    evaluated(tmp_path, [item(channels=2)], channels=2, structures=["tumour"], exclusive=True)
    case = read_case(tmp_path / "cases" / "a.npz")
    assert (case.label[-1] == UNLABELLED).all() and (case.label[:-2, :8] == 1).all() and not case.label[:-2, 8:].any()
    assert case.facts["structures"] == ["tumour"] and set(np.unique(case.samples)) <= {0, 1}


def test_of_a_long_volume_some_slices_are_kept(tmp_path):
    evaluated(tmp_path, [item("v.nii.gz", (20, 18, 40))], samples=1, steps=1)
    case = read_case(tmp_path / "cases" / "v.npz")
    assert case.facts["slices"][0] == 0 and case.facts["slices"][-1] == 39 and len(case.facts["slices"]) == MOST_SLICES
    assert case.image.shape == (1, *SIZE, MOST_SLICES) and case.clean.shape == case.noisy.shape == (
        1,
        *SIZE,
        MOST_SLICES,
    )


def test_slices_have_the_numbers_and_the_axis_of_the_file_however_it_is_stored():
    for codes, expected in (("RAS", [0, 2, 4]), ("LPI", [4, 2, 0]), ("SRA", [0, 2, 4]), ("AIR", [4, 2, 0])):
        affine = np.linalg.inv(nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(codes), [5, 5, 5]))
        axis = next(k for k, code in enumerate(nib.aff2axcodes(affine)) if code in "SI")
        assert "".join(nib.aff2axcodes(affine)) == codes
        meta = {"original_affine": affine, "filename_or_obj": "v.nii"}
        turned = SliceOrientation("PLS")(MetaTensor(torch.zeros(1, 5, 5, 5), affine=affine, meta=meta))
        facts = placed(turned, [0, 2, 4])
        assert (facts["slices"], facts["axis"], facts["axcodes"]) == (expected, axis, "PLS")


def test_equal_names_in_several_folders_have_cases_of_their_own(tmp_path):
    evaluated(tmp_path, [item("p0/scan.png"), item("p1/scan.png"), item("p1/other.png")], batch_size=1)
    found = {read_case(path).facts["image"]: path.stem for path in (tmp_path / "cases").iterdir()}
    assert set(found) == {"p0/scan.png", "p1/scan.png", "p1/other.png"} and found["p1/other.png"] == "other"
    assert found == case_names(list(found)) and found["p0/scan.png"] != found["p1/scan.png"]


@pytest.mark.parametrize("fusion", ["majority", "staple"])
def test_the_mask_is_the_fused_one_of_structures_that_overlap_too(tmp_path, fusion):
    network, inferer, data = evaluated(
        tmp_path, [item(channels=2)], channels=2, structures=["disc", "cup"], fusion=fusion
    )
    samples = inferer.sample(data[0]["image"].as_tensor()[None], network)
    hard = fuse(samples, fusion)[0] > 0.5  # (2, 16, 16)
    case = read_case(tmp_path / "cases" / "a.npz")
    assert np.array_equal(case.mask, label_map(hard).numpy()) and not (case.label == UNLABELLED).any()


@pytest.mark.parametrize("batch_size", [1, 2])
def test_every_image_of_a_batch_has_its_own_way(tmp_path, batch_size):
    torch.manual_seed(3)
    items = [item(f"{name}.png") for name in "ab"]
    evaluated(tmp_path / "both", items, batch_size=batch_size)
    evaluated(tmp_path / "alone", items[1:])
    both, alone = (read_case(tmp_path / where / "cases" / "b.npz") for where in ("both", "alone"))
    assert np.abs(both.clean.astype(int) - alone.clean).max() <= 1 and np.array_equal(both.image, alone.image)
