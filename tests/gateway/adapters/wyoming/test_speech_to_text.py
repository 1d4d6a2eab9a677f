"""Speech to text for whoever speaks Wyoming, over the works, with the reference's own clients."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from gateway.adapters.wyoming import utterance
from tests.gateway.adapters.wyoming.programs import EverLater, ask, client, read, say, served, spoken
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.record import passes
from transcription.errors import EngineFailed
from transcription.recognizing import Phase
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

HELLO = quiet(0.3) + loud(0.5) + quiet(0.2)
ENDED = quiet(0.3) + loud(0.5) + quiet(0.9)


class OnceDeaf(Engine):
    """Hears nothing in the first utterance."""

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        heard = super().transcribe(utterance, hints)
        return replace(heard, text=heard.text if len(self.lengths) > 1 else "")


@pytest.fixture
async def works() -> AsyncIterator[Works]:
    async with open_works(watched=False, subscribed=False) as works:
        await works.ready()
        yield works


async def test_what_is_said_until_audio_stop_is_answered_with_its_text(works: Works) -> None:
    async with served(works) as server, client(server) as program:
        heard = await ask(program, HELLO, language="en", context={"about": [1, None]})
    assert heard.type == "transcript"
    assert 8_000 < int(heard.data["text"]) < 16_000
    assert heard.data["language"] == "en"
    assert heard.data["context"] == {"about": [1, None]}


async def test_a_silence_ends_it_before_audio_stop_and_what_still_comes_is_swallowed(works: Works) -> None:
    async with served(works, now=EverLater()) as server, client(server) as program:
        heard = await ask(program, ENDED, stop=False, apart=True)
        assert heard.type == "transcript"
        await say(program, spoken(ENDED, apart=True).split(b"\n", 1)[1].split(b"}", 1)[1])
        await program.write_event(Ping(text="still there?").event())
        assert [event.type for event in [await read(program), await read(program)]] == [
            "transcript-stop",
            "pong",
        ]
        again = await ask(program, HELLO)
        assert again.type == "transcript"
        assert len(works.engine.lengths) == 2


async def test_a_recording_is_heard_to_its_end_also_across_its_pauses(works: Works) -> None:
    async with served(works) as server, client(server) as program:
        heard = await ask(program, ENDED * 3)
    assert len(heard.data["text"].split()) == 3


async def test_a_quiet_voice_is_looked_at_when_the_program_says_that_it_was_speech(works: Works) -> None:
    async with served(works) as server, client(server) as program:
        heard = await ask(program, quiet(1.5))
    assert heard.data["text"] == ""
    assert works.engine.lengths == [24_000]


@pytest.mark.parametrize("sound", [spoken(b""), spoken(b"").split(b"null}", 1)[1]], ids=["empty", "none"])
async def test_nothing_at_all_has_an_empty_text(works: Works, sound: bytes) -> None:
    async with served(works) as server, client(server) as program:
        await program.write_event(Transcribe().event())
        await say(program, sound)
        heard = await read(program)
        assert (heard.type, heard.data["text"]) == ("transcript", "")
        await program.write_event(AudioStop().event())  # said twice, and answered once
        await program.write_event(Ping().event())
        assert (await read(program)).type == "pong"


async def test_who_says_nothing_is_not_waited_for_for_ever(works: Works) -> None:
    async with served(works, now=EverLater()) as server, client(server) as program:
        heard = await ask(program, quiet(utterance.SILENT_SECONDS + 0.1), stop=False, apart=True)
    assert heard.data["text"] == ""


async def test_a_television_is_answered_though_it_never_is_silent(works: Works) -> None:
    async with served(works, now=EverLater()) as server, client(server) as program:
        heard = await ask(program, loud(utterance.LONGEST_SECONDS + 0.5), stop=False, apart=True, size=4_000)
    assert heard.type == "transcript"
    assert len(heard.data["text"].split()) == 2


async def test_a_cough_is_no_utterance_and_what_follows_is_heard() -> None:
    async with open_works(OnceDeaf(), watched=False) as works:
        await works.ready()
        async with served(works, now=EverLater()) as server, client(server) as program:
            await say(program, spoken(ENDED, stop=False, apart=True))
            await passes(lambda: works.engine.lengths)
            heard = await ask(program, ENDED, stop=False, apart=True)
    assert heard.data["text"]
    assert len(works.engine.lengths) == 2


async def test_who_mumbled_is_not_waited_for_long() -> None:
    async with open_works(OnceDeaf(), watched=False) as works:
        await works.ready()
        async with served(works, now=EverLater()) as server, client(server) as program:
            await say(program, spoken(ENDED, stop=False, apart=True))
            await passes(lambda: works.engine.lengths)
            await passes(lambda: not works.recognizer.waiting)
            patience = quiet(utterance.AFTER_NOISE_SECONDS + 1.0)
            await say(program, spoken(patience, apart=True).split(b"null}", 1)[1])
            heard = await read(program, "transcript")
    assert heard.data["text"] == ""


@pytest.mark.parametrize(
    ("rate", "width", "channels"),
    [(8_000, 2, 1), (22_050, 2, 1), (44_100, 2, 2), (48_000, 4, 1), (48_000, 3, 2), (16_000, 1, 1)],
)
async def test_any_rate_width_and_number_of_channels_is_understood(
    works: Works, rate: int, width: int, channels: int
) -> None:
    sound = np.frombuffer(HELLO, "<i2").astype(np.int32)
    at = np.arange(len(sound) * rate // 16_000) * 16_000 // rate
    wide = np.repeat((sound[at] << 16)[:, None], channels, axis=1).astype("<i4")
    if width == 1:
        data = ((wide >> 24) + 128).astype(np.uint8).tobytes()
    else:
        data = wide.view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes()
    async with served(works) as server, client(server) as program:
        heard = await ask(program, data, rate=rate, width=width, channels=channels, size=997)
    assert heard.type == "transcript", heard.data
    assert 8_000 < int(heard.data["text"]) < 16_000


@pytest.mark.parametrize(("rate", "width", "channels"), [(100, 2, 1), (16_000, 7, 1), (16_000, 2, 63)])
async def test_a_form_that_is_not_taken_is_an_error_with_its_reason(
    works: Works, rate: int, width: int, channels: int
) -> None:
    async with served(works) as server, client(server) as program:
        heard = await ask(program, bytes(2_000), rate=rate, width=width, channels=channels)
        assert (heard.type, heard.data["code"]) == ("error", "unknown-format")
        assert (await ask(program, HELLO)).type == "transcript"


async def test_a_form_may_change_within_the_sound(works: Works) -> None:
    half, other = spoken(quiet(0.3) + loud(0.25), stop=False), spoken(loud(0.5) + quiet(0.4), rate=32_000)
    async with served(works) as server, client(server) as program:
        await say(program, half + other.split(b"null}", 1)[1])
        heard = await read(program, "transcript", "error")
    assert 8_000 < int(heard.data["text"]) < 16_000


async def test_several_utterances_on_one_connection_are_answered_in_order_also_without_waiting(
    works: Works,
) -> None:
    async with served(works) as server, client(server) as program:
        for seconds in (0.4, 0.8, 1.2):
            await say(program, spoken(quiet(0.2) + loud(seconds) + quiet(0.1)))
        texts = [int((await read(program, "transcript")).data["text"]) for _ in range(3)]
    assert texts == sorted(texts)
    assert texts[2] - texts[0] > 10_000


async def test_names_and_terms_are_hotwords_beside_those_of_the_house_and_the_language_is_the_programs(
    tmp_path: object,
) -> None:
    async with open_works(watched=False, transcription={"hotwords": "Earshot", "prompt": "Hello."}) as works:
        await works.ready()
        async with served(works) as server, client(server) as program:
            names = ["Küche", "x" * 600]
            await ask(program, HELLO, language="de-AT", transcript_names=names, transcript_terms=["y" * 500])
            await ask(program, HELLO)
            await ask(program, HELLO, language="nb")
            first, second, third = works.engine.hints
    assert first.hotwords == f"Küche, {'x' * 600}, Earshot"
    assert (first.language, first.prompt) == ("de", "Hello.")
    assert (second.language, second.hotwords) == (None, "Earshot")
    assert third.language == "no"


@pytest.mark.parametrize(("patience", "seconds"), [("aggressive", 0.4), ("relaxed", 1.4)])
async def test_how_long_a_silence_has_to_be_is_the_programs_to_say(
    works: Works, patience: str, seconds: float
) -> None:
    async with served(works, now=EverLater()) as server, client(server) as program:
        sound = loud(0.5) + quiet(seconds)
        heard = await ask(program, sound, vad_sensitivity=patience, stop=False, apart=True)
        assert heard.type == "transcript"
        await program.write_event(AudioStop().event())
        await program.write_event(Transcribe(vad_sensitivity=patience).event())
        await say(program, spoken(loud(0.5) + quiet(seconds - 0.25) + loud(0.3) + quiet(0.1), apart=True))
        assert (await read(program, "transcript")).data["text"] > heard.data["text"]


async def test_what_the_engine_cannot_do_is_an_error(works: Works) -> None:
    async with served(works) as server, client(server) as program:
        works.engine.poison = set(range(100_000))
        heard = await ask(program, HELLO)
        assert heard.type == "error"
        assert heard.data["code"] == "failed"
        assert "too many" in heard.data["text"]
        works.engine.poison = set()
        assert (await ask(program, HELLO)).type == "transcript"
    assert EngineFailed.__name__ not in str(works.health.report())


async def test_who_leaves_is_not_worked_for(works: Works) -> None:
    async with served(works) as server:
        works.engine.go.clear()
        async with client(server) as first:
            await say(first, spoken(HELLO))
            await works.engine.working()
            async with client(server) as second:
                await say(second, spoken(HELLO))
                await passes(lambda: works.recognizer.waiting == 1)
            await passes(lambda: works.recognizer.waiting == 0)
            works.engine.go.set()
            assert (await read(first, "transcript")).data["text"]
    assert len(works.engine.lengths) == 1


async def test_eight_at_once_take_turns(works: Works) -> None:
    async def one(seconds: float) -> int:
        async with client(server) as program:
            heard = await ask(program, quiet(0.2) + loud(seconds) + quiet(0.1))
            return int(heard.data["text"])

    async with served(works) as server:
        texts = await asyncio.gather(*(one(0.4 + 0.1 * n) for n in range(8)))
    assert texts == sorted(texts)
    assert len(set(texts)) == 8


async def test_the_text_so_far_comes_in_pieces_that_together_are_the_text(works: Works) -> None:
    async with served(works, partial_ms=200, now=EverLater()) as server, client(server) as program:
        await program.write_event(Transcribe(language="en", context={"a": 1}).event())
        await say(program, spoken(loud(0.5) + quiet(0.9), stop=False, apart=True))
        start = await read(program)
        assert (start.type, start.data) == ("transcript-start", {"language": "en", "context": {"a": 1}})
        pieces = ""
        while (event := await read(program)).type == "transcript-chunk":
            pieces += event.data["text"]
        assert event.type == "transcript"
        assert event.data["text"] == pieces
        assert (await read(program)).type == "transcript-stop"


async def test_it_says_truly_what_it_is(works: Works) -> None:
    async with served(works) as server, client(server) as program:
        await program.write_event(Describe().event())
        info = Info.from_event(await read(program, "info"))
    [asr] = info.asr
    assert asr.name == "Earshot"
    assert asr.installed
    assert asr.supports_transcript_streaming
    assert not asr.requires_external_vad
    assert asr.version == "1.2"
    [model] = asr.models
    assert (model.name, model.languages, model.installed) == ("bundled", ["en"], True)


async def test_sound_that_is_switched_off_is_not_offered() -> None:
    off = {"engine": "off"}
    async with (
        open_works(watched=False, transcription=off) as works,
        served(works) as server,
        client(server) as program,
    ):
        await program.write_event(Describe().event())
        [asr] = Info.from_event(await read(program, "info")).asr
        assert (asr.installed, asr.models) == (False, [])
        heard = await ask(program, HELLO)
        assert (heard.type, heard.data["code"]) == ("error", "unavailable")


async def test_a_gateway_that_stops_says_so(works: Works) -> None:
    async with served(works) as server, client(server) as program:
        works.pipeline.dictations.close()
        heard = await ask(program, HELLO)
        assert (heard.type, heard.data["code"]) == ("error", "stopping")
        await program.write_event(Ping().event())
        assert (await read(program)).type == "pong"


async def test_a_program_that_is_slow_is_heard_byte_by_byte(works: Works) -> None:
    data = spoken(HELLO, size=16_000)
    async with served(works) as server, client(server) as program:
        for at in range(0, len(data), 499):
            await say(program, data[at : at + 499])
            await asyncio.sleep(0)
        for byte in spoken(b"")[:]:
            await say(program, bytes((byte,)))
        assert (await read(program, "transcript")).data["text"]


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_said_in_whatever_order_the_connection_lives(works: Works, seed: int) -> None:
    chance = random.Random(seed)
    forms = [(16_000, 2, 1), (8_000, 1, 2), (44_100, 3, 1), (7, 7, 7)]
    heard = spoken(loud(0.2) + quiet(0.2))
    events = [
        Transcribe(language=chance.choice(["en", "xx", ""])).event(),
        AudioStop().event(),
        Describe().event(),
        Ping(text="x").event(),
        *(AudioStart(*form).event() for form in forms),
        *(AudioChunk(*form, audio=chance.randbytes(chance.randrange(5_000))).event() for form in forms),
    ]
    async with served(works, now=EverLater()) as server, client(server) as program:
        for _ in range(60):
            if chance.random() < 0.2:
                await say(program, heard[: chance.choice([0, len(heard)])])
            await program.write_event(chance.choice(events))
        await program.write_event(AudioStop().event())
        await program.write_event(Ping(text="alive").event())
        while (event := await read(program)).data != {"text": "alive"}:
            assert event.type in {
                "transcript",
                "transcript-start",
                "transcript-chunk",
                "transcript-stop",
                "info",
                "pong",
                "error",
            }
        assert (await ask(program, HELLO)).type in {"transcript", "error"}
    assert not works.health.mishaps.counts
    await passes(lambda: not works.pipeline.dictations._open)


async def test_an_engine_that_sleeps_is_woken_by_the_first_sound_before_there_is_any_speech() -> None:
    async with open_works(watched=False, transcription={"idle_unload_seconds": 1.0}) as works:
        await works.ready()
        async with served(works, now=EverLater()) as server, client(server) as program:
            await passes(lambda: works.recognizer.state.phase is Phase.ASLEEP)
            await say(program, spoken(quiet(0.1), stop=False, apart=True))
            await passes(lambda: works.recognizer.state.phase is Phase.READY)
