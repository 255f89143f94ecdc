"""What the commands run: a bundle's own configs by `monai.bundle.run`, with the overlays that fit data and weights."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import monai.bundle
from rich.console import Console
from rich.table import Table

from ..data.layouts import layout_of
from ..handlers.model_settings import settings_file
from .bundles import Bundle
from .settings import check_settings, parsed


def run_training(
    bundle: Bundle, data: Path, output: Path, presets: Sequence[str], layout: str | None, settings: Sequence[str]
) -> None:
    """Train."""
    configs = ["train", *_data_overlay(bundle, data, layout), *(f"presets/{name}" for name in presets)]
    own = _where(data, layout) | {"output_dir": str(output)}
    _run(bundle, "training", [bundle.config(name) for name in configs + _ranks("multi_gpu_train")], own, settings)


def run_evaluation(
    bundle: Bundle,
    data: Path,
    output: Path,
    weights: Path | None,
    section: str,
    presets: Sequence[str],
    layout: str | None,
    settings: Sequence[str],
) -> None:
    """Score."""
    names = ["inference", "evaluate", *_data_overlay(bundle, data, layout)]
    configs, own = _with_weights(bundle, names, weights, presets, "multi_gpu_evaluate")
    own |= _where(data, layout) | {"output_dir": str(output), "section": section}
    _run(bundle, "evaluating", configs, own, settings)


def run_segmentation(
    bundle: Bundle,
    source: Path,
    output: Path,
    weights: Path | None,
    presets: Sequence[str],
    sampling: Mapping[str, Any],
    settings: Sequence[str],
) -> None:
    """Segment."""
    configs, own = _with_weights(bundle, ["inference"], weights, presets, "multi_gpu_evaluate")
    own |= {"input": str(source), "output_dir": str(output), **sampling}
    _run(bundle, "inferring", configs, own, settings)


def show_cases(output: Path, console: Console) -> None:
    """The cases of a report, the most uncertain first."""
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    table = Table(
        "case", "triage", "lesion", "mask", title=f"{len(report['cases'])} cases, look at the first ones first"
    )
    for case in report["cases"]:
        lesion = f"{case['fraction']:.1%}" if case["pixels"] else "none"
        table.add_row(Path(case["image"]).name, f"{case['triage']:.3f}", lesion, str(output / case["files"][0]))
    console.print(table)


def _with_weights(
    bundle: Bundle, names: Sequence[str], weights: Path | None, presets: Sequence[str], ranks: str
) -> tuple[list[Path], dict[str, Any]]:
    """Configs, with what stands beside the weights, and the setting that names these.

    Raises:
        ValueError: where there are no weights.
    """
    model_file = bundle.weights if weights is None else weights
    if not model_file.is_file():
        remedy = "give a model.pt with --weights, or train one: noise2mask train"
        raise ValueError(f"{model_file} does not exist, expected weights: {remedy}.")
    trained = [path for path in [settings_file(model_file)] if path.is_file()]
    overlays = [bundle.config(name) for name in [*(f"presets/{name}" for name in presets), *_ranks(ranks)]]
    return [*map(bundle.config, names), *trained, *overlays], {"model_file": str(model_file)}


def _data_overlay(bundle: Bundle, data: Path, layout: str | None) -> list[str]:
    """The overlay of the bundle for a layout; that of a plain folder where there is none."""
    name = f"data/{layout or layout_of(data)}"
    try:
        bundle.config(name)
    except ValueError:
        return ["data/folder"]
    return [name]


def _where(data: Path, layout: str | None) -> dict[str, Any]:
    return {"dataset_dir": str(data), "layout": layout or layout_of(data)}


def _ranks(overlay: str) -> list[str]:
    """The overlay for several processes, where torchrun has started them."""
    return [overlay] if int(os.environ.get("WORLD_SIZE", "1")) > 1 else []


def _run(bundle: Bundle, run_id: str, configs: Sequence[Path], own: Mapping[str, Any], settings: Sequence[str]) -> None:
    """Check the user's settings, then run."""
    given = parsed(settings)
    check_settings({**own, **given}, configs)
    monai.bundle.run(
        run_id=run_id,
        config_file=[str(path) for path in configs],
        meta_file=str(bundle.config("metadata")),
        logging_file=str(bundle.root / "configs" / "logging.conf"),
        bundle_root=str(bundle.root),
        **{**own, **given},
    )
