"""The reference encoder: frozen, it knows no batch; in pre-training it learns."""

import pytest
import torch

from noise2mask.networks.reference_encoder import ContrastiveProjection, ReferenceEncoder, take_trained


def test_a_frozen_encoder_takes_a_batch_of_one_and_stays_as_it_is_in_train_mode():
    encoder, images = ReferenceEncoder().train(), torch.randn(2, 3, 32, 40)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    together = encoder(images)
    assert together.shape == (2, 512) and not together.requires_grad
    assert torch.allclose(encoder(images[:1]), together[:1], atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_pre_training_reaches_encoder_and_head_and_updates_batch_norm():
    network = ContrastiveProjection(ReferenceEncoder(embedding=16, frozen=False), width=8).train()
    mean = network.encoder.backbone.bn1.running_mean.clone()
    out = network(torch.randn(3, 3, 64, 64))
    out.square().sum().backward()
    assert out.shape == (3, 8) and not [name for name, weight in network.named_parameters() if weight.grad is None]
    assert not torch.equal(network.encoder.backbone.bn1.running_mean, mean)


def test_the_stem_halves_the_size_and_a_frozen_encoder_is_not_pre_trained():
    assert ReferenceEncoder().backbone.conv1.stride == (2, 2)
    with pytest.raises(ValueError, match="frozen encoder can not be trained: give it frozen=False"):
        ContrastiveProjection(ReferenceEncoder())


def test_a_trained_encoder_is_taken_from_its_file_or_follows_with_the_whole_network(tmp_path):
    small = {"embedding": 6, "width": 4}
    trained, encoder = ReferenceEncoder(**small), ReferenceEncoder(**small)
    torch.save(trained.state_dict(), tmp_path / "reference.pt")
    before = encoder.project.weight.clone()
    take_trained(encoder, None, initial_weights="model.pt")
    assert torch.equal(encoder.project.weight, before)
    take_trained(encoder, tmp_path / "reference.pt", initial_weights=None)
    assert torch.equal(encoder.project.weight, trained.project.weight)
    with pytest.raises(ValueError, match="The reference encoder is not trained: name reference_file"):
        take_trained(encoder, None, None)


def test_an_encoder_that_was_trained_on_other_colours_is_refused(tmp_path):
    encoder, seen = ReferenceEncoder(embedding=6, width=4), {"normalise_colours": True, "intensity_range": [0, 255]}
    torch.save(encoder.state_dict(), tmp_path / "reference.pt")
    take_trained(encoder, tmp_path / "reference.pt", None, seen)  # nobody knows how it was trained
    (tmp_path / "reference.yaml").write_text("normalise_colours: false\nintensity_range: [0, 255]\n")
    with pytest.raises(ValueError, match="reference.yaml says normalise_colours False, this training has True"):
        take_trained(encoder, tmp_path / "reference.pt", None, seen)
    take_trained(encoder, tmp_path / "reference.pt", None, seen | {"normalise_colours": False})


def test_the_stages_of_a_narrow_encoder_have_1_2_4_and_8_times_its_width():
    encoder = ReferenceEncoder(embedding=6, width=4)
    stages = [encoder.backbone.layer1, encoder.backbone.layer2, encoder.backbone.layer3, encoder.backbone.layer4]
    assert [stage[-1].conv2.out_channels for stage in stages] == [4, 8, 16, 32]
    assert encoder.backbone.conv1.out_channels == 4 and encoder(torch.randn(1, 3, 32, 40)).shape == (1, 6)
