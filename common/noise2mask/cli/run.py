"""What the commands run: a bundle's own configs by `monai.bundle.run`, with the overlays that fit data and weights."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai.bundle import ConfigParser, ConfigWorkflow
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..bundles import Bundle
from ..data.datalist import write_datalist
from ..data.inputs import dicom_files
from ..data.layouts import layout_of
from ..data.results import REPORT
from ..files import check_writable
from ..quiet import quiet
from ..settings import check_settings, parsed
from .how import How

if TYPE_CHECKING:
    from ..clinical.series import Case


def run_training(
    bundle: Bundle,
    data: Path,
    output: Path,
    config: str,
    presets: Sequence[str],
    layout: str | None,
    settings: Sequence[str],
) -> None:
    """Train, by a config such as "train"."""
    configs = [bundle.config(name) for name in [config, *data_overlay(bundle, data, layout)]]
    configs += [path for name in presets for path in training_presets(bundle, name)]
    configs += [bundle.config(name) for name in _ranks("multi_gpu_train")]
    run_config(bundle, "training", configs, where(data, layout) | {"output_dir": str(output)}, settings)


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
    scoring = [bundle.config(name) for name in ["evaluate", *data_overlay(bundle, data, layout)]]
    configs = [inference, *scoring, *rest, *(bundle.config(name) for name in _ranks("multi_gpu_evaluate"))]
    own = {"model_file": str(model_file)}
    own |= where(data, layout) | {"output_dir": str(output), "section": section}
    run_config(bundle, "evaluating", configs, own, settings)


def run_segmentation(bundle: Bundle, source: Path, output: Path, how: How) -> list[Path]:
    """Segment; where DICOM is given, write DICOM objects as well, and return their paths."""
    if bundle.generates:
        raise ValueError(f"{bundle.name} makes images and segments none: use noise2mask generate.")
    model_file, configs = bundle.inference_configs(how.weights, how.presets)
    cases = _dicom(source, output, bundle, configs, how.settings)
    source = _listed(cases, output / "series") if cases else source
    configs += [bundle.config(name) for name in _ranks("multi_gpu_evaluate")]
    own = {"model_file": str(model_file), "input": str(source), "output_dir": str(output), **how.sampling}
    run_config(bundle, "inferring", configs, own, how.settings)
    return _objects(cases, output, bundle) if cases else []


def run_slides(bundle: Bundle, source: Path, output: Path, tile_size: int, console: Console, how: How) -> None:
    """Segment whole slides."""
    if not list((bundle.root / "configs").glob("slides.*")):
        raise ValueError(f"{bundle.name} segments no slides: leave --tile-size out, or take diffusiondci_segmentation.")
    model_file, (inference, *rest) = bundle.inference_configs(how.weights, how.presets)
    own = {"model_file": str(model_file), "input": str(source), "output_dir": str(output), "tile_size": tile_size}
    configs = [inference, bundle.config("slides"), *rest]
    configs += [bundle.config(name) for name in _ranks("multi_gpu_evaluate")]
    run_config(bundle, "inferring", configs, {**own, **how.sampling}, how.settings)
    if _is_first():
        console.print(f"label maps, uncertainty and {output / 'classes.csv'}", soft_wrap=True)


def run_generation(
    bundle: Bundle, masks: Path, references: Path, output: Path, section: str, console: Console, how: How
) -> None:
    """Make images for masks; of several processes, the first says how many there are now."""
    if not bundle.generates:
        raise ValueError(f"{bundle.name} makes no images: take a bundle that generates (noise2mask list).")
    model_file, configs = bundle.inference_configs(how.weights, how.presets)
    configs += [bundle.config(name) for name in _ranks("multi_gpu_evaluate")]
    own = {"model_file": str(model_file), "input": str(masks), "references": str(references), "section": section}
    run_config(bundle, "inferring", configs, own | {"output_dir": str(output), **how.sampling}, how.settings)
    if _is_first():
        images = json.loads((output / REPORT).read_text(encoding="utf-8"))["images"]
        console.print(f"{images} images: {output / 'images'}, picture {output / 'generated.png'}", soft_wrap=True)


def _phase(configs: Sequence[Path], settings: Sequence[str]) -> int:
    """Which point in time the configs, and the user's settings over them, have."""
    given = parsed(settings)
    check_settings(given, configs)
    config = ConfigParser.load_config_files([str(path) for path in configs])
    return {"phase": 0, **config, **given}["phase"]


