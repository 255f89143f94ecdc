"""The command `noise2mask`: thin, it finds the bundle and the configs and lets MONAI run them.

What takes time to import stands in the commands that need it, so that `list` and `--help` answer at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..bundles import all_bundles, find_bundle
from ..refusals import ServerError, disk_is_full, out_of_memory, refusal_in
from ..terms import restriction
from .how import How

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Segmentation of medical images by diffusion, with uncertainty. Research software, not a medical device.",
)
console = Console()
LESS_MEMORY = (
    "lower images_at_once, or inferer::chunk_size (to generate: chunk_size; of slides: tiles_at_once); in a training "
    "batch_size, with accumulation_steps raised as much, or image_size"
)
BROKE, REFUSED, FAILED = 1, 2, 3  # exit codes; docs/reference/command.md says which is which

Name = Annotated[str, typer.Argument(metavar="BUNDLE", help="Name of a bundle (`noise2mask list`), or its folder.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any setting of the bundle's configs. Can be given several times."
    ),
]
Overlay = Annotated[
    list[str] | None,
    typer.Option("--preset", metavar="NAME", help="A config of the bundle's configs/presets, such as paper."),
]
Layout = Annotated[str | None, typer.Option(help="Layout of the data. Left out: seen from the folder.")]
Data = Annotated[Path, typer.Option(help="Folder of a data set, or a datalist (.json).")]
Steps = Annotated[int | None, typer.Option(help="Sampling steps.")]
Samples = Annotated[int | None, typer.Option(help="Samples per image, from which the uncertainty comes.")]
Seed = Annotated[int | None, typer.Option(help="Of the samples' noise.")]
Url = typer.Option("--dicomweb", metavar="URL", help="Of an archive: http://HOST:PORT/dicom-web.")
Weights = Annotated[
    Path | None, typer.Option(help="A model.pt, or a name that `list` shows. Left out: the bundle's own.")
]


@app.command("list")
def list_bundles() -> None:
    """What there is: bundles, their tasks, modalities and classes, and whether weights are there."""
    table = Table("bundle", "version", "task", "modality", "classes", "weights")
    for bundle in all_bundles():
        data = bundle.metadata
        formats = data.get("network_data_format", {})
        modalities = {str(image.get("modality", "any")) for image in formats.get("inputs", {}).values()}
        masks = [formats["inputs"]["image"]] if bundle.generates else formats.get("outputs", {}).values()
        classes = [name for mask in masks for name in mask.get("channel_def", {}).values()]
        names = {"yes": bundle.weights} | {bundle.said_of(name): bundle.chosen(name) for name in bundle.other_weights}
        usable = [f"{name} (research use)" if restriction(path) else name for name, path in names.items()]
        weights = "; ".join(usable) if bundle.weights.is_file() else "train it"
        what = (", ".join(sorted(modalities)), ", ".join(classes), weights)
        table.add_row(escape(bundle.name), data["version"], data["task"], *what)
    console.print(table)


@app.command()
def check(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of a data set, or a datalist (.json).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where what is found goes.")] = Path("check"),
    layout: Layout = None,
    split: Annotated[str, typer.Option(help="Of the layout busi: folder or pgdiffseg.")] = "folder",
    phase: Annotated[int, typer.Option(help="Point in time of a dynamic examination, counted from 0.")] = 0,
    foreground: Annotated[
        str | None, typer.Option(help="Values of masks of several classes that are segmented, such as 1,2,4.")
    ] = None,
    background: Annotated[str | None, typer.Option(help="All their other values. Left out: 0.")] = None,
) -> None:
    """All problems of a data set with their remedies, its numbers, a sheet of overlays, and a split to edit."""
    from .check import check_data

    if not check_data(data, output, layout, split, phase, console, foreground, background):
        sys.exit(REFUSED)


@app.command()
def train(
    bundle: Name,
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where weights and logs go.")] = Path("runs/train"),
    preset: Overlay = None,
    layout: Layout = None,
    config: Annotated[
        str, typer.Option(help="Of a bundle with several trainings: train, or train_reference.")
    ] = "train",
    set_: Set = None,
) -> None:
    """Train a bundle on a data set; the same command goes on with an interrupted training."""
    from .run import run_training

    run_training(find_bundle(bundle), data, output, config, preset or [], layout, set_ or [])


@app.command()
def evaluate(
    bundle: Name,
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where scores go.")] = Path("runs/scores"),
    weights: Weights = None,
    section: Annotated[str, typer.Option(help="testing, validation or training.")] = "testing",
    preset: Overlay = None,
    layout: Layout = None,
    set_: Set = None,
) -> None:
    """Score a bundle on a data set with masks: a line per image, means with intervals, a table."""
    from .run import run_evaluation

    run_evaluation(find_bundle(bundle), data, output, weights, section, preset or [], layout, set_ or [])


@app.command()
def segment(
    bundle: Name,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where masks and maps go.")],
    input_: Annotated[
        Path | None, typer.Argument(metavar="INPUT", help="An image, a folder of images, a datalist, DICOM.")
    ] = None,
    dicomweb: Annotated[str | None, Url] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Of the archive: instead of INPUT.")] = None,
    modality: Annotated[str | None, typer.Option(help="Of the study's series: US, MR. Left out: any.")] = None,
    tile_size: Annotated[
        int | None, typer.Option(help="INPUT is a whole slide, or a folder of them: side of its tiles in pixels.")
    ] = None,
    steps: Steps = None,
    samples: Samples = None,
    seed: Seed = None,
    weights: Weights = None,
    preset: Overlay = None,
    set_: Set = None,
) -> None:
    """Masks with their uncertainty. The same command does what an interrupted one has left."""
    from .run import run_segmentation, run_slides, show_cases

    how = _how(weights, preset, set_, steps=steps, samples=samples, seed=seed)
    found = find_bundle(bundle)
    if input_ is not None and dicomweb is None and study is None:
        if modality is not None:
            raise ValueError("--modality is of the series of a study (--dicomweb with --study): leave it out.")
        if tile_size is not None:
            return run_slides(found, input_, output, tile_size, console, how)
        run_segmentation(found, input_, output, how)
        show_cases([output], console)
    elif dicomweb is not None and study is not None and input_ is None:
        from .serve import segment_study

        if tile_size is not None:
            raise ValueError("--tile-size is of whole slides, which are given as INPUT: leave it out.")
        show_cases(segment_study(dicomweb, study, modality, found, output, how), console)
    else:
        raise ValueError("segment takes either INPUT, or --dicomweb with --study: give one of them.")


@app.command()
def explain(
    bundle: Name,
    input_: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Images, or a data set, whose labels are shown then.")
    ],
    what: Annotated[
        str,
        typer.Option(help="attention, sampling, compare, uncertainty; of a data set nfe, robustness, probe, ratio."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where pictures and tables go.")] = Path(
        "runs/explain"
    ),
    cases: Annotated[int | None, typer.Option(help="Images that are shown, evenly spread. Left out: 4.")] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="OTHER", help="To compare with: a bundle, or BUNDLE=model.pt. Several times."),
    ] = None,
    references: Annotated[Path | None, typer.Option(help="Of a bundle that generates: images that give style.")] = None,
    section: Annotated[str, typer.Option(help="Of a data set: testing, validation or training.")] = "testing",
    layout: Layout = None,
    steps: Steps = None,
    samples: Samples = None,
    seed: Seed = None,
    weights: Weights = None,
    preset: Overlay = None,
    set_: Set = None,
) -> None:
    """What a model sees and does, as pictures with the numbers behind them."""
    from .explain import run_explanation

    own: dict[str, Any] = {"most_cases": cases, "others": with_, "references": references and str(references)}
    own = {name: value for name, value in own.items() if value is not None}
    how = _how(weights, preset, set_, steps=steps, samples=samples, seed=seed)
    run_explanation(find_bundle(bundle), input_, what, output, section, layout, own, console, how)


@app.command()
def generate(
    bundle: Name,
    masks: Annotated[Path, typer.Argument(metavar="MASKS", help="A mask, a folder of masks, or a data set.")],
    references: Annotated[Path, typer.Option(help="An image, a folder of images, or a data set: gives the style.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Becomes a data set of its own.")],
    section: Annotated[str, typer.Option(help="Of the masks' data set, and of the new one.")] = "training",
    steps: Steps = None,
    samples: Annotated[int | None, typer.Option(help="Images of each mask.")] = None,
    seed: Seed = None,
    weights: Weights = None,
    preset: Overlay = None,
    set_: Set = None,
) -> None:
    """Images for masks, each in the style of a reference. The same command does what an interrupted one has left."""
    from .run import run_generation

    how = _how(weights, preset, set_, steps=steps, samples=samples, seed=seed)
    run_generation(find_bundle(bundle), masks, references, output, section, console, how)


@app.command()
def watch(
    bundle: Name,
    dicomweb: Annotated[str, Url],
    modality: Annotated[str, typer.Option(help="Of the series to segment, such as US or MR.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Keeps which series are done.")],
    days: Annotated[int, typer.Option(help="Studies of today and so many days before are looked at.")] = 1,
    interval: Annotated[float, typer.Option(help="Seconds between looks.", min=1)] = 10,
    steps: Steps = None,
    samples: Samples = None,
    seed: Seed = None,
    weights: Weights = None,
    preset: Overlay = None,
    set_: Set = None,
) -> None:
    """Segment the new series of an archive as they come, and store the results there; until it is stopped."""
    from .serve import watch_archive

    how = _how(weights, preset, set_, steps=steps, samples=samples, seed=seed)
    watch_archive(dicomweb, modality, days, interval, find_bundle(bundle), output, how)


def _how(weights: Path | None, preset: list[str] | None, settings: list[str] | None, **sampling: int | None) -> How:
    """What was given."""
    given = {name: value for name, value in sampling.items() if value is not None}
    return How(weights, preset or [], given, settings or [])


@app.command()
def package(
    bundle: Name,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the zip.")] = Path("dist"),
    weights: Weights = None,
    overlay: Annotated[list[Path] | None, typer.Option(help="A config to bake in. Can be given several times.")] = None,
) -> None:
    """A zip of a bundle that runs without this project: in MONAI Label, MONAI Deploy, `monai.bundle`."""
    from ..package_bundle import package_bundle

    found = find_bundle(bundle)
    console.print(package_bundle(found.root, output, found.chosen(weights), overlay or []), soft_wrap=True)


@app.command()
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Output of evaluate or segment, of train, or one of each."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page.")] = Path("report.html"),
    bundle: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose card the page quotes, where the results do not say it.")
    ] = None,
) -> None:
    """One page, for any browser, of scores, cases with pictures and uncertainty, training, settings and limits."""
    from ..report.page import write_report

    console.print(write_report(folders, output, bundle), soft_wrap=True)


@app.command("model-card")
def model_card(bundle: Name) -> None:
    """What a bundle is for, what it was trained on, how well it does, and where it fails."""
    from rich.markdown import Markdown

    card = find_bundle(bundle).root / "docs" / "README.md"
    console.print(Markdown(card.read_text(encoding="utf-8")))


def main() -> None:
    """Run a command; a refusal is one line, and the exit code says what happened."""
    try:
        app()
    except Exception as error:
        text, code = _said(error)
        if text is None:
            raise
        print(f"error: {text}", file=sys.stderr)
        sys.exit(code)


def _said(error: Exception) -> tuple[str | None, int]:
    """What to tell of an error, None where only its trace can tell, and the exit code."""
    if (refusal := refusal_in(error)) is not None:
        return str(refusal), REFUSED
    if isinstance(error, ServerError):
        return str(error), FAILED
    if disk_is_full(error):
        return f"there is no room for a file ({error}): make room, and run the same command again.", BROKE
    if found := out_of_memory(error):
        return f"there is not enough memory ({found}): {LESS_MEMORY}.", BROKE
    return None, BROKE


if __name__ == "__main__":
    main()
