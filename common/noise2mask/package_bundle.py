"""Packs a bundle folder into a zip that runs without this project being installed.

    python -m noise2mask.package_bundle bundles/pgdiffseg --weights runs/model.pt --output dist

The zip holds one folder of the bundle's name, with that of weights that ship beside its own (`medsegdiff_v2_volumes`):
configs as JSON with overlays baked in (`monai.bundle.load` reads nothing else), this package as `scripts/noise2mask/`
(MONAI Label unloads only what is called scripts), weights, card, licence and SHA256SUMS.
"""

import argparse
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ReferenceResolver
from monai.bundle.utils import merge_kv

from .bundles import check_harmless, segmented, settings_file
from .data.structures import structures_of_label_maps
from .digest import check_published
from .files import atomic_file
from .networks.weights import PACKAGED, load_weights
from .terms import LICENSE, terms_of

PACKAGE = Path(__file__).parent
# What needs packages that a server has not, or has in other versions
STAYS = {
    "cli",
    "clinical",
    "report",
    "data/tiles.py",
    "data/whole_slide.py",
    "data/slide_pyramid.py",
    "diffusion/slide_segmenter.py",
    "networks/nnunet.py",
    "studies/nnunet_data.py",
    "studies/nnunet_trainer.py",
    "studies/nnunet_training.py",
}
# The first trains over files of data/ and presets/, which a package has not; what the second trains is in the weights.
CONFIGS_STAY = {"ablation", "train_reference", "slides"}

# What differs in a package, where MONAI Label trains and infers. A training starts from the package's weights (without
# them, from scratch), puts the best ones in their place for inference to read, and runs in a folder of its own, because
# the labels have changed since the last one.
DIFFERENCES: dict[str, dict[str, Any]] = {
    "train": {
        "imports": ["$import datetime", "$import pathlib"],
        "model_file": "$@bundle_root + '/models/model.pt'",
        "output_dir": "$@bundle_root + '/runs/' + datetime.datetime.now().strftime('train_%Y%m%d_%H%M%S')",
        "start_from": {
            "_target_": "noise2mask.networks.weights.load_weights",
            "_disabled_": "$not pathlib.Path(@model_file).exists()",
            "network": "@network_def",
            "path": "@model_file",
        },
        # MONAI Label would load the weights once more between the phases, over the prior just trained, did it not find
        # a loader here already.
        "+train::handlers": [{"_target_": "CheckpointLoader", "_disabled_": True}],
    },
    "inference": {"progress": False},
}


# Networks that are not packed, and why.
UNPACKED = {
    "NNUNet": "nnU-Net, which packages do without",
    "NetworkEnsemble": "several networks, which MONAI Label could not train on",
}

# What loads a network that was trained before, and the setting that names its file.
FIRST_STAGES = {"take_reference": "reference_file", "take_generator": "generator_file"}

# Values of masks: in an overlay those of a data set's files, in a package those that annotators save, as binary masks
# or numbers of structures. 0 is what has no name.
OF_BINARY_MASKS: dict[str, Any] = {"foreground": None, "background": [], "disc": None}
OF_LABEL_MAPS: dict[str, Any] = {"background": [0], "disc": None}


def package_bundle(bundle: Path, output: Path, weights: Path | None = None, overlays: Sequence[Path] = ()) -> Path:
    """Write `<output>/<name>_v<version>.zip`, of weights that stand beside the bundle's own `<name>_<weights>_v...`.

    Args:
        bundle:   a folder of `bundles/`.
        output:   folder of the zip, made where it is missing.
        weights:  a `model.pt`; None takes the bundle's own. If `model.yaml` stands beside it, it is baked in.
        overlays: configs to bake in, such as configs/data/busi.yaml.

    Returns:
        The zip's path.

    Raises:
        ValueError: where the bundle has no metadata or weights, the weights are no plain tensors or do not fit the
            config, what stands beside them would run code, or an overlay sets something that no config of the bundle
            has.
    """
    metadata_file = bundle / "configs" / "metadata.json"
    if not metadata_file.exists():
        raise ValueError(f"{bundle} is no bundle: {metadata_file} is missing.")
    weights = bundle / PACKAGED if weights is None else weights
    files = dict(_all_files(bundle, weights, _with_settings(overlays, settings_file(weights))))
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    files["SHA256SUMS"] = sums.encode()
    name, version = _name_of(bundle, weights), json.loads(metadata_file.read_text())["version"]
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{name}_v{version}.zip"
    _write_zip(path, name, files)
    return path


