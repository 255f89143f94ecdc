"""Files of cases: what is written is read again, and what is no such file is named."""

import numpy as np
import pytest

from noise2mask.explain.case_file import ARRAYS, CaseRecord, case_path, read_case, write_case


def record(label=True, shape=(4, 6), steps=3, samples=2, **facts):
    """A case of this size whose arrays all differ."""
    make = np.random.default_rng(0).integers
    map_ = lambda *lead: make(0, 256, (*lead, *shape), np.uint8)  # noqa: E731
    arrays = {name: map_() for name in ("mask", "probability", "std", "entropy")}
    arrays |= {"image": map_(1), "samples": map_(samples), "noisy": map_(steps), "clean": map_(steps)}
    arrays |= {"timesteps": np.arange(steps)[::-1].copy(), "label": map_() if label else None}
    return CaseRecord(
        **arrays,
        facts={"image": "a.png", "triage": 0.25, "structures": [], "slices": None, "spacing": [1.0, 1.0], **facts},
    )


@pytest.mark.parametrize("label", [True, False])
def test_a_case_is_read_as_it_was_written(tmp_path, label):
    written = record(label)
    read = read_case(write_case(written, case_path(tmp_path, "a")))
    assert read.facts == written.facts and (tmp_path / "cases" / "a.npz").is_file()
    for name in ARRAYS:
        assert (
            (getattr(read, name) is None)
            if getattr(written, name) is None
            else np.array_equal(getattr(read, name), getattr(written, name))
        )


def test_a_missing_a_foreign_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"b\.npz does not exist"):
        read_case(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", numbers=np.arange(3))
    path = write_case(record(), tmp_path / "d.npz")
    path.write_bytes(path.read_bytes()[:100])
    for name in ("c", "d"):
        with pytest.raises(ValueError, match=rf"{name}\.npz is no case of noise2mask"):
            read_case(tmp_path / f"{name}.npz")


def test_any_byte_may_be_damaged_and_the_file_is_read_or_named(tmp_path):
    path = write_case(record(), tmp_path / "a.npz")
    content, refused = path.read_bytes(), 0
    for place in range(0, len(content), 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :])
        try:
            read_case(path)
        except ValueError as error:
            refused += "a.npz is no case of noise2mask" in str(error)
    assert refused > len(content) / 20


def test_objects_in_a_file_are_not_run(tmp_path):
    np.savez(tmp_path / "e.npz", facts=np.array([{"image": "a"}], dtype=object))
    with pytest.raises(ValueError, match=r"e\.npz is no case of noise2mask \(ValueError\)"):
        read_case(tmp_path / "e.npz")
