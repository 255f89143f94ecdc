"""Everything that is wrong with a data set, in one error."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

MOST = 10  # problems that are shown


class Problems(ValueError):
    """Its text names the first problems.

    Args:
        text:     what is shown.
        problems: all of them.
        pairs:    images that have their mask, as items of a datalist: what can be looked at all the same.
    """

    def __init__(self, text: str, problems: Sequence[str], pairs: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(text)
        self.problems = list(problems)
        self.pairs = list(pairs)


def refuse(what: str, problems: Sequence[str], pairs: Sequence[dict[str, Any]] = ()) -> None:
    """Raise `Problems` with `what` as its first line if there are any, naming the first ones."""
    if problems:
        more = [f"and {len(problems) - MOST} more"] if len(problems) > MOST else []
        raise Problems("\n  ".join([f"{what}:", *problems[:MOST], *more]), problems, pairs)


@contextmanager
def knowing_pairs(images: Mapping[str, Any], labels: Mapping[str, Any]) -> Iterator[None]:
    """What is refused inside carries the pairs of image and mask, by stem, that there are."""
    try:
        yield
    except Problems as error:
        error.pairs = [
            {"image": path_text(image), "label": path_text(labels[name])}
            for name, image in images.items()
            if name in labels
        ]
        raise


def path_text(path: Any) -> str | list[str]:
    """The path of an image or a mask, or of several, as items of a datalist have it."""
    return [str(one) for one in path] if isinstance(path, list) else str(path)
