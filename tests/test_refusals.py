"""Whose errors are whose."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import LoadImaged

from noise2mask.data.inputs import find_inputs
from noise2mask.data.problems import refuse
from noise2mask.data.reader import GreyReader
from noise2mask.refusals import device_fails, out_of_memory, refusal_in
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


def from_worker(data):
    """What comes of the first batch that a worker process makes."""
    return caught(lambda: next(iter(DataLoader(data, num_workers=1))))


def test_what_we_raise_in_a_worker_of_a_data_loader_is_a_refusal(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    error = from_worker(Dataset([{"image": str(path)}], LoadImaged("image", reader=GreyReader())))
    assert str(error).startswith("Caught ") and "Traceback" in str(error)
    assert str(refusal_in(error)).startswith(f"{path} can not be read as an image (")
    assert str(refusal_in(error)).endswith("): replace the file.")


def test_a_refusal_of_several_lines_comes_whole_from_a_worker():
    error = from_worker(Dataset([0], lambda _: refuse("the data", ["a is none: b.", "c is none: d."])))
    assert str(refusal_in(error)) == str(caught(refuse, "the data", ["a is none: b.", "c is none: d."]))


def test_a_mistake_in_a_worker_is_none():
    for expression in ("int('x')", "np.zeros(0).max()", "1 / 0"):
        error = from_worker(
            Dataset([0], lambda _, text=expression: eval(compile(text, resize_slices.__file__, "eval")))
        )
        assert "DataLoader worker" in str(error) and refusal_in(error) is None


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


@pytest.mark.parametrize(
    ("ask", "words"), [(lambda: torch.empty(10**15), "allocate memory"), (lambda: np.empty(10**15), "to allocate")]
)
def test_what_asks_for_too_much_memory_is_known_by_its_words_also_where_it_was_wrapped(ask, words):
    error = RuntimeError("applying transform")
    error.__cause__ = caught(ask)
    assert words in out_of_memory(error) and "\n" not in out_of_memory(error) and not device_fails(error)
    assert not out_of_memory(RuntimeError("shapes differ")) and not out_of_memory(ValueError("not enough memory"))


def test_too_little_memory_in_a_worker_is_one_line():
    for ask in (np.empty, torch.empty):
        said = out_of_memory(from_worker(Dataset([10**15], ask)))
        assert "allocate" in said and "\n" not in said


def test_a_gpu_that_fails_is_known_by_its_words():
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
    assert device_fails(full) == out_of_memory(full) == str(full)
    assert device_fails(RuntimeError("CUDA error: unspecified launch failure\nCompile with"))
    assert not device_fails(RuntimeError("Failed to instantiate component")) and not device_fails(
        ValueError("CUDA error")
    )
