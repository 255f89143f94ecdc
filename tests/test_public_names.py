"""`import noise2mask` is free, and what it offers exists."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import noise2mask

COMMON = str(Path(__file__).parents[1] / "common")
NAMES = [name for name in noise2mask.__all__ if name != "__version__"]


def python(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([COMMON, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, noise2mask; dir(noise2mask); print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(python(code).split())
    assert "noise2mask" in loaded
    assert not loaded & {"torch", "monai", "numpy", "ignite", "itk", "scipy", "matplotlib", "yaml"}


@pytest.mark.parametrize("name", NAMES)
def test_public_name_is_defined_in_the_module_that_the_table_names(name):
    value = getattr(noise2mask, name)
    assert name in dir(noise2mask)
    assert getattr(value, "__module__", None) in (None, f"noise2mask.{noise2mask._MODULES[name]}")


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(AttributeError, match="'EnsembleInfere'.*EnsembleInferer"):
        _ = noise2mask.EnsembleInfere
    assert not hasattr(noise2mask, "__path_that_is_not__")


def test_star_import_brings_every_public_name():
    namespace: dict = {}
    exec("from noise2mask import *", namespace)
    assert set(noise2mask.__all__) <= set(namespace)
