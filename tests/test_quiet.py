"""Lines that tell nothing are left out, others are not."""

import logging
import subprocess
import sys
import warnings

import pytest

from noise2mask.quiet import quiet


def test_other_warnings_of_the_same_sources_are_shown(caplog):
    quiet()
    logging.getLogger("monai.bundle.workflows").warning("Not all config files are in a.")
    logging.getLogger("monai.bundle.workflows").warning("Something else.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("always_return_as_numpy: deprecated", FutureWarning, stacklevel=1)
        warnings.warn("another argument: deprecated", FutureWarning, stacklevel=1)
    assert caplog.messages == ["Something else."] and [str(one.message)[:7] for one in caught] == ["another"]


@pytest.mark.e2e
def test_a_command_says_what_matters_alone(commands, demo, weights, tmp_path):
    tiny = ("network_def::base=8", "network_def::multipliers=[1,2]", "image_size=[16,16]")
    settings = [text for name in tiny for text in ("--set", name)]
    where = ["--data", str(demo), "--weights", str(weights), "-o", str(tmp_path / "out")]
    command = [sys.executable, "-m", "noise2mask.cli.app", "evaluate", "pgdiffseg", *where, *settings]
    done = subprocess.run(command, env=commands.environment, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "model.yaml is missing: the bundle's default settings are taken" in said, said
    assert not any(words in said for words in ("nvImageCodec", "Not all config", "always_return_as_numpy")), said
