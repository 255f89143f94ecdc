"""A bundle's inference in Python: from an image to its mask, probability, standard deviation and triage number.

It is what `noise2mask segment` does, by the same configs, without files. Of DICOM it takes one volume, still or clip,
and refuses what `data.dicom_series` does; frames of Enhanced objects and headers are looked at by the command alone.

Legend: N samples, C channels of the image, K classes, S its own size (two or three axes), h w the network's.
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
from .data.item_paths import paths_of
from .data.item_problems import axes_problem, channel_problem
from .data.reader import is_picture
from .data.structures import label_map, without_background
from .data.window import REMEDY, check_window, outside_window
from .diffusion.fusion import fuse, harden
from .diffusion.uncertainty import standard_deviation, triage
from .meta import without_meta
from .refusals import refusal_in
from .settings import check_settings
from .transforms.own_size import OwnSize

logger = logging.getLogger(__name__)

Image = str | os.PathLike | Sequence[str | os.PathLike] | np.ndarray | MetaTensor

# Of an array without geometry: rows to the back, columns to the left, slices upwards, as a viewer shows axial slices.
ROWS_COLUMNS_SLICES = torch.tensor([[0.0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


class Result(NamedTuple):
    """What is known of one image, in its own size and axes.

    "Of several structures": of a bundle with the setting `structures`, which may also name a single one.
    """

    mask: np.ndarray  # (*S) bool, probability > 0.5; of several structures (*S) uint8, their numbers from 1 up
    probability: np.ndarray  # (*S) in [0, 1], of the foreground; of several structures (their number, *S)
    std: np.ndarray  # (*S) in [0, 0.5], over the samples; of several structures that of the most unsure
    triage: float  # 0: the samples agree; 1: look at this one first


class Segmenter:
    """A bundle with its weights, ready for many images.

    Args:
        bundle:   its name or folder.
        weights:  a model.pt, with the model.yaml that its training wrote beside it, or the name of others of the
            bundle, such as volumes; None takes the bundle's own.
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
        self.slices_as_stored = parser.get("axcodes", "PLS") is None  # a bundle of pictures alone has no such setting
        self.structures: tuple[str, ...] = tuple(parser.get("structures", ()))  # names, of several
        self.channels: int = parser.get("in_channels", 1)  # C; of a bundle without this setting 1
        self.spatial_dims: int = parser.get("spatial_dims", 2)  # of the network
        with _refusals():
            window = parser.get_parsed_content("intensity_range")
            check_window(window, parser.get("z_score", False))
            scaled = parser.get("per_volume", False) or parser.get("z_score", False)
            self.window = None if scaled else window
            self.device = parser.get_parsed_content("device")
            self.network = parser.get_parsed_content("network")
            self.inferer = parser.get_parsed_content("inferer")
            transforms = parser.get_parsed_content("preprocessing").transforms
        loaded = 1 + next(i for i, transform in enumerate(transforms) if isinstance(transform, EnsureChannelFirstd))
        self.load, self.prepare = Compose(transforms[:loaded]), Compose(transforms[loaded:])
        self.own_size = OwnSize(self.prepare)

    def __call__(self, image: Image) -> Result:
        """Segment one image.

        Args:
            image: the path of a picture, a volume or a folder of DICOM files, or the paths of several modalities; an
                array (rows, columns) or (rows, columns, slices), with the channels as a last axis where the network
                takes several; or a MetaTensor (C, ...) in MONAI's axes with its affine. Values as in a file: where
                hardly any lie within `intensity_range`, a warning is logged.

        Returns:
            Arrays in the image's axes: rows and columns of pictures and arrays, those of the file or the MetaTensor of
            volumes.

        Raises:
            ValueError: where the image can not be read, is not finite, or has another number of axes or channels.
        """
        loaded, turned = self._loaded(image)  # (C, *S) in MONAI's axes
        if problem := axes_problem(_name(image), loaded.ndim - 1, self.spatial_dims):
            raise ValueError(problem)
        if self.window is not None and (found := outside_window(np.asarray(loaded), self.window)):
            logger.warning(f"{_name(image)} {found}: {REMEDY}.")
        item = self.prepare({"image": loaded})  # (C, h, w[, D])
        samples = self.inferer.sample(without_meta(item["image"])[None].to(self.device), self.network)
        exclusive = self.inferer.exclusive
        probability = fuse(samples, self.inferer.fusion, exclusive)[0]  # (K, h, w[, D])
        std = standard_deviation(samples)[0].amax(dim=0, keepdim=True)  # (1, h, w[, D])
        own = self.own_size(item, torch.cat([probability, std]).cpu())  # (K + 1, *S)
        own = own.swapaxes(1, 2) if turned else own
        mask, number = harden(own[None, None, :-1], exclusive)[0, 0], float(triage(samples, exclusive)["triage"][0])
        probability = self.inferer.tempered(own[:-1])  # (K, *S)
        if not self.structures:
            return Result(mask[0].numpy(), probability[0].numpy(), own[-1].numpy(), number)
        numbers = label_map(without_background(mask, exclusive)).numpy()  # (*S)
        return Result(numbers, without_background(probability, exclusive).numpy(), own[-1].numpy(), number)

    def _loaded(self, image: Image) -> tuple[MetaTensor, bool]:
        """The image (C, *S) in MONAI's axes, and whether rows and columns of the result are to be exchanged."""
        if _is_path(image):
            paths = paths_of(image)
            with _refusals():
                loaded = self.load({"image": paths})["image"]  # (C, *S)
            if problem := channel_problem({"image": paths}, len(loaded), self.channels):
                raise ValueError(problem)
            return loaded, is_picture(paths[0])
        turned = False
        if isinstance(image, np.ndarray):
            _check_array(image, self.channels)
            array = torch.from_numpy(np.array(image, dtype=np.float32))
            array = array.movedim(-1, 0) if self.channels > 1 else array[None]  # (C, rows, columns[, slices])
            turned = array.ndim == 3 or self.slices_as_stored
            image = MetaTensor(array.transpose(1, 2) if turned else array, affine=ROWS_COLUMNS_SLICES)
        shape = tuple(getattr(image, "shape", ()))
        fits = len(shape) in (3, 4) and shape[0] == self.channels and 0 not in shape
        if not isinstance(image, MetaTensor) or not fits:
            found = type(image).__name__ + (f" of shape {shape}" if shape else "")
            channels = "one channel" if self.channels == 1 else f"{self.channels} channels"
            raise ValueError(
                f"The image is a {found}; expected a path, an array of 2 or 3 axes, or a MetaTensor of {channels} "
                "before these axes: change it, numpy.asarray for one."
            )
        if not torch.isfinite(image).all():
            raise ValueError("The image has values that are not finite: repair it.")
        return image.float(), turned  # type: ignore[return-value]


