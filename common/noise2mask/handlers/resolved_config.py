"""The config a run really uses: files merged, overlays and command line applied."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ReferenceResolver

from ..bundles import SUFFIXES

# What changes from machine to machine or from call to call, but not the result.
IGNORED_ROOTS = frozenset(
    """_meta_ bundle_root output_dir model_file device imports initialize finalize run training evaluating inferring
    num_workers tracking_uri experiment_name run_name save_execute_config is_not_rank0""".split()
)


def resolved_config() -> dict[str, Any]:
    """The root of the config that is being instantiated, or {} where there is none.

    Call it in the constructor of something that a config names. MONAI offers a component no way to its config: "@" is a
    circular reference and "%" would instantiate everything again (MONAI 1.6.1). So this walks up the calling frames to
    the resolver that is at work, whose item "" is the root.

    Raises:
        ValueError: where a setting has no effect, as no config of the bundle has its name and nothing refers to it:
            MONAI takes any name.
    """
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ReferenceResolver) and "" in owner.items:
            config = owner.items[""].get_config()
            _check_known(config)
            return config
        frame = frame.f_back  # type: ignore[assignment]
    return {}


def _check_known(config: Mapping[str, Any]) -> None:
    files = [path for path in Path(str(config.get("bundle_root", "")), "configs").rglob("*") if path.suffix in SUFFIXES]
    known = {name for path in files for name in _roots(path)}
    referred = set(re.findall(r"[@%](\w+)", json.dumps(config, default=str)))
    for name in sorted(set(config) - known - referred - IGNORED_ROOTS) if known else ():
        runs = re.search(r"\$|_target_", json.dumps(config[name], default=str))  # by itself: no typing error
        if not runs:
            near = get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(f"There is no setting {name}, and nothing in the config refers to it.{hint}")


def _roots(path: Path) -> set[str]:
    """The names at the top of a config; an overlay may set what stands below one, by `reader::_target_`."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name.lstrip("+").split("::")[0] for name in content} if isinstance(content, dict) else set()


def fingerprint(config: Mapping[str, Any]) -> dict[str, str]:
    """What decides a run's result, flat: "network_def::base" -> "16"; equal fingerprints may be joined."""
    kept = {key: value for key, value in config.items() if key not in IGNORED_ROOTS}
    found = {name: repr(value) for name, value in _leaves(kept, "") if "num_workers" not in name}
    order = {"structures in order": ", ".join(config["structures"])} if "structures" in config else {}  # their channels
    return found | order


def bundle_of(config: Mapping[str, Any]) -> dict[str, str] | None:
    """Which bundle a config is of, by the metadata in its `bundle_root`: `name` (of the folder), `title`, `version`.

    None where there are no metadata: a report then says so.
    """
    root = Path(str(config.get("bundle_root", ""))).resolve()
    try:
        metadata = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
        return {"name": root.name, "title": str(metadata["name"]), "version": str(metadata["version"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def difference(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Lines such as "train::optimizer::lr is 0.1, was 0.01", in the order of the keys."""
    names = sorted(set(found) | set(expected))
    changed = [name for name in names if found.get(name) != expected.get(name)]
    return [f"{name} is {expected.get(name, 'missing')}, was {found.get(name, 'missing')}" for name in changed]


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}::{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}::{index}")
    else:
        yield name, value
