"""Tables as spreadsheets save them."""

import pytest

from noise2mask.studies.read_table import read_table


@pytest.mark.parametrize("text", ["id,x\n1,a\n2,b\n", "\ufeffid;x\r\n1;a\r\n2;b\r\n", " id\tx \n1\t a\n2\tb\n"])
def test_lines_are_the_same_whatever_separates_them(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read_table(tmp_path / "a.csv", ("id",), "a table") == [
        (2, {"id": "1", "x": "a"}),
        (3, {"id": "2", "x": "b"}),
    ]


def test_missing_fields_are_empty_and_columns_too_many_do_not_matter(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n1\n\n2,b,c\n")
    assert read_table(tmp_path / "a.csv", ("id",), "a table") == [(2, {"id": "1", "x": ""}), (4, {"id": "2", "x": "b"})]


def test_what_is_no_such_table_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n")
    (tmp_path / "b.csv").write_bytes("größe\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.csv has no column y, z; expected a table"):
        read_table(tmp_path / "a.csv", ("id", "y", "z"), "a table")
    with pytest.raises(ValueError, match=r"b\.csv is no text in UTF-8"):
        read_table(tmp_path / "b.csv", ("id",), "a table")
    with pytest.raises(ValueError, match=r"c\.csv does not exist; expected a table"):
        read_table(tmp_path / "c.csv", ("id",), "a table")
