"""Whatever comes from outside has a bound, and costs the gateway no more than that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import ClientConnectionError, ClientSession

from gateway.access import Role
from tests.attacks.castle import Castle
from tests.attacks.hostile_files import Pieces, files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def listener(standing_castle: Castle) -> str:
    """A listener's token."""
    return standing_castle.token("listener", Role.LISTENER)


async def upload(castle: Castle, listener: str, pieces: Pieces) -> tuple[int, str]:
    """Status and body; the gateway may answer before it has read all."""
    answered = False

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            if answered:
                return
            yield piece

    headers = {"Authorization": f"Bearer {listener}"}
    async with ClientSession() as client:
        with suppress(ClientConnectionError):
            async with client.post(
                f"{castle.url}api/v1/transcriptions", data=body(), headers=headers
            ) as answer:
                answered = True
                return answer.status, await answer.text()
    return 0, "it hung up in the middle"


@pytest.mark.parametrize("name", files())
async def test_a_recording_costs_the_gateway_nothing_whatever_it_claims(
    castle: Castle, listener: str, name: str
) -> None:
    status, text = await upload(castle, listener, files()[name])
    assert status in {0, 200, 413, 422}, text
    assert "Traceback" not in text
