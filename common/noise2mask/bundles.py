"""Where bundles are, and what their metadata say; nothing heavy is imported, so that listing them takes no time."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .digest import check_published

logger = logging.getLogger(__name__)

METADATA = "configs/metadata.json"
MANY = "bundles"  # folder of bundles, in the working directory, a checkout and an installation
# Roots that train.yaml, or a preset over it, shares with inference.yaml: what the weights were taught, which inference
# must repeat, and how they are sampled best, which it may change.
TAUGHT = """phase axcodes image_size spatial_dims in_channels neighbours spacing reader modality
    structure structures exclusive crop_disc
    per_volume z_score intensity_range target mask_scale noise_schedule network_def
    normalise_colours timestep""".split()
SAMPLED = "sampler steps samples flips zooms start fusion temperature variance clip masks_at_once chunk_size".split()
SHARED = [*TAUGHT, *SAMPLED]
# Roots of inference.yaml that follow from others, and the weights' own path, which plans stand beside in nnU-Net's.
DERIVED = ("network_channels", "out_channels", "classes", "model_file")
# Classes that settings may name: MONAI's networks; of our networks, noise schedules and readers those defined there.
MONAI_NETWORK = re.compile(r"monai\.networks\.nets\.[A-Z]\w*")
OURS = re.compile(r"noise2mask\.((?:networks|diffusion)\.\w+|data\.reader)\.([A-Z]\w*)")
SUFFIXES = (".yaml", ".json")  # of configs: in a checkout, in a package


def run_arguments(root: Path, run_id: str, config_files: Sequence[Path], settings: Mapping[str, Any]) -> list[str]:
    """What stands behind `python` to run a bundle by MONAI's command."""
    configs = str([str(path) for path in config_files])
    words = ["-m", "monai.bundle", "run", run_id, "--bundle_root", str(root), "--config_file", configs]
    return [*words, *(f"--{name}={value}" for name, value in settings.items())]


def settings_file(model_file: str | Path) -> Path:
    """What the training wrote beside the weights: model.pt -> model.yaml."""
    return Path(model_file).with_suffix(".yaml")


def segmented(settings: Mapping[str, Any]) -> list[str]:
    """Names of the structures of such settings; none where they name none."""
    one = settings.get("structure")
    return list(settings.get("structures") or ([] if one is None else [str(one)]))


