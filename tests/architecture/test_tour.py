"""Every link of the documents leads somewhere, and the tour's links lead to the lines that they speak of."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "services/*/*.md", "libs/*/*.md", "deploy/**/*.md", "examples/**/*.md")
    for page in ROOT.glob(pattern)
)
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]+)(?:#(?P<anchor>[^)\s]+))?\)")
TOUR = ROOT / "docs/tour.md"


def links(page: Path) -> Iterator[re.Match[str]]:
    return (link for link in LINK.finditer(page.read_text()) if "://" not in link["target"])


def line_of(name: str, file: Path) -> int | None:
    """Where a Python file defines the name first: a function, a class, or a value."""
    for node in sorted(ast.walk(ast.parse(file.read_text())), key=lambda node: getattr(node, "lineno", 0)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == name:
                return node.lineno
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                return node.lineno
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert [link["target"] for link in links(page) if not (page.parent / link["target"]).exists()] == []


def test_a_test_that_a_document_names_is_where_it_says() -> None:
    missing = []
    for page in PAGES:
        for link in links(page):
            name, file = link["text"].strip("`"), page.parent / link["target"]
            if name.startswith("test_") and name.isidentifier() and line_of(name, file) is None:
                missing.append(f"{page.relative_to(ROOT)}: {name}")
    assert missing == []


def test_the_tours_links_lead_to_the_lines_that_they_speak_of() -> None:
    wrong = []
    for link in links(TOUR):
        name = link["text"].strip("`")
        file = (TOUR.parent / link["target"]).resolve()
        if link["text"].startswith("`") and file.suffix == ".py" and name.isidentifier():
            line = line_of(name, file)
            if link["anchor"] != f"L{line}":
                wrong.append(f"{name} is at {link['target']}#L{line}, not at #{link['anchor']}")
    assert wrong == []
