"""A package is one folder that runs with MONAI alone, and meets what the model zoo and MONAI's loaders ask for.

Of the model zoo's eight checks, 7 and 8 do not fit a diffusion network: they call `network_def(image)` and want
TorchScript of it. Instead the inferer is run on the shapes that metadata.json names.
"""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import reduce
from operator import getitem
from pathlib import Path

import jsonschema
import pytest
import torch
import yaml
from monai.bundle import ConfigParser

import noise2mask
from noise2mask.bundles import all_bundles
from noise2mask.package_bundle import main, package_bundle
from noise2mask.terms import restriction

ROOT = Path(__file__).parents[1]
PGDIFFSEG = ROOT / "bundles" / "pgdiffseg"
LESION = {  # as the data here have it
    "medsegdiff_v2": {"structures": {"lesion": [1, 255]}, "z_score": False, "intensity_range": [0, 255]},
    "diffusiondci_generation": {"structures": {"lesion": [1, 255]}},
    "diffusiondci_segmentation": {"structures": {"lesion": [1, 255]}},
}
NETWORKS = {  # quick ones
    "pgdiffseg": {"network_def::multipliers": [1, 2]},
    "medsegdiff": {"network_def::base": 4, "network_def::blocks": [1, 1, 1, 1]},
    "diffusiondci_generation": {
        "network_def::multipliers": [1, 2, 2],
        "network_def::spade_hidden": 4,
    },
    "diffusiondci_segmentation": {
        "network_def::dsdm::multipliers": [1, 2, 2],
        "network_def::dsdm::spade_hidden": 4,
    },
    "medsegdiff_v2": {"network_def::multipliers": [1, 2], "network_def::former_blocks": 1},
}
SAMPLING = {"image_size": [16, 32], "samples": 2}
STEPS = {"steps": 2}  # of those that sample a diffusion
BUNDLES = [bundle.root for bundle in all_bundles() if bundle.root.is_relative_to(ROOT)]
USE = """
import json, sys, monai, torch
from monai.bundle import create_workflow, load, load_bundle_config
folder, name, zipped, data = sys.argv[1:]
network = load(name, bundle_dir=folder, source="github", device="cpu")
config = load_bundle_config(f"{folder}/{name}", "inference.json")
inferer = config.get_parsed_content("inferer")
outputs = {}
for n in (1, 2):
    formats = config["_meta_"]["network_data_format"]
    image = formats["inputs"]["image"]
    shape = [24 * n + 1 if size == "*" else eval(size, {"n": n}) for size in image["spatial_shape"]]
    given = {name: torch.rand(1, own["num_channels"], *shape) * 2 - 1 for name, own in formats["inputs"].items()}
    pred = inferer(inputs=given.pop("image"), network=network.eval(), **given)
    expected = [1, formats["outputs"]["pred"]["num_channels"]]
    sizes = zip(shape, formats["outputs"]["pred"]["spatial_shape"])
    expected += [own if size == "*" else eval(size, {"n": n}) for own, size in sizes]
    outputs[n] = [list(pred.shape), expected, str(pred.dtype), float(pred.min()), float(pred.max())]
missing = [
    create_workflow(
        config_file=f"{folder}/{name}/configs/{kind}.json",
        workflow_type=kind,
        bundle_root=f"{folder}/{name}",
        dataset_dir=data,
        **options,
    ).check_properties()
    for kind, options in (("train", {}), ("inference", {"input": data if "references" in config else f"{data}/images"}))
]
print("RESULT" + json.dumps({
    "network": type(network).__module__,
    "zip": load_bundle_config(zipped, "inference.json")["image_size"],
    "parameters": sum(float(p.double().sum()) for p in network.parameters()),
    "missing": missing,
    "outputs": outputs,
    "ours": sorted(name for name in sys.modules if name.partition(".")[0] == "noise2mask"),
}))
"""


def sampling(name):
    return SAMPLING | ({} if name == "diffusiondci_segmentation" else STEPS)


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda root: root.name)
def bundle(request):
    return request.param


