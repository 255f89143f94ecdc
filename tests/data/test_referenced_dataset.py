"""A reference is of the same slide and dominant class, never the tile as it is, and another one in every epoch."""

import pytest
import torch
from monai.transforms import Compose, RandFlipd, RandRotate90d

from noise2mask.data.referenced_dataset import ReferencedDataset, dominant_class
from noise2mask.data.symmetry import SYMMETRIES, laid

KINDS = [("a", 1), ("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 2)]  # slide and dominant class
RANDOM = Compose([RandFlipd(["image", "label"], 0.5, 1), RandRotate90d(["image", "label"], 0.75)])


def items(size=(4, 4)):
    """Tiles of no symmetry whose values tell them apart, half of each of its class, the rest background."""
    found = []
    for number, (slide, kind) in enumerate(KINDS):
        label = torch.zeros(3, *size)
        label[kind, :2], label[0, 2:] = 1, 1
        image = torch.arange(3.0 * size[0] * size[1]).reshape(3, *size) + 100 * number
        found.append({"image": image, "label": label, "slide": slide})
    return found


def dataset(epoch=1, seed=0, transform=RANDOM, data=None, **options):
    made = ReferencedDataset(data or items(), transform, seed, **options)
    made.set_epoch(epoch)
    return made


def source(item):
    """Which tile a reference comes from."""
    return int(item["reference"].min()) // 100


def test_a_reference_has_the_slide_and_the_dominant_class_of_its_tile():
    found = {(i, source(dataset(epoch)[i])) for epoch in range(12) for i in range(6)}
    assert all(KINDS[i] == KINDS[j] for i, j in found)
    assert found == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (3, 3), (4, 4), (4, 5), (5, 4), (5, 5)}


@pytest.mark.parametrize("transform", [RANDOM, Compose([])])
@pytest.mark.parametrize("other", [0.0, 1.0])
def test_it_is_never_the_tile_as_it_is_but_one_of_its_other_lays(transform, other):
    tiles = dataset(transform=transform, other=other)
    for epoch in range(20):
        tiles.set_epoch(epoch)
        for item in tiles:
            lays = [laid(tiles._cache[source(item)]["image"], number) for number in range(SYMMETRIES)]
            assert any(torch.equal(item["reference"], lay) for lay in lays)
            assert not torch.equal(item["reference"], item["image"])


def test_a_tile_that_overlaps_is_no_reference():
    places = [[0, 0, 8], [0, 7, 8], [0, 0, 8], [0, 0, 8], [0, 0, 8], [8, 0, 8]]  # 0 and 1 overlap, 4 and 5 touch
    tiles = dataset(data=[item | {"place": place} for item, place in zip(items(), places, strict=True)], other=1.0)
    assert [source(item) for item in tiles] == [0, 1, 2, 3, 5, 4]


def test_it_is_the_same_for_the_same_epoch_and_changes_with_epoch_and_seed():
    def drawn(*which):
        return torch.stack([item["reference"] for item in dataset(*which)])

    assert torch.equal(drawn(1, 0), drawn(1, 0))
    assert not torch.equal(drawn(1, 0), drawn(2, 0)) and not torch.equal(drawn(1, 0), drawn(1, 1))
    assert torch.equal(dataset()[-1]["reference"], dataset()[5]["reference"])


def test_another_tile_is_taken_as_often_as_asked_for_where_there_is_one():
    tiles = dataset(other=0.25)
    others = 0
    for epoch in range(100):
        tiles.set_epoch(epoch)
        others += source(tiles[0]) == 1
        assert source(tiles[2]) == 2
    assert others / 100 == pytest.approx(0.25, abs=0.1)


def test_without_slides_each_tile_is_its_own_and_an_oblong_one_keeps_its_size():
    data = [{key: own for key, own in item.items() if key != "slide"} for item in items((4, 6))]
    tiles = dataset(transform=Compose([]), data=data, other=1.0)
    assert [source(item) for item in tiles] == [0, 1, 2, 3, 4, 5]
    assert {tuple(item["reference"].shape) for item in tiles} == {(3, 4, 6)}
    patients = dataset(transform=Compose([]), data=[item | {"patient": 0} for item in data], other=1.0)
    assert any(source(item) != i for i, item in enumerate(patients))  # where there is no slide


def test_the_dominant_class_is_the_largest_structure_and_the_background_only_alone():
    masks = torch.zeros(2, 4, 4)
    assert dominant_class(masks) == 0
    masks[0, 0, 0] = 1
    assert dominant_class(masks) == 1
    masks[1, 1] = 1
    assert dominant_class(masks) == 2


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"other_reference is 1.5, expected a probability from 0 to 1"):
        dataset(other=1.5)
