"""The configs of every bundle: each overlay goes together with what it lies over, and has what MONAI asks for."""

import socket
from copy import deepcopy
from itertools import cycle
from pathlib import Path

import pytest
import torch
import yaml
from ignite import distributed as idist
from monai.bundle import ConfigParser, create_workflow
from monai.data import MetaTensor
from monai.transforms import Compose

from noise2mask.bundles import SHARED, all_bundles, check_harmless
from noise2mask.data.layouts import MASK_VALUES, SHOWN
from noise2mask.data.structures import values_of

from ..conftest import TINY

ROOT = Path(__file__).parents[2]
BUNDLES = [bundle.root for bundle in all_bundles() if bundle.root.is_relative_to(ROOT)]
TRAINING_ALONE = ("joint", "multi_gpu_train", "probe")  # what lies over train.yaml beside it
REFERENCE = "train_reference"  # the first of two trainings
REFERENCE_TINY = {
    "reference_def::width": 4,
    "reference_def::embedding": 8,
    "image_size": [16, 16],
    "smallest_crop": [8, 8],
}
BY_ITSELF = ("ablation", "ratio_study")  # no workflows of MONAI: they start some
OF_NNUNET = ("presets/nnunet", "presets/nnunet_train")  # tests/peers has them, where nnU-Net is
GREY = {  # settings of data overlays, as the demonstration's pictures and masks need them
    "in_channels": 1, "background": [0], "crop_disc": False, "z_score": False,
    "intensity_range": [0, 255], "reader::_target_": "noise2mask.data.reader.GreyReader",
}  # fmt: skip
OF_BUNDLE = {
    "diffusiondci_generation": {"structures": {"lesion": [255]}, "background": [0]},
    "diffusiondci_segmentation": {"structures": {"lesion": [255]}, "background": [0]},
    "pgdiffseg": {},
    "medsegdiff": {**GREY, "foreground": [255]},
    "medsegdiff_v2": {**GREY, "structures": {"lesion": [255]}, "exclusive": True, "spacing": None},
}


def read(root, name):
    return yaml.safe_load((root / "configs" / f"{name}.yaml").read_text())


def named(root, pattern):
    """Configs of a bundle, such as data/folder."""
    return sorted(path.relative_to(root / "configs").with_suffix("").as_posix() for path in root.glob(pattern))


def fits(root, overlay, base):
    """Whether the overlay changes anything of the base, which has every section that it changes a part of."""
    base, overlay = read(root, base), read(root, overlay)
    return bool(set(overlay) & set(base)) and all(key.split("::")[0] in base for key in overlay if "::" in key)


def combinations(root):
    """Every preset and every data overlay over training and evaluation, every other overlay over what it is for."""
    there = [name for name in named(root, "configs/presets/*.yaml") if name not in OF_NNUNET]
    every = [name for name in there if not name.endswith("_train")]
    presets = [name for name in every if not name.endswith("_reference")]
    data, there = cycle(named(root, "configs/data/*.yaml")), named(root, "configs/*.yaml")
    for base in ("train", "inference evaluate"):
        for preset in ["", *presets]:
            if not preset or fits(root, preset, base.split()[0]):
                second = (
                    f"{preset}_train" if base == "train" and (root / f"configs/{preset}_train.yaml").is_file() else ""
                )
                yield f"{base} {next(data)} {preset} {second}"
    yield "inference"
    yield from (f"{REFERENCE} {next(data)} {preset}" for preset in sorted({*every} - {*presets}))
    yield from (f"train {name}" for name in TRAINING_ALONE if name in there)
    over_both = [name for name in there if name.endswith("_study") or name in ("multi_gpu_evaluate", "calibrate")]
    yield from (f"inference evaluate {name}" for name in over_both if name not in BY_ITSELF)
    yield from (f"inference {name}" for name in there if name == "slides")
    generates = "evaluate" in there and "references" in read(root, "inference")
    yield from (f"inference{'' if generates else ' evaluate'} {name}" for name in there if name == "explain")


CASES = [(root, " ".join(names.split())) for root in BUNDLES for names in combinations(root)]


@pytest.fixture
def one_rank(monkeypatch):
    """What torchrun would set."""
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, str(value))
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(some.getsockname()[1]))


