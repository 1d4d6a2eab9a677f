"""Answers that grow on boards while somebody thinks of them: a whole gateway, every carrier, and a client in C."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import Linked, ReplyShown
from gateway.broker.base import RoutingKey
from gateway.broker.opening import open_broker
from gateway.client.device_socket import WebSocketWire
from gateway.contract.messages import REPLIES_TOPIC, OrchestratorReply, TranscriptionMessage, encode
from gateway.orchestrators.sdk import Orchestrator
from gateway.settings.broker import BrokerSettings
from tests.clients.compiled import badge
from tests.record import PATIENCE, passes
from tests.servers.nats import Nats
from tests.system.house import RECORDINGS, Board, House, board, open_house, pcm, running, text

pytestmark = pytest.mark.slow

SPEECH = RECORDINGS["u05"].path
SAID = text("u05")
NOBODY = {"app": ""}
"""No orchestrator but the test's own."""


class Poet:
    """Says each word when it is told to."""

    def __init__(self, words: list[str]) -> None:
        self.orchestrator = Orchestrator("poet", timeout_seconds=PATIENCE)
        self.orchestrator.on_transcript(self._answer)
        self._words = words
        self._next = asyncio.Semaphore(0)

    async def _answer(self, _heard: TranscriptionMessage) -> AsyncIterator[str]:
        for word in self._words:
            await self._next.acquire()
            yield word

    def go_on(self, words: int = 1) -> None:
        for _ in range(words):
            self._next.release()


def shown(one: Board) -> list[str]:
    return [report.text for report in one.told.of(ReplyShown)]


async def shows(one: Board, words: str) -> None:
    await one.told.until(lambda: shown(one)[-1:] == [words])


def device(house: House, carrier: str, **options: Any) -> Board:
    if carrier == "ws":
        return Board("web-kitchen", WebSocketWire(house.gateway.url), wants_pieces=True, **options)
    return house.board("kitchen", carrier, wants_pieces=True, **options)


@pytest.mark.parametrize("carrier", ["serial", "mqtt", "ws"])
async def test_an_answer_grows_on_a_board_as_it_comes(house: Any, mosquitto: Any, carrier: str) -> None:
    poet = Poet(["It ", "is ", "noon."])
    async with house(mqtt=mosquitto.url, orchestrator=NOBODY) as one, device(one, carrier) as kitchen:
        with running(poet.orchestrator.run(one.gateway.broker)):
            saying = asyncio.create_task(kitchen.say(SPEECH))
            for so_far in ("It ", "It is "):
                poet.go_on()
                await shows(kitchen, so_far)
                assert not saying.done()
            poet.go_on()
            said = await saying
        assert (said.transcript, said.reply) == (SAID, "It is noon.")
        await one.idle()


async def test_a_board_that_is_unplugged_in_the_middle_misses_nothing(house: Any) -> None:
    poet = Poet(["It ", "is ", "noon."])
    async with house(orchestrator=NOBODY) as one, device(one, "serial") as kitchen:
        with running(poet.orchestrator.run(one.gateway.broker)):
            saying = asyncio.create_task(kitchen.say(SPEECH))
            poet.go_on()
            await shows(kitchen, "It ")
            kitchen.unplug()
            poet.go_on()
            await passes(lambda: not one.gateway.bridge.devices()[0].connected)
            kitchen.replug()
            await shows(kitchen, "It is ")
            poet.go_on()
            assert (await saying).reply == "It is noon."
        assert all("It is noon.".startswith(words) for words in shown(kitchen))
        await one.idle()


async def test_ten_thousand_pieces_for_a_board_that_takes_two_frames(house: Any) -> None:
    words = [f"{number} " for number in range(10_000)]
    poet = Poet(words)
    async with (
        house(orchestrator=NOBODY) as one,
        device(one, "serial", credit=2, max_payload=256) as kitchen,
    ):
        with running(poet.orchestrator.run(one.gateway.broker)):
            saying = asyncio.create_task(kitchen.say(SPEECH, patience=PATIENCE))
            poet.go_on(5_000)
            await passes(lambda: len(shown(kitchen)) > 10)
            poet.go_on(5_000)
            assert (await saying).reply == "".join(words)
        assert all("".join(words).startswith(so_far) for so_far in shown(kitchen))
        (info,) = one.gateway.bridge.devices()
        assert info.counters.sent_down < 600
        assert info.counters.outbox_full == 0
        await one.idle()


async def test_a_gateway_that_is_started_again_in_the_middle_goes_on(tmp_path: Path, nats: Nats) -> None:
    """The board, the broker and whoever answers stay; nothing is shown twice, and nothing is missing."""
    broker = open_broker(nats.url, BrokerSettings(url=nats.url))

    async def reply(heard: TranscriptionMessage, words: str, *, final: bool = False) -> None:
        said = OrchestratorReply(
            correlation_id=heard.correlation_id, session_id=heard.session_id, text=words, final=final
        )
        key = RoutingKey("home", heard.device_id, heard.session_id)
        await broker.publish(REPLIES_TOPIC, key, encode(said))

    parts: dict[str, Any] = {
        "orchestrator": NOBODY,
        "broker": {"url": nats.url},
        "shutdown": {"drain_seconds": 0.1},
    }
    async with board(tmp_path, "kitchen", wants_pieces=True) as kitchen:
        async with open_house(tmp_path, **parts) as first:
            saying = asyncio.create_task(kitchen.say(SPEECH, patience=PATIENCE))
            heard = await first.result()
            await reply(heard, "It ")
            await shows(kitchen, "It ")
        async with open_house(tmp_path, **parts) as second:
            await reply(heard, "is ")
            await kitchen.told.until(lambda: len(kitchen.told.of(Linked)) == 2)
            await reply(heard, "noon")
            await shows(kitchen, "It is noon")
            await reply(heard, "It is noon.", final=True)
            assert (await saying).reply == "It is noon."
            await second.idle()
        assert all("It is noon.".startswith(words) for words in shown(kitchen))
    await broker.close()


@pytest.mark.parametrize(("credit", "mtu"), [(2, 64), (32, 2048)])
async def test_a_client_in_c_shows_an_answer_as_it_grows(
    house: Any, tmp_path: Path, credit: int, mtu: int
) -> None:
    answer = ["It ", "is ", "a quarter past noon, and ", "half past one at your sister's ", "in Ankara."]
    poet = Poet(answer)
    speech = tmp_path / "speech.pcm"
    speech.write_bytes(pcm("u05"))
    program = await asyncio.create_subprocess_exec(
        badge(), "talk", "badge", str(speech), str(credit), str(mtu), stdout=PIPE
    )
    assert program.stdout is not None
    (tmp_path / "usb-badge").symlink_to((await program.stdout.readline()).decode().strip())
    async with house(orchestrator=NOBODY) as one:
        with running(poet.orchestrator.run(one.gateway.broker)):
            told = []
            async with asyncio.timeout(PATIENCE):
                for count in range(1, len(answer) + 1):
                    poet.go_on()
                    while not told or told[-1].split(" ", 1)[1] != "".join(answer[:count]):
                        told.append((await program.stdout.readline()).decode().removesuffix("\n"))
                rest = (await program.stdout.read()).decode().splitlines()
                assert await program.wait() == 0
        assert [line for line in (*told, *rest) if line.startswith("final")] == ["final " + "".join(answer)]
        heard = await one.result(device_id="badge")
        assert heard.text == SAID
        await one.idle()
