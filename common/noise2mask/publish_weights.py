"""Puts what a training has made into a bundle's models/, in half precision, to be given to others.

    python -m noise2mask.publish_weights my_run bundles/medsegdiff_v2
    python -m noise2mask.publish_weights my_run_3d bundles/medsegdiff_v2 --name volumes

Beside `model.pt` go `model.yaml`, the settings that inference repeats, `model_images.json`, the digests of the images
that were trained on, and `SHA256SUMS`, by which loading sees that nothing was changed on the way. With a name they are
others beside the bundle's own, which `--weights NAME` takes. The terms, LICENSE (LICENSE_NAME), are yours to write.
"""

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .bundles import settings_file
from .digest import PUBLISHED, sha256
from .files import load_plain, save_atomically, write_text_atomically
from .handlers.trained_on import images_file


def publish_weights(run: Path, bundle: Path, name: str = "model") -> Path:
    """Write into a bundle's models/, over what was there of the same name.

    Args:
        run:    output folder of a training, with `model.pt`, `model.yaml` and `model_images.json`.
        bundle: a folder of `bundles/`.
        name:   of the weights' files; "model" is the bundle's own.

    Returns:
        The path of the published weights.

    Raises:
        ValueError: where a file is missing or can not be read, or a weight is too large for half precision; the bundle
            is then as it was.
    """
    source, target = run / "model.pt", bundle / "models" / f"{name}.pt"
    beside = {settings_file(source): settings_file(target), images_file(source): images_file(target)}
    if missing := [str(path) for path in (source, *beside) if not path.is_file()]:
        raise ValueError(f"{', '.join(missing)} is missing: give the output folder of a finished training.")
    content = halved(load_plain(source), source)
    sums = target.with_name(PUBLISHED)
    sums.unlink(missing_ok=True)  # first: one that does not fit would keep the weights from loading
    save_atomically(content, target)
    for path, copy in beside.items():
        shutil.copyfile(path, copy)
    listed = sorted(path for path in target.parent.iterdir() if path.suffix)  # all but sums and terms
    write_text_atomically("".join(f"{sha256(path)}  {path.name}\n" for path in listed), sums)
    return target


def halved(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A state dict, bare or under "model", with its real numbers in float16; what else there is stays.

    Raises:
        ValueError: where a finite weight becomes infinite; it names the file.
    """
    state = content.get("model", content)
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
    options = parser.parse_args(arguments)
    try:
        print(publish_weights(options.run, options.bundle, options.name))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
