"""Small folders of tiles, and what an evaluation of a segmenter says of them."""

import numpy as np
from PIL import Image

from noise2mask.data.datalist import write_datalist
from noise2mask.data.layout_folder import folder_datalist
from noise2mask.metrics.score_files import csv_text


def tile_folder(folder, classes, size=8, seed=0, **columns):
    """Tiles t00, t01, ... whose masks are of one class each, but for a first row of background."""
    random = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = []
    for number, value in enumerate(classes):
        mask = np.full((size, size), value, np.uint8)
        mask[0] = 0
        image = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
        for name, array in (("images", image), ("masks", mask)):
            Image.fromarray(array).save(folder / name / f"t{number:02}.png")
        own = {name: values[number] for name, values in columns.items()}
        rows.append({"image": f"t{number:02}", "patient": f"p{number}", **own})
    (folder / "manifest.csv").write_text(csv_text(rows))
    write_datalist({"layout": "folder", **folder_datalist(folder)}, folder / "datalist.json")
    return folder


def cases_csv(path, folder, counts):
    """A cases.csv of stem -> structure -> (tp, fp, fn)."""
    lines = [
        {"image": str(folder / "images" / f"{stem}.png"), "structure": name}
        | dict(zip(("tp", "fp", "fn"), own, strict=True))
        for stem, structures in counts.items()
        for name, own in structures.items()
    ]
    path.write_text(csv_text(lines))
    return path
