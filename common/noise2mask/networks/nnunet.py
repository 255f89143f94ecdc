"""nnU-Net as a plain network, which is put in a denoiser's place like any other, so that it is scored on equal terms.

It answers with nnU-Net's own predictor: its preprocessing, its sliding window, its mean over mirrored images. What
trains it is `studies.nnunet_training`.

Legend: B images, C channels, K classes, R nnU-Net's outputs, H W rows and columns, D slices, for pictures 1.
"""

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion.denoiser import check_channels
from ..files import load_plain
from ..meta import without_meta

try:
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
except ImportError as error:
    raise ValueError(f"nnU-Net needs more packages ({error}): install the extra peers.") from error

PREFIX = "network.network."  # of its weights' names in a `Baseline` or `PlainSegmenter`, whose `network` this one is
NETWORKS, PARTS = "dynamic_network_architectures.", "torch.nn."  # where the classes that plans name come from
SMALLEST = 1e-6  # probability: its logarithm is finite


class NNUNet(nn.Module):
    """Images as training's were prepared -> logits, of which softmax or sigmoid gives nnU-Net's own probabilities.

    Args:
        model_file: what `NNUNetTraining` has written: weights under `model`, and the plans.
        exclusive:  classes exclude one another, the background first; else each structure has a channel of its own.

    Raises:
        ValueError: where the file can not be read, or is of no nnU-Net; it names it.
    """

    def __init__(self, model_file: str | Path, exclusive: bool = False) -> None:
        super().__init__()
        content = load_plain(model_file)
        check_plans(content, model_file)
        plans = PlansManager(deepcopy(content["plans"]))
        configuration = plans.get_configuration(content["configuration"])
        self.in_channels = len(content["dataset"]["channel_names"])
        self.spatial_dims = (
            3 if "3d_fullres" in plans.available_configurations else 2
        )  # trained on volumes, or pictures
        self.exclusive = exclusive
        self.network: nn.Module = nnUNetTrainer.build_network_architecture(
            plans,
            configuration,
            self.in_channels,
            plans.get_label_manager(content["dataset"]).num_segmentation_heads,
            enable_deep_supervision=False,
        )
        self._facts = (plans, configuration, content["dataset"], tuple(content["mirror_axes"]))
        self._predictor: nnUNetPredictor | None = None

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W), of a network of volumes (B, C, H, W, D) -> (B, K, H, W[, D]); no gradient flows back."""
        check_channels(image, self.in_channels)
        outputs = torch.stack([self._probability(one) for one in without_meta(image)])  # (B, R, H, W[, D])
        probability = outputs.to(image.device).clamp(SMALLEST, 1 - SMALLEST)
        if self.exclusive:
            return probability.log()  # (B, K, ...)
        regions = self._facts[0].get_label_manager(self._facts[2]).has_regions
        return (probability if regions else probability[:, 1:]).logit()  # (B, K, ...), without the background

    def _probability(self, image: Tensor) -> Tensor:
        """(C, H, W[, D]) -> (R, H, W[, D]) on the CPU."""
        plans, configuration, dataset, _ = self._facts
        volume = (image[..., None] if image.ndim == 3 else image).movedim(-1, 1)  # (C, D, H, W), nnU-Net's order
        spacing = [plans.original_median_spacing_after_transp[axis] for axis in plans.transpose_backward]
        preprocessor = configuration.preprocessor_class(verbose=False)
        prepared, _, properties = preprocessor.run_case_npy(
            volume.cpu().numpy(), None, {"spacing": spacing}, plans, configuration, dataset
        )
        predictor = self._on(image.device)
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(prepared)).cpu()
        _, probability = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits,
            plans,
            configuration,
            predictor.label_manager,
            properties,
            return_probabilities=True,
            num_threads_torch=torch.get_num_threads(),
        )
        found = torch.from_numpy(probability).float().movedim(1, -1)  # (R, H, W, D)
        return found[..., 0] if image.ndim == 3 else found

    def _on(self, device: torch.device) -> nnUNetPredictor:
        """The predictor, made where the images are."""
        if self._predictor is None or self._predictor.device != device:
            with redirect_stdout(io.StringIO()):  # it says on every CPU that this is none of CUDA
                self._predictor = nnUNetPredictor(
                    device=device, perform_everything_on_device=device.type == "cuda", allow_tqdm=False
                )
            plans, configuration, dataset, mirror_axes = self._facts
            weights = None  # they are in the network
            self._predictor.manual_initialization(
                self.network, plans, configuration, weights, dataset, nnUNetTrainer.__name__, mirror_axes
            )
        return self._predictor


def check_plans(content: Any, path: str | Path) -> None:
    """See that a file has what `NNUNetTraining` writes, and that its plans name nothing but parts of networks.

    Raises:
        ValueError: where not; it names the file.
    """
    keys = {"model", "plans", "dataset", "configuration", "mirror_axes"}
    missing = sorted(keys - set(content)) if isinstance(content, Mapping) else sorted(keys)
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}; expected nnU-Net's: train it with presets/nnunet_train.")
    for configuration in content["plans"]["configurations"].values():
        architecture = configuration.get("architecture", {})
        named = {str(architecture.get("network_class_name", NETWORKS)): NETWORKS}
        parts = [architecture.get("arch_kwargs", {}).get(name) for name in architecture.get("_kw_requires_import", ())]
        named |= {str(part): PARTS for part in parts if part is not None}
        if wrong := [name for name, expected in named.items() if not name.startswith(expected)]:
            raise ValueError(f"{path} names {wrong[0]}, expected parts of networks alone: do not use these weights.")
