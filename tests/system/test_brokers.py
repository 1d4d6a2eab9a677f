"""Gateways and orchestrators that know nothing of each other but the address of a broker."""

from __future__ import annotations

import ast
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from gateway.access.principals import LOCAL
from gateway.observing.health import ComponentHealth
from tests.record import passes
from tests.servers.nats import Nats
from tests.servers.redis import Redis
from tests.system.house import RECORDINGS, board, open_house, text
from tests.system.process import run

EXAMPLES = Path(__file__).parents[2] / "examples" / "orchestrators"
SPEECH = RECORDINGS["u05"].path
SAID = f"You said: {text('u05')}"
START_SECONDS = 20.0

TEN_LINES = """
import sys
from examples.orchestrators.ten_lines import house
house.run_forever(sys.argv[1])
"""


@pytest.fixture
def redis_url(redis: Redis) -> str:
    return redis.url


@pytest.fixture
def nats_url(nats: Nats) -> str:
    return nats.url


@asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python program in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, cwd=EXAMPLES.parents[1]
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def listening(process: asyncio.subprocess.Process) -> None:
    """Once it says so: from then on it is asked."""
    assert process.stdout
    async with asyncio.timeout(START_SECONDS):
        while b"listening" not in (line := await process.stdout.readline()):
            assert line, "it has ended"


def over(url: str, client_id: str = "") -> dict[str, Any]:
    return {"broker": {"url": url, "client_id": client_id}, "orchestrator": {"app": ""}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "server"), [("redis_streams.py", "redis_url"), ("nats_jetstream.py", "nats_url")]
)
async def test_an_orchestrator_without_earshot_answers_a_gateway(
    tmp_path: Path, request: pytest.FixtureRequest, example: str, server: str
) -> None:
    url = request.getfixturevalue(server)
    async with run(tmp_path, **over(url)), program(str(EXAMPLES / example), url) as parrot:
        await listening(parrot)
        async with board(tmp_path, "kitchen") as kitchen:
            for _ in range(2):
                said = await kitchen.say(SPEECH)
                assert (said.transcript, said.reply, said.fallback) == (text("u05"), SAID, False)


@pytest.mark.parametrize("example", ["redis_streams.py", "nats_jetstream.py"])
def test_an_example_imports_nothing_of_ours(example: str) -> None:
    tree = ast.parse((EXAMPLES / example).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in imported}
    assert roots - set(sys.stdlib_module_names) == {example.split("_", maxsplit=1)[0]}


@pytest.mark.slow
@pytest.mark.parametrize("server", ["redis_url", "nats_url"])
async def test_two_gateways_and_an_orchestrator_over_one_broker(
    tmp_path: Path, request: pytest.FixtureRequest, server: str
) -> None:
    url = request.getfixturevalue(server)
    north, south = tmp_path / "north", tmp_path / "south"
    for folder in (north, south):
        folder.mkdir()
    async with (
        program("-c", TEN_LINES, url) as orchestrator,
        run(north, **over(url, "north")),
        run(south, **over(url, "south")),
        board(north, "kitchen") as kitchen,
        board(south, "office") as office,
    ):
        await listening(orchestrator)
        for _ in range(2):
            said = await asyncio.gather(kitchen.say(SPEECH), office.say(SPEECH))
            assert [(one.reply, one.fallback) for one in said] == [(SAID, False)] * 2


@pytest.mark.slow
async def test_what_a_broker_denies_is_told_in_health_until_it_is_allowed(
    tmp_path: Path, redis: Redis
) -> None:
    client = Client(port=redis.port)
    await client.execute_command("ACL", "SETUSER", "mute", "reset", "on", ">secret", "~*", "+@all", "-xadd")
    parts = {"broker": {"url": redis.url.replace("://", "://mute:secret@"), "client_id": "mute"}}
    async with open_house(tmp_path, transcription={"engine": "off"}, **parts) as house:

        def broker() -> ComponentHealth:
            return house.gateway.health.report().components["broker"]

        assert broker().state == "healthy"
        await house.gateway.pipeline.say("is anybody there", LOCAL)
        await passes(lambda: "does not allow it" in broker().reason)
        assert (broker().state, broker().works) == ("degraded", False)
        assert "transcripts wait in the journal" in broker().reason
        assert "ACL" in broker().remedy
        await client.execute_command("ACL", "SETUSER", "mute", "+xadd")
        await passes(lambda: broker().state == "healthy")
        assert str(broker().detail).startswith("Redis ")
    await client.aclose()