@pytest.fixture(scope="module")
def overlay(bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("overlay") / "tiny.yaml"
    path.write_text(yaml.safe_dump(NETWORKS[bundle.name] | sampling(bundle.name) | LESION.get(bundle.name, {})))
    return path


@pytest.fixture(scope="module")
def model_file(bundle, overlay):
    """Random weights that fit the bundle with the overlay."""
    config = ConfigParser()
    config.read_config([bundle / "configs" / "inference.yaml", overlay])
    torch.manual_seed(9)  # not that of the training, which would begin with the same numbers
    network = config.get_parsed_content("network_def")
    for weight in (weight for weight in network.parameters() if not weight.any()):
        torch.nn.init.normal_(weight, std=0.1)  # else a last layer of zeros answers the same everywhere
    path = overlay.with_name("model.pt")
    torch.save({"model": network.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def archive(bundle, overlay, model_file):
    return package_bundle(bundle, overlay.with_name("dist"), model_file, [overlay])


@pytest.fixture(scope="module")
def package(archive, bundle):
    return unpack(archive, archive.parent, bundle.name)


def unpack(archive, folder, name):
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    return folder / name


def read(package, name):
    return json.loads((package / "configs" / f"{name}.json").read_text())


def read_yaml(path):
    return yaml.safe_load(path.read_text())


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


# What is in it


def test_the_zip_holds_one_folder_of_the_bundles_name(archive, bundle):
    with zipfile.ZipFile(archive) as content:
        assert {name.split("/")[0] for name in content.namelist()} == {bundle.name}
    assert archive.name == f"{bundle.name}_v{noise2mask.__version__}.zip"


def test_scores_of_the_bundles_own_weights_do_not_go_with_others(package, tmp_path):
    assert "eval_metrics" not in read(package, "metadata")
    bundle = next(root for root in BUNDLES if root.name == "medsegdiff_v2")
    own = unpack(package_bundle(bundle, tmp_path), tmp_path, bundle.name)
    assert (
        read(own, "metadata")["eval_metrics"]
        == json.loads((bundle / "configs" / "metadata.json").read_text())["eval_metrics"]
    )


def test_what_the_weights_segment_is_named_as_in_the_metadata_and_else_by_the_settings(tmp_path):
    (tmp_path / "cup.yaml").write_text("structure: optic cup\n")
    for overlays, name in (([], "nodule"), ([tmp_path / "cup.yaml"], "optic cup")):
        archive = package_bundle(ROOT / "bundles" / "medsegdiff", tmp_path / name, overlays=overlays)
        formats = read(unpack(archive, tmp_path / name, "medsegdiff"), "metadata")["network_data_format"]
        masks = formats["outputs"]["pred"]
        assert masks["channel_def"] == {"0": "background", "1": name} and masks["num_channels"] == 1


def test_weights_that_ship_beside_a_bundles_own_have_a_name_of_their_own(tmp_path):
    bundle = next(root for root in BUNDLES if root.name == "medsegdiff_v2")
    archive = package_bundle(bundle, tmp_path, bundle / "models" / "volumes.pt")
    assert archive.name == f"medsegdiff_v2_volumes_v{noise2mask.__version__}.zip"
    package = unpack(archive, tmp_path, "medsegdiff_v2_volumes")
    assert read(package, "inference")["spatial_dims"] == 3 and (package / "models" / "model.pt").is_file()
    assert read(package, "train")["batch_size"] == 1  # volumes of different depth do not fit in one


def test_weights_for_other_images_say_so_in_the_metadata_and_in_their_terms(tmp_path):
    bundle = next(root for root in BUNDLES if root.name == "medsegdiff_v2")
    package = unpack(
        package_bundle(bundle, tmp_path, bundle / "models" / "fundus.pt"), tmp_path, "medsegdiff_v2_fundus"
    )
    metadata, own = read(package, "metadata"), json.loads((bundle / "configs" / "metadata.json").read_text())
    formats = metadata["network_data_format"]
    image, masks = formats["inputs"]["image"], formats["outputs"]["pred"]
    assert (image["num_channels"], image["modality"]) == (3, "fundus photograph") and "other_weights" not in metadata
    assert masks["channel_def"] == {"0": "background", "1": "disc", "2": "cup"} and masks["num_channels"] == 2
    assert "Drishti" in metadata["data_source"] and "Drishti" not in own["data_source"]
    assert restriction(package / "models" / "model.pt").startswith("Research use")
    assert image["num_channels"] == read(package, "inference")["in_channels"]


def test_configs_are_json_and_all_that_can_run_are_there(package, bundle):
    names = {path.stem for path in (bundle / "configs").glob("*.yaml")} | {"metadata"}
    assert {path.stem for path in package.glob("configs/*.json")} == names - {"ablation", "train_reference", "slides"}
    assert not [*package.rglob("*.yaml"), *package.rglob("*.yml")]


def test_weights_are_a_bare_state_dict(package, model_file):
    bare, nested = (torch.load(path, weights_only=True) for path in (package / "models" / "model.pt", model_file))
    assert list(bare) == list(nested["model"])
    assert all(torch.equal(bare[name], nested["model"][name]) for name in bare)


def test_every_name_of_ours_is_found_in_the_package(package):
    texts = [text for path in package.glob("configs/*.json") for text in strings(json.loads(path.read_text()))]
    ours = {text for text in texts if "noise2mask." in text}
    assert len(ours) > 10
    for text in ours:
        *module, name = text.split(".")
        assert module[:2] == ["scripts", "noise2mask"]
        assert re.search(
            rf"^(def|class) {name}\b", package.joinpath(*module).with_suffix(".py").read_text("utf-8"), re.M
        )


def test_equal_content_gives_equal_bytes(archive, bundle, overlay, model_file, tmp_path):
    assert package_bundle(bundle, tmp_path, model_file, [overlay]).read_bytes() == archive.read_bytes()


def test_hashes_are_those_of_all_files(archive):
    with zipfile.ZipFile(archive) as file:
        contents = {name.split("/", 1)[1]: file.read(name) for name in file.namelist() if not name.endswith("/")}
    lines = contents.pop("SHA256SUMS").decode().splitlines()
    sums = {name: number for number, name in (line.split("  ") for line in lines)}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def test_metadata_requires_every_package_that_is_imported(package):
    found = {"ignite": "pytorch-ignite", "PIL": "pillow", "yaml": "pyyaml"}
    required = {"monai", "torch", "numpy", *read(package, "metadata")["required_packages_version"]}
    for path in package.rglob("*.py"):
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))) - sys.stdlib_module_names:
            assert found.get(name, name) in required, f"{path} imports {name}"
    assert {"fire", "tensorboard"} <= required  # the first for `python -m monai.bundle`, the second for its handlers


