"""Seeds that follow from a run's seed and from where they are used."""

import random

import numpy as np
import torch

from noise2mask.seeding import derived_seed, seed_everything


def test_a_seed_is_the_same_everywhere_and_always():
    assert derived_seed(0, 1, 2) == derived_seed(0, 1, 2) == 3884055042


def test_neighbours_differ():
    seeds = {derived_seed(seed, epoch, index) for seed in range(3) for epoch in range(10) for index in range(100)}
    assert len(seeds) == 3000 and all(0 <= seed < 2**32 for seed in seeds)


def test_the_order_and_the_number_of_parts_count():
    assert len({derived_seed(1, 2), derived_seed(2, 1), derived_seed(1, 2, 0, 5), derived_seed(1, 2, 5)}) == 4


def test_every_generator_is_seeded():
    def draw():
        seed_everything(3, 4)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()
    assert len(set(draw())) == 3
