"""What a score of this project means, in the words that stand beside every table."""

from collections.abc import Iterable

UNITS = {  # what stands for itself: the values of `group_by` in a datalist, and their names
    "patient": "patients",
    "group": "groups (patients not known)",
    "image": "images (patients not known)",
    "mixed": "patients (images where they are not known)",
}
FIRST = {  # how a unit's images become one number
    "patient": "mean over a patient's images, then over",
    "group": "mean over the images of a group of near-duplicates, then over",
    "image": "mean over",
    "mixed": "mean over a patient's images, then over",
}
POLICY = (
    "mask = {mask}, at the image's own size; one score per image, or per volume{each}; {first} {over}, with "
    "a 95 % bootstrap interval over {short}; empty label and empty mask "
    "count 1, only one of them empty counts 0; HD95 leaves out every case with an empty label or mask; _lesion: images "
    "whose label is not empty; pooled: all pixels of all images together"
)


def unit_of(group_by: Iterable[str]) -> str:
    """What the means are over, from what each image says: a name of `UNITS`."""
    found = set(group_by)
    return found.pop() if len(found) == 1 else "mixed"


def policy(unit: str, structures: bool = False, exclusive: bool = False) -> str:
    """The rules in one sentence, for means over patients, groups or single images.

    Args:
        unit:       a name of `UNITS`.
        structures: whether images have several.
        exclusive:  whether these exclude one another.
    """
    mask = "the class of the largest fused probability" if exclusive else "fused probability > 0.5"
    each = ", and structure; of all structures: their mean in each image" if structures else ""
    return POLICY.format(mask=mask, each=each, first=FIRST[unit], over=UNITS[unit], short=short(unit))


def short(unit: str) -> str:
    """A unit's name without what is said in brackets."""
    return UNITS[unit].split(" (")[0]