def check_harmless(path: Path) -> None:
    """See that the settings that come with weights are data: they are read unasked, and MONAI would run code in them.

    Raises:
        ValueError: where it sets anything but `SHARED`, holds an expression, or names anything but our networks and
            noise schedules and readers, and MONAI's networks.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: delete it, or get the weights again.") from error
    unknown = sorted(set(content) - set(SHARED)) if isinstance(content, dict) else ["no names"]
    found = [*unknown, *(text for text in _unsafe(content))]
    if found:
        raise ValueError(
            f"{path} holds {', '.join(map(str, found[:3]))}, expected settings alone: do not use these weights."
        )


def _unsafe(value: Any) -> Iterator[str]:
    """What MONAI would run: expressions, targets that are no networks; references to other settings are harmless."""
    if isinstance(value, dict):
        if "_target_" in value and not _is_harmless(str(value["_target_"])):
            yield f"_target_ {value['_target_']!r}"
        yield from (f"{key!r}" for key in value if str(key).startswith("_") and key != "_target_")
        value = [item for key, item in value.items() if key != "_target_"]
    if isinstance(value, list):
        for item in value:
            yield from _unsafe(item)
    elif isinstance(value, str) and value.startswith(("$", "%", "@")):
        yield from [] if value.removeprefix("@") in (*SHARED, *DERIVED) else [repr(value)]


def _is_harmless(target: str) -> bool:
    """Whether it names a class that settings may name; what a module only imports, such as ZipFile, is not its own."""
    if not (ours := OURS.fullmatch(target)):
        return MONAI_NETWORK.fullmatch(target) is not None
    source = Path(__file__).parent.joinpath(*ours[1].split(".")).with_suffix(".py")
    return source.is_file() and re.search(rf"^class {ours[2]}\b", source.read_text("utf-8"), re.MULTILINE) is not None


def _networks(config: Path) -> set[str]:
    """The class of its network, where the config names one; of an ensemble those of its networks."""
    definition = (yaml.safe_load(config.read_text(encoding="utf-8")) or {}).get("network_def")
    definitions = [] if definition is None else definition.get("networks", [definition])
    return {str(own["_target_"]).removeprefix("scripts.") for own in definitions}


class Bundle(NamedTuple):
    """A bundle's folder and its metadata."""

    root: Path
    metadata: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the folder, by which commands know it."""
        return self.root.name

    @property
    def generates(self) -> bool:
        """Whether it makes images of masks, not masks of images."""
        return str(self.metadata["task"]).startswith("generation")

    @property
    def weights(self) -> Path:
        """The weights that ship with it, where any do."""
        return self.root / "models" / "model.pt"

    @property
    def other_weights(self) -> list[str]:
        """Names of those that stand beside them, for other images, such as volumes."""
        return sorted(path.stem for path in self.weights.parent.glob("*.pt") if path != self.weights)

    def said_of(self, name: str) -> str:
        """The name of one of `other_weights`, and what they segment, where a file says so: fundus: disc, cup."""
        path = settings_file(self.chosen(name))
        settings = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}
        return f"{name}: {', '.join(found)}" if (found := segmented(settings)) else name

    def chosen(self, weights: str | Path | None) -> Path:
        """The bundle's own weights where None are given, one of `other_weights` by its name, or a file's path."""
        if weights is None:
            return self.weights
        return self.weights.with_name(f"{weights}.pt") if str(weights) in self.other_weights else Path(weights)

    @property
    def logging_config(self) -> Path:
        """What is logged, and how."""
        return self.root / "configs" / "logging.conf"

    def inference_configs(self, weights: str | Path | None, presets: Sequence[str]) -> tuple[Path, list[Path]]:
        """The weights, and inference.yaml with overlays of data, what stands beside the weights, and presets.

        Args:
            weights: a model.pt, or the name of one of `other_weights`; None is the bundle's own.
            presets: names of configs/presets, and of configs/data, such as data/drishti_gs.

        Raises:
            ValueError: where there are no weights, or no such preset.
        """
        model_file = self.chosen(weights)
        if not model_file.is_file():
            known = f", one of {', '.join(self.other_weights)}" if self.other_weights else ""
            remedy = f"give a model.pt{known}, or train one: noise2mask train"
            raise ValueError(f"{model_file} does not exist, expected weights: {remedy}.")
        trained = [settings_file(model_file)]
        if trained[0].is_file():
            check_published(trained[0])
            check_harmless(trained[0])
            self._check_network(trained[0])
        else:
            logger.warning(f"{trained[0]} is missing: the bundle's default settings are taken for {model_file.name}.")
            trained = []
        # What comes later wins. An overlay of data says which files there are and what their masks hold; for what the
        # network sees (size, grey values, structures) that of the training must win; over that, the user's choice.
        data = [name for name in presets if name.startswith("data/")]
        others = [name for name in presets if name not in data]
        for name in data if trained else ():
            _tell_overruled(self.preset(name), trained[0])
        return model_file, [self.config("inference"), *map(self.preset, data), *trained, *map(self.preset, others)]

    def _check_network(self, path: Path) -> None:
        """See that weights are of one of this bundle's networks, by what stands beside them.

        Raises:
            ValueError: where they are of another.
        """
        configs = [self.config("inference"), *sorted((self.root / "configs" / "presets").glob("*.*"))]
        known = set().union(*map(_networks, configs))
        if known and (unknown := sorted(_networks(path) - known)):
            expected = " or ".join(sorted(name.rsplit(".", 1)[1] for name in known))
            named = f"{path} is of a {unknown[0].rsplit('.', 1)[1]}, {self.name} expects a {expected}"
            raise ValueError(f"{named}: give weights of this bundle.")

    def preset(self, name: str) -> Path:
        """A config of configs/presets, or of configs itself, such as joint, or data/drishti_gs_cup of the plain folder.

        Raises:
            ValueError: where there is none; it names those there are.
        """
        return self.config(self.overlay(name))

    def overlay(self, name: str) -> str:
        """What `config` calls a preset: its name, or presets/ with it."""
        beside = self.root / "configs" / f"{name}{SUFFIXES[0]}"
        return name if beside.is_file() else f"presets/{name}"

    def config(self, name: str) -> Path:
        """A config such as "train", "data/busi" or "presets/paper".

        Raises:
            ValueError: where there is none; it names those there are.
        """
        for suffix in SUFFIXES:
            if (path := self.root / "configs" / f"{name}{suffix}").is_file():
                return path
        folder = (self.root / "configs" / name).parent
        there = sorted(
            path.stem for path in folder.glob("*") if path.suffix in SUFFIXES and path.name != "metadata.json"
        )
        kind, _, what = name.rpartition("/")
        raise ValueError(
            f"{self.name} has no {kind or 'config'} {what!r}, expected one of: {', '.join(there) or 'none'}."
        )


def _tell_overruled(overlay: Path, trained: Path) -> None:
    """Say which settings of an overlay of data the weights have otherwise: images may be read unlike those of it."""
    wanted, taken = (yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in (overlay, trained))
    other = [name for name, value in wanted.items() if name in taken and taken[name] != value]
    if other:
        told = ", ".join(f"{name} {taken[name]}" for name in other)
        logger.warning(f"{trained} overrules {overlay.stem}: {told}. For other images train, or give other weights.")


def find_bundle(name: str) -> Bundle:
    """The bundle of a name, or in a folder.

    Raises:
        ValueError: where there is none; it names those there are.
    """
    for root in (Path(name), *(folder / name for folder in _folders())):
        if (root / METADATA).is_file():
            return _read(root)
    names = [bundle.name for bundle in all_bundles()]
    near = "".join(f" Did you mean {close}?" for close in get_close_matches(name, names, 1))
    known = f"expected one of {', '.join(names)}, or the folder of one" if names else "and none is installed"
    raise ValueError(f"{name!r} is no bundle: {known}.{near}")


def all_bundles() -> list[Bundle]:
    """Every bundle that can be called by its name, the first of each name."""
    found: dict[str, Bundle] = {}
    for folder in _folders():
        for path in sorted(folder.glob(f"*/{METADATA}")):
            bundle = _read(path.parents[1])
            found.setdefault(bundle.name, bundle)
    return list(found.values())


def _read(root: Path) -> Bundle:
    path = root / METADATA
    try:
        return Bundle(root.resolve(), json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): repair it, or get the bundle again.") from error


def _folders() -> Iterator[Path]:
    """Folders of bundles: in the working directory, the checkout that this file stands in, the installation."""
    yield Path.cwd() / MANY
    yield Path(__file__).parents[2] / MANY
    try:
        installed = files("noise2mask") or []
    except PackageNotFoundError:
        return
    roots = {Path(str(file.locate())).parents[2] for file in installed if str(file).endswith(METADATA)}
    yield from sorted(roots)
