"""What a bundle's configs give to its network."""

from pathlib import Path
from typing import Any

import yaml

BUNDLES = Path(__file__).parents[2] / "bundles"


def network_def(bundle: str, config: str = "train.yaml") -> dict[str, Any]:
    """The network's arguments, less its path, with the settings at the top that they name."""
    content = yaml.safe_load((BUNDLES / bundle / "configs" / config).read_text())
    arguments = {name: value for name, value in content["network_def"].items() if name != "_target_"}
    return {name: content[str(v)[1:]] if str(v).startswith("@") else v for name, v in arguments.items()}


def preset(bundle: str, name: str) -> dict[str, Any]:
    """The compact network's arguments with those of an overlay."""
    overlay = yaml.safe_load((BUNDLES / bundle / "configs" / "presets" / f"{name}.yaml").read_text())
    changed = {key.split("::")[1]: value for key, value in overlay.items() if key.startswith("network_def::")}
    return network_def(bundle) | changed
