"""Every validation shows the same cases, spread over the data, in a file and in TensorBoard."""

import io

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from noise2mask.explain.caption import BAR
from noise2mask.explain.progress import progress_picture
from noise2mask.handlers.progress import Progress


def items(count):
    """Image i has i as its only bright column."""
    found = []
    for i in range(count):
        image = torch.zeros(1, 4, 16)
        image[..., i] = 1
        found.append({"image": image, "label": torch.stack([1 - image[0], image[0]])})
    return found


def validator(folder, count=10, **options):
    """Gives every label back as its mask, turned round."""

    def step(engine, batch):
        keys = ("image", "label")
        return [
            {**{k: batch[k][i] for k in keys}, "pred": batch["label"][i].flip(-1)} for i in range(len(batch["image"]))
        ]

    engine = Engine(step)
    Progress(str(folder), exclusive=True, **options).attach(engine)
    return engine, DataLoader(Dataset(items(count)), batch_size=4)


def shown(numbers):
    cases = [items(16)[i] for i in numbers]
    return progress_picture([(c["image"], c["label"][1:], c["label"][1:].flip(-1)) for c in cases])


@pytest.mark.parametrize(("count", "cases", "numbers"), [(10, 4, [0, 3, 6, 9]), (2, 6, [0, 1]), (10, 1, [0])])
def test_the_cases_are_spread_over_the_data(tmp_path, count, cases, numbers):
    engine, data = validator(tmp_path, count, cases=cases)
    engine.run(data)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "progress.png"))[:-BAR], shown(numbers))


def test_the_same_cases_come_again_and_tensorboard_has_every_validation(tmp_path):
    engine, data = validator(tmp_path)
    engine.run(data, max_epochs=2)
    found = [EventAccumulator(str(path)).Reload().Images("validation") for path in tmp_path.glob("events*")]
    images = sorted((image.step, image.encoded_image_string) for image in sum(found, []))
    first, second = (np.asarray(Image.open(io.BytesIO(content))) for _, content in images)
    assert [step for step, _ in images] == [1, 2] and np.array_equal(first[:-BAR], second[:-BAR])
    assert not np.array_equal(first[-BAR:], second[-BAR:])  # the epoch is said below