def _dicom(
    source: Path, output: Path, bundle: Bundle, configs: Sequence[Path], settings: Sequence[str]
) -> "list[Case]":
    """The cases, where the input is DICOM: a zip, a file, or a folder with such files and no others that are images.

    Raises:
        ValueError: where one can not be segmented, or the packages for DICOM are missing.
    """
    files = dicom_files(source)
    if not files:
        return []
    if processes() > 1:
        raise ValueError(f"{source} is DICOM, for one process, but there are {processes()}: run it without torchrun.")
    _check_apart(source, output)
    try:
        from ..clinical.results import check_objects
        from .dicom import staged
    except ImportError as error:
        raise ValueError(f"DICOM needs more packages ({error}): install the extra clinical.") from error
    check_writable(output)
    cases = staged(source, files, output / "series", _phase(configs, settings))
    for case in cases:
        check_objects(case, bundle.name, bundle.metadata)
    return cases


def _check_apart(source: Path, output: Path) -> None:
    """See that results are not taken for input the next time, and that copies do not replace what they are made of."""
    inside = source.is_dir() and output.resolve().is_relative_to(source.resolve())
    if inside or source.resolve().is_relative_to((output / "series").resolve()):
        raise ValueError(f"{source} and the output {output} stand in one another: give another output.")


def _listed(cases: "Sequence[Case]", work: Path) -> Path:
    """A datalist of the cases: what the bundle takes for its input."""
    return write_datalist({"testing": [{"image": str(case.folder.absolute())} for case in cases]}, work / "cases.json")


def _objects(cases: "Sequence[Case]", output: Path, bundle: Bundle) -> list[Path]:
    """The DICOM objects of all cases."""
    from ..clinical.results import write_objects

    return [path for case in cases for path in write_objects(case, output, bundle.name, bundle.metadata)]


def show_cases(outputs: Sequence[Path], console: Console) -> None:
    """The cases of some reports, the most uncertain first; of several processes, the first shows them."""
    if not _is_first():
        return
    reports = [json.loads((output / REPORT).read_text(encoding="utf-8")) for output in outputs]
    cases = [(case, output) for report, output in zip(reports, outputs, strict=True) for case in report["cases"]]
    table = Table(title=f"{len(cases)} cases, look at the first ones first")
    for name in ("case", "triage", "found", "mask"):
        table.add_column(name, overflow="fold")  # names that are cut off can not be copied
    for case, output in sorted(cases, key=lambda made: -made[0]["triage"]):
        lesion = f"{case['fraction']:.1%}" if case["pixels"] else "none"
        if "structures" in case:
            found = [own for own in case["structures"].values() if own["pixels"]]
            lesion += f", {len(found)} of {len(case['structures'])}"
        name, mask = escape(Path(case["image"]).name), escape(str(output / case["files"][0]))
        table.add_row(name, f"{case['triage']:.3f}", lesion, mask)
    console.print(table)


def data_overlay(bundle: Bundle, data: Path, layout: str | None) -> list[str]:
    """The overlay of the bundle for a layout, such as refuge2_cup for refuge2; without one that of a plain folder."""
    name = layout or layout_of(data)
    there = sorted(path.stem for path in (bundle.root / "configs" / "data").iterdir())
    fitting = [stem for stem in there if stem == name or stem.startswith(f"{name}_")]
    return [f"data/{fitting[0] if fitting else 'folder'}"]


def training_presets(bundle: Bundle, name: str) -> list[Path]:
    """A preset, with what training alone needs of it, where it has a second file for that: basic_unet_train."""
    second = bundle.root / "configs" / "presets" / f"{name}_train.yaml"
    return [bundle.preset(name), *([second] if second.is_file() else [])]


def where(data: Path, layout: str | None) -> dict[str, Any]:
    """The settings that name a data set."""
    return {"dataset_dir": str(data), "layout": layout or layout_of(data)}


def processes() -> int:
    """How many torchrun has started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _is_first() -> bool:
    """Whether torchrun has started this process as the first, or not at all."""
    return os.environ.get("RANK", "0") == "0"


def _ranks(overlay: str) -> list[str]:
    """The overlay for several processes, where torchrun has started them."""
    return [overlay] if processes() > 1 else []


def run_config(
    bundle: Bundle, run_id: str, configs: Sequence[Path], own: Mapping[str, Any], settings: Sequence[str]
) -> None:
    """Check the user's settings, then run."""
    given = parsed(settings)
    check_settings({**own, **given}, configs)
    quiet()
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
