"""A data set in numbers: counts, sizes, spacings, grey values, lesions; and what is wrong with it, in one pass.

Legend: every image is read once, with its mask.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..transforms.binary_mask import is_foreground
from .check import Expected, problems_of, torn_images
from .item_paths import name_of
from .near_duplicates import across, alike, grouped, thumbnail
from .reader import GreyReader, is_picture
from .splits import KEYS, split_groups, torn_patients

QUANTILES = {"low": 0.005, "median": 0.5, "high": 0.995}
SPAN = 8.0  # how many times wider or narrower than the median's an image's grey values may be: 8 and 16 bits are 257


class Survey(NamedTuple):
    """What going through a data set found."""

    content: dict[str, Any]  # the datalist, whose groups may be those of near-duplicates now
    fingerprint: dict[str, Any]
    problems: list[str]  # that stop a training
    doubtful: list[str]  # near-duplicates across splits, grey values unlike the others': to be looked at


class _Seen(NamedTuple):
    """What is kept of one image."""

    name: str
    channels: int
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None  # mm, None: a picture
    grey: dict[str, float]  # of all channels together
    foreground: float  # share of the pixels
    thumbnail: np.ndarray


def survey(
    content: Mapping[str, Any],
    phase: int = 0,
    regroup: bool = False,
    values: tuple[Sequence[float] | None, Sequence[float]] = (None, ()),
) -> Survey:
    """Go through a datalist.

    Args:
        content: a datalist with absolute paths.
        phase:   as for `GreyReader`.
        regroup: where images are split one by one, split them by groups of near-duplicates instead.
        values:  foreground and background of masks of several classes, as for `BinaryMaskd`; they are binary else.
    """
    sections = {key: content.get(key, []) for key in KEYS}
    problems = torn_patients(sections)
    for one, other in (KEYS[:2], KEYS[1:], KEYS[::2]):
        problems += torn_images({one: sections[one], other: sections[other]})
    expected = Expected(GreyReader(phase), None, *values)
    seen: dict[str, _Seen] = {}
    for item in (item for items in sections.values() for item in items):
        own = list(problems_of(item, expected))
        problems += own
        if not own:
            seen[name_of(item)] = _look(item, expected)
    problems += other_channels({name: one.channels for name, one in seen.items()})
    if seen and expected.foreground is not None and not any(one.foreground for one in seen.values()):
        shown = ", ".join(map(str, [*expected.foreground][:8]))
        remedy = "name other values, or take the layout folder for masks of 0 and 1, or 0 and 255"
        problems.append(f"no mask holds a value of the foreground ({shown}): {remedy}.")
    names = list(seen)
    pairs = alike(np.stack([one.thumbnail for one in seen.values()])) if seen else []
    whole = dict(content)
    if regroup and content.get("split_by") == "image" and not problems:
        whole = regrouped(content, grouped(names, pairs))
    where = {name_of(item): key for key in KEYS for item in whole.get(key, [])}
    doubtful = [*across(where, names, pairs), *other_ranges({name: one.grey for name, one in seen.items()})]
    return Survey(whole, _numbers(whole, seen), problems, doubtful)


def other_channels(channels: Mapping[str, int]) -> list[str]:
    """Images of another number of channels, by name, than most have."""
    usual = Counter(channels.values()).most_common(1)[0][0] if channels else 0
    odd = {name: number for name, number in channels.items() if number != usual}
    expected = f"expected {usual}, as in most cases: list the same modalities for every case"
    return [f"{name} has {number} channels; {expected}." for name, number in odd.items()]


def other_ranges(grey: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Images whose grey values have far another range than most: files of several bit depths, or floats among them.

    Args:
        grey: `minimum` and `maximum` by image.
    """
    span = {name: one["maximum"] - one["minimum"] for name, one in grey.items()}
    usual = float(np.median(list(span.values()))) if span else 0.0
    odd = [name for name, own in span.items() if not usual / SPAN <= own <= usual * SPAN]
    found = {name: f"{grey[name]['minimum']:g} to {grey[name]['maximum']:g}" for name in odd}
    expected = f"expected a range of about {usual:g}, as in most images: save all in one bit depth"
    return [f"{name} has the grey values {text}; {expected}." for name, text in found.items()]


def regrouped(content: Mapping[str, Any], group: Mapping[str, str]) -> dict[str, Any]:
    """The datalist split anew by groups, which take the patient's place; `group` of each image."""
    items = [item for key in KEYS for item in content.get(key, [])]
    keys = split_groups([group[name_of(item)] for item in items], seed=0)
    whole: dict[str, Any] = {**content, "split_by": "near-duplicates", "group_by": "group"}
    for key in KEYS:
        mine = [item for item in items if keys[group[name_of(item)]] == key]
        whole[key] = [{**item, "patient": Path(group[name_of(item)]).name} for item in mine]
    return whole


def _look(item: Mapping[str, Any], expected: Expected) -> _Seen:
    name, (image, meta) = name_of(item), expected.reader.channels(item["image"])  # (C, ...)
    masks = torch.from_numpy(expected.masks_reader.channels(item["label"])[0])  # (F, ...)
    foreground = is_foreground(masks, expected.foreground).any(dim=0).float()
    spacing = (
        None
        if is_picture(name)
        else tuple(np.linalg.norm(np.asarray(meta["affine"])[:3, :3], axis=0).round(4).tolist())
    )
    grey = {name: float(np.quantile(image, q)) for name, q in QUANTILES.items()}
    grey |= {"minimum": float(image.min()), "maximum": float(image.max())}
    channels, *size = image.shape
    return _Seen(name, channels, tuple(size), spacing, grey, float(foreground.mean()), thumbnail(image[0]))


def _numbers(content: Mapping[str, Any], seen: Mapping[str, _Seen]) -> dict[str, Any]:
    """The fingerprint; nothing in it names an image or a patient."""
    every = list(seen.values())
    lesions = [one.foreground for one in every if one.foreground]

    def share(item: Mapping[str, Any]) -> float:
        one = seen.get(name_of(item))
        return one.foreground if one else 0.0

    patients = {key: len({item.get("patient") for item in content.get(key, [])}) for key in KEYS}
    classes = Counter(str(item["class"]) for key in KEYS for item in content.get(key, []) if "class" in item)
    return {
        "split_by": content.get("split_by", "datalist"),
        "group_by": content.get("group_by", "datalist"),
        "images": {key: len(content.get(key, [])) for key in KEYS},
        "patients_or_groups": patients,
        "with_lesion": {key: sum(bool(share(item)) for item in content.get(key, [])) for key in KEYS},
        **({"classes": dict(sorted(classes.items()))} if classes else {}),
        "lesion_share_of_image": _spread(lesions),
        "channels": dict(Counter(str(one.channels) for one in every)),
        "size": [_spread(axis) for axis in _axes([one.size for one in every])],
        "spacing_mm": [_spread(axis) for axis in _axes([one.spacing for one in every if one.spacing])],
        "grey_values": {
            name: _spread([one.grey[name] for one in every]) for name in (*QUANTILES, "minimum", "maximum")
        },
        "kinds": dict(Counter(Path(one.name).suffix.lower() or "folder" for one in every)),
    }


def _axes(tuples: Sequence[tuple[float, ...]]) -> Iterator[list[float]]:
    """Values along each axis; of pictures and volumes together, those that all have."""
    return ([one[axis] for one in tuples] for axis in range(min(map(len, tuples), default=0)))


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """Least, median and largest."""
    if not len(values):
        return None
    return {"min": float(min(values)), "median": float(np.median(values)), "max": float(max(values))}
