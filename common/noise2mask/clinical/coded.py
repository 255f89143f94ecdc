"""What is segmented, in the codes of a bundle's metadata.

`coded_structures` maps the name of a structure to its label, category, type and regions of the body. A structure that
it does not know, of somebody's own training, gets a private code and no region: a wrong one would be believed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

PRIVATE = "99NOISE2MASK"  # coding scheme
ANATOMICAL_STRUCTURE = ("91723000", "SCT", "Anatomical Structure")
LONGEST = 16  # characters of a code's value in DICOM


def coded_structures(metadata: Mapping[str, Any], names: Iterable[str]) -> list[Mapping[str, Any]]:
    """Label, category, type and regions of each structure, by its name."""
    known = metadata.get("coded_structures", {})
    return [known.get(name) or _private(name) for name in names]


def _private(name: str) -> dict[str, Any]:
    """A structure that has no code of its own."""
    short = hashlib.sha256(name.encode()).hexdigest()[:LONGEST] if len(name) > LONGEST else name
    return {"label": name[:64], "category": ANATOMICAL_STRUCTURE, "type": (short, PRIVATE, name[:64])}
