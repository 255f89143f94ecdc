"""What a page quotes from a bundle's card, and what it says where card and results may not belong together."""

import pytest

from noise2mask.bundles import find_bundle
from noise2mask.digest import sha256
from noise2mask.explain.card import SECTIONS
from noise2mask.report.card import SHOWN, find_card, markdown, section

OURS = {"bundle": {"name": "pgdiffseg", "title": "PGDiffSeg", "version": "0.1.0"}}
TEXT = "# Name\n\n## Failures\n\n- one\n\n## Failures of others\n\ntwo\n"


def test_a_section_ends_where_the_next_begins():
    assert section(TEXT, "Failures") == "- one" and section(TEXT, "Failures of others") == "two"
    assert section(TEXT, "Intended use") == ""


def test_what_is_quoted_is_what_every_card_has():
    assert set(SHOWN) < set(SECTIONS)


def test_html_of_a_card_is_words_and_links_lose_where_they_lead():
    html = markdown("<script>alert(1)</script> [a *b*](javascript:alert(1)) ![c](http://x/y.png) <b onclick=x>d</b>")
    assert "&lt;script&gt;" in html and "<em>b</em>" in html and "c" in html
    assert not any(word in html for word in ("<script", "href", "src=", "<b ", "<img"))


@pytest.mark.parametrize("name", ["pgdiffseg", "medsegdiff", "medsegdiff_v2", "diffusiondci_segmentation"])
def test_every_card_has_what_a_page_quotes(name):
    card, why = find_card({}, name)
    assert tuple(card.sections) == SHOWN and why == "" and card.name == name


def test_other_weights_and_another_version_than_the_cards_are_said():
    shipped = sha256(find_bundle("pgdiffseg").weights)
    assert find_card(OURS | {"weights": shipped}, None)[0].notes == []
    (other,) = find_card(OURS | {"weights": "0" * 64}, None)[0].notes
    assert "other weights than those that ship" in other
    facts = OURS | {"bundle": OURS["bundle"] | {"name": "medsegdiff_v2"}}
    (beside,) = find_card(facts | {"weights": sha256(find_bundle("medsegdiff_v2").chosen("fundus"))}, None)[0].notes
    assert beside.startswith("The results were made with fundus:")
    older = {"bundle": OURS["bundle"] | {"version": "0.0.1"}, "weights": shipped}
    assert "version 0.0.1" in find_card(older, None)[0].notes[0]


def test_without_a_bundle_the_page_says_why_it_has_no_card():
    assert find_card({}, None) == (None, "It is not written down which bundle this is of: give it with --bundle NAME.")
    card, why = find_card({"bundle": {"name": "gone", "title": "Gone", "version": "1"}}, None)
    assert card is None and "'gone' is no bundle" in why


def test_a_bundle_that_is_not_there_or_not_that_of_the_results_is_refused():
    with pytest.raises(ValueError, match="'pgdifseg' is no bundle.*Did you mean pgdiffseg"):
        find_card({}, "pgdifseg")
    with pytest.raises(ValueError, match="the results are of the bundle pgdiffseg, not of medsegdiff: leave it out"):
        find_card(OURS, "medsegdiff")
