"""Where nnU-Net is not installed, what needs it says how to get it."""

import os
import subprocess
import sys

import pytest

from ..conftest import ENVIRONMENT

BLOCK = "import sys; sys.modules['nnunetv2'] = None; "  # as if it was not there


@pytest.mark.parametrize("module", ["networks.nnunet", "studies.nnunet_trainer", "studies.nnunet_training"])
def test_without_nnu_net_the_remedy_is_named(module):
    command = [sys.executable, "-c", f"{BLOCK}import noise2mask.{module}"]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
    assert "ValueError: nnU-Net needs more packages" in done.stderr
    assert "install the extra peers" in done.stderr
