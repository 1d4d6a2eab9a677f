"""Two whole gateways on one broker, and a board on a WebSocket that a balancer leads to one or the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.client.device_socket import WebSocketWire
from tests.servers.redis import Redis
from tests.system.house import RECORDINGS, Board, House, open_house, passes, pcm, text

pytestmark = pytest.mark.slow

FIRST, SECOND = sorted(RECORDINGS)[:2]


class Balanced(WebSocketWire):
    """A WebSocket whose balancer leads where the test says."""

    def leads_to(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = f"ws://{parts.netloc}/device"


@asynccontextmanager
async def open_row(folder: Path, broker: str) -> AsyncIterator[tuple[House, House]]:
    async with AsyncExitStack() as stack:
        row = []
        for name in ("hall", "attic"):
            (folder / name).mkdir()
            parts = {
                "broker": {"url": broker, "client_id": name},
                "house": {"share": True},
                "orchestrator": {"timeout_seconds": 1},
            }
            row.append(await stack.enter_async_context(open_house(folder / name, **parts)))
        for house in row:
            member = house.gateway.member
            assert member is not None
            await passes(lambda member=member: bool(member._others()))
        yield row[0], row[1]


async def test_a_board_behind_a_balancer_goes_on_at_the_other_gateway(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = Redis(tmp_path).start()
        stack.callback(redis.kill)
        hall, attic = await stack.enter_async_context(open_row(tmp_path, redis.url))
        wire = Balanced(hall.gateway.url)
        async with Board("web-tablet", wire) as board:
            await board.connected()
            stream = board.end.start_stream(end_on_silence=True)
            await board._record(stream, pcm(FIRST) + bytes(64_000))
            first = await attic.result(text=text(FIRST))
            await board.told.first(ReplyShown, correlation_id=first.correlation_id, final=True)
            speech = pcm(SECOND)
            await board._record(stream, speech[: len(speech) // 2])
            wire.leads_to(attic.gateway.url)
            wire.unplug()
            wire.replug()
            await board._record(stream, speech[len(speech) // 2 :] + bytes(64_000))
            board.end.stop_stream(stream)
            board._pump()
            second = await attic.result(text=text(SECOND))
            assert second.session_id == first.session_id
            await board.told.first(ReplyShown, correlation_id=second.correlation_id, final=True)
            await board.goodbye()
        assert [one.text for one in attic.results.items] == [text(FIRST), text(SECOND)]
        await hall.idle()
        await attic.idle()