def imported(tree):
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    return {name.partition(".")[0] for name in names}


# Overlays


def test_overlays_are_baked_into_every_config_that_has_the_key(package, bundle):
    train, inference = read(package, "train"), read(package, "inference")
    assert train["image_size"] == inference["image_size"] == [16, 32]
    for key, value in NETWORKS[bundle.name].items():
        path = key.split("::")
        assert reduce(getitem, path, train) == reduce(getitem, path, inference) == value
    assert inference["samples"] == 2 and "samples" not in train
    assert not [key for key in (*train, *inference) if "::" in key]


def test_data_lies_below_what_the_training_wrote_and_the_user_s_choice_above(tmp_path):
    config = ConfigParser()
    config.read_config([PGDIFFSEG / "configs" / "train.yaml"])
    torch.save(config.get_parsed_content("network_def").state_dict(), tmp_path / "model.pt")
    (tmp_path / "model.yaml").write_text("intensity_range: [1, 2]\nflips: [[], [1]]\nsteps: 7\n")
    (tmp_path / "own.yaml").write_text("flips: [[]]\n")
    overlays = [tmp_path / "own.yaml", PGDIFFSEG / "configs" / "data" / "busi.yaml"]
    with zipfile.ZipFile(package_bundle(PGDIFFSEG, tmp_path / "dist", tmp_path / "model.pt", overlays)) as archive:
        found = json.loads(archive.read("pgdiffseg/configs/inference.json"))
    assert (found["intensity_range"], found["flips"], found["steps"]) == ([1, 2], [[]], 7)


@pytest.mark.parametrize(("epochs", "prior_epochs", "interval"), [(50, 10, 5), (1, 1, 1)])
def test_epochs_follow_the_one_number_that_monai_label_sets(package, epochs, prior_epochs, interval):
    config = ConfigParser(read(package, "train"))
    config["train"]["trainer"]["max_epochs"] = epochs
    assert config.get_parsed_content("val_interval") == interval
    if "prior" in config:  # the first of two phases
        assert config.get_parsed_content("prior::trainer::max_epochs") == prior_epochs


