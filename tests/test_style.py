"""What the documents name is there, and one version stands everywhere."""

import ast
import re
from pathlib import Path

import pytest
import yaml

import noise2mask

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bundles/*/docs/*.md")])
FOLDERS = "bundles|common|tests|benchmarks|docs|configs"


def named_paths(document: Path) -> set[str]:
    """Targets of relative links, and paths below one of our folders; patterns and placeholders are no paths."""
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
    paths = re.findall(rf"(?<![\w./<-])(?:{FOLDERS})/[\w./-]*[\w/](?![\w*<{{])", text)
    return {*links, *paths}


def roots(document: Path) -> list[Path]:
    """Where a path in a document may start: beside it, at the root of the project, or of its bundle."""
    return [document.parent, document.parent.parent, ROOT]


def headings(document: Path) -> set[str]:
    """What a link may name behind #: headings as GitHub names them; code blocks have none."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = (re.sub(r"\]\([^)]*\)", "", title) for title in re.findall(r"^#+ (.+?)\s*$", text, re.M))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_sections_that_a_document_links_to_exist(document):
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)#([^)\s]+)\)", document.read_text(encoding="utf-8"))
    missing = {
        f"{name}#{part}" for name, part in links if part not in headings(document.parent / name if name else document)
    }
    assert missing == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_exist(document):
    missing = {name for name in named_paths(document) if not any((root / name).exists() for root in roots(document))}
    assert missing == set()


def test_one_version_stands_everywhere():
    version = noise2mask.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_table_of_deviations_names_every_file_that_has_one():
    table = (ROOT / "docs" / "explanation" / "choices.md").read_text(encoding="utf-8").split("## Every deviation")[1]
    files = [path for path in (ROOT / "common").rglob("*.py") if "# Deviation:" in path.read_text(encoding="utf-8")]
    assert len(files) >= 5
    assert [name for path in files if f"| `{(name := path.relative_to(ROOT).as_posix())}` |" not in table] == []


def test_settings_of_a_training_come_after_those_of_data_in_every_list_of_configs():
    """What comes later wins, and the network must see what it was trained with."""
    texts = [path.read_text(encoding="utf-8") for path in [*DOCUMENTS, *ROOT.glob("bundles/*/configs/**/*.yaml")]]
    lists = [found for text in texts for found in re.findall(r"\[('[^\]]*/model\.yaml'[^\]]*)\]", text)]
    assert len(lists) > 8
    after = [own.split("model.yaml")[1] for own in lists]
    assert not [own for own in after if re.search(r"evaluate\.yaml|/data/|OVERLAYS", own)]


# The page of errors

CHANGING = re.compile(r"\.\.\.|'[^']*'|\d+(?:\.\d+)?%?|\b[\w/]+\.(?:png|jpg|csv|pt|yaml)\b")


def told() -> str:
    """The fixed parts of all that the package says, joined; quotes and what changes taken out."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "common").rglob("*.py")]
    texts = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return "\n".join(text for text in texts if isinstance(text, str))


def test_the_page_of_errors_names_messages_that_there_are():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    messages = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    said = told()
    assert len(messages) > 80
    parts = {text: [part.strip(" ,;:().") for part in CHANGING.split(text)] for text in messages}
    assert [text for text in messages if max(parts[text], key=len) not in said] == []
