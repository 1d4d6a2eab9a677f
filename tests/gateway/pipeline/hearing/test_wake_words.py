"""Devices that are listened to after their wake word only: what becomes of what is said, and of what is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from firmware_bridge.link.events import NoticeKind
from firmware_bridge.settings import WakeSettings
from gateway.broker.opening import MEMORY
from gateway.contract.events import DeviceEvent, HealthEvent, StatusEvent, TranscriptionEvent
from gateway.journal import Journal
from gateway.observing.health import HealthState
from gateway.pipeline.hearing import wake_words
from gateway.pipeline.hearing.wake_words import COMPONENT
from gateway.settings.journal import JournalSettings
from tests.gateway.pipeline.mortal import House
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.record import passes
from tests.system.house import Board
from tests.transcription.wake.spoken import needs_espeak, say
from tests.transcription.wake.test_words import own_model
from transcription.utterance.segmenter import EndReason

pytestmark = needs_espeak
NABU: dict[str, Any] = {"wake": {"devices": {"kitchen": ["okay_nabu"]}}}
NOT_LONG = 0.2


def okay_nabu() -> bytes:
    return quiet(1.2) + say("okay nabu").tobytes() + quiet(0.4)


def saying(board: Board, *speech: bytes) -> asyncio.Task[Any]:
    return asyncio.create_task(board.say(b"".join(speech), end_on_silence=True))


def nothing_was_heard(works: Works) -> None:
    assert works.engine.lengths == []
    assert works.results.items == []
    assert works.events.of(TranscriptionEvent) == []


async def test_what_follows_the_wake_word_is_transcribed_and_its_device_is_told_when() -> None:
    async with open_works(devices=NABU) as works, works.board() as kitchen:
        said = saying(kitchen, okay_nabu(), loud(1), quiet(1.5))
        heard = await works.result()
        await works.reply(heard, "done")
        assert (await said).reply == "done"
        told = await kitchen.statuses(1, "idle")
        assert told[:5] == ["idle", "listening", "transcribing", "thinking", "idle"]
        assert heard.audio.end_reason == EndReason.SILENCE
        assert 1.0 < heard.audio.seconds < 2.7
        (notice,) = works.events.of(DeviceEvent, notice="wake_word")
        assert (notice.device_id, notice.text) == ("kitchen", "Okay Nabu")
        assert 85 <= notice.value <= 100


async def test_without_it_nothing_is_transcribed_published_or_kept(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    async with open_works(devices=NABU, journal=file) as works, works.board() as kitchen:
        stream = kitchen.end.start_stream(end_on_silence=True)
        await kitchen._record(stream, loud(3) + quiet(1) + say("turn on the light").tobytes() + quiet(2))
        await passes(lambda: kitchen.end.unacknowledged == 0)
        kitchen.end.stop_stream(stream)
        kitchen._pump()
        await works.idle()
        assert set(await kitchen.statuses(1, "idle")) == {"idle"}
        nothing_was_heard(works)
        assert works.events.of(DeviceEvent, notice="wake_word") == []
        await works.settled()
        await passes(lambda: kitchen.end._ring.oldest == kitchen.end._ring.next)
    async with Journal(JournalSettings(path=str(file))) as kept:
        assert [row async for row in kept.utterances()] == []


@pytest.mark.slow
async def test_a_wake_word_in_vain_is_told_and_the_next_is_heard() -> None:
    wake = {"devices": {"kitchen": ["okay_nabu"]}, "seconds": 2}
    async with open_works(devices={"wake": wake}) as works, works.board() as kitchen:
        said = saying(kitchen, okay_nabu(), quiet(3), loud(2), quiet(2), okay_nabu(), loud(1), quiet(2))
        await works.reply(await works.result(), "done")
        await said
        assert (await kitchen.statuses(1, "idle"))[:4] == ["idle", "listening", "idle", "listening"]
        assert len(works.engine.lengths) == 1


async def test_others_need_none_and_neither_does_push_to_talk() -> None:
    async with open_works(devices=NABU) as works, works.board() as kitchen, works.board("hall") as hall:
        pushed = asyncio.create_task(kitchen.say(loud(1)))
        await works.reply(await works.result(), "done")
        assert (await pushed).transcript == "16000"
        free = saying(hall, loud(1), quiet(1.5))
        await works.reply(await works.result(count=2), "done")
        await free
        assert (await hall.statuses(1, "idle"))[0] == "listening"


async def test_a_room_has_wake_words_and_a_device_in_it_others_or_none() -> None:
    devices = {
        "rooms": {"kitchen": "Ground floor", "hall": "Ground floor", "door": "Ground floor"},
        "wake": {"rooms": {"Ground floor": ["alexa"]}, "devices": {"hall": ["okay_nabu"], "door": []}},
    }
    async with open_works(devices=devices) as works:
        words = works.pipeline._wake_words
        assert [words.of(name) for name in ("kitchen", "hall", "door", "attic")] == [
            ("alexa",), ("okay_nabu",), (), (),
        ]  # fmt: skip
        assert works.health.report().components[COMPONENT].detail == "okay_nabu, alexa"


async def test_where_none_is_wanted_nothing_of_it_is_loaded_and_nothing_is_told() -> None:
    async with open_works() as works:
        assert COMPONENT not in works.health.report().components
        assert works.pipeline._wake_words._known == {}


# -- a wake word that the device has heard


async def test_a_device_that_heard_its_own_is_not_asked_for_a_second_one() -> None:
    async with open_works(Engine(), devices=NABU) as works, works.board() as kitchen:
        works.engine.says = replace(works.engine.says, text="")
        await kitchen.connected()
        kitchen.notice(NoticeKind.WAKE_WORD, 97, "hi esp")
        said = saying(kitchen, quiet(0.3), loud(1), quiet(1.5))
        await works.reply(await works.result(), "done")
        await said
        told = await kitchen.statuses(1, "idle")
        assert told[:5] == ["idle", "listening", "transcribing", "thinking", "idle"]
        (notice,) = works.events.of(DeviceEvent, notice="wake_word")
        assert (notice.text, notice.value) == ("hi esp", 97)


class Writer(Engine):
    """Says what it was told to say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def transcribe(self, *what: Any, **how: Any) -> Any:
        return replace(super().transcribe(*what, **how), text=self.text)


