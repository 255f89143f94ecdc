"""NT-Xent against its written formula, and which views find one another, by hand."""

import pytest
import torch

from noise2mask.losses.view_loss import ViewLoss, found_views, prepare_views


def test_both_views_go_through_the_network_at_once_with_the_numbers_of_their_images():
    first, second = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    views, whose = prepare_views({"image": first, "view": second}, torch.device("cpu"))
    assert torch.equal(views, torch.cat([first, second])) and whose.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_loss_is_equation_1_of_simclr_in_every_batch_size(temperature):
    torch.manual_seed(0)
    loss = ViewLoss(temperature)
    for images in (3, 2):  # the last batch of an epoch is smaller
        projections, whose = torch.randn(2 * images, 5), torch.arange(images).repeat(2)
        unit = projections / projections.norm(dim=1, keepdim=True)
        similar = (unit @ unit.T / temperature).exp()
        pairs = [(i, (i + images) % (2 * images)) for i in range(2 * images)]
        each = [-torch.log(similar[i, j] / (similar[i].sum() - similar[i, i])) for i, j in pairs]
        assert loss(projections, whose).item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-4)


def test_equal_views_of_opposite_images_have_a_lower_loss_than_mixed_ones():
    good = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    whose = torch.tensor([0, 1, 0, 1])
    assert ViewLoss()(good, whose) < 1e-4 < 1 < ViewLoss()(good[[0, 1, 3, 2]], whose)


def test_which_views_are_found_by_hand():
    angles = torch.deg2rad(torch.tensor([0.0, 90.0, 10.0, 25.0]))  # of image 0, 1, 0, 1
    projections = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [5.0], [2.0], [0.1]])
    # 0 finds 10, 90 finds 25, 10 finds 0, and 25 finds 10, which is of the other image
    assert found_views(projections, torch.tensor([0, 1, 0, 1])).tolist() == [1, 1, 1, 0]
