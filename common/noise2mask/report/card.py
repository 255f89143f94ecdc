"""Of a bundle's card what somebody has to know who looks at its results, as HTML."""

import re
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from ..bundles import Bundle, find_bundle
from ..digest import sha256

SHOWN = ("Intended use", "Failures", "Uncertainty")  # of the sections that every card has
LINKS = {"link_open", "link_close"}  # they lead into a checkout, which whoever reads the page has not


class Card(NamedTuple):
    """A bundle, as a page shows it."""

    name: str
    title: str
    version: str
    sections: dict[str, Markup]
    notes: list[str]  # where card and results may not belong together


def find_card(facts: dict[str, Any], name: str | None) -> tuple[Card | None, str]:
    """The card of the bundle that results name, or else the user; without one, why.

    Args:
        facts: of results, with `bundle` and `weights` where they say so; {} of a training alone.
        name:  a bundle's name or folder, for results that name none.

    Raises:
        ValueError: where there is no bundle of the user's name, or the results name another one.
    """
    known = facts.get("bundle") or {}
    if name is not None:
        bundle = find_bundle(name)
        if known and known.get("name") != bundle.name:
            raise ValueError(f"the results are of the bundle {known.get('name')}, not of {bundle.name}: leave it out.")
        return _card(bundle, facts), ""
    if not known:
        return None, "It is not written down which bundle this is of: give it with --bundle NAME."
    try:
        return _card(find_bundle(str(known.get("name"))), facts), ""
    except ValueError as error:
        return None, f"The bundle that made the results is not here, and so its card is not either: {error}"


def _card(bundle: Bundle, facts: dict[str, Any]) -> Card:
    path = bundle.root / "docs" / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = {name: section(text, name) for name in SHOWN}
    sections = {name: markdown(own) for name, own in found.items() if own}
    version, made = str(bundle.metadata["version"]), (facts.get("bundle") or {}).get("version")
    notes = [] if sections else [f"{path} has no such sections."]
    if made and made != version:
        notes.append(f"The results were made by version {made}; this card is of version {version}.")
    weights = facts.get("weights")
    if facts and not weights:
        notes.append("The results do not say which weights made them; the card's numbers are of those that ship.")
    elif weights and weights != sha256(bundle.weights):
        notes.append(_of_other_weights(bundle, weights))
    return Card(bundle.name, str(bundle.metadata.get("name", bundle.name)), version, sections, notes)


def _of_other_weights(bundle: Bundle, digest: str) -> str:
    """What a reader must know of results that are not of the bundle's own weights."""
    shipped = {sha256(bundle.chosen(name)): name for name in bundle.other_weights}
    if digest in shipped:
        return f"The results were made with {shipped[digest]}: of the card, what it says of these weights is theirs."
    return "The results were made with other weights than those that ship, of which the card's numbers are."


def section(text: str, name: str) -> str:
    """What stands under a heading of the second level; empty where there is none."""
    found = re.search(rf"^## {re.escape(name)}\s*$(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found[1].strip() if found else ""


def markdown(text: str) -> Markup:
    """HTML, in which HTML of the text is words, and links and pictures are the words that they have."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(text)
    for token in tokens:
        if token.children:
            token.children = [_as_words(child) for child in token.children if child.type not in LINKS]
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def _as_words(token: Token) -> Token:
    return Token("text", "", 0, content=token.content) if token.type == "image" else token
