"""The pages of the site: those of docs/, and what stands beside it in the repository, for the generator to read.

A link to what is no page of it becomes plain words: the site stands alone, and may be read without the sources.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
BESIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
"""Files beside docs/, and what they are called in the site."""
SECTIONS = {
    "Start": ("install", "first-board", "works-with"),
    "Devices": (
        "flashing", "firmware", "protocol", "microphones", "wake-words", "one-voice", "wyoming-satellites",
    ),
    "Speech": ("models", "names", "openai"),
    "Who answers": ("agents", "ready-made-agents", "home-assistant", "messages"),
    "Houses": ("brokers", "house", "recognizers", "scaling"),
    "Care": (
        "service", "security", "observing", "alerts", "tracing", "care", "reliability", "benchmarks", "load",
    ),
    "Reference": ("configuration", "api", "events", "architecture"),
    "The project": ("changelog", "contributing", "security-policy", "decisions"),
}  # fmt: skip
"""All pages, by who looks for them; a test sees to it that none is missing."""
_SHOWN = frozenset({".svg", ".png", ".webp"})
_LINK = re.compile(
    r"^```.*?^```|(?P<picture>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)"
    r"|`[^`\n]*`",
    re.DOTALL | re.MULTILINE,
)
"""A link, or what looks like one and is code."""


def write_pages(folder: Path) -> None:
    """All of them, below a folder that is not there yet."""
    docs = ROOT / "docs"
    for file in sorted([*docs.glob("*.md"), *docs.glob("adr/*.md"), *docs.rglob("*")]):
        place = file.relative_to(ROOT)
        target = folder / file.relative_to(docs)
        if file.suffix == ".md" and place.parent.name in {"docs", "adr"}:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(
                site_text(file.read_text(encoding="utf-8"), PurePosixPath(place)), encoding="utf-8"
            )
        elif file.suffix in _SHOWN or file.name.endswith(".schema.json"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    for name, page in BESIDE.items():
        text = site_text((ROOT / name).read_text(encoding="utf-8"), PurePosixPath(name))
        (folder / page).write_text(text + (_contents() if page == "index.md" else ""), encoding="utf-8")
    (folder / "decisions.md").write_text(_decisions(), encoding="utf-8")


def site_text(markdown: str, place: PurePosixPath) -> str:
    """A page as it stands in the site; ``place``: where it stands in the repository."""
    return _LINK.sub(lambda found: _link(found, place), markdown)


def _link(link: re.Match[str], place: PurePosixPath) -> str:
    target, anchor = link["target"] or "", link["anchor"] or ""
    if not target or "://" in target or target.startswith("mailto:"):
        return link[0]
    where = _resolved(place.parent / target)
    page = PurePosixPath("docs", BESIDE[str(where)]) if str(where) in BESIDE else where
    is_page = str(where) in BESIDE or (where.parts[:1] == ("docs",) and where.suffix == ".md")
    is_shown = where.parts[:1] == ("docs",) and (
        where.suffix in _SHOWN or where.name.endswith(".schema.json")
    )
    if not (is_page or is_shown):
        return str(link["text"])
    here = place.parent if place.parts[0] == "docs" else PurePosixPath("docs")
    up = [".."] * (len(here.parts) - 1)
    return f"{link['picture']}[{link['text']}]({'/'.join([*up, *page.parts[1:]])}{anchor})"


def _resolved(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return PurePosixPath(*parts)


def _contents() -> str:
    """What the generator makes its table of contents of."""
    tables = (
        f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n"
        for title, pages in SECTIONS.items()
    )
    return "".join(tables)


def _decisions() -> str:
    names = sorted(file.stem for file in (ROOT / "docs" / "adr").glob("*.md"))
    listed = "\n".join(f"adr/{name}" for name in names)
    return f"# Decisions\n\nWhy it is as it is, one decision each.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
