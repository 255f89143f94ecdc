"""Features by the own encoder and by a TorchScript file: named, in the range each expects, whatever the batch."""

import pytest
import torch
from torch import nn

from noise2mask.digest import sha256
from noise2mask.metrics import features
from noise2mask.metrics.features import Extractor, own_extractor, scripted_extractor, unit_length
from noise2mask.networks.reference_encoder import ReferenceEncoder


class Means(nn.Module):
    """Mean of each colour, and the size."""

    def forward(self, image):
        return torch.cat([image.mean(dim=(2, 3)), torch.full((len(image), 1), float(image.shape[2]))], dim=1)


class Pyramid(nn.Module):
    def forward(self, image):
        return image[:, :, ::2, ::2]


def saved(network, path):
    torch.jit.script(network).save(path)
    return path


def images(count, side=16, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_batched_is_looped_with_batch_norm_in_train_mode_too(monkeypatch):
    encoder = ReferenceEncoder(embedding=8, frozen=False).train()
    mean, tiles = encoder.backbone.bn1.running_mean.clone(), images(5)
    monkeypatch.setattr(features, "AT_ONCE", 2)
    together = own_extractor(encoder)(tiles)
    looped = torch.cat([own_extractor(encoder)(tile[None]) for tile in tiles])
    assert together.shape == (5, 8) and not together.requires_grad and torch.allclose(together, looped, atol=1e-5)
    assert encoder.training and torch.equal(encoder.backbone.bn1.running_mean, mean)


def test_a_file_gets_its_size_and_its_range_and_is_named_with_its_digest(tmp_path):
    path = saved(Means(), tmp_path / "means.pt")
    extractor = scripted_extractor(path, size=24, value_range=(-1, 3))
    tiles = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert torch.allclose(extractor(tiles), torch.tensor([[-1, -0.2, 3, 24]]), atol=1e-6)
    expected = {"name": "means.pt", "sha256": sha256(path), "size": 24, "value_range": [-1, 3]}
    assert extractor.described() == expected
    assert torch.equal(scripted_extractor(path)(tiles)[:, 3], torch.tensor([8.0]))


def test_the_own_encoder_is_called_so_and_its_digest_tells_its_weights():
    torch.manual_seed(0)
    first, second = ReferenceEncoder(embedding=4), ReferenceEncoder(embedding=4)
    assert own_extractor(first).name == "own contrastive encoder"
    assert own_extractor(first).sha256 != own_extractor(second).sha256
    second.load_state_dict(first.state_dict())
    assert own_extractor(first).sha256 == own_extractor(second).sha256


def test_files_that_are_no_extractor_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none.pt does not exist, expected a TorchScript file"):
        scripted_extractor(tmp_path / "none.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no zip")
    for name in ("weights.pt", "text.pt"):
        with pytest.raises(ValueError, match=f"{name} is no readable TorchScript .*export it with torch.jit.save"):
            scripted_extractor(tmp_path / name)
    extractor = scripted_extractor(saved(Pyramid(), tmp_path / "pyramid.pt"))
    with pytest.raises(ValueError, match=r"pyramid.pt makes \(2, 3, 8, 8\) of 2 images, expected \(2, F\)"):
        extractor(images(2))


def test_a_file_other_than_the_published_one_is_not_run(tmp_path):
    path = saved(Means(), tmp_path / "means.pt")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  means.pt\n")
    with pytest.raises(ValueError, match="means.pt is not the file that .*SHA256SUMS lists"):
        scripted_extractor(path)


def test_features_that_are_no_numbers_and_no_images_are_refused():
    broken = Extractor(Means(), "broken", "", value_range=(0, torch.inf))
    with pytest.raises(ValueError, match="broken makes features that are not finite"):
        broken(images(1))
    with pytest.raises(ValueError, match="no images to take features of"):
        Extractor(Means(), "means", "")(images(0))


def test_features_of_length_one_keep_their_direction():
    assert torch.allclose(unit_length(torch.tensor([[3.0, 4], [0, -2]])), torch.tensor([[0.6, 0.8], [0, -1]]))
    for nothing in (0.0, torch.nan):
        with pytest.raises(ValueError, match="all zero or not finite"):
            unit_length(torch.tensor([[1.0, 1], [nothing, 0]]))
