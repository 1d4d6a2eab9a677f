"""Programs and devices of all kinds at once, and hostile ones among them: one gateway serves each its own.

Fifteen say something, each something else, and hear just that; nine others do what programs do wrong.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, FormData
from openai import AsyncOpenAI
from wyoming.asr import Transcript
from wyoming.client import AsyncTcpClient

from firmware_bridge.simulator.user import ReplyShown
from gateway.client.device_socket import WebSocketWire
from gateway.contract.events import DeliveryEvent
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator
from tests.gateway.adapters.home_assistant.seat import Seat
from tests.gateway.adapters.wyoming.programs import ask, read
from tests.gateway.adapters.wyoming.satellite_peer import PeerSatellite, peer_satellite
from tests.gateway.web.openai.test_realtime_client import TRANSCRIPTION, at_24_khz, speak, until
from tests.gateway.web.openai.v1 import FILLER
from tests.record import PATIENCE, passes
from tests.system.house import RECORDINGS, Board, House, open_house, pcm, running, silence, text

pytestmark = pytest.mark.slow

HOME = "earshot-ha/earshot/device-{}/{}"
WAV = {"Content-Type": "audio/wav"}
SEED = 14

Client = Callable[[], Awaitable[None]]


def parrot() -> Orchestrator:
    """Says back who said what, so that whatever is mixed up shows."""
    one = Orchestrator("parrot", concurrency=64)

    @one.on_transcript
    async def answer(heard: Heard) -> str:
        return f"you said {heard.text}"

    return one


def said(words: str) -> str:
    return f"you said {words}"


class Town:
    """A gateway with everything switched on, and whoever comes to it."""

    def __init__(self, house: House, wyoming: int, satellites: dict[str, PeerSatellite], seat: Seat) -> None:
        self.house = house
        self.url = house.gateway.url
        self.wyoming = wyoming
        self.satellites = satellites
        self.seat = seat
        self.names = iter(RECORDINGS)
        """What nobody has said yet."""

    def program(self) -> AsyncTcpClient:
        return AsyncTcpClient("127.0.0.1", self.wyoming, read_timeout=PATIENCE)

    def openai(self) -> AsyncOpenAI:
        socket = f"{self.url}v1".replace("http", "ws", 1)
        return AsyncOpenAI(base_url=f"{self.url}v1", websocket_base_url=socket, api_key=FILLER, max_retries=0)

    # -- those who are served

    async def wyoming_ears(self) -> None:
        name = next(self.names)
        async with self.program() as program:
            for words in (name, name):  # the second on the same connection
                assert (await ask(program, pcm(words))).data["text"] == text(words)

    async def wyoming_brain(self) -> None:
        words = text(next(self.names))
        async with self.program() as program:
            await program.write_event(Transcript(words).event())
            assert (await read(program, "handled", "not-handled")).data["text"] == said(words)

    async def satellite(self, device_id: str) -> None:
        name, peer = next(self.names), self.satellites[device_id]
        await peer.hears("run-satellite")
        await peer.begins()
        await peer.plays(pcm(name) + silence(2))
        assert (await peer.hears("transcript")).data["text"] == text(name)
        assert (await peer.hears("synthesize")).data["text"] == said(text(name))

    async def openai_file(self) -> None:
        name = next(self.names)
        async with self.openai() as client:
            told = await client.audio.transcriptions.create(model="whisper-1", file=RECORDINGS[name].path)
        assert told.text == text(name)

    async def openai_realtime(self) -> None:
        name, told = next(self.names), list[Any]()
        async with (
            self.openai() as client,
            client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
        ):
            await speak(connection, at_24_khz(pcm(name), silence(1)))
            assert (await until(connection, f"{TRANSCRIPTION}completed", told)).transcript == text(name)

    async def upload(self, path: str, words: Callable[[Any], str]) -> None:
        name = next(self.names)
        body = await asyncio.to_thread(RECORDINGS[name].path.read_bytes)
        async with (
            ClientSession() as client,
            client.post(f"{self.url}api/v1{path}", data=body, headers=WAV) as response,
        ):
            assert response.status == 200, await response.text()
            assert words(await response.json()) == text(name)

    async def board(self, board: Board) -> None:
        name = next(self.names)
        async with board:
            await board.connected()
            told = await board.say(RECORDINGS[name].path)
            assert (told.transcript, told.reply) == (text(name), said(text(name)))
            await self.house.events.first(DeliveryEvent, device_id=board.device_id)
            if board.device_id == "kitchen":
                await self.home_assistant(board, text(name))

    async def home_assistant(self, board: Board, words: str) -> None:
        """What it hears of a board, and has it announce."""
        happened = HOME.format("kitchen", "event")
        await self.seat.said.until(
            lambda: any(one.get("text") == words for one in self.seat.happened(happened))
        )
        await self.seat.say(HOME.format("kitchen", "announce"), b"dinner is ready")
        await board.told.until(lambda: board.told.of(ReplyShown, text="dinner is ready"))

    # -- those who are not

    async def garbage(self) -> None:
        """Bytes that mean nothing, and then nothing more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.wyoming)
        writer.write(random.Random(SEED).randbytes(100_000))
        with suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()

    async def deaf(self) -> None:
        """Asks and asks, and reads no answer."""
        _reader, writer = await asyncio.open_connection("127.0.0.1", self.wyoming)
        for _ in range(200):
            writer.write(b'{"type":"describe"}\n')
        await self.until_others_are_served()
        writer.close()

    async def half_open(self) -> None:
        """Begins a request, and never goes on."""
        port = int(self.url.rsplit(":", 1)[1].strip("/"))
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 100000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n" % port
        )
        await self.until_others_are_served()
        writer.close()

    async def no_sound(self) -> None:
        """A form with something that is no recording."""
        form = FormData()
        form.add_field("model", "whisper-1")
        form.add_field("file", os.urandom(200_000), filename="a.wav")
        async with (
            ClientSession() as client,
            client.post(f"{self.url}v1/audio/transcriptions", data=form) as answer,
        ):
            assert answer.status in {400, 422}

    async def flood(self) -> None:
        """A session that is told nonsense, and then more than a message may have."""
        async with (
            ClientSession() as client,
            client.ws_connect(f"{self.url}v1/realtime?intent=transcription") as ws,
        ):
            for _ in range(20):
                await ws.send_str('{"type":"no such thing"}')
            with suppress(ConnectionError):
                await ws.send_str("x" * (5 * 1024 * 1024))
            while not (await ws.receive(timeout=PATIENCE)).type.name.startswith("CLOS"):
                pass

    async def stranger(self) -> None:
        """Something that is no device says it is one."""
        async with ClientSession() as client, client.ws_connect(f"{self.url}device") as ws:
            for size in (1, 100, 2_000):
                await ws.send_bytes(random.Random(size).randbytes(size))
            await ws.close()

    async def orders(self) -> None:
        """What no device is to be told, at Home Assistant's broker."""
        for order in (b"\xff\xfe", b"x" * 10_000, b""):
            await self.seat.say(HOME.format("nobody", "announce"), order)

    async def noise(self, port: Path) -> None:
        """A line on which nobody speaks the protocol."""
        master, slave = os.openpty()
        os.set_blocking(master, False)
        await asyncio.to_thread(port.symlink_to, os.ttyname(slave))
        with suppress(BlockingIOError):
            os.write(master, random.Random(SEED).randbytes(3_000))
        await self.until_others_are_served()
        await asyncio.to_thread(port.unlink)
        os.close(master)
        os.close(slave)

    async def quitter(self) -> None:
        """Puts a recording as speech, and leaves in the middle of it."""
        body = await asyncio.to_thread(RECORDINGS[next(self.names)].path.read_bytes)

        async def some() -> AsyncIterator[bytes]:
            yield body[: len(body) // 2]
            raise ConnectionResetError

        async with ClientSession() as client:
            with suppress(Exception):
                await client.post(f"{self.url}api/v1/devices/web-local/speech", data=some(), headers=WAV)

    async def until_others_are_served(self) -> None:
        await passes(lambda: self.served, PATIENCE)

    served = False


def _text(told: Any) -> str:
    return str(told["text"])


def _spoken(told: Any) -> str:
    (part,) = told["utterances"]
    assert part["reply"]["text"] == said(part["text"])
    return str(part["text"])


@asynccontextmanager
async def open_town(folder: Path, mqtt: str, port: int) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        peers = {name: await stack.enter_async_context(peer_satellite()) for name in ("hall", "porch")}
        seat = await stack.enter_async_context(Seat.at(mqtt))
        wyoming = {
            "listen": [f"tcp://127.0.0.1:{port}"],
            "conversation": True,
            "zeroconf": False,
            "satellites": {name: address for name, (_peer, address) in peers.items()},
        }
        adapters = {
            "wyoming": wyoming,
            "openai": {"enabled": True},
            "home_assistant": {"url": mqtt, "seconds": 0.1},
        }
        house = await stack.enter_async_context(
            open_house(
                folder, mqtt, adapters=adapters, orchestrator={"app": ""}, web={"uploads": {"at_once": 32}},
                devices={"users": {"garage": "ann"}}, transcription={"partials": {"every_ms": 0}},
            )
        )  # fmt: skip
        stack.enter_context(running(parrot().run(house.gateway.broker)))
        await passes(lambda: "wyoming" in house.gateway.health.report().components)
        yield Town(house, port, {name: peer for name, (peer, _address) in peers.items()}, seat)


async def test_each_is_served_and_none_harms_another(
    tmp_path: Path, mosquitto: Any, free_tcp_port: int
) -> None:
    async with open_town(tmp_path, mosquitto.url, free_tcp_port) as town:
        house = town.house
        speech = "/devices/garage/speech?wait=60"
        clients: list[Awaitable[None]] = [
            *(town.wyoming_ears() for _ in range(2)),
            *(town.wyoming_brain() for _ in range(2)),
            *(town.satellite(name) for name in town.satellites),
            *(town.openai_file() for _ in range(2)),
            *(town.openai_realtime() for _ in range(2)),
            town.upload("/transcriptions", _text),
            town.upload(speech, _spoken),
            town.board(house.board("kitchen")),
            town.board(house.board("cellar", "mqtt")),
            town.board(Board("web-page", WebSocketWire(town.url))),
        ]
        hostile = [
            town.garbage(), town.deaf(), town.half_open(), town.no_sound(), town.flood(), town.stranger(),
            town.orders(), town.noise(tmp_path / "usb-noise"), town.quitter(),
        ]  # fmt: skip
        assert len(clients) + len(hostile) >= 20
        others = [asyncio.create_task(one) for one in hostile]  # type: ignore[arg-type]
        await asyncio.gather(*clients)
        town.served = True
        await asyncio.gather(*others)
        await house.idle()
        _nothing_is_wrong(house)


def _nothing_is_wrong(house: House) -> None:
    gateway = house.gateway
    assert gateway.health.mishaps.counts == {}
    assert gateway.pipeline.well
    components = gateway.health.report().components
    for name in ("recognizer", "wyoming", "home_assistant", "journal", "broker"):
        assert components[name].state == "healthy", (name, components[name])
