"""Orchestrators that know nothing of Earshot but docs/messages.md, each a program of its own on a real server."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.orchestrators.sdk import Orchestrator
from tests.servers.mosquitto import Mosquitto
from tests.servers.rabbitmq import RabbitMQ
from tests.system.house import RECORDINGS, running, text

SPEECH = RECORDINGS["u05"].path
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "orchestrators"
CLIENTS = {"rabbitmq_pika": "pika", "mqtt_paho": "paho", "faststream_app": "faststream"}
NOBODY = {"app": ""}


@contextmanager
def example(name: str, *arguments: str) -> Iterator[None]:
    """The program, until the block ends; it must still run then."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield
        assert process.poll() is None
    finally:
        process.kill()
        said = process.communicate()[0].decode()
        print(said)


@pytest.fixture
async def unread_rabbitmq(rabbitmq: RabbitMQ) -> RabbitMQ:
    """The worker's RabbitMQ, without what other tests published when nobody answered: not all of it is JSON."""
    connection = await aio_pika.connect(rabbitmq.url)
    async with connection, connection.channel() as channel:
        for group in ("orchestrator", "faststream"):
            await channel.queue_delete(f"earshot.transcription.results.{group}")
    return rabbitmq


async def hears(house: Any, broker: str, words: str, *program: str) -> None:
    """What is said in the kitchen is answered by the program."""
    async with house(orchestrator=NOBODY, broker={"url": broker}) as one, one.board("kitchen") as kitchen:
        with example(*program):
            said = await kitchen.say(SPEECH)
            assert said.reply == f"{words} heard: {text('u05')}"
            assert len(kitchen.told.of(ReplyShown)) == 1


@pytest.mark.slow
@pytest.mark.xdist_group("rabbitmq")
async def test_one_with_pika(house: Any, unread_rabbitmq: RabbitMQ) -> None:
    url = unread_rabbitmq.url
    await hears(house, url, "pika", "rabbitmq_pika", url)


@pytest.mark.slow
@pytest.mark.xdist_group("rabbitmq")
async def test_one_in_faststream(house: Any, unread_rabbitmq: RabbitMQ) -> None:
    """It comes first, and declares what it needs; otherwise it would miss what was said before."""
    rabbitmq = unread_rabbitmq
    with example("faststream_app", rabbitmq.url):
        await until_listening(rabbitmq, "earshot.transcription.results.faststream")
        parts = {"orchestrator": NOBODY, "broker": {"url": rabbitmq.url}}
        async with house(**parts) as one, one.board("kitchen") as kitchen:
            said = await kitchen.say(SPEECH)
            assert said.reply == f"FastStream heard: {text('u05')}"


@pytest.mark.slow
async def test_one_with_paho(house: Any, mosquitto: Mosquitto) -> None:
    with example("mqtt_paho", "127.0.0.1", str(mosquitto.port)):
        await until_logged(mosquitto, b"orchestrator-1")
        parts = {"orchestrator": NOBODY, "broker": {"url": mosquitto.url}}
        async with house(**parts) as one, one.board("kitchen") as kitchen:
            said = await kitchen.say(SPEECH)
            assert said.reply == f"paho heard: {text('u05')}"


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_it_imports_its_client_and_nothing_of_earshot(name: str) -> None:
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            imported.add(node.module.split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {CLIENTS[name]}


# -- one line of configuration


@pytest.mark.slow
@pytest.mark.xdist_group("rabbitmq")
@pytest.mark.parametrize("kind", ["memory", "rabbitmq"])
async def test_moving_from_memory_to_rabbitmq_is_one_line(
    house: Any, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("rabbitmq").url if kind == "rabbitmq" else "memory://"
    parrot = Orchestrator("orchestrator")

    @parrot.on_transcript
    async def answer(heard: Any) -> str:
        return f"You said {heard.text}"

    async with house(orchestrator=NOBODY, broker={"url": url}) as one, one.board("kitchen") as kitchen:
        with running(parrot.run(one.gateway.broker)):
            said = await kitchen.say(SPEECH)
            assert said.reply == f"You said {text('u05')}"
        assert one.gateway.health.report().components["broker"].state == "healthy"


async def until_listening(server: RabbitMQ, queue: str) -> None:
    """Until somebody consumes from a queue."""
    connection = await aio_pika.connect(server.url)
    async with asyncio.timeout(20), connection:
        while True:
            try:
                declared = await (await connection.channel()).get_queue(queue)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                await asyncio.sleep(0.05)
            else:
                if declared.declaration_result.consumer_count:
                    return
                await asyncio.sleep(0.05)


async def until_logged(server: Mosquitto, what: bytes) -> None:
    """Until the server's log has it."""
    async with asyncio.timeout(20):
        while what not in server.log.read_bytes():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
