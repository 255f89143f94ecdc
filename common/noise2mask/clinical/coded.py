"""What is segmented, in the codes of a bundle's metadata.

`coded_structures` maps the name of a structure to its label, category, type and regions of the body; a bundle whose
masks have one channel has one. A structure that it does not know, of somebody's own training, gets a private code.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

PRIVATE = "99NOISE2MASK"  # coding scheme
ANATOMICAL_STRUCTURE = ("91723000", "SCT", "Anatomical Structure")
LONGEST = 16  # characters of a code's value in DICOM


def coded_structures(bundle: str, metadata: Mapping[str, Any], names: Sequence[str] | None) -> list[Mapping[str, Any]]:
    """Label, category, type and regions of each structure.

    Args:
        bundle:   its name.
        metadata: of the bundle.
        names:    of the structures; None: the one that the bundle has.

    Raises:
        ValueError: where the metadata has none.
    """
    known = metadata.get("coded_structures")
    if not known:
        raise ValueError(f"The metadata.json of {bundle} has no coded_structures, expected labels and codes: add them.")
    if names is None:
        return [next(iter(known.values()))]
    return [known.get(name) or _private(name) for name in names]


def _private(name: str) -> dict[str, Any]:
    """A structure that has no code of its own."""
    short = hashlib.sha256(name.encode()).hexdigest()[:LONGEST] if len(name) > LONGEST else name
    return {"label": name[:64], "category": ANATOMICAL_STRUCTURE, "type": (short, PRIVATE, name[:64])}