def _with_settings(overlays: Sequence[Path], settings: Path) -> list[Path]:
    """The training's settings, if it kept any, above those of data sets and below all others.

    Raises:
        ValueError: where they are not those that were published with the weights, or would run code.
    """
    if settings.is_file():
        check_published(settings)
        check_harmless(settings)
    data = [path for path in overlays if path.parent.name == "data"]
    return [*data, *([settings] if settings.is_file() else []), *(path for path in overlays if path not in data)]


def _name_of(bundle: Path, weights: Path) -> str:
    """Of the folder in the zip, which is the model to MONAI Label."""
    return bundle.resolve().name + (f"_{weights.stem}" if _are_beside(weights, bundle) else "")


def _are_beside(weights: Path, bundle: Path) -> bool:
    """Whether they are others that ship with it."""
    return not _are_own(weights, bundle) and weights.resolve().parent == (bundle / PACKAGED).resolve().parent


def _are_own(weights: Path, bundle: Path) -> bool:
    return weights.resolve() == (bundle / PACKAGED).resolve()


def _all_files(bundle: Path, weights: Path, overlays: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Name inside the bundle's folder -> content."""
    configs = _baked(bundle, overlays)
    yield PACKAGED, _bare_weights(weights, configs["inference"])
    for name, config in configs.items():
        yield f"configs/{name}.json", json.dumps(_vendored(config), indent=4).encode()
    metadata = _metadata(bundle, weights, configs["inference"])
    yield "configs/metadata.json", json.dumps(metadata, indent=4).encode()
    shown = [*(bundle / "docs").glob("trials.md"), *(bundle / "docs").rglob("*.png")]  # what the card links to
    names = sorted(path.relative_to(bundle).as_posix() for path in shown)
    for name in ("configs/logging.conf", "LICENSE", "docs/README.md", "docs/data_license.txt", *names):
        yield name, (bundle / name).read_bytes()
    if (terms := terms_of(weights)).is_file():  # of these weights: the user's own have terms of their own
        yield f"models/{LICENSE}", terms.read_bytes()
    yield "scripts/__init__.py", b""
    for source in sorted(PACKAGE.rglob("*.py")):
        relative = source.relative_to(PACKAGE)
        if not {relative.parts[0], relative.as_posix()} & STAYS:
            yield f"scripts/{PACKAGE.name}/{relative.as_posix()}", source.read_bytes()


def _metadata(bundle: Path, weights: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The bundle's, with what it says of these weights, and as labels, which MONAI Label shows, what they segment."""
    metadata: dict[str, Any] = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    others, formats = metadata.pop("other_weights", {}), metadata["network_data_format"]
    if not _are_own(weights, bundle):
        metadata.pop("eval_metrics", None)  # those of other weights
    if _are_beside(weights, bundle) and weights.stem in others:
        metadata |= others[weights.stem]
        formats["inputs"]["image"] |= metadata.pop("image", {})
    masks = formats["inputs"]["image"] if "references" in config else formats["outputs"]["pred"]
    names = ["background", *segmented(config)]
    masks["channel_def"] = {str(number): name for number, name in enumerate(names)}
    masks["num_channels"] = len(names) - (not config.get("exclusive", "structures" in config))
    return metadata


def _bare_weights(path: Path, config: Mapping[str, Any]) -> bytes:
    """The weights, shown to fit, as a bare state dict.

    Loaders at the user's would not complain: MONAI Label loads whatever fits, and `monai.bundle.load` does not look
    under "model" unless told to.
    """
    target = str(config["network_def"]["_target_"]).rsplit(".", 1)[1]
    if target in UNPACKED:
        raise ValueError(f"{path} is of {UNPACKED[target]}: give weights of the bundle's network.")
    network = ConfigParser(deepcopy(config)).get_parsed_content("network_def")
    content = io.BytesIO()
    torch.save(load_weights(network, path).state_dict(), content)
    return content.getvalue()


def _baked(bundle: Path, overlays: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Every config of the bundle's `configs/` that can run there, with what each overlay has to say to it."""
    paths = sorted(path for path in (bundle / "configs").glob("*.yaml") if path.stem not in CONFIGS_STAY)
    configs = {path.stem: ConfigParser(ConfigParser.load_config_file(path)) for path in paths}
    for overlay in overlays:
        for key, value in ConfigParser.load_config_file(overlay).items():
            _merge(configs.values(), key, value, overlay)
    several = "structures" in configs["train"]
    for config in configs.values():
        _take_annotations(config, OF_LABEL_MAPS if several else OF_BINARY_MASKS)
    for name, changes in DIFFERENCES.items():
        for key, value in changes.items():
            merge_kv(configs[name], key, deepcopy(value))
    for step, file in FIRST_STAGES.items():
        if configs["train"].get(step):  # it comes with the weights
            configs["train"][file] = None
            configs["train"][step]["_disabled_"] = "$pathlib.Path(@model_file).exists()"
    if configs["train"].get("spatial_dims") == 3 and configs["train"].get("slices") is None:
        configs["train"]["batch_size"] = 1  # annotators' volumes differ in their number of slices
    run = configs["train"].get("run")
    configs["train"]["run"] = ["@start_from", *(run if isinstance(run, list) else [run])]
    _follow_train(configs["train"].get())
    return {name: config.get() for name, config in configs.items()}


def _take_annotations(config: ConfigParser, values: Mapping[str, Any]) -> None:
    """Masks have the values that annotators save."""
    for key in set(values) & set(config.get()):
        config[key] = deepcopy(values[key])
    if "structures" in config:
        config["structures"] = structures_of_label_maps(config["structures"])


def _follow_train(config: dict[str, Any]) -> None:
    """MONAI Label sets train::trainer::max_epochs alone: other phases stay in proportion, one validation is certain."""
    epochs, interval = _number(config, config["train"]["trainer"]["max_epochs"]), config["val_interval"]
    config["val_interval"] = f"$min({interval}, @train::trainer::max_epochs)"
    for root, section in config.items():
        trainer = section.get("trainer", {}) if root != "train" and isinstance(section, dict) else {}
        if "max_epochs" in trainer:
            proportion = f"{_number(config, trainer['max_epochs'])} // {epochs}"
            trainer["max_epochs"] = f"$max(1, @train::trainer::max_epochs * {proportion})"


def _number(config: Mapping[str, Any], value: Any) -> Any:
    """A number, or the one at the top of the config that `@name` names."""
    return config[value.removeprefix("@")] if isinstance(value, str) else value


def _merge(configs: Iterable[ConfigParser], key: str, value: Any, overlay: Path) -> None:
    """Set one key of an overlay in those configs that have its root."""
    root = ReferenceResolver.split_id(key.lstrip("+"))[0]  # train::trainer::max_epochs -> train
    concerned = [config for config in configs if root in config.get() and (root != "run" or "train" in config.get())]
    try:
        for config in concerned:
            merge_kv(config, key, deepcopy(value))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{overlay} sets {key}, which does not fit the bundle ({error}): correct the name.") from error
    if not concerned:
        raise ValueError(f"{overlay} sets {key}, which no config of the bundle has: correct the name.")


def _vendored(value: Any) -> Any:
    """`_target_: noise2mask.x` -> `_target_: scripts.noise2mask.x`, everywhere."""
    if isinstance(value, Mapping):
        return {key: _retarget(item) if key == "_target_" else _vendored(item) for key, item in value.items()}
    return [_vendored(item) for item in value] if isinstance(value, list) else value


def _retarget(target: Any) -> Any:
    ours = isinstance(target, str) and target.startswith(f"{PACKAGE.name}.")
    return f"scripts.{target}" if ours else target


def _write_zip(path: Path, folder: str, files: Mapping[str, bytes]) -> None:
    """One folder, sorted, without dates: equal content gives equal bytes."""
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(f"{folder}/{name}")
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m noise2mask.package_bundle", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("bundle", type=Path, help="a folder of bundles/")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="folder of the zip")
    parser.add_argument("--weights", type=Path, help="model.pt; the bundle's own if left out")
    parser.add_argument("--overlay", type=Path, nargs="*", default=[], help="configs to bake in")
    options = parser.parse_args(arguments)
    try:
        path = package_bundle(options.bundle, options.output, options.weights, options.overlay)
    except ValueError as error:
        parser.error(str(error))
    print(path)


if __name__ == "__main__":
    main()
