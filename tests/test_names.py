"""Names of settings."""

import pytest

from noise2mask.names import check_name


def test_a_name_that_is_not_allowed_is_told_with_those_that_are():
    check_name("axis", None, (None, "rows"))
    with pytest.raises(ValueError, match=r"^axis is 'row', expected one of None, rows\.$"):
        check_name("axis", "row", (None, "rows"))
