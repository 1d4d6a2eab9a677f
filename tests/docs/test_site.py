"""The pages of the site: each found from the contents, each link to somewhere; built where the generator is."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from docs.site.pages import BESIDE, ROOT, SECTIONS, site_text, write_pages

LINK = re.compile(r"\]\(([^)\s#]+)")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    write_pages(folder)
    return folder


def test_every_page_is_in_the_contents_once() -> None:
    listed = [page for section in SECTIONS.values() for page in section]
    assert len(listed) == len(set(listed))
    of_docs = {file.stem for file in (ROOT / "docs").glob("*.md")}
    beside = {Path(page).stem for page in BESIDE.values()} - {"index"}
    assert set(listed) == of_docs | beside | {"decisions"}


def test_every_link_of_every_page_leads_to_a_file_of_the_site(pages: Path) -> None:
    for page in pages.rglob("*.md"):
        text = re.sub(
            r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
        )
        for target in LINK.findall(text):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), f"{page.relative_to(pages)} leads to {target}"


def test_the_first_page_is_the_readme_with_the_contents(pages: Path) -> None:
    text = (pages / "index.md").read_text(encoding="utf-8")
    assert text.startswith("# Earshot")
    assert text.count("```{toctree}") == len(SECTIONS)


def test_every_decision_is_listed(pages: Path) -> None:
    listed = (pages / "decisions.md").read_text(encoding="utf-8")
    for file in (ROOT / "docs" / "adr").glob("*.md"):
        assert f"adr/{file.stem}" in listed
        assert (pages / "adr" / file.name).exists()


@pytest.mark.parametrize(
    ("place", "before", "after"),
    [
        ("docs/house.md", "[a](events.md#b)", "[a](events.md#b)"),
        ("docs/house.md", "[a](../README.md#b)", "[a](index.md#b)"),
        ("docs/house.md", "[a](../gateway/app.py)", "a"),
        ("docs/house.md", "[`a`](../gateway/app.py)", "`a`"),
        ("docs/house.md", "`[a](../gateway/app.py)`", "`[a](../gateway/app.py)`"),
        ("docs/house.md", "```\n[a](../gateway/app.py)\n```", "```\n[a](../gateway/app.py)\n```"),
        ("docs/house.md", "[a](https://example.org/b)", "[a](https://example.org/b)"),
        ("docs/house.md", "[a](#here)", "[a](#here)"),
        ("docs/house.md", "![a](page-live.png)", "![a](page-live.png)"),
        ("docs/adr/0001-x.md", "[a](../events.md)", "[a](../events.md)"),
        ("docs/adr/0001-x.md", "[a](0002-y.md)", "[a](../adr/0002-y.md)"),
        ("README.md", "[a](docs/events.md)", "[a](events.md)"),
        ("README.md", "[a](docs/adr/)", "a"),
        ("README.md", "[a](CHANGELOG.md)", "[a](changelog.md)"),
        ("README.md", "a [b] (c)", "a [b] (c)"),
    ],
)
def test_links_as_they_stand_in_the_site(place: str, before: str, after: str) -> None:
    assert site_text(before, PurePosixPath(place)) == after


@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="make docs has the generator")
def test_it_is_built_without_a_warning_and_asks_nobody(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "docs.site", "--out", str(tmp_path)], cwd=ROOT, check=True)
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Search" in index
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?://', text), page.name
