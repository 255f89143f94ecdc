"""Which images weights were trained on, as digests beside them, so that a score can say whether it knows its images.

Another split, an edited datalist or a copy under another name would otherwise score training images in silence.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.datalist import is_path
from ..data.item_paths import paths_of
from ..digest import sha256_once
from ..files import write_text_atomically


def images_file(model_file: str | Path) -> Path:
    """model.pt -> model_images.json."""
    path = Path(model_file)
    return path.with_name(f"{path.stem}_images.json")


def digests_of(items: Iterable[Any]) -> list[str]:
    """Of the images of a training's items, every modality; none where they have no paths."""
    images = [item["image"] for item in items if isinstance(item, Mapping) and is_path(item.get("image"))]
    return sorted(map(sha256_once, {path for image in images for path in paths_of(image)}))


def write_images(digests: Sequence[str], model_file: str | Path) -> None:
    """Write the digests of the images that were trained on; nothing where there are none."""
    if digests:
        content = {"what": "SHA-256 of every image that was trained on", "sha256": digests}
        write_text_atomically(json.dumps(content, indent=0) + "\n", images_file(model_file))


def read_images(model_file: str | Path) -> frozenset[str] | None:
    """The digests; None where they are not known.

    Raises:
        ValueError: where the file is damaged; it names it.
    """
    path = images_file(model_file)
    if not path.is_file():
        return None
    try:
        return frozenset(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} can not be read ({error}); expected digests of images: delete it.") from error
