"""What docs/architecture.md shows of each room: whom it asks, and its modules in their own words."""

from __future__ import annotations

import re

from docs.plan.house import PACKAGES, ROOT, asked, room, sentence, sources

DOCUMENT = ROOT / "docs" / "architecture.md"
_PLACE = re.compile(r"(?<=<!-- modules of )(?P<room>\S+) -->.*?(?=<!-- end -->)", re.DOTALL)
_UNTOLD = {"__init__.py", "__main__.py"}


def tables() -> dict[str, str]:
    """What is to be shown, by room."""
    rows: dict[str, list[str]] = {}
    for path in sources(*PACKAGES).values():
        if path.name not in _UNTOLD:
            said = sentence(path).replace("``", "`").replace("|", "\\|")
            rows.setdefault(room(path), []).append(f"| `{path.name}` | {said} |\n")
    whom = asked(*PACKAGES)
    return {
        place: f"\n\n{_asks(whom.get(place, set()))}\n\n| module | what it is |\n|---|---|\n{''.join(its)}\n"
        for place, its in rows.items()
    }


def places(document: str) -> list[str]:
    """The rooms that are shown, in order."""
    return [found["room"] for found in _PLACE.finditer(document)]


def filled(document: str) -> str:
    """The document as the code has it; of a room that is gone nothing is left but its place."""
    now = tables()
    return _PLACE.sub(lambda found: f"{found['room']} -->{now.get(found['room'], '')}", document)


def _asks(rooms: set[str]) -> str:
    return f"Asks {', '.join(f'`{name}`' for name in sorted(rooms))}." if rooms else "Asks nobody."
