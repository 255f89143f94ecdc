"""Puts what a training has made into a bundle's models/, in half precision, to be given to others.

    python -m noise2mask.publish_weights my_run bundles/medsegdiff_v2 --temperature 1.49
    python -m noise2mask.publish_weights my_run_3d bundles/medsegdiff_v2 --name volumes

Beside `model.pt` go `model.yaml`, the settings that inference repeats, `model_images.json`, the digests of the images
that were trained on, and `SHA256SUMS`, by which loading sees that nothing was changed on the way. The temperature that
calibrate.yaml has found goes into `model.yaml`. With a name they are others beside the bundle's own, which `--weights
NAME` takes. The terms, LICENSE (LICENSE_NAME), are yours to write.
"""

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml
from torch import Tensor

from .bundles import METADATA, settings_file
from .digest import PUBLISHED, check_published, sha256
from .files import atomic_file, load_plain, save_atomically, write_text_atomically
from .handlers.model_settings import write_settings
from .handlers.trained_on import images_file
from .networks.weights import state_of
from .terms import LICENSE

NOT_LISTED = (LICENSE, PUBLISHED, ".")  # beginnings of names: terms, the sums themselves, and what a kill has left


def publish_weights(run: Path, bundle: Path, name: str = "model", temperature: float | None = None) -> Path:
    """Write into a bundle's models/, over what was there of the same name.

    Args:
        run:         output folder of a training, with `model.pt`, `model.yaml` and `model_images.json`.
        bundle:      a folder of `bundles/`.
        name:        of the weights' files; "model" is the bundle's own.
        temperature: of their probabilities; None leaves that of `model.yaml`, or none.

    Returns:
        The path of the published weights.

    Raises:
        ValueError: where a file or the bundle is missing, a file can not be read, the name is none of a file, a weight
            is too large for half precision, or other weights of the bundle are not what was published; the bundle is
            then as it was.
    """
    if not (bundle / METADATA).is_file():
        raise ValueError(f"{bundle} is no bundle: {METADATA} is missing: give a folder of bundles/.")
    if not name.isidentifier():
        raise ValueError(f"The name {name!r} is none of weights; expected letters, digits and _: correct it.")
    source, target = run / "model.pt", bundle / "models" / f"{name}.pt"
    wanted = (source, settings_file(source), images_file(source))
    if missing := [str(path) for path in wanted if not path.is_file()]:
        raise ValueError(f"{', '.join(missing)} is missing: give the output folder of a finished training.")
    content = halved(load_plain(source), source)
    with TemporaryDirectory() as folder:
        made = Path(folder) / target.name
        save_atomically(content, made)
        shutil.copyfile(images_file(source), images_file(made))
        settings = yaml.safe_load(settings_file(source).read_text(encoding="utf-8"))
        write_settings(settings if temperature is None else {**settings, "temperature": temperature}, made)
        _replace((settings_file(made), images_file(made), made), target.parent)
    return target


def _replace(files: Sequence[Path], models: Path) -> None:
    """Put files into a bundle's models/, the sums first and the weights last: after a kill in between they are refused.

    What is listed beside them must still be what was published, lest it be published changed.
    """
    own = [path.name for path in files]
    others = [path for path in models.iterdir() if path.name not in own and not path.name.startswith(NOT_LISTED)]
    for path in others:
        check_published(path)
    digests = {path.name: sha256(path) for path in (*others, *files)}
    lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    write_text_atomically("".join(lines), models / PUBLISHED)
    for path in files:
        with atomic_file(models / path.name) as copy:
            copy.write(path.read_bytes())


def halved(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A state dict, bare or under "model", with its real numbers in float16; what else there is stays.

    Raises:
        ValueError: where it is no state dict, or a finite weight becomes infinite; it names the file.
    """
    state = state_of(content, path)
    half = {name: _half(value) for name, value in state.items()}
    if wrong := [name for name, value in half.items() if _infinite(value) and not _infinite(state[name])]:
        raise ValueError(f"{path}: {wrong[0]} is beyond what half precision holds (65504): publish it as it is.")
    return {**content, "model": half} if "model" in content else half


def _half(value: Any) -> Any:
    return value.half() if isinstance(value, Tensor) and value.is_floating_point() else value


def _infinite(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and bool(torch.isinf(value).any())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m noise2mask.publish_weights", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("run", type=Path, help="output folder of a training")
    parser.add_argument("bundle", type=Path, help="a folder of bundles/")
    parser.add_argument("--name", default="model", help="of others beside the bundle's own, such as volumes")
    parser.add_argument("--temperature", type=float, help="of their probabilities, found by calibrate.yaml")
    options = parser.parse_args(arguments)
    try:
        print(publish_weights(options.run, options.bundle, options.name, options.temperature))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
