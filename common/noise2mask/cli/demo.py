"""The whole way on generated ultrasound: data, training, scores, masks; a plain U-Net, trained no shorter, beside it.

    python -m noise2mask.cli.demo --output demo          (from a checkout; `tox -e demo` does it in its own environment)

Every step is a command that is printed before it runs, so that it can be repeated on other data.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..data.demo_files import claim_folder
from ..data.results import REPORT
from ..metrics.score_files import SCORES

CONFIGS = Path("bundles/pgdiffseg/configs")
PATIENTS = 150
PEER = ["presets/basic_unet.yaml"]
PEER_EPOCHS = 24  # of MONAI's BasicUNet: no shorter than the diffusion model trains
SHOWN = 5  # test images to segment
# Mean Dice on test images with a lesion that the demonstration as it stands must reach. Not on all images: the few
# without one count 0 or 1 each, and which of them get a mask depends on the CPU's rounding.
EXPECTED = 0.85


def run(arguments: Sequence[str | Path]) -> float:
    """Print a command, run it, and give the seconds it took; stop the demonstration where it fails."""
    command = [str(argument) for argument in arguments]
    print(f"\n$ python {shlex.join(command)}", flush=True)
    start = time.perf_counter()
    code = subprocess.run([sys.executable, *command]).returncode
    if code:
        raise SystemExit(f"The command above ended with exit code {code}.")
    return time.perf_counter() - start


def bundle(run_id: str, configs: Sequence[str | Path], *overrides: str | Path) -> float:
    """One `python -m monai.bundle run` of the bundle; names of configs are those of its folder, paths are paths."""
    files = str([str(name if isinstance(name, Path) else CONFIGS / name) for name in configs])
    return run(
        ["-m", "monai.bundle", "run", run_id, "--bundle_root", CONFIGS.parent, "--config_file", files, *overrides]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The steps, and what was reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("demo"), help="a new or an empty folder, or an earlier one")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="generated patients, one to three images each")
    parser.add_argument(
        "--override", nargs=argparse.REMAINDER, default=[], help="what follows goes to the training, such as --seed=1"
    )
    options = parser.parse_args(arguments)
    if not CONFIGS.is_dir():
        parser.error(f"{CONFIGS} is not here: run this from a checkout of the project.")
    try:  # the steps replace folders in it
        claim_folder(options.output, {"kind": "demonstration"})
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    dice = _steps(options.output, options.patients, options.override)
    if options.patients == PATIENTS and not options.override and dice < EXPECTED:
        raise SystemExit(
            f"Dice {dice:.3f} on lesions is below the {EXPECTED:.2f} that is reached here: something is wrong."
        )


def _steps(output: Path, patients: int, overrides: Sequence[str]) -> float:
    """Run them all; the mean Dice on test images with a lesion."""
    data, training, scores, masks, peer = (output / name for name in ("data", "train", "scores", "masks", "basic_unet"))
    start = time.perf_counter()
    run(["-m", "noise2mask.data.demo", "--output", data, "--patients", str(patients)])
    shutil.rmtree(training, ignore_errors=True)  # a demonstration trains anew, even after an interruption
    where = ("--dataset_dir", data, "--output_dir")
    seconds = [bundle("training", ["train.yaml", "data/demo.yaml"], *where, training, *overrides)]
    weights = ("--model_file", training / "model.pt", "--progress", "False")
    bundle("evaluating", ["inference.yaml", "evaluate.yaml", training / "model.yaml"], *where, scores, *weights)
    bundle(
        "inferring",
        ["inference.yaml", training / "model.yaml"],
        "--input",
        _some_test_images(data, output),
        "--output_dir",
        masks,
        *weights,
    )
    shutil.rmtree(peer, ignore_errors=True)
    epochs = ("--epochs", str(PEER_EPOCHS), "--val_interval", str(PEER_EPOCHS // 2), *overrides)
    configs = ["train.yaml", "data/demo.yaml", *PEER, "presets/basic_unet_train.yaml"]
    seconds.append(bundle("training", configs, *where, peer, *epochs))
    weights = ("--model_file", peer / "model.pt", "--progress", "False")
    bundle(
        "evaluating", ["inference.yaml", "evaluate.yaml", *PEER, peer / "model.yaml"], *where, peer / "scores", *weights
    )
    return _conclude(scores, peer / "scores", masks, seconds, time.perf_counter() - start)


def _some_test_images(data: Path, output: Path) -> Path:
    """A folder with copies of a few images that were never trained on, spread over the test split."""
    lines = (data / "manifest.csv").read_text().splitlines()
    image, split = (lines[0].split(",").index(name) for name in ("image", "split"))
    test = sorted(line.split(",")[image] for line in lines[1:] if line.split(",")[split] == "testing")
    folder = output / "images"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in {test[i * (len(test) - 1) // (SHOWN - 1)] for i in range(SHOWN)}:  # benign, malignant and normal
        shutil.copy(data / "images" / f"{name}.png", folder)
    return folder


def _conclude(scores: Path, peer: Path, masks: Path, seconds: Sequence[float], total: float) -> float:
    """The last lines: what was reached, and what to open; the mean Dice on test images with a lesion."""
    ours = json.loads((scores / SCORES).read_text())
    theirs = json.loads((peer / SCORES).read_text())
    counts, sampling = ours["counts"], ours["sampling"]
    lesion = f"{counts['with_lesion']} with a lesion"
    print(f"\n{counts['images']} unseen generated images of {counts['patients']} patients, {lesion};")
    print("mean Dice over patients; mask = probability > 0.5, an empty mask of an empty label counts 1")
    print(f"{'':34}{'all images':>12}{'with lesion':>14}{'training':>12}")
    name = f"PGDiffSeg, {len(sampling['timesteps'])} steps, {sampling['samples']} samples"
    means = (ours["means"], theirs["means"])
    for title, dice, duration in zip((name, "MONAI BasicUNet"), means, seconds, strict=True):
        print(f"{title:34}{dice['dice']:12.3f}{dice['dice_lesion']:14.3f}{duration:10.0f} s")
    print(f"The whole demonstration took {total / 60:.1f} minutes. Open these pictures, the most uncertain case first:")
    for case in json.loads((masks / REPORT).read_text())["cases"]:
        print(f"  {masks / next(name for name in case['files'] if 'preview' in name)}   triage {case['triage']:.3f}")
    return float(ours["means"]["dice_lesion"])


if __name__ == "__main__":
    main()
