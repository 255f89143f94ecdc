"""A MONAI Label app that offers the most uncertain image next.

MONAI Label's own app `monaibundle` runs packed bundles, but has no place where a bundle could bring a way of choosing
images. This one runs the same packages, and for each of them

- scores the images without a label by their triage number: 1 minus the mean Dice over pairs of samples;
- offers the strategy `most_uncertain_<model>`.

MONAI Label starts the scoring by itself: at its start, after a training, and whenever an image is asked for. What has
been scored with the same weights is not scored again.
"""

import logging
import os

import torch
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.activelearning.first import First
from monailabel.tasks.activelearning.random import Random
from monailabel.tasks.infer.bundle import BundleInferTask
from monailabel.tasks.train.bundle import BundleTrainTask
from monailabel.utils.others.generic import get_bundle_models, name_to_device

logger = logging.getLogger(__name__)

NONE = -1.0  # triage number of an image that has not been scored, or can not be: these come last


class Triage(ScoringMethod):
    """Triage numbers of the images without a label, in their info: {"triage_<model>": {"number": .., "weights": ..}}.

    Args:
        name: of the model.
        task: that infers with it.
    """

    def __init__(self, name, task):
        super().__init__(f"Disagreement of the samples of {name}")
        self.key, self.task = f"triage_{name}", task

    def weights(self):
        """Which weights a number is of: when their file was written."""
        return os.stat(self.task.get_path()).st_mtime

    def missing(self, datastore):
        """Images without a label that have not been scored with these weights."""
        weights = self.weights()
        images = datastore.get_unlabeled_images()
        return [name for name in images if datastore.get_image_info(name).get(self.key, {}).get("weights") != weights]

    def __call__(self, request, datastore):
        """Score what is missing; returns how many images were, and names of those that can not be."""
        weights, failed = self.weights(), []
        missing = self.missing(datastore)
        for image in missing:
            try:
                number = self.number(datastore.get_image_uri(image), name_to_device(request.get("device", "cuda")))
            except Exception:
                logger.exception(f"{image} can not be scored")
                failed.append(image)
                number = NONE
            datastore.update_image_info(image, {self.key: {"number": number, "weights": weights}})
        return {"scored": len(missing) - len(failed), "failed": failed}

    def number(self, path, device):
        """Triage number of an image, between 0 and 1."""
        data = {**self.task.config(), "image": path, "image_path": path, "device": device}
        data = self.task.run_pre_transforms(data, self.task.pre_transforms(data))
        image = data["image"][None].to(torch.device(device))  # (1, C, H, W) or (1, C, H, W, D)
        network = self.task._get_network(device, data)  # MONAI Label has no other way to it
        return float(self.task.inferer(data).triage(image, network))


class MostUncertain(Strategy):
    """The image without a label that has the highest triage number; those offered before come later, in turn.

    Images without a triage number come when all others have labels.

    Args:
        name: of the model.
    """

    def __init__(self, name):
        super().__init__(f"Most uncertain for {name} first")
        self.key = f"triage_{name}"

    def __call__(self, request, datastore):
        """{"id": image, "triage": number}, or None where all have labels."""
        images = sorted(datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels")))
        if not images:
            return None
        infos = {image: datastore.get_image_info(image) for image in images}
        triage = {image: info.get(self.key, {}).get("number", NONE) for image, info in infos.items()}
        served = {image: info.get("strategy", {}).get(request["strategy"], {}) for image, info in infos.items()}
        image = min(images, key=lambda image: (triage[image] == NONE, served[image].get("ts", 0), -triage[image]))
        return {"id": image, "triage": triage[image]}


class MyApp(MONAILabelApp):
    """The app that MONAI Label looks for in this folder; packages stand in `model/`."""

    def __init__(self, app_dir, studies, conf):
        self.models = get_bundle_models(app_dir, conf)
        super().__init__(app_dir, studies, conf, name="noise2mask", description="Masks with uncertainty", version="1")

    def init_infers(self):
        """A task per package."""
        return {name: BundleInferTask(path, self.conf) for name, path in self.models.items()}

    def init_trainers(self):
        """A task per package that can be trained."""
        tasks = {name: BundleTrainTask(path, self.conf) for name, path in self.models.items()}
        return {name: task for name, task in tasks.items() if task.is_valid()}

    def init_strategies(self):
        """The first one is what viewers offer first."""
        return {f"most_uncertain_{name}": MostUncertain(name) for name in self.models} | {
            "first": First(),
            "random": Random(),
        }

    def init_scoring_methods(self):
        """A scoring per package, with a task of its own: it runs in another process."""
        return {f"triage_{name}": Triage(name, BundleInferTask(path, self.conf)) for name, path in self.models.items()}

    def async_scoring(self, method, params=None):
        """Start the scoring only where there is something to score: MONAI Label asks for it at every image."""
        if any(scoring.missing(self.datastore()) for scoring in self._scoring_methods.values()):
            return super().async_scoring(method, params)
        return {}