@pytest.mark.parametrize("wake", [NABU, {}])
async def test_the_word_that_a_device_names_is_not_in_the_text(wake: dict[str, Any]) -> None:
    engine = Writer("Okay, Nabu. Lights on.")
    async with open_works(engine, devices=wake) as works, works.board() as kitchen:
        await kitchen.connected()
        kitchen.notice(NoticeKind.WAKE_WORD, 90, "Okay Nabu")
        said = saying(kitchen, loud(1), quiet(1.5))
        heard = await works.result()
        await works.reply(heard, "done")
        assert (heard.text, (await said).transcript) == ("Lights on.", "Lights on.")


async def test_no_partial_text_shows_it_either() -> None:
    engine = Writer("Okay, Nabu. Lights on.")
    parts = {"transcription": {"partials": {"every_ms": 200, "share": 1.0, "longest_ms": 10_000}}}
    async with open_works(engine, **parts) as works, works.board(wants_partials=True) as kitchen:
        await kitchen.connected()
        await works.ready()
        kitchen.notice(NoticeKind.WAKE_WORD, 90, "Okay Nabu")
        said = saying(kitchen, loud(3), quiet(1.5))
        await works.reply(await works.result(), "done")
        await said
        shown = [line for line in map(str, works.events.items) if "Nabu" in line and "notice" not in line]
        assert shown == []


async def test_what_a_device_heard_long_ago_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.pipeline.hearing.streams.WOKEN_SECONDS", -1.0)
    async with open_works(devices=NABU) as works, works.board() as kitchen:
        await kitchen.connected()
        kitchen.notice(NoticeKind.WAKE_WORD, 97, "hi esp")
        said = await kitchen.say(loud(1) + quiet(1.0), end_on_silence=True, patience=NOT_LONG)
        assert said.transcript is None
        nothing_was_heard(works)