def test_every_overlay_is_in_some_combination():
    for root in BUNDLES:
        tried = {name for where, names in CASES if where == root for name in names.split()}
        assert tried == set(named(root, "configs/**/*.yaml")) - {*BY_ITSELF, *OF_NNUNET}


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
def test_training_and_inference_have_the_same_network_and_settings(root):
    train, inference = read(root, "train"), read(root, "inference")
    both = [name for name in SHARED if name in train and name in inference]
    expected = {"image_size", "intensity_range", "noise_schedule", "network_def"}
    of_tiles = {"diffusiondci_generation": {"target"}, "diffusiondci_segmentation": {"timestep"}}
    assert expected | of_tiles.get(root.name, {"target", "axcodes", "variance", "clip"}) <= set(both)
    both = [name for name in both if name not in ("flips", "zooms")]  # of inference.yaml alone: one view
    assert {name: train[name] for name in both} == {name: inference[name] for name in both}
    assert (inference.get("flips", [[]]), inference.get("zooms", [1.0])) == ([[]], [1.0])


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
def test_views_are_those_that_augmentation_has_taught(root):
    """Of every training, also over a preset or data: what inference sees lies within what the network was shown."""
    train = read(root, "train")
    if "augmentation" not in train:
        return
    overlays = [name for folder in ("presets", "data") for name in named(root, f"configs/{folder}/*.yaml")]
    for overlay in [{}, *(read(root, name) for name in overlays)]:
        merged = ConfigParser({**deepcopy(train), **{key: own for key, own in overlay.items() if "::" not in key}})
        for key, own in overlay.items():
            if key.startswith("train::random_transforms"):
                merged[key] = own
        if merged["augmentation"] != "random":
            continue  # then none are written
        assert merged["flips"] == [[]] or merged.get_parsed_content("train::random_transforms::0::prob") > 0
        scale = merged.get_parsed_content("train::random_transforms::1::scale_range")
        taught = min(scale) if isinstance(scale, list) else 0.0  # a single number is of the rows alone
        assert all(1 - taught <= zoom <= 1 + taught for zoom in merged["zooms"])


def test_tiles_are_seen_mirrored_along_the_axes_that_training_mirrors():
    (root,) = (root for root in BUNDLES if root.name == "diffusiondci_segmentation")
    train = read(root, "train")
    mirrored = {own["spatial_axis"] for own in train["train"]["random_transforms"] if own["_target_"] == "RandFlipd"}
    assert train["flip"] > 0 and {axis for axes in train["flips"] for axis in axes} == mirrored


