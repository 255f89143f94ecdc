"""A bundle's inference in Python: from an image to its mask, probability, standard deviation and triage number.

It is what `noise2mask segment` does, by the same configs, without files. Of DICOM it takes one volume, still or clip,
and refuses what `data.dicom_series` does; frames of Enhanced objects and headers are looked at by the command alone.

Legend: N samples, S the image's own size (two or three axes), h w the network's.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd

from .bundles import find_bundle
from .data.check import channel_problem
from .data.reader import is_picture
from .data.window import REMEDY, outside_window
from .diffusion.fusion import fuse
from .diffusion.uncertainty import standard_deviation, triage
from .meta import without_meta
from .refusals import refusal_in
from .settings import check_settings
from .transforms.own_size import OwnSize

logger = logging.getLogger(__name__)

# Of an array without geometry: rows to the back, columns to the left, slices upwards, as a viewer shows axial slices.
ROWS_COLUMNS_SLICES = torch.tensor([[0.0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


class Result(NamedTuple):
    """What is known of one image, in its own size and axes."""

    mask: np.ndarray  # (*S) bool, probability > 0.5
    probability: np.ndarray  # (*S) in [0, 1], of the foreground
    std: np.ndarray  # (*S) in [0, 0.5], over the samples
    triage: float  # 0: the samples agree; 1: look at this one first


class Segmenter:
    """A bundle with its weights, ready for many images.

    Args:
        bundle:   its name or folder.
        weights:  a model.pt, with the model.yaml that its training wrote beside it; None takes the bundle's own.
        presets:  names of the bundle's `configs/presets`, or one name.
        settings: any names of inference.yaml, such as `steps=10, samples=5, seed=1`.

    Raises:
        ValueError: where the bundle, the weights, a preset or a setting is unknown, or they do not fit one another.
    """

    def __init__(
        self, bundle: str, weights: str | Path | None = None, presets: str | Sequence[str] = (), **settings: Any
    ) -> None:
        if "preset" in settings:
            raise ValueError(f"There is no setting preset: give presets={settings['preset']!r}.")
        presets = [presets] if isinstance(presets, str) else presets
        found = find_bundle(bundle)
        model_file, configs = found.inference_configs(weights, presets)
        given = {"bundle_root": str(found.root), "model_file": str(model_file), "progress": False, **settings}
        check_settings(given, configs)
        parser = ConfigParser(ConfigParser.load_config_files([str(path) for path in configs]))
        parser.update({name: list(value) if isinstance(value, tuple) else value for name, value in given.items()})
        self.slices_as_stored = parser["axcodes"] is None
        with _refusals():
            self.in_channels = parser.get("in_channels", 1)
            any_values = parser["per_volume"] or parser.get("z_score", False)
            self.window = None if any_values else parser.get_parsed_content("intensity_range")
            self.device = parser.get_parsed_content("device")
            self.network = parser.get_parsed_content("network")
            self.inferer = parser.get_parsed_content("inferer")
            transforms = parser.get_parsed_content("preprocessing").transforms
        loaded = 1 + next(i for i, transform in enumerate(transforms) if isinstance(transform, EnsureChannelFirstd))
        self.load, self.prepare = Compose(transforms[:loaded]), Compose(transforms[loaded:])
        self.own_size = OwnSize(self.prepare)

    def __call__(self, image: str | os.PathLike | Sequence[str | os.PathLike] | np.ndarray | MetaTensor) -> Result:
        """Segment one image.

        Args:
            image: the path of a picture, a volume or a folder of DICOM files, or the paths of its modalities; an array
                (rows, columns), for a network of three channels (rows, columns, 3), or (rows, columns, slices); or a
                MetaTensor (C, ...) in MONAI's axes with its affine. Grey values as in a file: where hardly any lie
                within `intensity_range`, a warning is logged.

        Returns:
            Arrays in the image's axes: rows and columns of pictures and arrays, those of the file or the MetaTensor of
            volumes.

        Raises:
            ValueError: where the image can not be read, is not finite, or has another number of axes or channels.
        """
        loaded, turned = self._loaded(image)  # (C, *S) in MONAI's axes
        if self.window is not None and (found := outside_window(np.asarray(loaded), self.window)):
            logger.warning(f"{image if isinstance(image, str | os.PathLike) else 'The image'} {found}: {REMEDY}.")
        item = self.prepare({"image": loaded})  # (C, h, w[, D])
        samples = self.inferer.sample(without_meta(item["image"])[None].to(self.device), self.network)
        probability = fuse(samples, self.inferer.fusion, self.inferer.exclusive)[0]  # (1, h, w[, D])
        maps = torch.cat([probability, standard_deviation(samples)[0]]).cpu()  # (2, h, w[, D])
        own = self.own_size(item, maps).numpy()  # (2, *S)
        own = own.swapaxes(1, 2) if turned else own
        return Result(own[0] > 0.5, own[0], own[1], float(triage(samples, self.inferer.exclusive)["triage"][0]))

    def _loaded(self, image: Any) -> tuple[MetaTensor, bool]:
        """The image (C, *S) in MONAI's axes, and whether rows and columns of the result are to be exchanged."""
        if paths := _paths(image):
            with _refusals():
                loaded = self.load({"image": paths})["image"]  # (C, *S)
            if problem := channel_problem({"image": paths}, len(loaded), self.in_channels):
                raise ValueError(problem)
            return loaded, is_picture(paths[0])
        turned = False
        if isinstance(image, np.ndarray):
            image, turned = self._from_array(image)
        channels, shape = self.in_channels, tuple(getattr(image, "shape", ()))
        if not isinstance(image, MetaTensor) or image.ndim not in (3, 4) or shape[0] != channels or not image.numel():
            found = type(image).__name__ + (f" of shape {shape}" if hasattr(image, "shape") else "")
            raise ValueError(
                f"The image is a {found}; expected a path, an array of 2 or 3 axes, or a MetaTensor of "
                f"{'one channel' if channels == 1 else f'{channels} channels'} before these axes: change it, "
                "numpy.asarray for one."
            )
        if not torch.isfinite(image).all():
            raise ValueError("The image has values that are not finite: repair it.")
        return image.float(), turned  # type: ignore[return-value]

    def _from_array(self, image: np.ndarray) -> tuple[MetaTensor, bool]:
        """(rows, columns), (rows, columns, slices) or, in colour, (rows, columns, 3), as `_loaded`."""
        if self.in_channels == 3 and image.ndim == 3 and image.shape[2] == 3:
            colours = torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 1, 0)  # (3, W, H)
            return MetaTensor(colours, affine=ROWS_COLUMNS_SLICES), True
        _check_array(image)
        turned = image.ndim == 2 or self.slices_as_stored
        array = torch.from_numpy(np.array(image, dtype=np.float32))
        return MetaTensor((array.transpose(0, 1) if turned else array)[None], affine=ROWS_COLUMNS_SLICES), turned


