"""What the commands run: a bundle's own configs by `monai.bundle.run`, with the overlays that fit data and weights."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai.bundle import ConfigWorkflow
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..bundles import Bundle
from ..data.dicom_series import is_dicom
from ..data.layouts import layout_of
from ..settings import check_settings, parsed

if TYPE_CHECKING:
    from ..clinical.series import Series


def run_training(
    bundle: Bundle, data: Path, output: Path, presets: Sequence[str], layout: str | None, settings: Sequence[str]
) -> None:
    """Train."""
    configs = [bundle.config(name) for name in ["train", *_data_overlay(bundle, data, layout)]]
    configs += [path for name in presets for path in _training_presets(bundle, name)]
    configs += [bundle.config(name) for name in _ranks("multi_gpu_train")]
    _run(bundle, "training", configs, _where(data, layout) | {"output_dir": str(output)}, settings)


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
    model_file, (inference, *rest) = bundle.inference_configs(weights, presets)
    scoring = [bundle.config(name) for name in ["evaluate", *_data_overlay(bundle, data, layout)]]
    configs = [inference, *scoring, *rest, *(bundle.config(name) for name in _ranks("multi_gpu_evaluate"))]
    own = {"model_file": str(model_file)}
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
) -> list[Path]:
    """Segment; where DICOM is given, write DICOM objects as well, and return their paths."""
    series = _dicom(source, output)
    source = source if series is None else series.folder
    model_file, configs = bundle.inference_configs(weights, presets)
    configs += [bundle.config(name) for name in _ranks("multi_gpu_evaluate")]
    own = {"model_file": str(model_file), "input": str(source), "output_dir": str(output), **sampling}
    _run(bundle, "inferring", configs, own, settings)
    if series is None:
        return []
    from ..clinical.results import write_objects

    return write_objects(series, output, bundle.name, bundle.metadata)


def _dicom(source: Path, output: Path) -> "Series | None":
    """The series, where the input is DICOM: a zip, a file, or a folder with such files and no others that are images.

    Raises:
        ValueError: where it can not be segmented, or the packages for DICOM are missing.
    """
    if not (source.suffix.lower() == ".zip" or is_dicom(source) or _holds_dicom(source)):
        return None
    if _processes() > 1:
        raise ValueError(f"{source} holds one case, a series, for {_processes()} processes: run it without torchrun.")
    try:
        from ..clinical.results import received
    except ImportError as error:
        raise ValueError(f"DICOM needs more packages ({error}): pip install noise2mask[clinical].") from error
    return received(source, output / "series")


def _holds_dicom(folder: Path) -> bool:
    """Whether some file at any depth is DICOM."""
    return folder.is_dir() and any(is_dicom(file) for file in folder.rglob("*") if file.is_file())


def show_cases(outputs: Sequence[Path], console: Console) -> None:
    """The cases of some reports, the most uncertain first; of several processes, the first shows them."""
    if os.environ.get("RANK", "0") != "0":
        return
    reports = [json.loads((output / "report.json").read_text(encoding="utf-8")) for output in outputs]
    cases = [(case, output) for report, output in zip(reports, outputs, strict=True) for case in report["cases"]]
    table = Table("case", "triage", "lesion", "mask", title=f"{len(cases)} cases, look at the first ones first")
    for case, output in sorted(cases, key=lambda made: -made[0]["triage"]):
        lesion = f"{case['fraction']:.1%}" if case["pixels"] else "none"
        name, mask = escape(Path(case["image"]).name), escape(str(output / case["files"][0]))
        table.add_row(name, f"{case['triage']:.3f}", lesion, mask)
    console.print(table)


def _data_overlay(bundle: Bundle, data: Path, layout: str | None) -> list[str]:
    """The overlay of the bundle for a layout; that of a plain folder where there is none."""
    name = f"data/{layout or layout_of(data)}"
    try:
        bundle.config(name)
    except ValueError:
        return ["data/folder"]
    return [name]


def _training_presets(bundle: Bundle, name: str) -> list[Path]:
    """A preset, with what training alone needs of it, where it has a second file for that: basic_unet_train."""
    second = bundle.root / "configs" / "presets" / f"{name}_train.yaml"
    return [bundle.preset(name), *([second] if second.is_file() else [])]


def _where(data: Path, layout: str | None) -> dict[str, Any]:
    return {"dataset_dir": str(data), "layout": layout or layout_of(data)}


def _processes() -> int:
    """How many torchrun has started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _ranks(overlay: str) -> list[str]:
    """The overlay for several processes, where torchrun has started them."""
    return [overlay] if _processes() > 1 else []


def _run(bundle: Bundle, run_id: str, configs: Sequence[Path], own: Mapping[str, Any], settings: Sequence[str]) -> None:
    """Check the user's settings, then run."""
    given = parsed(settings)
    check_settings({**own, **given}, configs)
    workflow = ConfigWorkflow(  # what `monai.bundle.run` makes, which drops settings that are None
        config_file=[str(path) for path in configs],
        meta_file=str(bundle.config("metadata")),
        logging_file=str(bundle.logging_config),
        run_id=run_id,
        bundle_root=str(bundle.root),
        **{**own, **given},
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
