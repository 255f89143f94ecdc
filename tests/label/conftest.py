"""Packages, images and MONAI Label's server, for the tests of this folder.

In an environment where this project is not installed (`tox -e label`), all commands but the first three see the
packages alone.
"""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
BUNDLES = {  # of each model
    "pgdiffseg": "pgdiffseg",
    "pgdiffseg_copy": "pgdiffseg",
    "medsegdiff": "medsegdiff",
    "medsegdiff_v2": "medsegdiff_v2",
}
MODELS = tuple(BUNDLES)
LABELS = {  # and their numbers; the copy's own code calls it 2
    "pgdiffseg": {"lesion": 1},
    "pgdiffseg_copy": {"lesion": 2},
    "medsegdiff": {"nodule": 1},
    "medsegdiff_v2": {"liver": 1, "kidney": 2},
}
COPY = """{structure: lesion, image_size: [48, 64], intensity_range: [10, 220], sampler: dpm_solver_pp, steps: 3,
samples: 2}"""
SMALL = """{structure: nodule, network_def::base: 4, network_def::blocks: [1, 1, 1, 1], image_size: [32, 32], steps: 3,
samples: 2}"""
SEVERAL = """{structures: {liver: [1], kidney: [2]}, image_size: [32, 32], steps: 2, samples: 2,
network_def::base: 8, network_def::multipliers: [1, 2], network_def::former_blocks: 1, network_def::heads: 2}"""
OVERLAYS = {"pgdiffseg": "{structure: lesion}", "pgdiffseg_copy": COPY, "medsegdiff": SMALL, "medsegdiff_v2": SEVERAL}
EPOCHS = ("--prior::trainer::max_epochs", 2, "--train::trainer::max_epochs", 8, "--val_interval", 8)
# A seed of its own, because equal ones begin with equal weights; no decay, which would end so short a training early
TRAINING = (*EPOCHS, "--batch_size", 4, "--learning_rate_decay", "False", "--seed", 9)
RANDOM = """
import torch
from noise2mask import MedSegDiff, MedSegDiffV2
torch.manual_seed(3)
network = MedSegDiff(base=4, blocks=(1, 1, 1, 1), decoder_blocks=1, downsamplings=4, num_groups=8, grid=32)
torch.nn.init.normal_(network.decoder.output[-1].weight, std=0.2)  # it begins at zero
for weight in (weight for weight in network.parameters() if weight.ndim == 4):
    weight.data.mul_(3)  # at the usual size the noise outweighs the image
torch.save(network.state_dict(), "medsegdiff.pt")
tiny = dict(base=8, multipliers=(1, 2), blocks=1, num_groups=8, former_blocks=1, heads=2)
network = MedSegDiffV2(1, 3, exclusive=True, **tiny)
for model in (network.condition, network.diffusion):
    torch.nn.init.normal_(model.decoder.output[-1].weight)
torch.save(network.state_dict(), "medsegdiff_v2.pt")
"""
PICTURES = ("grey", "other", "rgb", "jpeg")
LOSSLESS = {"result_extension": ".png"}  # MONAI Label's answer to a JPEG is one, whose masks are not exact


def python(*arguments, folder, path=""):
    """Run a Python command that succeeds, with `path` as PYTHONPATH."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment(path),
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def environment(path):
    settings = {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": ""}
    return os.environ | settings


# What the server is given


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("label")


@pytest.fixture(scope="session")
def data(folder):
    python("-m", "noise2mask.data.demo", "--output", "data", "--patients", 12, folder=folder, path=ROOT / "common")
    return folder / "data"


@pytest.fixture(scope="session")
def weights(folder, data):
    """By bundle, of masks neither empty nor full: of a short training; random ones, which take no time."""
    root = ROOT / "bundles" / "pgdiffseg"
    config = ("--bundle_root", root, "--config_file", root / "configs" / "train.yaml")
    where = ("--dataset_dir", data, "--output_dir", folder / "trained")
    python("-m", "monai.bundle", "run", "training", *config, *where, *TRAINING, folder=folder, path=ROOT / "common")
    python("-c", RANDOM, folder=folder, path=ROOT / "common")
    random = {name: folder / f"{name}.pt" for name in ("medsegdiff", "medsegdiff_v2")}
    return {"pgdiffseg": folder / "trained" / "model.pt", **random}


@pytest.fixture(scope="session")
def packages(folder, weights):
    """MONAI Label's sample application with all packages, by name."""
    python(
        "-m", "monailabel.main", "apps", "--name", "monaibundle", "--download", "--output", "apps", **shimmed(folder)
    )
    models = folder / "apps" / "monaibundle" / "model"
    for name, bundle in BUNDLES.items():
        overlay = folder / f"overlay_of_{name}.yaml"  # beside weights NAME.yaml holds the settings of their training
        overlay.write_text(OVERLAYS[name])
        options = (ROOT / "bundles" / bundle, "--weights", weights[bundle], "--output", name, "--overlay", overlay)
        python("-m", "noise2mask.package_bundle", *options, folder=folder, path=ROOT / "common")
        with zipfile.ZipFile(next((folder / name).glob("*.zip"))) as archive:
            archive.extractall(folder / name)
        shutil.move(folder / name / bundle, models / name)
    change_code(models / "pgdiffseg_copy" / "scripts" / "noise2mask" / "transforms" / "hard_mask.py")
    return {name: models / name for name in MODELS}


