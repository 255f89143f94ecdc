"""What several processes know, together."""

from typing import Any, TypeVar

from ignite import distributed as idist

Value = TypeVar("Value")


def gathered(cases: list[Any]) -> list[Any]:
    """The lists of all ranks as one, on every rank."""
    if idist.get_world_size() == 1:
        return list(cases)
    parts: Any = idist.all_gather(cases)
    return [case for part in parts for case in part]


def from_first(value: Value) -> Value:
    """What rank 0 has, on every rank."""
    if idist.get_world_size() == 1:
        return value
    parts: Any = idist.all_gather([value])
    return parts[0][0]
