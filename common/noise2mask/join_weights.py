"""Joins networks that were trained apart into one `model.pt`, whose samples are theirs in turn.

    python -m noise2mask.join_weights run_0 run_1 run_2 --output joined
    noise2mask segment pgdiffseg IMAGES --weights joined/model.pt -o OUT

They may differ in architecture, but not in what else inference must repeat: image size, grey values, target, mask
scale, noise schedule, sampling. Their temperatures are left out, because the mean of several networks wants another
one. The terms that stand beside them stand beside the joined weights, too.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from .bundles import check_harmless, settings_file
from .diffusion.views import AS_IT_IS, count_of_views
from .digest import check_published, sha256
from .files import check_writable, load_plain, write_text_atomically
from .handlers.model_files import save_model
from .handlers.resolved_config import difference, fingerprint
from .handlers.trained_on import read_images
from .networks.weights import state_of
from .terms import LICENSE, terms_of

ENSEMBLE = "noise2mask.networks.network_ensemble.NetworkEnsemble"
ALONE = {"NetworkEnsemble": "an ensemble already", "DSDMWithReference": "a network that makes images"}  # not joined
OWN = ("network_def", "temperature", "samples")  # settings in which networks may differ
SAMPLES = 6  # at least, as of most bundles


def join_weights(models: Sequence[Path], output: Path) -> Path:
    """Write the networks' `model.pt`, `model.yaml` and `model_images.json` as those of a `NetworkEnsemble`.

    Args:
        models: of each a folder with `model.pt` and `model.yaml`, such as a training's, or the path of the weights.
        output: a folder without weights, made where it is missing.

    Returns:
        The path of the joined weights.

    Raises:
        ValueError: where there is one alone or one twice, a file is missing or damaged, or holds more than weights, a
            network can not be joined, settings differ, or the folder has weights or can not be written to; it names the
            file.
    """
    paths = [path / "model.pt" if path.is_dir() else path for path in models]
    target = output / "model.pt"
    _check(paths, target)
    settings = [_settings(path) for path in paths]
    common = _common(settings, paths)
    state = {f"networks.{i}.{name}": own for i, path in enumerate(paths) for name, own in _state(path).items()}
    definition = {"_target_": ENSEMBLE, "networks": [own["network_def"] for own in settings]}
    check_writable(output)
    if terms := _terms(paths):
        write_text_atomically(terms, output / LICENSE)
    config = {**common, "network_def": definition, "samples": _samples(common, len(paths))}
    save_model(state, target, config, _images(paths))
    return target


def _check(paths: Sequence[Path], target: Path) -> None:
    """Raise ValueError where the files are not those of several networks, or weights would be written over."""
    if missing := [str(file) for path in paths for file in (path, settings_file(path)) if not file.is_file()]:
        raise ValueError(f"{', '.join(missing)} is missing: give the output folders of finished trainings.")
    if len({sha256(path) for path in paths}) < max(2, len(paths)):
        found = ", ".join(map(str, paths))
        raise ValueError(f"Expected at least 2 networks, none of them twice, found {found}: correct the folders.")
    if target.exists():
        raise ValueError(f"{target} is there already: give a folder without weights.")


def _settings(path: Path) -> dict[str, Any]:
    """What stands beside the weights, seen to be data and of a network that can be joined."""
    file = settings_file(path)
    check_published(file)
    check_harmless(file)
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    definition = content.get("network_def")
    if not isinstance(definition, dict) or "_target_" not in definition:
        raise ValueError(f"{file} names no network_def: give the model.yaml that the training wrote.")
    if (name := str(definition["_target_"]).rsplit(".", 1)[-1]) in ALONE:
        raise ValueError(f"{file} is of {ALONE[name]}: give single networks that segment.")
    return content


def _common(settings: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> dict[str, Any]:
    """What all have alike, the networks, temperatures and numbers of samples left out.

    Raises:
        ValueError: where anything else differs; it names the file and the first differences.
    """
    first, *others = [{name: value for name, value in own.items() if name not in OWN} for own in settings]
    for path, other in zip(paths[1:], others, strict=True):
        if unlike := difference(fingerprint(first), fingerprint(other)):
            found = f"{path} is used otherwise than {paths[0]}: {'; '.join(unlike[:3])}"
            raise ValueError(f"{found}: join networks of the same settings.")
    return first


def _samples(settings: Mapping[str, Any], networks: int) -> int:
    """The least number, from `SAMPLES` up, of which each network has equally many of each view."""
    flips, zooms = (settings.get(name, alone) for name, alone in AS_IT_IS.items())
    each = count_of_views(flips, zooms) * networks
    return each * ceil(SAMPLES / each)


def _state(path: Path) -> Mapping[str, Tensor]:
    """A state dict, bare or under "model".

    Raises:
        ValueError: where it is none, or more stands beside it, as nnU-Net's plans do; it names the file.
    """
    content = load_plain(path)
    state = state_of(content, path)
    if state is not content and (beside := sorted(set(content) - {"model"})):
        raise ValueError(f"{path} holds {', '.join(beside)} beside its weights: networks that need it are not joined.")
    return state


def _images(paths: Iterable[Path]) -> list[str]:
    """Digests of what any was trained on; none where they are not known of all."""
    known = [read_images(path) for path in paths]
    return [] if None in known else sorted(frozenset().union(*(own or () for own in known)))


def _terms(paths: Iterable[Path]) -> str:
    """The terms of all, each once."""
    texts = [file.read_text(encoding="utf-8") for file in map(terms_of, paths) if file.is_file()]
    return "\n".join(dict.fromkeys(texts))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m noise2mask.join_weights", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("models", type=Path, nargs="+", help="folders of trainings, or their model.pt")
    parser.add_argument("--output", type=Path, required=True, help="a folder without weights")
    options = parser.parse_args(arguments)
    try:
        print(join_weights(options.models, options.output))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
