"""Peers: started, spoken to, and reported as missing with the reason, never an exception."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from benchmarks.instruments.words import words
from benchmarks.load.speakers import spoken_to
from benchmarks.load.speaking import Heard
from benchmarks.peers import environments, realtimestt, whisperlive, wyoming
from benchmarks.peers.environments import ALL_PEERS, PLAIN, Load, Peer, pins, reason, those_here, words_about
from benchmarks.peers.whisperlive import Settled
from firmware_bridge.speech_files import read_wav, recordings
from transcription.models.models import BUNDLED

LOAD = Load(Path("model"), threads=2, speakers=3)


# -- had or missing


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "it did not say why"),
        ("one\n\n  two  \n", "two"),
        (
            "error: exited with 1\n src/x.c:9:10: fatal error: portaudio.h: No such file\nhint: see above",
            "portaudio.h: No such file",
        ),
        ("error: No solution found\n  cause: Because of that\nhint: no", "Because of that"),
        (
            "ERROR: No matching distribution found for torch==2.13.0\nbye",
            "No matching distribution found for torch==2.13.0",
        ),
    ],
)
def test_the_reason_is_the_line_that_tells_it(said: str, told: str) -> None:
    assert reason(said) == told


def test_a_peer_that_does_not_start_is_missing_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_python", lambda _: Path(sys.executable))
    peer = Peer("ghost==1.0", lambda *_: ["-c", "raise SystemExit('no such model')"], wyoming.say)
    with those_here(LOAD, (peer,)) as (here, missing):
        assert here == {}
        assert missing == {"ghost 1.0": "ghost 1.0 does not start: no such model"}
    assert words_about((peer,), missing) == {"ghost 1.0, not measured": missing["ghost 1.0"]}


@pytest.mark.slow
def test_a_peer_that_cannot_be_installed_is_missing_with_what_was_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    (tmp_path / "test.txt").touch()
    (tmp_path / "bench-earshot-ghost.txt").write_text(f"earshot-ghost==1.0 --hash=sha256:{'0' * 64}\n")
    peer = Peer("earshot-ghost==1.0", lambda *_: [], wyoming.say)
    with those_here(LOAD, (peer,)) as (here, missing):
        assert here == {}
        assert missing["earshot-ghost 1.0"].startswith(
            "cannot be installed: Because earshot-ghost was not found"
        )
    assert list((tmp_path / "earshot-benchmarks").iterdir()) == []


def test_a_peer_that_is_here_is_spoken_to_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_python", lambda _: Path(sys.executable))
    listens = (
        "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
    )

    async def say(port: int, _: bytes) -> int:
        return port

    peer = Peer("ghost==1.0", lambda port, _: ["-c", listens, str(port)], say, timed="as we like")  # type: ignore[arg-type]
    with those_here(LOAD, (peer,)) as (here, missing):
        assert list(here) == ["ghost 1.0"]
        assert missing == {}
    assert words_about((peer,), missing) == {"ghost 1.0, timed": "as we like"}


@pytest.mark.parametrize("peer", ALL_PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_pinned_with_the_engine_that_is_ours(peer: Peer) -> None:
    pinned = set(re.findall(r"^([a-z-]+[a-z0-9-]*==\S+)", pins(peer).read_text(), re.MULTILINE))
    ours = re.findall(
        r"^((?:faster-whisper|ctranslate2)==\S+)",
        (environments.REQUIREMENTS / "test.txt").read_text(),
        re.MULTILINE,
    )
    assert len(ours) == 2
    assert pinned >= {peer.package.lower(), *ours}


@pytest.mark.parametrize("peer", ALL_PEERS, ids=lambda peer: peer.name)
def test_every_peer_gets_its_port_and_the_model(peer: Peer) -> None:
    command = peer.command(4711, LOAD)
    assert any("4711" in word for word in command)
    assert "model" in command


# -- faster-whisper behind plain aiohttp


@pytest.mark.slow
async def test_the_plain_server_hears_what_is_said() -> None:
    recording = next(one for one in recordings() if one.demo)
    with those_here(Load(BUNDLED, threads=1), (PLAIN,)) as (here, missing):
        assert missing == {}
        heard = await here[PLAIN.name](read_wav(recording.path))
    assert words(heard.text) == words(recording.text)
    assert heard.wait_ms > 0


# -- Wyoming, where who listens says when the speech is over


async def test_who_is_never_told_the_end_finds_it_and_is_timed_from_there() -> None:
    kinds: list[str] = []
    heard = bytearray()
    gone = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            header = json.loads(line)
            kinds.append(header["type"])
            await reader.readexactly(header["data_length"])
            heard.extend(await reader.readexactly(header["payload_length"]))
            if len(heard) == 6_400:  # 0.2 s
                writer.write(b'{"type": "transcript", "data": {"text": "stop"}}\n')
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        answered = await wyoming.say_on(port, b"\1" * 1_000, end=0.1)
        await gone.wait()
    assert answered.text == "stop"
    assert answered.wait_ms > 95, "a chunk is sent when its last sample would be there"
    assert kinds[:2] == ["transcribe", "audio-start"]
    assert set(kinds[2:]) == {"audio-chunk"}
    assert bytes(heard[:6_400]) == (b"\1" * 1_000).ljust(6_400, b"\0")


# -- a crowd


async def test_a_crowd_shares_what_is_to_be_said_and_counts_what_was_heard() -> None:
    async def deaf(pcm: bytes) -> Heard:
        await asyncio.sleep(0)
        return Heard("" if pcm == b"3" else "turn it on", 1.0)

    said = [(["turn", "it", "off"], str(number).encode()) for number in range(7)]
    crowd = await spoken_to([deaf] * 3, said)
    assert (len(crowd.heard), crowd.without_text) == (7, 1)
    assert (crowd.words_said, crowd.words_wrong) == (21, 6 + 3)
    assert crowd.longest_by_median == 1.0


# -- RealtimeSTT, behind the Wyoming protocol


class Recorder:
    """What RealtimeSTT's recorder is asked for; says how much it heard."""

    def __init__(self) -> None:
        self.is_recording = False
        self.heard = b""
        self.drained = False

    def start(self) -> None:
        self.is_recording, self.heard, self.drained = True, b"", False

    def feed_audio(self, chunk: bytes) -> None:
        self.heard += chunk

    def flush_audio_input(self) -> None: ...

    def drain_audio_input(self, timeout: float) -> None:
        self.drained = timeout > 0

    def stop(self) -> None:
        self.is_recording = False

    def text(self) -> str:
        return f"{len(self.heard)} bytes" if self.drained else ""


