"""Loading published or trained weights into a network."""

import logging
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from torch import Tensor, nn

from ..diffusion.denoiser import unwrap
from ..digest import PUBLISHED
from ..files import load_plain
from ..refusals import disk_is_full
from ..terms import LICENSE, restriction
from ..zips import take_out

PACKAGED = "models/model.pt"  # where a packaged bundle has its weights

logger = logging.getLogger(__name__)


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Load a bare state dict, or one under "model", strictly; and say what the weights may be used for, if told.

    Args:
        network: to be filled, in DistributedDataParallel or not.
        path:    of a `model.pt`, or of a packaged bundle (.zip) that holds one.

    Returns:
        The same network.

    Raises:
        ValueError: where the file can not be read, or does not fit; it names the file and the first differences.
    """
    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder, expected weights: give the model.pt in it.")
    with unpacked(Path(path)) as file:
        if terms := restriction(file):
            logger.warning(f"{path}: {terms}")
        try:
            content = load_plain(file)
        except ValueError as error:
            raise ValueError(str(error).replace(str(file), str(path))) from error
    state = state_of(content, path)
    own = unwrap(network).state_dict()
    problems = [f"{name} is missing" for name in own if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in own]
    problems += [
        f"{name} has {_shown(state[name])}, expected {_shown(own[name])}"
        for name in own
        if name in state and _shown(state[name]) != _shown(own[name])
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{path} does not fit the network: {'; '.join(problems[:5])}{more}. Use the config it was trained with."
        )
    unwrap(network).load_state_dict(state)
    return network


def state_of(content: Any, path: str | Path) -> Mapping[str, Any]:
    """The state dict, bare or under "model", in the content of a file of weights.

    Raises:
        ValueError: where it is none; it names the file.
    """
    state = content.get("model", content) if isinstance(content, Mapping) else content
    if isinstance(state, Mapping):
        return state
    found = f"{path} holds a {type(state).__name__}"
    raise ValueError(f"{found}, expected a state dict, bare or under 'model': use another file.")


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The path of a file, or, of a packaged bundle, of a copy of its weights, with digests and terms beside them.

    Raises:
        ValueError: where the package can not be read, holds no weights, or unpacks to more than `take_out` allows; it
            names it.
        OSError: where the disk is full.
    """
    if path.suffix != ".zip":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            with ZipFile(path) as package:
                names = [name for name in package.namelist() if name.endswith(f"/{PACKAGED}")]
                beside = tuple(f"/models/{name}" for name in (PUBLISHED, LICENSE))
                wanted = [*names, *(name for name in package.namelist() if name.endswith(beside))]
                take_out(package, {Path(folder, Path(name).name): name for name in wanted})
        except (OSError, RuntimeError, BadZipFile, zlib.error) as error:  # RuntimeError: it is encrypted
            if disk_is_full(error):
                raise
            raise ValueError(f"{path} is no packaged bundle ({error}): write it with noise2mask package.") from error
        if not names:
            raise ValueError(f"{path} holds no {PACKAGED}: package the bundle with weights.")
        yield Path(folder, Path(PACKAGED).name)


def start_from(network: nn.Module, path: str | Path | None) -> None:
    """Begin a training with the weights of another one, with other images or at another size; None begins anew.

    Raises:
        ValueError: as `load_weights` does.
    """
    if path is not None:
        load_weights(network, path)


def _shown(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"type {type(value).__name__}"
