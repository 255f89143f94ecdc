"""A small trained-like PGDiffSeg and a data set of pictures with labels, for figures."""

import torch
from monai.data import Dataset, MetaTensor
from monai.transforms import Compose

from noise2mask.diffusion.inferer import EnsembleInferer
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.explain.subject import Subject
from noise2mask.networks.pgdiffseg import PGDiffSeg


def network(**options):
    """Whose attention is no identity."""
    torch.manual_seed(0)
    net = PGDiffSeg(**{"base": 8, "multipliers": (1, 2), **options}).eval()
    for gain in (gain for psa in net.psa for gain in psa.gain.values()):
        gain.data.fill_(0.5)
    return net


def inferer(**options):
    """Of three steps, two samples."""
    return EnsembleInferer(NoiseSchedule(), **{"steps": 3, "samples": 2, **options})


def dataset(count=2, labelled=True, depth=0, first=0):
    """Items as figures take them: images (1, 16, 16[, depth]) with a square as label."""
    shape = (1, 16, 16, depth) if depth else (1, 16, 16)
    items = []
    for i in range(first, count):
        torch.manual_seed(10 + i)
        label = torch.zeros(shape)
        label[:, 4:10, 2 + i : 8 + i] = 1
        if depth:
            label[..., 1] = 0
            label[:, 5:7, 5:7, 1] = 1
        meta = {"filename_or_obj": f"case_{i}.png"}
        item = {"image": MetaTensor((torch.randn(shape) + 2 * label).clamp(-1, 1), meta=meta)}
        items.append(item | ({"label": MetaTensor(label, meta=dict(meta))} if labelled else {}))
    return Dataset(items, Compose([]))


def subject(folder, net=None, data=None, inferer_=None, **options):
    """A network, this one or the small PGDiffSeg, and the cases that its figures show."""
    return Subject(data or dataset(), net or network(), inferer_ or inferer(), str(folder), **options)
