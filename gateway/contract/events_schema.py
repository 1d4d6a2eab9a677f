"""The JSON schema of everything a listener gets, and of what it may say: made from ``gateway/contract/messages.py``.

``python -m gateway.events_schema`` writes ``docs/events.schema.json``; the gateway serves the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.contract.events import Authenticate, ListenerEvent, Say, Subscribe
from gateway.contract.schemas import schemas_of

PAGE = Path(__file__).parents[2] / "docs" / "events.schema.json"


def events_schema() -> dict[str, Any]:
    """Of one event; what a listener may say stands beside, under ``$defs``.

    Objects may have more than it names: an older listener is to understand a newer gateway.
    """
    types = (ListenerEvent, Subscribe, Authenticate, Say)
    (event, *_), definitions = schemas_of(types)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An event of Earshot, as listeners get it (docs/events.md)",
        **event,
        "$defs": definitions,
    }
    return dict(json.loads(json.dumps(schema)))  # nothing but what JSON knows


def main() -> None:
    """Write it into the documentation."""
    PAGE.write_text(json.dumps(events_schema(), indent=1) + "\n")


if __name__ == "__main__":
    main()
