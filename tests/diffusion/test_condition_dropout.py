"""Condition dropout: by hand, in its shares, and the same again from the same seed."""

import pytest
import torch

from noise2mask.diffusion.condition_dropout import ConditionDropout


def test_numbers_in_each_share_drop_both_the_mask_the_reference_or_nothing():
    mask, reference = torch.ones(4, 3, 2, 2), torch.ones(4, 6)
    drawn = torch.tensor([0.05, 0.1, 0.25, 0.3])
    mask, reference = ConditionDropout().dropped(mask, reference, drawn)
    assert mask.amax(dim=(1, 2, 3)).tolist() == mask.amin(dim=(1, 2, 3)).tolist() == [0, 0, 1, 1]
    assert reference.amax(dim=1).tolist() == reference.amin(dim=1).tolist() == [0, 1, 0, 1]


def test_references_that_are_images_are_dropped_as_their_embeddings_are():
    mask, image, drawn = torch.ones(4, 3, 2, 2), torch.rand(4, 3, 5, 6) + 1, torch.tensor([0.05, 0.15, 0.25, 0.9])
    _, kept = ConditionDropout().dropped(mask, image, drawn)
    _, embedding = ConditionDropout().dropped(mask, torch.ones(4, 6), drawn)
    assert torch.equal(kept, image * embedding[:, 0, None, None, None]) and embedding[:, 0].tolist() == [0, 1, 0, 1]


def test_shares_are_those_asked_for_and_the_seed_repeats_them():
    dropout, given = ConditionDropout(0.1, 0.2, 0.3), (torch.ones(20000, 1, 1, 1), torch.ones(20000, 1))
    torch.manual_seed(0)
    mask, reference = (kept.flatten() > 0 for kept in dropout(*given))
    shares = [(~mask & ~reference), (~mask & reference), (mask & ~reference)]
    assert [share.float().mean().item() for share in shares] == pytest.approx([0.1, 0.2, 0.3], abs=0.01)
    torch.manual_seed(0)
    assert torch.equal(dropout(*given)[0].flatten() > 0, mask)


@pytest.mark.parametrize("shares", [(0.5, 0.4, 0.2), (-0.1, 0.1, 0.1)])
def test_what_is_no_probability_is_refused(shares):
    with pytest.raises(ValueError, match="expected probabilities whose sum is at most 1"):
        ConditionDropout(*shares)
