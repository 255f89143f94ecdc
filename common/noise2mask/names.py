"""Names that a setting may have."""

from collections.abc import Collection


def check_name(what: str, name: str | None, allowed: Collection[str | None]) -> None:
    """Raise ValueError unless `name` is one of `allowed`; it says what the setting is called, and lists them."""
    if name not in allowed:
        raise ValueError(f"{what} is {name!r}, expected one of {', '.join(map(str, allowed))}.")