def loaders(value):
    """Every `LoadImaged` of a config."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) and value.get("_target_") == "LoadImaged" else []
    return own + [found for item in inside for found in loaders(item)]


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
def test_masks_are_read_as_masks_wherever_they_are_loaded(root):
    found = [own for name in named(root, "configs/**/*.yaml") for own in loaders(read(root, name))]
    masks = [own for own in found if own["keys"] not in ("image", "reference")]
    assert len(masks) == 2
    assert {own["reader"]["_target_"] for own in masks} == {"noise2mask.data.reader.MaskReader"}


@pytest.mark.parametrize("name", ["medsegdiff", "medsegdiff_v2"])
def test_images_are_asked_for_the_axes_of_the_network_before_they_are_segmented_or_scored(name):
    root = ROOT / "bundles" / name
    asked = [read(root, "inference")["batch"], read(root, "evaluate")["check"]]
    assert [own["spatial_dims"] for own in asked] == ["@spatial_dims"] * 2


@pytest.mark.e2e
@pytest.mark.parametrize(("root", "names"), CASES, ids=lambda value: getattr(value, "name", value))
@pytest.mark.filterwarnings("ignore:parsing config_file")
def test_every_combination_of_configs_has_the_properties_that_monai_asks_for(root, names, demo, tmp_path, one_rank):
    files = [str(root / "configs" / f"{name}.yaml") for name in names.split()]
    tiny = {} if "basic_unet" in names else {key: yaml.safe_load(value) for key, value in TINY[root.name].items()}
    tiny = REFERENCE_TINY if REFERENCE in names else tiny
    untrained = {"input": str(demo / "images"), "network": "$@network_def"}
    if root.name == "diffusiondci_generation":
        untrained |= {"input": str(demo), "references": str(demo), "model_file": str(demo / "manifest.csv")}
    workflow = create_workflow(
        config_file=files,
        workflow_type="train" if names.startswith("train") else "infer",
        bundle_root=str(root),
        dataset_dir=str(demo),
        output_dir=str(tmp_path),
        logging_file=False,
        layout="folder",  # whatever the data overlay reads
        split="folder",
        **OF_BUNDLE[root.name],
        **tiny,
        **({} if names.startswith("train") else untrained),
    )
    try:
        assert workflow.check_properties() == []
    finally:
        workflow.finalize()
        idist.sync()  # or ignite would still think of the process group that is gone


def test_every_overlay_of_masks_of_several_classes_has_the_values_of_its_layout():
    found = {}
    for path in ROOT.glob("bundles/*/configs/data/*.yaml"):
        parser = ConfigParser(yaml.safe_load(path.read_text()))
        if parser["layout"] in MASK_VALUES:
            background = parser.get_parsed_content("background") if "background" in parser else [0]
            structures = parser.get_parsed_content("structures") if "structures" in parser else None
            foreground = values_of(structures) if structures else parser.get_parsed_content("foreground")
            values = (list(foreground), list(background))
            known = tuple(map(list, MASK_VALUES[parser["layout"]]))
            if structures:  # the disc, too, which is background where the cup is segmented
                assert sorted(sum(values, [])) == sorted(sum(known, [])), path
            else:
                assert values == known, path
            assert parser.get("modality", 0) == SHOWN.get(parser["layout"], 0)
            found[parser["layout"]] = known
    assert set(found) == set(MASK_VALUES)


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
def test_what_an_overlay_of_data_sets_may_go_with_weights(root, tmp_path):
    for name in named(root, "configs/data/*.yaml"):
        shared = {key: value for key, value in read(root, name).items() if key in SHARED}
        (tmp_path / "model.yaml").write_text(yaml.safe_dump(shared))
        check_harmless(tmp_path / "model.yaml")


@pytest.mark.parametrize("name", named(ROOT / "bundles/medsegdiff_v2", "configs/data/*.yaml"))
def test_an_overlay_of_data_is_whole_whatever_lies_below_it(name):
    seen = {"structures", "image_size", "z_score", "intensity_range", "translation"}
    assert seen <= set(read(ROOT / "bundles" / "medsegdiff_v2", name))


@pytest.mark.parametrize(("overlay", "expected"), [("folder", 1.0), ("brats2021", 0.0)])
def test_the_best_weights_of_brats_are_not_those_that_find_nothing(overlay, expected):
    configs = ROOT / "bundles" / "medsegdiff" / "configs"
    parser = ConfigParser()
    parser.read_config([str(configs / "train.yaml"), str(configs / "data" / f"{overlay}.yaml")])
    dice = parser.get_parsed_content("validate::key_metric")["dice"].metric_fn
    lesion, nothing = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    dice(nothing, nothing)
    dice(nothing, lesion)
    assert float(dice.aggregate()) == expected / 2


def test_each_modality_of_brats_gets_mean_0_and_deviation_1_over_the_brain_and_3_becomes_1():
    configs = ROOT / "bundles" / "medsegdiff" / "configs"
    parser = ConfigParser()
    parser.read_config([str(configs / "train.yaml"), str(configs / "data" / "brats2021.yaml")])
    parser["image_size"] = [2, 2]
    brain = torch.tensor([[[0.0], [100.0]], [[200.0], [300.0]]])  # one slice; mean 200, deviation sqrt(20000 / 3)
    outlier = torch.tensor([[[0.0], [1.0]], [[1.0], [1.0]]]).repeat(1, 1, 12)
    outlier[0, 0, 0] = 1000.0  # of 37 voxels: at 6 deviations
    channels = torch.stack([brain.expand(2, 2, 12), 5 * brain.expand(2, 2, 12), outlier])
    item = {"image": MetaTensor(channels), "label": MetaTensor(torch.zeros(1, 2, 2, 12))}
    image = Compose(parser.get_parsed_content("train::scaling"))(item)["image"]
    step = 100 / (20000 / 3) ** 0.5 / 3
    assert torch.allclose(image[:2, ..., 0], torch.tensor([[0, -step], [0, step]]).expand(2, 2, 2), atol=1e-5)
    assert image[2].max() == 1 and image[2, 1, 1, 0] == pytest.approx(-1 / 6 / 3, abs=1e-5)