@pytest.mark.parametrize(
    "key", ["image_sise", "trian::trainer::max_epochs", "train::traner::max_epochs", "+image_sise"]
)
def test_an_overlay_that_sets_what_is_not_there_is_refused(key, bundle, model_file, tmp_path):
    (tmp_path / "wrong.yaml").write_text(f"{key}: 3\n")
    with pytest.raises(ValueError, match=r"wrong\.yaml sets .*correct the name"):
        package_bundle(bundle, tmp_path / "dist", model_file, [tmp_path / "wrong.yaml"])
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("medsegdiff", "refuge2_cup", {"foreground": None, "background": [], "disc": None}),
        ("medsegdiff", "ddti", {"foreground": None, "background": [], "disc": None}),
        ("medsegdiff_v2", "refuge2", {"structures": {"disc": [1, 2], "cup": [2]}, "background": [0], "disc": None}),
        ("medsegdiff_v2", "tnmix", {"structures": {"nodule": [1, 255]}, "background": [0]}),
    ],
)
def test_masks_have_the_values_that_annotators_save_whatever_the_data_set_s_files_hold(name, data, expected, tmp_path):
    root = ROOT / "bundles" / name
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(NETWORKS[name] | sampling(name)))
    overlays, config = [root / "configs" / "data" / f"{data}.yaml", tmp_path / "tiny.yaml"], ConfigParser()
    config.read_config([root / "configs" / "inference.yaml", tmp_path / "tiny.yaml"])
    config.update({key: value for key, value in read_yaml(overlays[0]).items() if key in config})
    torch.save(config.get_parsed_content("network_def").state_dict(), tmp_path / "model.pt")
    package = unpack(package_bundle(root, tmp_path / "dist", tmp_path / "model.pt", overlays), tmp_path, name)
    found = [read(package, config) for config in ("train", "evaluate", "inference")]
    for key, value in expected.items():
        assert all(one[key] == value for one in found if key in one) and key in found[0]


@pytest.mark.parametrize("names", [["joint"], ["presets/basic_unet", "presets/basic_unet_train"]])
def test_an_overlay_that_trains_in_another_way_leaves_inference_alone(names, tmp_path):
    files, config = [PGDIFFSEG / "configs" / f"{name}.yaml" for name in names], ConfigParser()
    config.read_config([PGDIFFSEG / "configs" / "train.yaml", *files])
    torch.save(config.get_parsed_content("network_def").state_dict(), tmp_path / "model.pt")
    with zipfile.ZipFile(package_bundle(PGDIFFSEG, tmp_path / "dist", tmp_path / "model.pt", files)) as archive:
        train, inference = (json.loads(archive.read(f"pgdiffseg/configs/{n}.json")) for n in ("train", "inference"))
    assert inference["run"] == ["$@evaluator.run()"] and train["run"] == ["@start_from", "@run_in_one_phase"]


# What is refused


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_weights_that_run_code_are_refused_and_not_run(tmp_path):
    torch.save({"model": Evil(str(tmp_path / "harm"))}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="evil.pt is no readable checkpoint of plain tensors"):
        package_bundle(PGDIFFSEG, tmp_path / "dist", tmp_path / "evil.pt")
    assert not (tmp_path / "harm").exists() and not (tmp_path / "dist").exists()


def test_settings_that_run_code_or_were_changed_after_publishing_are_refused_and_not_run(tmp_path):
    for name in ("model.pt", "model.yaml"):
        shutil.copy(PGDIFFSEG / "models" / name, tmp_path)
    evil = (tmp_path / "model.yaml").read_text() + f"phase: \"$__import__('os').mkdir('{tmp_path}/harm')\"\n"
    (tmp_path / "model.yaml").write_text(evil)
    with pytest.raises(ValueError, match=r"model.yaml holds .*expected settings alone: do not use these weights"):
        package_bundle(PGDIFFSEG, tmp_path / "dist", tmp_path / "model.pt")
    shutil.copy(PGDIFFSEG / "models" / "SHA256SUMS", tmp_path)
    with pytest.raises(ValueError, match="model.yaml is not the file that .*SHA256SUMS lists"):
        package_bundle(PGDIFFSEG, tmp_path / "dist", tmp_path / "model.pt")
    assert not (tmp_path / "harm").exists() and not (tmp_path / "dist").exists()


def test_weights_that_do_not_fit_the_config_are_refused(bundle, model_file, tmp_path):
    with pytest.raises(ValueError, match="model.pt does not fit the network.*is missing"):
        package_bundle(bundle, tmp_path / "dist", model_file)  # without the overlay
    assert not (tmp_path / "dist").exists()


def test_missing_weights_are_named_by_the_command_line(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(PGDIFFSEG), "--output", str(tmp_path), "--weights", str(tmp_path / "none.pt")])
    assert f"{tmp_path / 'none.pt'} does not exist" in capsys.readouterr().err


def test_a_folder_that_is_no_bundle_is_refused(tmp_path, model_file):
    with pytest.raises(ValueError, match="is no bundle"):
        package_bundle(tmp_path, tmp_path / "dist", model_file)


# The model zoo's rules


def test_the_zoos_files_are_there_and_small(package):
    for name in ("LICENSE", "configs/metadata.json", "configs/inference.json", "models/model.pt", "docs/README.md"):
        assert (package / name).stat().st_size > 0
    assert max(path.stat().st_size for path in package.rglob("*") if path.is_file()) <= 25e6


