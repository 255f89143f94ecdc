"""The table of costs."""

from noise2mask.explain.card import filled

RESULT = """{"machine": "m", "size": [8, 4], "rounds": 3, "rows": [
{"title": "default", "parameters": 1250000, "samples": 5, "evaluations": 2, "seconds": 0.512, "ratio": 1.0, "mib": 700},
{"title": "other", "parameters": 40000, "samples": 1, "evaluations": 1, "seconds": 12.3, "ratio": 0.25, "mib": 655}]}"""


def test_costs_are_a_table_with_the_machine(tmp_path):
    (tmp_path / "costs.json").write_text(RESULT)
    lines = filled("<!-- costs: costs -->\n<!-- end -->", tmp_path).splitlines()
    assert lines[3] == "| default | 1.25 | 5 x 2 | 0.512 | 1.00 | 700 MiB |"
    assert lines[4] == "| other | 0.04 | 1 x 1 | 12.3 | 0.25 | 655 MiB |"
    assert lines[6] == "An image of 8 x 4, m; medians of 3 rounds."
    (tmp_path / "costs.json").write_text(RESULT.replace('"rounds": 3', '"rounds": 1'))
    assert "An image of 8 x 4, m; one round." in filled("<!-- costs: costs -->\n<!-- end -->", tmp_path)
