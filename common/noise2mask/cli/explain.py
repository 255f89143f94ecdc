"""What `noise2mask explain` runs: a figure by the bundle's explain.yaml, or one of its studies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from ..bundles import Bundle
from ..names import check_name
from .how import How
from .run import data_overlay, processes, run_config, training_presets, where

FIGURES = ("attention", "sampling", "compare", "uncertainty")  # of explain.yaml


class Study(NamedTuple):
    """A config that makes a figure of a whole data set."""

    config: str
    run_id: str
    of_weights: bool = False  # of a trained network, over inference.yaml and evaluate.yaml


STUDIES = {
    "nfe": Study("settings_study", "studying", of_weights=True),
    "robustness": Study("robustness_study", "studying", of_weights=True),
    "probe": Study("probe", "probing"),
    "ratio": Study("ratio_study", "studying"),
}
STUDIED = ("steps", "samples")  # that nfe has many of


def run_explanation(
    bundle: Bundle,
    source: Path,
    what: str,
    output: Path,
    section: str,
    layout: str | None,
    own: Mapping[str, Any],
    console: Console,
    how: How,
) -> None:
    """One figure of a bundle, with the numbers behind it.

    Args:
        own: settings of explain.yaml, such as `others`.

    Raises:
        ValueError: where there is no such figure, or not of this bundle.
    """
    check_name("--what", what, (*FIGURES, *STUDIES))
    if processes() > 1:
        raise ValueError("Figures are made by one process: run it without torchrun.")
    _check_used(bundle, what, {**own, **how.sampling, **({} if layout is None else {"layout": layout})})
    if what == "compare":
        own = {**own, "sampling": dict(how.sampling)}
    given = {**how.sampling, "output_dir": str(output)}
    if what in FIGURES:
        _run_figures(bundle, source, what, section, layout, {**own, **given}, how)
    else:
        _run_study(bundle, source, what, section, layout, given, how)
    console.print(f"pictures and the numbers behind them: {output}", soft_wrap=True)


def _check_used(bundle: Bundle, what: str, given: Mapping[str, Any]) -> None:
    """Raise ValueError where an option would change nothing."""
    options = {"most_cases": "--cases", "others": "--with"}
    counted = what not in ("nfe", "probe")  # settings of the study say how often; features are of one step
    used = {"most_cases": what in FIGURES, "others": what == "compare", "references": bundle.generates}
    used |= {"layout": not bundle.generates, "steps": counted, "samples": counted}
    for name in (name for name in given if not used.get(name, True)):
        remedy = f"give --set study_{name}=[...]" if what == "nfe" and name in STUDIED else "leave it out"
        option = options.get(name, f"--{name}")
        raise ValueError(f"{option} has no effect on {what} of {bundle.name}: {remedy}.")


def _run_figures(
    bundle: Bundle,
    source: Path,
    what: str,
    section: str,
    layout: str | None,
    own: Mapping[str, Any],
    how: How,
) -> None:
    """By explain.yaml, over inference.yaml and, of a bundle that segments, evaluate.yaml."""
    model_file, (inference, *rest) = bundle.inference_configs(how.weights, how.presets)
    given: dict[str, Any] = {"what": what, "model_file": str(model_file), "input": str(source), "section": section}
    names = ["explain"]
    if not bundle.generates:
        there = where(source, layout)
        names = ["evaluate", *data_overlay(bundle, source, layout), *names]
        given["layout"] = there["layout"]
    configs = [inference, *map(bundle.config, names), *rest]
    run_config(bundle, "explaining", configs, {**given, **own}, how.settings)


def _run_study(
    bundle: Bundle,
    source: Path,
    what: str,
    section: str,
    layout: str | None,
    own: Mapping[str, Any],
    how: How,
) -> None:
    """By the study's own config."""
    study = STUDIES[what]
    if not (bundle.root / "configs").joinpath(f"{study.config}.yaml").is_file():
        raise ValueError(f"{bundle.name} has no figure {what!r}: take another bundle, or another figure.")
    overlay = data_overlay(bundle, source, layout)
    given = {**where(source, layout), **own}
    if study.of_weights:
        model_file, (inference, *rest) = bundle.inference_configs(how.weights, how.presets)
        configs = [inference, *map(bundle.config, ["evaluate", *overlay, study.config]), *rest]
        given |= {"model_file": str(model_file), "section": section}
    elif how.weights is not None:
        raise ValueError(f"{what} trains networks of its own: leave --weights out.")
    elif what == "probe":
        names = ["train", *overlay, study.config]
        configs = [
            *map(bundle.config, names),
            *(path for name in how.presets for path in training_presets(bundle, name)),
        ]
    else:
        configs = [bundle.config(study.config)]
        given |= {"overlays": [*overlay, *map(bundle.overlay, how.presets)], "section": section}
    run_config(bundle, study.run_id, configs, given, how.settings)
