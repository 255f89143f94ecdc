"""noise2mask: segmentation of medical images by denoising diffusion.

Importing this package imports nothing: a public name is looked up in its module whenever it is asked for (PEP 562), so
that `import noise2mask` takes no time and a command prints its help without loading PyTorch. Configs and the modules of
this package write the full path instead (noise2mask.diffusion.inferer.EnsembleInferer): it works in a copy inside a
bundle too, whose modules a server may have unloaded in between.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# public name: module, relative to this package
_MODULES = {
    # from image to mask
    "segment": "segmenter",
    "Segmenter": "segmenter",
    "Result": "segmenter",
    "find_bundle": "bundles",
    # diffusion
    "NoiseSchedule": "diffusion.noise_schedule",
    "to_target": "diffusion.target",
    "to_x0": "diffusion.target",
    "select_timesteps": "diffusion.timesteps",
    "SAMPLERS": "diffusion.samplers",
    "Denoised": "diffusion.samplers",
    "NoiseSource": "diffusion.noise",
    "Denoiser": "diffusion.denoiser",
    "EnsembleInferer": "diffusion.inferer",
    "ImageInferer": "diffusion.image_inferer",
    "UncertaintyEvaluator": "diffusion.evaluator",
    "GenerationEvaluator": "diffusion.generation_evaluator",
    "PrepareDiffusion": "diffusion.prepare_batch",
    "PrepareGeneration": "diffusion.prepare_generation",
    "ConditionDropout": "diffusion.condition_dropout",
    "fuse": "diffusion.fusion",
    "staple": "diffusion.staple",
    "multi_label_staple": "diffusion.multi_label_staple",
    "standard_deviation": "diffusion.uncertainty",
    "entropy": "diffusion.uncertainty",
    "triage": "diffusion.uncertainty",
    # networks and their layers
    "PGDiffSeg": "networks.pgdiffseg",
    "MedSegDiff": "networks.medsegdiff",
    "MedSegDiffV2": "networks.medsegdiff_v2",
    "DSDM": "networks.dsdm",
    "DSDMWithReference": "networks.dsdm_with_reference",
    "Guided": "networks.guidance",
    "ReferenceEncoder": "networks.reference_encoder",
    "Baseline": "networks.baseline",
    "NetworkEnsemble": "networks.network_ensemble",
    "PriorSupervision": "networks.prior_supervision",
    "load_weights": "networks.weights",
    "ParameterSharedAttention": "layers.psa",
    "SlimDenseBlock": "layers.slim_dense",
    "DynamicEncoding": "layers.dynamic_encoding",
    "FFParser": "layers.ff_parser",
    "UncertainAttention": "layers.uncertain_attention",
    "SSFormer": "layers.ss_former",
    "NBPFilter": "layers.nbp_filter",
    "SpadeNorm": "layers.spade",
    "CrossAttentionAlignment": "layers.cross_attention_alignment",
    # scores
    "case_scores": "metrics.case_scores",
    "summarise": "metrics.case_scores",
    "generalised_energy_distance": "metrics.ensemble",
    # training
    "DiffusionLoss": "losses.diffusion_loss",
    "HybridLoss": "losses.hybrid_loss",
    "PriorLoss": "losses.prior_loss",
    "JointLoss": "losses.joint_loss",
    "AnchorLoss": "losses.anchor_loss",
    "ViewLoss": "losses.view_loss",
    "SliceDataset": "data.slice_dataset",
    "ReferencedDataset": "data.referenced_dataset",
    "TwoViews": "data.two_views",
    "EMA": "handlers.ema",
    "Checkpoint": "handlers.checkpoint",
}

__all__ = ["__version__"] + list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its public names: {', '.join(_MODULES)}.")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