async def test_what_one_device_heard_wakes_no_other() -> None:
    devices = {"wake": {"devices": {"kitchen": ["okay_nabu"], "hall": ["okay_nabu"]}}}
    async with open_works(devices=devices) as works, works.board() as kitchen, works.board("hall") as hall:
        await kitchen.connected()
        hall.notice(NoticeKind.WAKE_WORD, 97, "hi esp")
        await works.events.first(DeviceEvent, notice="wake_word")
        await kitchen.say(loud(1) + quiet(1.0), end_on_silence=True, patience=NOT_LONG)
        nothing_was_heard(works)


# -- what is missing, and what changes


@pytest.mark.slow
async def test_a_word_that_is_not_there_leaves_its_device_unheard_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_words, "RETRY_SECONDS", 0.05)
    manifest = own_model(tmp_path)
    hidden = manifest.rename(tmp_path / "later")
    wake = {"devices": {"kitchen": [str(manifest)]}}
    async with open_works(devices={"wake": wake}) as works, works.board() as kitchen:
        health = works.health.report().components[COMPONENT]
        assert (health.state, health.works) == (HealthState.DEGRADED, False)
        assert (
            health.reason == f"{manifest} is not heard: {manifest} cannot be read: No such file or directory"
        )
        assert "beside each other" in health.remedy
        await kitchen.say(loud(1) + quiet(1.0), end_on_silence=True, patience=NOT_LONG)
        nothing_was_heard(works)
        hidden.rename(manifest)
        await works.events.first(HealthEvent, component=COMPONENT, state="healthy")
        said = saying(kitchen, okay_nabu(), loud(1), quiet(1.5))
        await works.reply(await works.result(), "done")
        assert (await said).reply == "done"


async def test_one_word_of_two_that_is_missing_leaves_the_other() -> None:
    wake = {"devices": {"kitchen": ["hey_nobody", "okay_nabu"]}}
    async with open_works(devices={"wake": wake}) as works, works.board() as kitchen:
        health = works.health.report().components[COMPONENT]
        assert (health.state, health.detail) == (HealthState.DEGRADED, "okay_nabu")
        assert "there is no wake word hey_nobody" in health.reason
        said = saying(kitchen, okay_nabu(), loud(1), quiet(1.5))
        await works.reply(await works.result(), "done")
        await said


async def test_settings_change_while_a_stream_is_open() -> None:
    async with open_works() as works, works.board() as kitchen:
        stream = kitchen.end.start_stream(end_on_silence=True)
        await kitchen._record(stream, quiet(1))
        await kitchen.statuses(stream, "listening")
        wake = WakeSettings(devices={"kitchen": ("okay_nabu",)})
        config = structs.replace(works.config, devices=structs.replace(works.config.devices, wake=wake))
        works.pipeline.reconfigure(config)
        await works.events.first(HealthEvent, component=COMPONENT, state="healthy")
        await kitchen._record(stream, loud(1) + quiet(1.5))
        await works.events.until(lambda: works.events.of(StatusEvent)[-1].status == "idle")
        nothing_was_heard(works)
        await kitchen._record(stream, okay_nabu() + loud(1) + quiet(1.5))
        await works.result()
        works.pipeline.reconfigure(works.config)
        await works.events.first(HealthEvent, component=COMPONENT, state="forgotten")


# -- a gateway that ends meanwhile


@pytest.mark.slow
async def test_what_is_said_behind_a_wake_word_survives_the_gateway(tmp_path: Path) -> None:
    parts: dict[str, Any] = {"subscribed": True, "devices": NABU}
    async with House(tmp_path, MEMORY) as house:
        kitchen = await house.board()
        async with house.gateway(**parts) as (works, _):
            stream = kitchen.end.start_stream(end_on_silence=True)
            await kitchen._record(stream, quiet(6) + okay_nabu() + loud(1))
            await kitchen.statuses(stream, "listening")
            await passes(lambda: kitchen.end.unacknowledged == 0)
            held = kitchen.end._ring.next - kitchen.end._ring.oldest
            assert held * 320 / 16_000 < 6  # what was before the wake word is not kept for ever
            nothing_was_heard(works)
        async with house.gateway(**parts) as (works, _):
            await kitchen._record(stream, loud(1) + quiet(1.5))
            heard = await works.result()
            assert 2.0 < heard.audio.seconds < 3.7
            assert len(works.engine.lengths) == 1
