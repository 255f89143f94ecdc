"""Whose errors are whose."""

import numpy as np
import pytest

from noise2mask.data.inputs import find_inputs
from noise2mask.refusals import refusal_in
from noise2mask.transforms import resize_slices
from noise2mask.transforms.resize_slices import ResizeSlices


def caught(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except Exception as error:
        return error
    return None


def within_ours(expression):
    """What an expression raises in a line of a file of the package."""
    return caught(eval, compile(expression, resize_slices.__file__, "eval"), {"np": np})


def test_what_we_raise_is_a_refusal(tmp_path):
    error = caught(find_inputs, tmp_path / "none")
    assert refusal_in(error) is error and "does not exist" in str(error)


def test_what_we_raise_is_a_refusal_whatever_it_was_wrapped_in_and_passed_through(tmp_path):
    def wrapped():
        try:
            try:
                ResizeSlices((2, 2), "cubic")
            finally:
                tmp_path.exists()
        except ValueError as error:
            raise RuntimeError("applying transform") from error

    assert "mode is 'cubic'" in str(refusal_in(caught(wrapped)))


@pytest.mark.parametrize(
    "expression",
    [
        "np.zeros((2, 3)).transpose(2, 1, 0)",
        "max([])",
        "dict(zip([1], [], strict=True))",
        "int('x')",
        "np.zeros(0).max()",
    ],
)
def test_what_others_raise_within_our_lines_is_a_mistake(expression):
    error = within_ours(expression)
    assert isinstance(error, ValueError) and refusal_in(error) is None


def test_what_others_raise_is_no_refusal_of_ours():
    def theirs():
        raise ValueError("theirs")

    assert refusal_in(caught(theirs)) is None and refusal_in(ValueError("never raised")) is None
