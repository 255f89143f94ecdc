"""Telling a refusal of ours, whose message says what to do, from an error that is somebody's mistake."""

from pathlib import Path
from traceback import walk_tb

PACKAGE = Path(__file__).parent


def refusal_in(error: BaseException | None) -> ValueError | None:
    """The outermost ValueError of a chain that this package raised: MONAI wraps what a component raises."""
    while error is not None and not _ours(error):
        error = error.__cause__ or error.__context__
    return error  # type: ignore[return-value]  # _ours has looked


def _ours(error: BaseException) -> bool:
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    raised = Path(frames[-1].f_code.co_filename) if frames else PACKAGE
    return isinstance(error, ValueError) and PACKAGE in raised.parents