def _name(image: Image) -> str:
    """Of an image in a message."""
    return paths_of(image)[0] if _is_path(image) else "The image"


def _is_path(image: Any) -> bool:
    """A path, or those of several modalities."""
    parts = image if isinstance(image, list | tuple) else [image]
    return bool(parts) and all(isinstance(part, str | os.PathLike) for part in parts)


def _check_array(image: np.ndarray, channels: int) -> None:
    """Refuse other axes or channels; in grey slices are taken as floats, as no colour picture comes so."""
    axes = image.ndim - (channels > 1)
    if image.size == 0 or axes not in (2, 3) or image.dtype.kind not in "buif":
        found = f"{image.dtype} of shape {image.shape}"
        last = f" and a last one for {channels} channels" if channels > 1 else ""
        raise ValueError(f"The array is {found}; expected numbers in 2 or 3 axes{last}, none of length 0: change it.")
    if channels > 1 and image.shape[-1] != channels:
        raise ValueError(f"The array {image.shape} has {image.shape[-1]} channels, expected {channels}: change it.")
    if channels == 1 and axes == 3 and image.shape[2] in (3, 4) and image.dtype == np.uint8:
        raise ValueError(
            f"The array {image.shape} may be a colour picture, or {image.shape[2]} slices; expected grey values: give "
            "a picture as (rows, columns) in grey, and slices as floats, array.astype('float32')."
        )


def segment(bundle: str, image: Image, **settings: Any) -> Result:
    """Segment one image; see `Segmenter`, which this keeps for the next call with the same settings.

    Args:
        bundle:   its name or folder.
        image:    a path, several, an array or a MetaTensor.
        settings: `weights`, and any names of inference.yaml.
    """
    weights = find_bundle(bundle).chosen(settings.get("weights"))
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
