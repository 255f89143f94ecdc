"""Packs a bundle folder into a zip that runs without this project being installed.

    python -m noise2mask.package_bundle bundles/pgdiffseg --weights runs/model.pt --output dist

The zip holds one folder of the bundle's name: configs as JSON with overlays baked in (`monai.bundle.load` reads
nothing else), this package as `scripts/noise2mask/` (MONAI Label unloads only what is called scripts), weights, card,
licence and SHA256SUMS.
"""

import argparse
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from .files import load_plain

PACKAGE = Path(__file__).parent
BASES = ("train", "inference")  # whole configs; evaluate and multi_gpu_* go over them

# What differs in a package, where MONAI Label trains and infers: a training writes the weights that inference reads,
# and every training is a new one, in a folder of its own, because the labels have changed in between.
DIFFERENCES: dict[str, dict[str, Any]] = {
    "train": {
        "imports": ["$import datetime"],
        "model_file": "$@bundle_root + '/models/model.pt'",
        "output_dir": "$@bundle_root + '/runs/' + datetime.datetime.now().strftime('train_%Y%m%d_%H%M%S')",
    },
    "inference": {"progress": False},
}


def package_bundle(bundle: Path, output: Path, weights: Path | None = None, overlays: Sequence[Path] = ()) -> Path:
    """Write `<output>/<name>_v<version>.zip`.

    Args:
        bundle:   a folder of `bundles/`.
        output:   folder of the zip, made where it is missing.
        weights:  a `model.pt`; None takes the bundle's own.
        overlays: configs to bake in, such as configs/data/busi.yaml.

    Returns:
        The zip's path.

    Raises:
        ValueError: where the bundle has no metadata or weights, the weights are no plain tensors, or an overlay sets
            something that no config of the bundle has.
    """
    metadata_file = bundle / "configs" / "metadata.json"
    if not metadata_file.exists():
        raise ValueError(f"{bundle} is no bundle: {metadata_file} is missing.")
    weights = bundle / "models" / "model.pt" if weights is None else weights
    load_plain(weights)  # complain now, not at the user's
    files = dict(_all_files(bundle, weights, overlays))
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    files["SHA256SUMS"] = sums.encode()
    name, version = bundle.resolve().name, json.loads(metadata_file.read_text())["version"]
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{name}_v{version}.zip"
    _write_zip(path, name, files)
    return path


def _all_files(bundle: Path, weights: Path, overlays: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Name inside the bundle's folder -> content."""
    for name, config in _baked(bundle, overlays).items():
        yield f"configs/{name}.json", json.dumps(_vendored(config), indent=4).encode()
    for name in ("configs/metadata.json", "configs/logging.conf", "LICENSE", "docs/README.md", "docs/data_license.txt"):
        yield name, (bundle / name).read_bytes()
    yield "models/model.pt", weights.read_bytes()
    if (bundle / "models" / "LICENSE").exists():
        yield "models/LICENSE", (bundle / "models" / "LICENSE").read_bytes()
    yield "scripts/__init__.py", b""
    for source in sorted(PACKAGE.rglob("*.py")):
        relative = source.relative_to(PACKAGE)
        if relative.parts[0] != "cli":  # the command line stays with the installed project
            yield f"scripts/{PACKAGE.name}/{relative.as_posix()}", source.read_bytes()


def _baked(bundle: Path, overlays: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Every config of the bundle's `configs/`, with what each overlay has to say to it."""
    configs = {path.stem: ConfigParser.load_config_file(path) for path in sorted((bundle / "configs").glob("*.yaml"))}
    for overlay in overlays:
        content = ConfigParser.load_config_file(overlay)
        roots = {key: key.lstrip("+").split("::")[0] for key in content}
        unknown = [key for key, root in roots.items() if not any(root in config for config in configs.values())]
        if unknown:
            raise ValueError(f"{overlay} sets {', '.join(unknown)}, which no config of {bundle} has: correct the name.")
        for config in configs.values():
            for key, value in content.items():
                if roots[key] in config:
                    merge_kv(config, key, value)
    for name in BASES:
        configs[name] |= DIFFERENCES[name]
    return configs


def _vendored(value: Any) -> Any:
    """`_target_: noise2mask.x` -> `_target_: scripts.noise2mask.x`, everywhere."""
    if isinstance(value, Mapping):
        return {key: _retarget(item) if key == "_target_" else _vendored(item) for key, item in value.items()}
    return [_vendored(item) for item in value] if isinstance(value, list) else value


def _retarget(target: Any) -> Any:
    ours = isinstance(target, str) and target.startswith(f"{PACKAGE.name}.")
    return f"scripts.{target}" if ours else target


def _write_zip(path: Path, folder: str, files: Mapping[str, bytes]) -> None:
    """One folder, sorted, without dates: equal content gives equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(f"{folder}/{name}")
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m noise2mask.package_bundle", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("bundle", type=Path, help="a folder of bundles/")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="folder of the zip")
    parser.add_argument("--weights", type=Path, help="model.pt; the bundle's own if left out")
    parser.add_argument("--overlay", type=Path, nargs="*", default=[], help="configs to bake in")
    options = parser.parse_args(arguments)
    try:
        path = package_bundle(options.bundle, options.output, options.weights, options.overlay)
    except ValueError as error:
        parser.error(str(error))
    print(path)


if __name__ == "__main__":
    main()
