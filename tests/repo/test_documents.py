"""Markdown is readable in a terminal and in a diff, and its links work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provisioning.config.service_facts import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 100
FORMS = ROOT / ".github"
"""Templates of issues and pull requests: GitHub shows each of their line breaks."""


def documents() -> list[Path]:
    tracked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(tracked, cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).exists()]


def headings(document: Path) -> set[str]:
    """Return the anchors that Markdown renderers derive from a document's headings."""
    lines = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that can be wrapped: no table, no code block, links without target."""
    in_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.lstrip().startswith("|"):
            yield number, re.sub(r"\]\([^)]*\)", "]", line)


def test_markdown_is_wrapped_at_100_columns() -> None:
    long = [
        f"{document.relative_to(ROOT)}:{number}"
        for document in documents()
        if FORMS not in document.parents
        for number, line in prose(document.read_text())
        if len(line) > WIDTH
    ]
    assert not long


def test_tables_code_and_link_targets_may_be_wider() -> None:
    wide = "x" * 120
    text = f"| {wide} |\n```\n{wide}\n```\n[short](https://example.com/{wide})\n{wide}\n"
    assert [number for number, line in prose(text) if len(line) > WIDTH] == [6]


@pytest.mark.parametrize("document", documents(), ids=lambda document: str(document.relative_to(ROOT)))
def test_links_of_the_documentation_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if "://" not in link:
            assert (document.parent / link).exists(), link


def test_anchors_of_the_documentation_are_headings() -> None:
    found = [
        (document, link, anchor)
        for document in documents()
        for link, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text())
    ]
    assert found
    for document, link, anchor in found:
        target = document.parent / link if link else document
        assert anchor in headings(target), f"{document.name}: {link}#{anchor}"


@pytest.mark.parametrize("document", documents(), ids=lambda document: str(document.relative_to(ROOT)))
def test_paths_in_the_documentation_exist(document: Path) -> None:
    """A file or directory of the repository in backticks, for example in a table of CONTRIBUTING.md."""
    for path in re.findall(
        r"`((?:app|ui|infra|provisioning|monitoring|tests|tools|docs)/[\w./-]+)`", document.read_text()
    ):
        assert path.startswith("app/artifacts/") or (ROOT / path).exists(), path


def test_every_decision_record_is_in_the_index() -> None:
    folder = ROOT / "docs/adr"
    index = (folder / "README.md").read_text()
    for record in folder.glob("0*.md"):
        title = record.read_text().splitlines()[0].removeprefix("# ").partition(". ")[2]
        assert f"[{title}]({record.name})" in index, record.name


def test_documents_name_the_services_by_their_ports() -> None:
    names = "|".join(("HOST", *(facts.name for facts in SERVICES)))
    shown = [
        int(port) for file in documents() for port in re.findall(rf"(?:{names}):(\d+)", file.read_text())
    ]
    assert shown
    assert set(shown) <= {facts.port for facts in SERVICES}
