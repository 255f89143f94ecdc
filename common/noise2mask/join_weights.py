"""Joins networks that were trained apart into one `model.pt`, whose samples are theirs in turn.

    python -m noise2mask.join_weights run_0 run_1 run_2 --output joined
    noise2mask segment pgdiffseg IMAGES --weights joined/model.pt -o OUT

They may differ in architecture, but not in what else inference must repeat: image size, grey values, target, mask
scale, noise schedule, views. Their temperatures are left out, because the mean of several networks wants another one.
The terms that stand beside them stand beside the joined weights, too.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from .bundles import check_harmless, settings_file
from .digest import check_published
from .files import check_writable, load_plain, save_atomically, write_text_atomically
from .handlers.model_settings import write_settings
from .handlers.resolved_config import difference, fingerprint
from .handlers.trained_on import read_images, write_images
from .terms import LICENSE, terms_of

ENSEMBLE = "noise2mask.networks.network_ensemble.NetworkEnsemble"
OWN = ("network_def", "temperature")  # settings in which networks may differ


def join_weights(models: Sequence[Path], output: Path) -> Path:
    """Write the networks' `model.pt`, `model.yaml` and `model_images.json` as those of a `NetworkEnsemble`.

    Args:
        models: of each a folder with `model.pt` and `model.yaml`, such as a training's, or the path of the weights.
        output: a folder, made where it is missing.

    Returns:
        The path of the joined weights.

    Raises:
        ValueError: where there is one alone, a file is missing or damaged, or holds more than weights, settings differ,
            or the folder can not be written to; it names the file.
    """
    paths = [path / "model.pt" if path.is_dir() else path for path in models]
    if len(paths) < 2:
        raise ValueError(f"Expected at least 2 networks to join, found {len(paths)}: give more folders.")
    if missing := [str(file) for path in paths for file in (path, settings_file(path)) if not file.is_file()]:
        raise ValueError(f"{', '.join(missing)} is missing: give the output folders of finished trainings.")
    settings = [_settings(path) for path in paths]
    common = _common(settings, paths)
    state = {f"networks.{i}.{name}": own for i, path in enumerate(paths) for name, own in _state(path).items()}
    networks = [own["network_def"] for own in settings]
    check_writable(output)
    target = output / "model.pt"
    write_settings({**common, "network_def": {"_target_": ENSEMBLE, "networks": networks}}, target)
    write_images(sorted(frozenset().union(*(read_images(path) or () for path in paths))), target)
    terms = dict.fromkeys(file.read_text(encoding="utf-8") for file in map(terms_of, paths) if file.is_file())
    if terms:
        write_text_atomically("\n".join(terms), output / LICENSE)
    save_atomically({"model": state}, target)
    return target


def _settings(path: Path) -> dict[str, Any]:
    """What stands beside the weights, seen to be data."""
    file = settings_file(path)
    check_published(file)
    check_harmless(file)
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if "network_def" not in content:
        raise ValueError(f"{file} names no network_def: give the model.yaml that the training wrote.")
    return content


def _common(settings: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> dict[str, Any]:
    """What all have alike, the networks and temperatures left out.

    Raises:
        ValueError: where anything else differs; it names the file and the first differences.
    """
    first, *others = [{name: value for name, value in own.items() if name not in OWN} for own in settings]
    for path, other in zip(paths[1:], others, strict=True):
        if unlike := difference(fingerprint(other), fingerprint(first)):
            found = f"{path} is used otherwise than {paths[0]}: {'; '.join(unlike[:3])}"
            raise ValueError(f"{found}: join networks of the same settings.")
    return first


def _state(path: Path) -> Mapping[str, Tensor]:
    """A state dict, bare or under "model".

    Raises:
        ValueError: where more stands beside it, as nnU-Net's plans do; it names the file.
    """
    content = load_plain(path)
    state: Mapping[str, Tensor] = content.get("model", content)
    if beside := sorted(set(content) - {"model"}) if "model" in content else []:
        raise ValueError(
            f"{path} holds {', '.join(beside)} beside its weights: networks that need them are not joined."
        )
    return state


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m noise2mask.join_weights", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("models", type=Path, nargs="+", help="folders of trainings, or their model.pt")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    options = parser.parse_args(arguments)
    try:
        print(join_weights(options.models, options.output))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
