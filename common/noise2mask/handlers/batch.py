"""The cases of one call, and which of them an earlier call has finished: an interrupted batch goes on where it was."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite import distributed as idist

from .. import __version__
from ..data.item_paths import name_of, paths_of
from ..data.item_problems import Crop, axes_problem, channel_problem, crop_problems
from ..data.problems import refuse
from ..data.reader import GreyReader
from ..data.results import stem
from ..data.window import REMEDY, check_window, outside_window
from ..digest import sha256
from ..explain.case_file import case_path
from ..ranks import from_first
from .model_settings import tell_other_settings
from .resolved_config import bundle_of, fingerprint, resolved_config

logger = logging.getLogger(__name__)

# Roots of a config that decide which cases there are and how they are gone through, but not what becomes of one.
NOT_OF_A_CASE = frozenset(
    """input dataset_dir section references slide_colours batch dataset dataloader sampler_of_data images_at_once
    masks_at_once chunk_size case_files handlers evaluator progress check
    real score features features_size features_range""".split()
)
MADE_FROM = "made_from"  # key of a case's JSON file


class Batch:
    """Images to be inferred into one folder.

    A case is finished when its JSON file, which is written last, says that it was made from the same image, the same
    weights and the same config, and all result files that it names are there. Where the image stands does not matter:
    its name and its content do.

    Args:
        items:           with the path of an `image`, a file or a folder, or a list of its modalities' paths.
        output_dir:      where results go.
        model_file:      the weights.
        reader:          that the images are read with; None: a `GreyReader`.
        intensity_range: grey values that become -1 and +1; an unfinished image with hardly any between them gets a
                         warning, in the log and in `warnings`, and is segmented. None: any will do.
        in_channels:     of the images, which the network takes.
        z_score:         each channel first gets mean 0 and deviation 1, of which `intensity_range` is the window.
        crop:            of the image, such as `CropDiscd`; it is tried.
        spatial_dims:    of the network: 3 takes volumes alone.
        case_files:      a finished case has its file in `cases`, too.

    Raises:
        ValueError: where the range is empty or none of z-scores, where a result file would overwrite another one, or an
            input, and where images can not be read or cropped, have another number of channels, fewer axes than the
            network, or modalities that do not lie on one another: it names them all before anything is done.
    """

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        output_dir: str,
        model_file: str,
        reader: GreyReader | None = None,
        intensity_range: Sequence[float] | None = None,
        in_channels: int = 1,
        z_score: bool = False,
        crop: Sequence[Crop] = (),
        spatial_dims: int = 2,
        case_files: bool = False,
    ) -> None:
        if intensity_range is not None:
            check_window(intensity_range, z_score)
        self.folder, self.case_files = Path(output_dir), case_files
        self.files = {_as_loaded(name_of(item)): paths_of(item["image"]) for item in items}
        config = resolved_config()
        self.config, self.bundle = fingerprint(config), bundle_of(config)
        tell_other_settings(config, model_file)
        _check_names(list(map(name_of, items)), self.folder)
        self.config |= {"version": __version__}
        self.recipe = recipe(self.config)
        self.weights = sha256(model_file)
        found = [self._finished(name_of(item)) for item in items]
        found = from_first(found)  # another rank may have finished one more by now
        self.finished = [case for case in found if case is not None]
        self.unfinished = [dict(item) for item, case in zip(items, found, strict=True) if case is None]
        self.warnings: dict[str, str] = {}  # by image
        window = None if z_score else intensity_range
        self._read_all(reader or GreyReader(), window, in_channels, crop, spatial_dims)

    def _read_all(
        self,
        reader: GreyReader,
        intensity_range: Sequence[float] | None,
        in_channels: int,
        crop: Sequence[Crop],
        spatial_dims: int,
    ) -> None:
        """Refuse images that can not be read, and warn of those whose grey values are others than in training."""
        problems = []
        for item in self.unfinished:
            image = name_of(item)
            try:
                values, _ = reader.channels(item["image"])  # (C, ...)
            except ValueError as error:
                problems.append(str(error))
                continue
            found = (
                channel_problem(item, len(values), in_channels),
                axes_problem(image, values.ndim - 1, spatial_dims),
            )
            problems += filter(None, found)
            problems += crop_problems(item, crop, image=values)
            if intensity_range is not None and (outside := outside_window(values, intensity_range)):
                self.warnings[image] = f"{image} {outside}: {REMEDY}."
        refuse("The images can not be segmented", problems)
        for text in self.warnings.values() if idist.get_rank() == 0 else ():
            logger.warning(f"warning: {text}")

    def file(self, image: str) -> Path:
        """Of a case's numbers."""
        return self.folder / f"{stem(image)}.json"

    def files_of(self, image: str) -> list[str]:
        """The paths of a case's modalities, by the first of them, however it is written."""
        return self.files.get(_as_loaded(image), [image])

    def made_from(self, image: str) -> dict[str, str]:
        """What decides the results of an image, as digests."""
        digests = " ".join(map(sha256, self.files_of(image)))
        return {"image": digests, "weights": self.weights, "config": self.recipe}

    def _finished(self, image: str) -> dict[str, Any] | None:
        """The case's numbers, if it is finished."""
        try:
            case = json.loads(self.file(image).read_text(encoding="utf-8"))
            there = all((self.folder / name).is_file() for name in case["files"])
            there &= not self.case_files or case_path(self.folder, stem(image)).is_file()
            same = Path(case["image"]).name == Path(image).name and case[MADE_FROM] == self.made_from(image)
        except (OSError, ValueError, TypeError, KeyError):  # none, or damaged
            return None
        return case | {"image": image} if there and same else None  # as this call writes the path


def recipe(config: Mapping[str, Any]) -> str:
    """A digest of what of a config decides the result of a case."""
    kept = {name: value for name, value in config.items() if name.split("::")[0] not in NOT_OF_A_CASE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _as_loaded(path: str) -> str:
    """As MONAI writes it in the meta data of what it loaded."""
    return str(Path(path).expanduser())


def _check_names(paths: list[str], folder: Path) -> None:
    seen: dict[str, str] = {"report": "the report of the run"}
    for path in paths:
        if Path(path).resolve().parent == folder.resolve():  # BUSI's masks, for one, are called as ours are
            raise ValueError(f"{path} stands in the output folder and might be overwritten: give another output_dir.")
        if stem(path) in seen:
            raise ValueError(
                f"{path} and {seen[stem(path)]} would write the same result files: rename one, or infer them apart."
            )
        seen[stem(path)] = path
