"""Everything that is wrong with a data set, in one error."""

from collections.abc import Sequence

MOST = 10  # problems that are shown


def refuse(what: str, problems: Sequence[str]) -> None:
    """Raise ValueError with `what` as its first line if there are problems, naming the first ones."""
    if problems:
        more = [f"and {len(problems) - MOST} more"] if len(problems) > MOST else []
        raise ValueError("\n  ".join([f"{what}:", *problems[:MOST], *more]))
