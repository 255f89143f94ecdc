"""What `pip install` brings beside the package: the bundles, whole, for the command `noise2mask`."""

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE = {"runs", "eval"}  # folders that a run makes


def test_every_file_of_every_bundle_is_installed_in_its_place():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set()
    for folder, patterns in setup["options.data_files"].items():
        files = {path for pattern in patterns.split() for path in ROOT.glob(pattern) if path.is_file()}
        assert {path.parent.relative_to(ROOT).as_posix() for path in files} == {
            folder.removeprefix("share/noise2mask/")
        }
        listed |= files
    there = {path for path in (ROOT / "bundles").rglob("*") if path.is_file()}
    assert listed == {path for path in there if not MADE & set(path.relative_to(ROOT).parts)}


def test_every_file_of_the_package_that_is_no_python_is_installed_beside_it():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    package = ROOT / "common"
    listed = {
        path
        for name, patterns in setup["options.package_data"].items()
        for pattern in patterns.split(",")
        for path in (package / name.replace(".", "/")).glob(pattern.strip())
    }
    there = {path for path in (package / "noise2mask").rglob("*.*") if path.suffix not in {".py", ".pyc"}}
    assert listed == there and len(there) == 5
