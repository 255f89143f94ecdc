"""Settings given on the command line: names that a config does not have are refused, and the nearest one is named.

MONAI takes any name, and a mistyped one changes nothing (MONAI 1.6.1).
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

SEPARATOR = "::"


def parsed(settings: Sequence[str]) -> dict[str, Any]:
    """`name=value` texts as names and values; values are read as YAML or Python: 1e-4, [64, 64], null, false, words.

    Raises:
        ValueError: where there is no `=`, or a name comes twice.
    """
    found: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"The setting {text!r} has no '='; expected name=value, such as steps=10.")
        if name in found:
            raise ValueError(f"The setting {name} is given twice: keep one.")
        found[name] = _value(value)
    return found


def check_settings(settings: Mapping[str, Any], config_files: Sequence[Path]) -> None:
    """See that the configs, merged, have every name, and a value of the same kind.

    Raises:
        ValueError: it names the nearest name, or the value there is.
    """
    config = ConfigParser.load_config_files([str(path) for path in config_files])
    known = dict(_ids(config, ""))
    for name, value in settings.items():
        if name not in known:
            near = get_close_matches(name, known, 1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(f"There is no setting {name}.{hint}")
        if not _fits(value, known[name]):
            raise ValueError(f"{name} is {value!r}; expected something like {known[name]!r}.")


def _value(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if isinstance(value, str):  # YAML has words where Python has numbers: 1e-4, None
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            pass
    return value


def _ids(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every id of a config, with what stands there."""
    if name:
        yield name, value
    items: Any = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _ids(item, f"{name}{SEPARATOR}{key}" if name else str(key))


def _fits(value: Any, present: Any) -> bool:
    """Whether a value can stand where another one stands; words may be expressions, and null may become anything."""
    if present is None or value is None or isinstance(present, str):
        return True
    if isinstance(value, str) and value.startswith(("@", "$", "%")):
        return True
    if isinstance(present, int) and not isinstance(present, bool):
        return isinstance(value, int) and not isinstance(value, bool)
    kinds: tuple[Any, ...] = (bool, (int, float), (list, tuple), dict)
    for kind in kinds:
        if isinstance(present, kind):
            return isinstance(value, kind) and isinstance(value, bool) == isinstance(present, bool)
    return True