def test_pages_and_pictures_that_the_card_shows_are_there(package):
    pages = {path: path.read_text(encoding="utf-8") for path in (package / "docs").glob("*.md")}
    links = [(path.parent, link) for path, text in pages.items() for link in re.findall(r"\]\((\w[\w/]*\.\w+)", text)]
    assert pages and all((folder / link).is_file() for folder, link in links)


def test_the_version_stands_in_the_changelog(package):
    metadata = read(package, "metadata")
    assert metadata["version"] in metadata["changelog"]
    assert "supported_apps" not in metadata


def test_metadata_is_what_the_schema_asks_for(package):
    metadata = read(package, "metadata")
    required = "schema version changelog monai_version pytorch_version numpy_version task description authors copyright"
    assert not set(required.split()) - set(metadata)
    assert next(iter(metadata["network_data_format"]["inputs"])) == "image"
    assert next(iter(metadata["network_data_format"]["outputs"])) == "pred"
    if "NOISE2MASK_SCHEMA" in os.environ:  # the file that metadata["schema"] names
        jsonschema.validate(metadata, json.loads(Path(os.environ["NOISE2MASK_SCHEMA"]).read_text()))


# Where this project is not on the path


def python(*arguments, package, folder):
    """A Python command from another folder, with the package's folder alone on PYTHONPATH; what it printed."""
    where = {"PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | where, cwd=folder, text=True, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def used(package, archive, demo, tmp_path_factory):
    """What MONAI's loaders and the inferer make of the package."""
    folder = tmp_path_factory.mktemp("elsewhere")
    zipped = folder / f"{package.name}.zip"  # load_bundle_config takes the folder's name inside from the file's
    zipped.write_bytes(archive.read_bytes())
    lines = python("-c", USE, package.parent, package.name, zipped, demo, package=package, folder=folder)
    return json.loads(lines.rpartition("RESULT")[2])


@pytest.mark.e2e
def test_monais_loaders_take_the_package_with_its_own_code(used, bundle, model_file):
    state = torch.load(model_file, weights_only=True)["model"]
    tensors = [value for name, value in state.items() if not name.endswith(("running_mean", "running_var", "tracked"))]
    modules = {"diffusiondci_generation": "dsdm_with_reference", "diffusiondci_segmentation": "dci_segmenter"}
    module = modules.get(bundle.name, bundle.name)
    assert used["network"] == f"scripts.noise2mask.networks.{module}" and used["ours"] == []
    assert used["parameters"] == pytest.approx(sum(float(value.double().sum()) for value in tensors), abs=1e-6)
    assert used["zip"] == [16, 32]


@pytest.mark.e2e
def test_configs_have_the_properties_of_their_workflow(used):
    assert used["missing"] == [[], []]


@pytest.mark.e2e
def test_the_inferer_keeps_metadatas_shapes(used):
    for shape, expected, dtype, smallest, largest in used["outputs"].values():
        assert shape == expected and dtype == "torch.float32"
        assert 0 <= smallest < largest <= 1


@pytest.mark.e2e
def test_the_package_trains_from_its_weights_evaluates_and_infers(
    archive, bundle, commands, demo, model_file, tmp_path
):
    package = unpack(archive, tmp_path, bundle.name)

    def run(name, configs, *options):
        files = [str(package / "configs" / f"{config}.json") for config in configs.split()]
        where = ("--bundle_root", package, "--config_file", files, "--dataset_dir", demo)
        commands.run(["-m", "monai.bundle", "run", name, *map(str, (*where, *options))])

    run("training", "train", "--train::trainer::max_epochs", 1)
    old = torch.load(model_file, weights_only=True)["model"]
    new = torch.load(package / "models" / "model.pt", weights_only=True)
    trained = [name for name in old if not name.startswith(("reference_encoder.", "dsdm."))]  # these are frozen
    largest = max(trained, key=lambda name: old[name].numel())
    assert not torch.equal(old[largest], new[largest])
    assert torch.cosine_similarity(old[largest].flatten(), new[largest].flatten(), dim=0) > 0.9
    if "reference_encoder.project.weight" in old:
        run("inferring", "inference", "--section", "testing", "--output_dir", tmp_path / "images")
        assert len([*(tmp_path / "images" / "images").iterdir()]) == 2 * 3
        return
    run("evaluating", "inference evaluate", "--output_dir", tmp_path / "scores")
    assert json.loads((tmp_path / "scores" / "scores.json").read_text())["counts"]["images"] == 3
    run("inferring", "inference", "--input", demo / "images" / "benign_001.png", "--output_dir", tmp_path / "masks")
    assert (tmp_path / "masks" / "benign_001_mask.png").exists()