async def test_realtimestt_hears_every_byte_of_one_utterance_after_the_other() -> None:
    recorders: SimpleQueue[Any] = SimpleQueue()
    recorders.put(Recorder())
    with realtimestt.Server(0, recorders) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            for size in (6_400, 1_001, 0):
                heard = await wyoming.say(server.server_address[1], bytes(size), speed=math.inf)
                assert heard.text == f"{size} bytes"
                assert heard.wait_ms >= 0
        finally:
            server.shutdown()
            thread.join()


# -- WhisperLive


def settle(*messages: tuple[str, float], stop: float) -> tuple[list[bool], Settled]:
    settled = Settled()
    believed = [settled.hear(text, at) for text, at in messages if at < stop]
    settled.stop(stop)
    return believed + [settled.hear(text, at) for text, at in messages if at >= stop], settled


def test_a_text_is_believed_that_comes_twice_after_the_end_and_timed_from_the_first() -> None:
    believed, settled = settle(
        ("turn", 1.0), ("turn on", 2.5), ("turn on it", 3.0), ("turn on it", 4.0), stop=2.0
    )
    assert believed == [False, False, False, True]
    assert (settled.heard().text, settled.heard().wait_ms) == ("turn on it", 1000.0)


def test_a_text_from_before_the_end_does_not_count() -> None:
    believed, settled = settle(("stop", 1.0), ("stop", 1.5), ("stop", 2.5), stop=2.0)
    assert believed == [False, False, False]
    assert settled.heard().wait_ms == 500.0


def test_without_a_message_nothing_was_heard() -> None:
    _, settled = settle(stop=2.0)
    assert settled.heard().text == ""


async def whisperlive_server(texts: list[str], *, hang_up: bool = False) -> tuple[TestServer, list[Any]]:
    got: list[Any] = []

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        got.append(await socket.receive_json())
        await socket.send_json({"uid": "x", "message": "SERVER_READY"})
        async for message in socket:
            got.append(message.data)
            if message.type is WSMsgType.BINARY and sum(map(len, got[1:])) == 2_000:
                for text in texts:
                    parts = [{"text": f" {word}"} for word in text.split()]
                    await socket.send_str(json.dumps({"uid": "x", "segments": parts}))
                if hang_up:
                    await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    server = TestServer(app)
    await server.start_server()
    return server, got


@pytest.mark.parametrize(
    ("texts", "hang_up", "heard"),
    [
        (["turn", "turn on", "turn on"], False, "turn on"),
        (["turn", "turn on"], True, "turn on"),
        ([], True, ""),
    ],
)
async def test_whisperlive_is_given_all_audio_and_waited_for(
    texts: list[str], heard: str, *, hang_up: bool
) -> None:
    server, got = await whisperlive_server(texts, hang_up=hang_up)
    try:
        assert server.port is not None
        said = await whisperlive.say(server.port, bytes(2_000), speed=math.inf)
        assert said.text == heard
        assert got[0]["audio_format"] == "int16"
        assert b"".join(got[1:]) == bytes(2_000)
    finally:
        await server.close()
