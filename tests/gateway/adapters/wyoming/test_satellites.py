"""Wyoming satellites are devices: dialled, heard, told texts, lost, dialled again; hostile ones harm themselves."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from wyoming.event import Event
from wyoming.ping import Ping

from firmware_bridge.link.events import DeviceStatus
from gateway.adapters.wyoming import satellite, satellite_visit
from gateway.adapters.wyoming.satellite import AWAY, TAKEN, WRONG
from gateway.adapters.wyoming.satellites import Satellites
from gateway.contract.events import DeviceEvent, HealthEvent
from tests.gateway.adapters.wyoming.satellite_peer import INFO, event_bytes, peer_satellite
from tests.gateway.works import Works, loud, open_works, quiet
from tests.record import passes
from tests.system.house import open_house, pcm, running, silence, text


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(satellite, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(satellite, "MOST_SECONDS", 0.05)
    monkeypatch.setattr(satellite_visit, "PING_SECONDS", 0.02)
    monkeypatch.setattr(satellite_visit, "ACCEPTED_SECONDS", 0.2)


@asynccontextmanager
async def dialling(*addresses: str, **parts: dict[str, Any]) -> AsyncIterator[Works]:
    """A gateway that dials them: kitchen, hall."""
    async with AsyncExitStack() as stack:
        works = await stack.enter_async_context(open_works(**parts))
        named = dict(zip(("kitchen", "hall"), addresses, strict=False))
        satellites = Satellites(named, works.bridge, works.pipeline.watch_speech, works.health.mishaps)
        stack.enter_context(running(satellites.run()))
        yield works


async def here(works: Works, count: int = 1) -> None:
    """It is a device that is there, so often by now."""
    await works.events.first(DeviceEvent, device_id="kitchen", state="connected", notice="", count=count)


async def health_of(works: Works, state: str, count: int = 1) -> HealthEvent:
    found: HealthEvent = await works.events.first(
        HealthEvent, component="satellite kitchen", state=state, count=count
    )
    return found


# -- what it is for


async def test_what_is_said_to_a_satellite_is_answered_in_texts() -> None:
    async with (
        peer_satellite() as (peer, address),
        dialling(address, devices={"rooms": {"kitchen": "Kitchen"}}) as works,
    ):
        await here(works)
        await peer.begins()
        await peer.plays(loud(1) + quiet(1))
        heard = await works.result()
        assert (heard.device_id, heard.room, heard.success) == ("kitchen", "Kitchen", True)
        assert (await peer.hears("transcript")).data["text"] == heard.text
        await works.reply(heard, "It is noon.")
        assert (await peer.hears("synthesize")).data["text"] == "It is noon."
        assert peer.types() == ["run-satellite", "voice-started", "voice-stopped", "transcript", "synthesize"]
        await passes(lambda: not works.pipeline.stats().undelivered)


async def test_one_that_always_streams_is_heard_again_and_again() -> None:
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.begins()
        for count in (1, 2, 3):
            await peer.plays(loud(1) + quiet(1))
            await works.result(count)
            await peer.hears("transcript", count)
        sessions = {one.session_id for one in works.results.items}
        assert len(sessions) == 1, "it is one stream"


async def test_its_own_wake_word_is_told_and_each_stretch_is_a_stream() -> None:
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        for count in (1, 2):
            await peer.begins(woken=True, word="hey_earshot")
            await peer.plays(loud(1) + quiet(1))
            await peer.hears("transcript", count)
        notice = await works.events.first(DeviceEvent, notice="wake_word", count=2)
        assert (notice.device_id, notice.text) == ("kitchen", "hey_earshot")
        assert len({one.session_id for one in works.results.items}) == 2


async def test_who_was_woken_and_says_nothing_goes_back_to_its_wake_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(satellite_visit, "NOTHING_SAID_SECONDS", 0.1)
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.begins(woken=True)
        await peer.plays(quiet(1))
        assert (await peer.hears("transcript")).data["text"] == ""
        assert "voice-started" not in peer.types()


async def test_who_speaks_for_long_is_heard_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(satellite_visit, "NOTHING_SAID_SECONDS", 0.05)
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.begins(woken=True)
        await peer.plays(loud(0.5))
        await peer.hears("voice-started")
        await peer.hears("ping", len(peer.told.items) + 4)
        await peer.plays(quiet(1))
        assert (await peer.hears("transcript")).data["text"] == (await works.result()).text != ""


async def test_where_the_gateway_hears_the_wake_word_the_satellite_is_told_so() -> None:
    """Its lamp goes on as with one that hears it itself; where nobody waits for one, nobody has heard one."""
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.begins()
        await peer.plays(loud(1) + quiet(1))
        await peer.hears("transcript")
        assert "detection" not in peer.types()
        ((name, _),) = works.pipeline._hearing.streams.items()
        for status in (DeviceStatus.IDLE, DeviceStatus.LISTENING):  # it sleeps, and is woken
            works.bridge.send_status(*name, status)
        await peer.hears("detection")


@pytest.mark.parametrize(("rate", "width", "channels"), [(48_000, 2, 2), (8_000, 2, 1), (22_050, 4, 1)])
async def test_sound_of_any_usual_form(rate: int, width: int, channels: int) -> None:
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        most = 1 << (8 * width - 2)
        up, down = (level.to_bytes(width, "little", signed=True) * channels for level in (most, -most))
        half = rate // 200
        wave = (up * half + down * half) * 100
        silent = bytes(width * channels)
        await peer.begins()
        await peer.plays(wave + silent * rate, rate=rate, width=width, channels=channels)
        heard = await works.result()
        assert 0.9 < int(heard.text) / 16_000 < 2.5


async def test_a_stretch_ends_where_it_says_so_and_where_nothing_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(satellite_visit, "QUIET_SECONDS", 0.1)
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.begins()
        await peer.plays(loud(1))
        await peer.stops()
        await peer.hears("transcript")
        await peer.plays(loud(1))
        await peer.hears("transcript", 2)


async def test_what_fails_is_told_as_an_error() -> None:
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.begins()
        await peer.plays(loud(1) + quiet(1))
        await works.reply(await works.result(), "", error="a broken wire")
        assert (await peer.hears("error")).data["text"] == "Sorry, something went wrong."


async def test_what_is_not_understood_is_an_empty_text() -> None:
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        works.engine.poison.add(16_000 * 60)
        speech = loud(1)
        works.engine.poison.update(range(16_000, 40_000))
        await peer.begins(woken=True)
        await peer.plays(speech + quiet(1))
        assert (await peer.hears("transcript")).data["text"] == ""


# -- it comes and goes


async def test_one_that_is_away_is_told_with_its_remedy_and_found_by_itself(free_tcp_port: int) -> None:
    address = f"tcp://127.0.0.1:{free_tcp_port}"
    async with dialling(address) as works:
        away = await health_of(works, "degraded")
        assert away.reason == f"{address} is not there: Connection refused"
        assert away.remedy == AWAY
        async with peer_satellite(port=free_tcp_port) as (peer, _):
            await here(works)
            await health_of(works, "healthy")
            connected = await works.events.first(DeviceEvent, device_id="kitchen", state="connected")
            assert connected.firmware == "Kitchen 1.0"
            assert peer.connections == 1
        await works.events.first(DeviceEvent, device_id="kitchen", state="disconnected")
        assert "it has closed the connection" in (await health_of(works, "degraded", 2)).reason


async def test_a_name_with_several_addresses_none_of_which_answers_has_one_reason(free_tcp_port: int) -> None:
    """localhost is 127.0.0.1 and ::1 on most machines, of which the library tells in one text."""
    async with dialling(f"tcp://localhost:{free_tcp_port}") as works:
        away = await health_of(works, "degraded")
        assert away.reason == f"tcp://localhost:{free_tcp_port} is not there: Connection refused"


async def test_one_whose_plug_is_pulled_is_told_in_words() -> None:
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        peer.breaks_off()
        away = await health_of(works, "degraded")
        assert away.reason == f"{address}: Connection reset by peer"


async def test_one_that_goes_in_the_middle_was_heard_until_then_and_is_told_the_rest_when_it_is_back(
    free_tcp_port: int,
) -> None:
    async with dialling(f"tcp://127.0.0.1:{free_tcp_port}") as works:
        async with peer_satellite(port=free_tcp_port) as (peer, _):
            await here(works)
            await peer.begins()
            await peer.plays(loud(1))
            await peer.hears("voice-started")
        heard = await works.result()
        assert heard.audio.end_reason == "stop"
        await works.reply(heard, "There you are.")
        async with peer_satellite(port=free_tcp_port) as (again, _):
            assert (await again.hears("synthesize")).data["text"] == "There you are."


async def test_one_that_somebody_else_has_says_whose_it_may_be() -> None:
    async with peer_satellite() as (peer, address):
        host, port = address.removeprefix("tcp://").split(":")
        _, other = await asyncio.open_connection(host, int(port))
        other.write(b'{"type": "run-satellite"}\n')
        await peer.hears("run-satellite")
        async with dialling(address) as works:
            away = await works.events.first(HealthEvent, component="satellite kitchen", remedy=TAKEN)
            assert "it has closed the connection" in away.reason
            other.close()
            await peer.hears("run-satellite", 2)
            await health_of(works, "healthy")
            await peer.begins()
            await peer.plays(loud(1) + quiet(1))
            await peer.hears("transcript")


async def test_the_end_of_the_gateway_leaves_it_to_others() -> None:
    async with peer_satellite() as (peer, address):
        async with dialling(address) as works:
            await here(works)
        await peer.hears("pause-satellite")
        await passes(lambda: peer.serving is None)


async def test_two_are_two_devices() -> None:
    async with (
        peer_satellite() as (one, first),
        peer_satellite() as (other, second),
        dialling(first, second) as works,
    ):
        await works.events.first(DeviceEvent, device_id="kitchen", state="connected")
        await works.events.first(DeviceEvent, device_id="hall", state="connected")
        for peer, seconds in ((one, 1), (other, 2)):
            await peer.begins()
            await peer.plays(loud(seconds) + quiet(1))
        texts = {(await works.result(device_id=name)).text for name in ("kitchen", "hall")}
        assert {(await peer.hears("transcript")).data["text"] for peer in (one, other)} == texts
        assert len(texts) == 2


@pytest.mark.slow
async def test_a_whole_gateway_lets_in_whom_its_settings_name(tmp_path: Path) -> None:
    async with peer_satellite() as (peer, address):
        parts: dict[str, dict[str, Any]] = {
            "adapters": {"wyoming": {"satellites": {"kitchen": address}}},
            "devices": {"unknown": "deny"},
        }
        async with open_house(tmp_path, **parts) as house:
            await peer.hears("run-satellite")
            await peer.begins()
            await peer.plays(pcm("u00") + silence(2))
            assert (await peer.hears("transcript")).data["text"] == text("u00")
            assert (await house.result()).device_id == "kitchen"
            assert (await peer.hears("synthesize")).data["text"].startswith("Demo: ")


# -- hostile ones


@pytest.mark.slow
async def test_one_whose_id_has_a_key_is_not_let_in() -> None:
    """It has none that it could prove."""
    async with peer_satellite() as (peer, address), open_works() as works:
        works.register._keys["kitchen"] = b"k" * 32
        satellites = Satellites(
            {"kitchen": address}, works.bridge, works.pipeline.watch_speech, works.health.mishaps
        )
        with running(satellites.run()):
            refused = await works.events.first(HealthEvent, component="devices", state="degraded")
            assert "kitchen" in refused.reason
            assert not works.events.of(DeviceEvent, device_id="kitchen", state="connected")
            assert peer.connections == 1


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[str]:
    """Somebody is there, and does that with whoever comes."""
    tasks: set[asyncio.Task[None]] = set()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(handle(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def saying(data: bytes, *, ends: bool = False) -> AsyncIterator[str]:
    """Whoever it is, it says that to everybody who comes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(data)
            while not ends and await reader.read(1000):
                pass
        finally:
            writer.close()

    async with serving(handle) as address:
        yield address


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak Wyoming"),
        (b"\x00" * 70_000, "does not speak Wyoming"),
        (b'{"type": "info", "data_length": 99999999}\n', "does not speak Wyoming"),
        (b'{"type": "info", "data": {"asr": 7}}\n', "is not understood"),
        (b'{"type": "info"}\n', "it is no satellite"),
        (b'{"type": "ping"}\n' * 3, "has not said in 0 s what it is"),
        (b"", "has not said in 0 s what it is"),
    ],
)
async def test_what_is_no_satellite(data: bytes, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(satellite_visit, "INFO_SECONDS", 0.2)
    async with saying(data) as address, dialling(address) as works:
        away = await health_of(works, "degraded")
        assert reason in away.reason
        assert away.remedy == WRONG
        assert not works.events.of(DeviceEvent, device_id="kitchen")


async def test_one_that_closes_at_once() -> None:
    async with saying(b"", ends=True) as address, dialling(address) as works:
        assert (await health_of(works, "degraded")).remedy == TAKEN


@pytest.mark.parametrize(
    "event",
    [
        Event("audio-chunk", {"rate": 0, "width": 2, "channels": 1}, bytes(100)),
        Event("audio-chunk", {"rate": 16_000, "width": 7, "channels": 1}, bytes(100)),
        Event("audio-chunk", {"rate": 16_000, "width": 2, "channels": 60}, bytes(100)),
        Event("audio-chunk", {"rate": "fast"}, bytes(100)),
        Event("audio-chunk", {}, bytes(100)),
        Event("run-pipeline", {}),
        Event("run-pipeline", {"start_stage": "nowhere", "end_stage": ""}),
        Event("detection", {"name": "x" * 5_000}),
        Event("nonsense", {"a": 1}, bytes(100_000)),
        Event("info", {"satellite": None}),
        Event("error", {"text": "no"}),
        Event("audio-stop"),
    ],
)
async def test_nonsense_in_the_middle_ends_nothing_but_the_connection(event: Event) -> None:
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.begins()
        await peer.plays(loud(0.5))
        with contextlib.suppress(ConnectionError):
            await peer.send(event)
        await passes(lambda: peer.serving is not None)
        await peer.hears("ping", len(peer.told.of(object)) + 2)
        await peer.begins(woken=True, word="again")
        await peer.plays(loud(1) + quiet(1))
        await peer.hears("transcript")
        assert not works.health.mishaps.latest


async def test_one_that_is_half_open_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(satellite_visit, "UNHEARD_SECONDS", 0.15)
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.hears("ping", 2)
        peer.answers_pings = False
        assert "nothing was heard of it" in (await health_of(works, "degraded")).reason


async def test_one_that_answers_pings_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(satellite_visit, "UNHEARD_SECONDS", 0.15)
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        await peer.hears("ping", 12)
        assert peer.connections == 1


@pytest.mark.slow
async def test_one_that_sends_more_than_a_microphone_can_hear_is_slowed_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(satellite_visit, "FAST_SECONDS", 1.0)
    monkeypatch.setattr(satellite_visit, "FAST_RATE", 0.01)
    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        flooding = asyncio.create_task(peer.plays(quiet(600)))
        heard = works.pipeline._hearing.streams
        await passes(lambda: any(stream.heard_to > 16_000 for stream in heard.values()))
        assert not flooding.done(), "what is not heard yet waits with the satellite"
        (stream,) = heard.values()
        assert stream.heard_to < 5 * 16_000
        flooding.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await flooding


async def test_one_that_sends_much_at_once_lets_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    turns = 0
    hush = satellite.Satellite.hush

    def noted(self: satellite.Satellite) -> None:
        seen.append(turns)
        hush(self)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with peer_satellite() as (peer, address), dialling(address) as works:
        await here(works)
        monkeypatch.setattr(satellite.Satellite, "hush", noted)
        with running(others()):
            assert peer.serving is not None
            peer.serving.write(event_bytes(Event("audio-stop")) * 200)
            await passes(lambda: len(seen) == 200)
        assert len(set(seen)) == 200


async def test_one_that_reads_nothing_is_cut_off() -> None:
    """It asks for more answers than there is room for."""

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(event_bytes(INFO.event()))
            while True:
                writer.write(b'{"type": "ping", "data": {"text": "%b"}}\n' % (b"x" * 60_000))
                await writer.drain()

    async with serving(handle) as address, dialling(address) as works:
        await here(works)
        await works.events.first(DeviceEvent, device_id="kitchen", state="disconnected")


def anything(chance: random.Random) -> Event:
    """An event that a satellite may send, or one like it."""
    forms = [
        {"rate": 16_000, "width": 2, "channels": 1},
        {"rate": 48_000, "width": 4, "channels": 2},
        {"rate": 1, "width": 2, "channels": 1},
        {},
    ]
    kinds = (
        "run-pipeline",
        "audio-start",
        "audio-chunk",
        "audio-stop",
        "detection",
        "ping",
        "pong",
        "info",
        "x",
    )
    values = (None, "asr", "wake", -1, 1e300, [], {}, "x" * 300, True)
    data = {**chance.choice(forms)}
    for name in ("start_stage", "end_stage", "name", "text", "timestamp", "rate", "wake_word_name"):
        if chance.random() < 0.08:
            data[name] = chance.choice(values)
    return Event(chance.choice(kinds), data, chance.randbytes(chance.choice((0, 1, 999, 2_048))) or None)


@pytest.mark.slow
async def test_whatever_it_says_in_whatever_order_nothing_goes_wrong() -> None:
    chance = random.Random(14)
    async with peer_satellite() as (peer, address), dialling(address) as works:
        for number in range(40):
            await passes(lambda: peer.serving is not None)
            writer = peer.serving
            with contextlib.suppress(ConnectionError):  # it may just have been given up
                for _ in range(10):
                    await peer.send(anything(chance))
                await peer.send(Ping(text=str(number)).event())
            await passes(lambda w=writer, n=str(number): peer.serving is not w or n in peer.pongs())
        assert peer.connections > 3
        assert not works.health.mishaps.latest
        await passes(lambda: peer.serving is not None)
        await passes(lambda: any(one.gone is None for one in works.pipeline.roster.devices()))
