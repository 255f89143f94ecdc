"""One page of everything that an evaluation, a segmentation or a training found."""
