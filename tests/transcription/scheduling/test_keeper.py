"""Sleep, waking, and the change of the engine: no utterance is lost in any of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.transcription.breakable import BreakableEngine
from tests.transcription.process.test_process import is_alive
from tests.transcription.scheduling.test_scheduler import AT_ONCE, SOON, LengthEngine, States, of_length
from tests.transcription.test_restarts import Processes
from transcription.errors import ModelUnavailable
from transcription.models.free_memory import has_room
from transcription.models.models import BUNDLED
from transcription.recognizing import Phase
from transcription.scheduling import keeper
from transcription.scheduling.engines import NotHereYet, OpenEngine
from transcription.scheduling.keeper import LIVE_SETTINGS
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import DeviceHints, PartialsSettings, SegmenterSettings, TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, OnProgress, Transcript
from transcription.utterance.segmenter import Utterance

IDLE = 0.05


class NamedEngine(LengthEngine):
    """Says the name of its model with the length."""

    def __init__(self, model: str, *, held: bool = False) -> None:
        super().__init__(held=held)
        self.model = model

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        return replace(super().transcribe(utterance, hints), model=self.model)


class Shelf:
    """Opens an engine for each model, but not for those ``missing``; those ``coming`` wait until they ``arrived``."""

    def __init__(self, *missing: str) -> None:
        self.missing = set(missing)
        self.coming: set[str] = set()
        self.arrived = threading.Event()
        self.opened: list[NamedEngine] = []
        self.tried: list[str] = []

    def __call__(
        self, settings: TranscriptionSettings, *, fallback: bool, patient: bool, on_progress: OnProgress
    ) -> OpenEngine:
        self.tried.append(settings.model)
        if settings.model in self.coming:
            if fallback:
                return OpenEngine(NamedEngine("fallback"), NotHereYet("still to be fetched", remedy=""))
            on_progress(f"fetching {settings.model}: 43 %", 0.43)
            assert self.arrived.wait(SOON)
        on_progress(f"fetching {settings.model}: 50 %", 0.5)
        if settings.model in self.missing:
            error = ModelUnavailable(f"{settings.model} is not here", remedy="bring it")
            if not fallback:
                raise error
            return OpenEngine(NamedEngine("fallback"), error)
        self.opened.append(NamedEngine(settings.model))
        return OpenEngine(self.opened[-1])


def keeping(shelf: Shelf, states: States, **settings: object) -> Recognizer:
    wanted = TranscriptionSettings(**({"model": "one"} | settings))  # type: ignore[arg-type]
    return Recognizer(wanted, states, open_engine=shelf, retry_seconds=AT_ONCE)


def wanted(model: str, **settings: object) -> TranscriptionSettings:
    return TranscriptionSettings(model=model, **settings)  # type: ignore[arg-type]


async def model_of(r: Recognizer, length: int = 5) -> str:
    return (await r.transcribe(of_length(length), owner="a")).transcript.model


async def until(states: States, ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not ready():
            states._changed.clear()
            await states._changed.wait()


# -- sleep


async def test_who_is_not_needed_falls_asleep_and_speech_wakes_it() -> None:
    shelf, states = Shelf(), States()
    async with keeping(shelf, states, idle_unload_seconds=IDLE) as r:
        asleep = await states.until(Phase.ASLEEP)
        assert asleep.reason == "asleep: nothing was said for 0.05 s; speech wakes it"
        assert shelf.opened[0].closed
        r.wake()
        await states.until(Phase.READY)
        assert await model_of(r) == "one"
    assert [p for p in states.phases if p is not Phase.LOADING][:4] == [
        Phase.READY, Phase.ASLEEP, Phase.WAKING, Phase.READY,
    ]  # fmt: skip


async def test_an_utterance_alone_wakes_it_too() -> None:
    shelf, states = Shelf(), States()
    async with keeping(shelf, states, idle_unload_seconds=IDLE) as r:
        for _ in range(5):
            await states.until(Phase.ASLEEP)
            texts = await asyncio.gather(*(r.transcribe(of_length(n), owner=str(n)) for n in (5, 6, 7)))
            assert [done.transcript.text for done in texts] == ["5", "6", "7"]
    assert len(shelf.opened) == 6


@pytest.mark.slow
async def test_who_is_needed_again_and_again_stays_awake() -> None:
    shelf, states = Shelf(), States()
    async with keeping(shelf, states, idle_unload_seconds=0.3) as r:
        await states.until(Phase.READY)
        for _ in range(8):
            await asyncio.sleep(0.05)
            r.wake()
        assert states.phases[-1] is Phase.READY
        await states.until(Phase.ASLEEP)


async def test_without_the_setting_it_never_sleeps() -> None:
    shelf, states = Shelf(), States()
    async with keeping(shelf, states) as r:
        await states.until(Phase.READY)
        r.change(wanted("one", idle_unload_seconds=IDLE))
        await states.until(Phase.ASLEEP)
        r.change(wanted("one"))
        await states.until(Phase.READY)
        await asyncio.sleep(3 * IDLE)
        assert states.phases[-1] is Phase.READY
    assert shelf.tried == ["one", "one"], "a change of that alone loads nothing anew"


@pytest.mark.slow
async def test_asleep_the_process_is_gone_and_its_memory_with_it() -> None:
    states, processes = States(), Processes(BreakableEngine)
    settings = TranscriptionSettings(idle_unload_seconds=0.2)
    async with Recognizer(settings, states, open_engine=processes) as r:
        await states.until(Phase.ASLEEP)
        pid = processes.opened[0].pid
        await asyncio.wrap_future(processes.opened[0].ended)
        assert not is_alive(pid)
        assert (await r.transcribe(of_length(5), owner="a")).transcript.text.startswith("5 ")
        assert is_alive(processes.opened[1].pid)


async def test_a_fallback_sleeps_too_and_says_what_is_missing() -> None:
    shelf, states = Shelf("one"), States()
    async with keeping(shelf, states, idle_unload_seconds=IDLE) as r:
        asleep = await states.until(Phase.ASLEEP)
        assert asleep.reason == "asleep: nothing was said for 0.05 s; speech wakes it; one is not here"
        assert asleep.remedy == "bring it"
        tried = len(shelf.tried)
        await asyncio.sleep(3 * AT_ONCE[1])
        assert len(shelf.tried) == tried, "nobody needs it: nothing is looked for"
        assert await model_of(r) == "fallback"
        shelf.missing.clear()
        async with asyncio.timeout(SOON):  # whether it sleeps once more before it looks is up to the machine
            while await model_of(r) != "one":
                pass


# -- fetch


async def test_the_fallback_serves_until_the_model_is_fetched() -> None:
    shelf, states = Shelf(), States()
    shelf.coming.add("one")
    async with keeping(shelf, states) as r:
        assert await model_of(r) == "fallback"
        await until(states, lambda: states.seen[-1].progress is not None)
        state = states.seen[-1]
        assert (state.phase, state.model, state.progress) == (Phase.DEGRADED, "fallback", 0.43)
        assert state.reason == "fetching one: 43 %; length goes on meanwhile"
        assert await model_of(r) == "fallback"
        shelf.arrived.set()
        await states.until(Phase.READY)
        assert await model_of(r) == "one"
    assert shelf.tried == ["one", "one"]


async def test_a_fetch_that_fails_leaves_the_fallback_and_is_tried_again() -> None:
    shelf, states = Shelf("one"), States()
    shelf.coming.add("one")
    shelf.arrived.set()
    async with keeping(shelf, states) as r:
        await until(states, lambda: states.seen[-1].remedy == "bring it")
        assert states.phases[-1] is Phase.DEGRADED
        assert await model_of(r) == "fallback"
        shelf.missing.clear()
        await states.until(Phase.READY)
        assert await model_of(r) == "one"


# -- change


async def test_the_old_one_goes_on_until_the_new_one_is_there() -> None:
    shelf, states = Shelf(), States()
    async with keeping(shelf, states) as r:
        assert await model_of(r) == "one"
        r.change(wanted("two"))
        await until(states, lambda: states.seen[-1].model == "two")
        assert await model_of(r) == "two"
        assert shelf.opened[0].closed
        assert not shelf.opened[1].closed
    after = states.seen[states.phases.index(Phase.READY) :]
    assert {state.phase for state in after} == {Phase.READY}
    assert "fetching two: 50 %; one goes on meanwhile" in {state.reason for state in after}


async def test_every_utterance_during_a_change_is_done_once() -> None:
    shelf, states = Shelf(), States()
    async with keeping(shelf, states) as r:
        calls = []
        for n in range(40):
            calls.append(asyncio.create_task(r.transcribe(of_length(20 + n), owner=str(n % 4))))
            if n % 10 == 5:
                r.change(wanted(f"model{n}"))
            await asyncio.sleep(0.002)
        done = await asyncio.gather(*calls)
    assert [d.transcript.text for d in done] == [str(20 + n) for n in range(40)]
    assert sorted(n for engine in shelf.opened for n in engine.order) == [20 + n for n in range(40)]


async def test_what_cannot_be_loaded_leaves_the_old_one_at_work_and_says_so() -> None:
    shelf, states = Shelf("two"), States()
    async with keeping(shelf, states) as r:
        await states.until(Phase.READY)
        r.change(wanted("two"))
        state = await states.until(Phase.DEGRADED)
        assert (state.model, state.remedy) == ("one", "bring it")
        assert state.reason == "two is not here; one goes on meanwhile"
        assert await model_of(r) == "one"
        shelf.missing.clear()
        await states.until(Phase.READY)
        assert await model_of(r) == "two"


async def test_who_changes_back_has_it_at_once() -> None:
    shelf, states = Shelf("two"), States()
    async with keeping(shelf, states) as r:
        await states.until(Phase.READY)
        r.change(wanted("two"))
        await states.until(Phase.DEGRADED)
        r.change(wanted("one"))
        state = await states.until(Phase.READY)
        assert (state.model, state.reason) == ("one", "")
    assert shelf.tried.count("one") == 1


async def test_an_old_one_that_dies_meanwhile_comes_back_and_not_the_fallback() -> None:
    shelf, states = Shelf("two"), States()
    async with keeping(shelf, states) as r:
        await states.until(Phase.READY)
        r.change(wanted("two"))
        await states.until(Phase.DEGRADED)
        r._keeper.lose(shelf.opened[0], "it fell")
        await until(states, lambda: states.phases[-1] is Phase.DEGRADED and len(shelf.opened) > 1)
        assert await model_of(r) == "one"
    assert "fallback" not in {state.model for state in states.seen}


async def test_where_memory_is_short_the_old_one_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "has_room", lambda _settings: False)
    shelf, states = Shelf(), States()
    async with keeping(shelf, states) as r:
        await states.until(Phase.READY)
        r.change(wanted("two"))
        call = r.transcribe(of_length(5), owner="a")
        assert (await call).transcript.text == "5"
        await until(states, lambda: states.seen[-1].model == "two")
    assert any("memory has no room for another model beside one" in s.reason for s in states.seen)


async def test_where_memory_is_short_and_the_new_one_missing_the_old_one_comes_back_to_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "has_room", lambda _settings: False)
    shelf, states = Shelf("two"), States()
    async with keeping(shelf, states) as r:
        await states.until(Phase.READY)
        r.change(wanted("two"))
        state = await states.until(Phase.DEGRADED)
        assert state.reason == "two is not here; one goes on meanwhile"
        assert await model_of(r) == "one"
        await asyncio.sleep(10 * AT_ONCE[1])
    assert shelf.tried == ["one", "two", "one"], "it is not thrown out again and again"


async def test_a_fallback_gives_way_to_another_wish() -> None:
    shelf, states = Shelf("one", "two"), States()
    async with keeping(shelf, states) as r:
        await states.until(Phase.DEGRADED)
        assert await model_of(r) == "fallback"
        r.change(wanted("two"))
        await until(states, lambda: states.seen[-1].reason == "two is not here")
        r.change(wanted("three"))
        await states.until(Phase.READY)
        assert await model_of(r) == "three"


@pytest.mark.parametrize(
    "live",
    [
        {"idle_unload_seconds": 5.0},
        {"retries": 5},
        {"wait_seconds": 5.0},
        {"queue_utterances": 5},
        {"segmenter": SegmenterSettings(silence_ms=300)},
        {"partials": PartialsSettings(every_ms=900)},
        {"prompt": "Lights and blinds.", "hotwords": "Mila", "word_timestamps": True},
        {"devices": {"kitchen": DeviceHints(language="de")}},
    ],
)
async def test_what_is_not_the_engines_own_loads_nothing(live: dict[str, object]) -> None:
    assert set(live) <= set(LIVE_SETTINGS)
    shelf, states = Shelf(), States()
    async with keeping(shelf, states) as r:
        await states.until(Phase.READY)
        r.change(wanted("one", **live))
        await asyncio.sleep(0.02)
        assert await model_of(r) == "one"
    assert shelf.tried == ["one"]


# -- room


@pytest.mark.parametrize("name", ["bundled", "base", "/no/such/folder"])
def test_room_for_what_is_small_or_unknown(name: str, tmp_path: Path) -> None:
    assert has_room(TranscriptionSettings(model=name, models_dir=str(tmp_path)))


def test_no_room_for_what_is_larger_than_the_memory(tmp_path: Path) -> None:
    folder = tmp_path / "huge"
    folder.mkdir()
    for file in BUNDLED.iterdir():
        (folder / file.name).write_bytes(b"")
    with (folder / "model.bin").open("wb") as model:
        model.truncate(10**13)  # a file with a hole: no disk is harmed
    assert not has_room(TranscriptionSettings(model=str(folder)))
