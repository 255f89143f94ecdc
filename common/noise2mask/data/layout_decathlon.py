"""Datalist of a data set with a `dataset.json`: Medical Segmentation Decathlon, and nnU-Net (version 2).

Decathlon: `training` lists pairs of image and label. nnU-Net: `imagesTr/<case>_0000<ending>` with
`labelsTr/<case><ending>`, and perhaps `imagesTs/` with `labelsTs/`; its `file_ending` tells it from the other. Neither
knows patients: a `manifest.csv` beside it, as in a plain folder, may name them.

Sources: medicaldecathlon.com (Antonelli et al., Nature Communications 13:4128, 2022); nnU-Net's
documentation/dataset_format.md.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .layout_files import ADD_MASK, assemble, existing, refuse_folder, stem_of
from .layout_folder import grouped, keep_together, owners, read_manifest
from .problems import knowing_pairs
from .splits import FRACTIONS, natural, split_training

__all__ = ["DATASET", "decathlon_datalist", "is_nnunet", "nnunet_datalist"]

DATASET = "dataset.json"
CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def decathlon_datalist(folder: str | os.PathLike, seed: int = 0) -> dict:
    """Datalist of a Decathlon folder, with absolute paths; its unlabelled test images are left out.

    Raises:
        ValueError: where dataset.json or a file that it names is missing, or it has several modalities.
    """
    folder = existing(folder)
    content = read_dataset(folder)
    one_channel(folder, content.get("modality", {}))
    images, labels, problems = {}, {}, []
    listed = content.get("training")
    pairs = [item for item in listed if is_pair(item)] if isinstance(listed, list) else []
    if not isinstance(listed, list) or len(pairs) < len(listed):
        problems.append(f'{DATASET}: "training" is no list of objects with "image" and "label": correct it.')
    for item in pairs:
        stem = stem_of(item["image"]) or item["image"]
        images[stem], labels[stem] = folder / item["image"], folder / item["label"]
        lost = [path for path in (images[stem], labels[stem]) if not path.is_file()]
        problems += [f"{path} is missing: add it, or remove it from {DATASET}." for path in lost]
    there = {name: path for name, path in images.items() if path.is_file() and labels[name].is_file()}
    with knowing_pairs(there, labels):
        refuse_folder(folder, problems or ([] if images else [f"{DATASET} lists no training images: add them."]))
    return grouped(folder, images, labels, seed, FRACTIONS)


def nnunet_datalist(folder: str | os.PathLike, seed: int = 0) -> dict:
    """Datalist of an nnU-Net folder, with absolute paths; `labelsTs`, if there, makes its test split.

    Raises:
        ValueError: where dataset.json, an image or a label is missing, or it has several channels.
    """
    folder = existing(folder)
    content = read_dataset(folder)
    one_channel(folder, content.get("channel_names", {}))
    ending = str(content["file_ending"])
    images, labels = cases(folder, "Tr", ending)
    if not (folder / "labelsTs").is_dir():
        return grouped(folder, images, labels, seed, FRACTIONS)
    tests, test_labels = cases(folder, "Ts", ending)
    refuse_folder(
        folder, [f"the case {name} is in imagesTr/ and imagesTs/: rename one" for name in images if name in tests]
    )
    rows = read_manifest(folder, images | tests)
    owner, group_by = owners(rows, [*images, *tests])
    of_group = split_training([owner[name] for name in images], seed)
    keys = {name: of_group[owner[name]] for name in images} | dict.fromkeys(tests, "testing")
    keep_together(folder, owner, keys)
    return assemble(images | tests, labels | test_labels, owner, keys, group_by, "folder")


def is_nnunet(folder: Path) -> bool:
    """Whether a folder's dataset.json is nnU-Net's."""
    return "file_ending" in read_dataset(folder)


def read_dataset(folder: Path) -> dict[str, Any]:
    """The content of dataset.json.

    Raises:
        ValueError: where it is missing or no JSON object.
    """
    path = folder / DATASET
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can not be read ({error}); expected a JSON object: repair it.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected a JSON object: repair it.")
    return content


def is_pair(item: Any) -> bool:
    """An object with the paths of an image and a label."""
    return isinstance(item, dict) and all(isinstance(item.get(name), str) for name in ("image", "label"))


def one_channel(folder: Path, channels: Any) -> None:
    """Refuse images of several channels."""
    if isinstance(channels, Mapping) and len(channels) > 1:
        names = ", ".join(map(str, channels.values()))
        raise ValueError(f"{folder / DATASET} has the channels {names}; expected one: make a data set of a single one.")


def cases(folder: Path, part: str, ending: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and labels by case of `imagesTr` and `labelsTr`, or of `imagesTs` and `labelsTs`."""
    images, labels, problems = {}, {}, []
    for name in (f"images{part}", f"labels{part}"):
        problems += [] if (folder / name).is_dir() else [f"{name}/ is missing: add it."]
    refuse_folder(folder, problems)
    for path in sorted((folder / f"images{part}").glob(f"*{ending}"), key=lambda path: natural(path.name)):
        match = CHANNEL.fullmatch(path.name.removesuffix(ending))
        case = match["case"] if match else path.name.removesuffix(ending)
        images[case], labels[case] = path, folder / f"labels{part}" / f"{case}{ending}"
        if match is None:
            problems.append(f"images{part}/{path.name} does not end in _0000{ending}: rename it")
        elif match["channel"] != "0000":
            problems.append(f"images{part}/{path.name} is a further channel; expected _0000 alone: remove it")
        elif not labels[case].is_file():
            problems.append(f"images{part}/{path.name} has no labels{part}/{case}{ending}: {ADD_MASK}.")
    with knowing_pairs(images, {name: path for name, path in labels.items() if path.is_file()}):
        refuse_folder(
            folder, problems or ([] if images else [f"images{part}/ has no file that ends in {ending}: add some."])
        )
    return images, labels