def change_code(path):
    code = path.read_text()
    assert code.count(".to(torch.uint8)") == 1
    path.write_text(code.replace(".to(torch.uint8)", ".to(torch.uint8) * 2"))


def shimmed(folder):
    return {"folder": folder, "path": Path(__file__).parent / "shim"}


@pytest.fixture(scope="session")
def inputs(folder, data):
    """Pictures and a volume to infer."""
    inputs = folder / "inputs"
    inputs.mkdir()
    grey, other = (Image.open(data / "images" / f"{name}.png") for name in ("benign_001", "malignant_001"))
    grey.save(inputs / "grey.png")
    grey.convert("RGB").save(inputs / "rgb.png")
    grey.save(inputs / "jpeg.jpg", quality=90)
    other.save(inputs / "other.png")
    nib.save(volume(grey, other), inputs / "volume.nii.gz")
    return inputs


def volume(*pictures):
    """Slices of rows and columns, stored as slices (reversed), rows, columns, and standing obliquely."""
    slices = np.stack([np.asarray(picture.resize((90, 70))) for picture in (*pictures, *pictures)], axis=-1)
    turn = np.array([[0.0, -0.995, 0.1, 40], [-1, 0, 0, 30], [0, 0.1, 0.995, -20], [0, 0, 0, 1]])
    return nib.Nifti1Image(slices, turn @ np.diag([0.4, 0.5, 3, 1])).as_reoriented(np.array([[1, 1], [2, 1], [0, -1]]))


@pytest.fixture(scope="session")
def studies(folder, data, inputs):
    """MONAI Label's images: the inputs, and ten pictures with labels."""
    studies = folder / "studies"
    shutil.copytree(inputs, studies)
    (studies / "labels" / "final").mkdir(parents=True)
    for image in sorted((data / "images").iterdir())[:10]:
        shutil.copy(image, studies)
        shutil.copy(data / "masks" / image.name, studies / "labels" / "final")
    return studies


def infer_by_command(package, inputs, output):
    """What `monai.bundle run inferring` makes of all of them: {name: mask in the model's numbers}."""
    options = ("--bundle_root", package, "--config_file", package / "configs" / "inference.json")
    where = ("--input", inputs, "--output_dir", output)
    python("-m", "monai.bundle", "run", "inferring", *options, *where, folder=output.parent)
    masks = {stem: np.asarray(Image.open(output / f"{stem}_mask.png")) for stem in PICTURES}
    masks |= {"volume": nib.load(output / "volume_mask.nii.gz").get_fdata()}
    first, *others = LABELS[package.name].values()
    return masks if others else {stem: (mask > 0) * first for stem, mask in masks.items()}


@pytest.fixture(scope="session")
def expected(folder, packages, inputs):
    """{model: {name: mask}} of the command line, before anything is trained."""
    return {name: infer_by_command(package, inputs, folder / f"by_{name}") for name, package in packages.items()}


# The server


class Server:
    """MONAI Label on a free port, its REST interface, and what it prints."""

    def __init__(self, folder, app, studies, models):
        with socket.socket() as some:
            some.bind(("127.0.0.1", 0))
            port = some.getsockname()[1]
        self.address, self.log = f"http://127.0.0.1:{port}", folder / f"{Path(app).name}.log"
        options = ["--app", app, "--studies", studies, "--host", "127.0.0.1", "--port", port]
        settings = ["--conf", "models", ",".join(models), "--conf", "zoo_source", "ngc", "--conf", "sam2", "false"]
        command = [sys.executable, "-m", "monailabel.main", "start_server", *map(str, options), *settings]
        where = shimmed(folder)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command,
                env=environment(where["path"]),
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self):
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return self.request("/info/")
            except OSError:
                time.sleep(0.5)
        raise AssertionError(f"the server does not start:\n{self.text()}")

    def request(self, path, body=None, kind="application/json", method=None):
        """GET or, with a body, POST; the answer's bytes."""
        request = urllib.request.Request(self.address + path, body, {"Content-Type": kind}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=240) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: HTTP {error.code} {error.read()[:500]!r}\n{self.text()}") from error

    def infer(self, model, image):
        form = urllib.parse.urlencode({"params": json.dumps(LOSSLESS if image == "jpeg" else {})}).encode()
        return self.request(f"/infer/{model}?image={image}&output=image", form, "application/x-www-form-urlencoded")

    def train(self, model, options, where=""):
        body = json.dumps({"max_epochs": 1, "val_split": 0.2, **options}).encode()
        return self.request(f"/train/{model}{where}", body)

    def mask(self, model, image):
        """The inferred picture, of the model's numbers."""
        values = np.asarray(Image.open(io.BytesIO(self.infer(model, image))))
        assert values.dtype == np.uint8 and set(np.unique(values)) <= {0, *LABELS[model].values()}
        return values

    def text(self):
        return self.log.read_text(errors="replace")[-6000:]

    def stop(self):
        """The server, and a training that it may have left behind."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
