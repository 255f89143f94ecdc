"""The terms of weights: a file beside them, a line of which says what unclear terms of the training data leave."""

from pathlib import Path

LICENSE = "LICENSE"  # of weights, beside them
RESTRICTED = "Research use"  # how a line of it begins, where the terms of the training data are not clear


def terms_of(path: Path) -> Path:
    """The file of weights' terms beside them: volumes.pt -> LICENSE_volumes where it is there, else LICENSE."""
    own = path.with_name(f"{LICENSE}_{path.stem}")
    return own if own.is_file() else path.with_name(LICENSE)


def restriction(path: Path) -> str:
    """What weights may be used for, by their terms, where those restrict it; else empty."""
    terms = terms_of(path)
    lines = terms.read_text(encoding="utf-8").splitlines() if terms.is_file() else []
    return next((line for line in lines if line.startswith(RESTRICTED)), "")
