"""What the documents name is there, and one version stands everywhere."""

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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_exist(document):
    missing = {name for name in named_paths(document) if not any((root / name).exists() for root in roots(document))}
    assert missing == set()


def test_one_version_stands_everywhere():
    version = noise2mask.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
