"""Codes of what is segmented: those of the metadata, or private ones that DICOM can hold and that tell names apart."""

from noise2mask.clinical.coded import LONGEST, PRIVATE, coded_structures

KNOWN = {"coded_structures": {"liver": {"label": "liver", "type": ("10200004", "SCT", "Liver")}}}


def test_structures_without_a_code_whose_names_begin_alike_get_private_codes_of_their_own():
    names = ["liver", "cyst", "segment_of_liver_1", "segment_of_liver_2"]
    found = [made["type"] for made in coded_structures(KNOWN, names)]
    assert found[:2] == [("10200004", "SCT", "Liver"), ("cyst", PRIVATE, "cyst")]
    values = [value for value, *_ in found]
    assert len(set(values)) == 4 and max(map(len, values)) <= LONGEST
