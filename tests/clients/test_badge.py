"""A client in C, written from docs/protocol.md alone, shows of replies what their golden vectors say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.compiled import badge

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "replies.json").read_text()
)


@pytest.mark.slow
def test_replies_are_shown_as_their_vectors_say() -> None:
    for vector in VECTORS:
        arguments = ["show", "pieces"] if vector["wants_pieces"] else ["show"]
        done = subprocess.run(
            [badge(), *arguments],
            input="\n".join(vector["frames"]),
            capture_output=True,
            text=True,
            check=True,
        )
        shown = [None if line == "-" else line.removeprefix("= ") for line in done.stdout.splitlines()]
        assert shown == vector["shown"], vector["name"]
