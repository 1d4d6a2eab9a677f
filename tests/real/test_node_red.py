"""A real Node-RED that answers what a board has heard: at once, and later at the address of the question."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from tests.real.node_red import NODE_RED, NodeRed
from tests.system.house import RECORDINGS, open_house, text

pytestmark = pytest.mark.slow

APOLOGY = "The cook is ill."


@pytest.fixture(scope="module")
def node_red(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeRed]:
    server = NodeRed(tmp_path_factory.mktemp("red")).start()
    yield server
    server.kill()


@pytest.mark.real(NODE_RED)
@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("voice", "You said: {}."),
        ("voice-later", "I have thought about it: {}."),
        ("nowhere", APOLOGY),
    ],
)
async def test_it_answers(
    tmp_path: Path, node_red: NodeRed, free_tcp_port: int, path: str, answer: str
) -> None:
    flow: dict[str, Any] = {
        "kind": "webhook",
        "url": f"{node_red.url}/{path}",
        "webhook": {"replies_at": f"http://127.0.0.1:{free_tcp_port}"},
    }
    settings: dict[str, Any] = {
        "orchestrator": {"agents": {"flow": flow}, "fallback_text": APOLOGY},
        "web": {"port": free_tcp_port},
    }
    async with open_house(tmp_path, **settings) as house, house.board("esp-32") as board:
        await board.say(RECORDINGS["u28"].path)
        said = answer.format(text("u28"))
        await board.told.until(lambda: board.told.of(ReplyShown, text=said))
        assert (await house.result()).addressed