def _paths(image: Any) -> list[str]:
    """Of an image that is given by the path of its file, or by those of its modalities; none for arrays."""
    paths = list(image) if isinstance(image, list | tuple) else [image]
    return [str(path) for path in paths] if all(isinstance(path, str | os.PathLike) for path in paths) else []


def _check_array(image: np.ndarray) -> None:
    """Refuse what is no image in grey; float slices are taken, as no colour picture comes so."""
    if image.size == 0 or image.ndim not in (2, 3) or image.dtype.kind not in "buif":
        found = f"{image.dtype} of shape {image.shape}"
        raise ValueError(f"The array is {found}; expected numbers in 2 or 3 axes, none of length 0: change it.")
    if image.ndim == 3 and image.shape[2] in (3, 4) and image.dtype == np.uint8:
        raise ValueError(
            f"The array {image.shape} may be a colour picture, or {image.shape[2]} slices; expected grey values: give "
            "a picture as (rows, columns) in grey, and slices as floats, array.astype('float32')."
        )


def segment(bundle: str, image: Any, **settings: Any) -> Result:
    """Segment one image; see `Segmenter`, which this keeps for the next call with the same settings.

    Args:
        bundle:   its name or folder.
        image:    a path, or several, an array or a MetaTensor.
        settings: `weights`, and any names of inference.yaml.
    """
    weights = Path(settings.get("weights") or find_bundle(bundle).weights)
    written = weights.stat().st_mtime_ns if weights.is_file() else 0  # trained again, they are read again
    key = repr((bundle, written, sorted(settings.items())))
    if key not in _kept:
        _kept.clear()
        _kept[key] = Segmenter(bundle, **settings)
    return _kept[key](image)


_kept: dict[str, Segmenter] = {}


@contextmanager
def _refusals() -> Iterator[None]:
    """What our components refuse, without the errors that MONAI wraps it in."""
    try:
        yield
    except RuntimeError as error:
        refusal = refusal_in(error)
        raise refusal or error from error
