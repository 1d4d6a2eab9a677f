"""Realtime transcription sessions: what OpenAI's clients say and are told, in both forms, and what goes wrong."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.web.openai.realtime_client import TRANSCRIPTION, loud, quiet, realtime
from tests.gateway.web.openai.v1 import V1, open_v1
from tests.gateway.works import Engine
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

pytestmark = pytest.mark.slow

OURS = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 400, "silence_duration_ms": 700}
MANUAL = {"turn_detection": None}


async def test_a_session_says_how_it_is_and_takes_what_it_is_told(v1: V1) -> None:
    async with realtime(v1) as session:
        created = await session.next()
        assert created["type"] == "session.created"
        assert created["session"]["type"] == "transcription"
        assert created["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert created["session"]["audio"]["input"]["turn_detection"] == OURS
        turns = {"type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 200, "silence_duration_ms": 400}
        words = {"model": "whisper-1", "language": "en", "prompt": "Kitchen.", "keywords": ["Earshot", "Ada"]}
        given = {
            "format": {"type": "audio/pcmu"},
            "transcription": words,
            "turn_detection": turns,
            "noise_reduction": {"type": "near_field"},
        }
        assert await session.update(**given) == given
        assert await session.update(turn_detection=None) == given | MANUAL  # what is not said stays


async def test_what_is_said_between_silences_becomes_items_in_order(v1: V1) -> None:
    async with realtime(v1) as session:
        await session.update(
            turn_detection={"type": "server_vad", "prefix_padding_ms": 200, "silence_duration_ms": 500}
        )
        await session.speak(quiet(1) + loud(1) + quiet(1) + loud(0.5) + quiet(1))
        texts = [await session.transcript(), await session.transcript()]
        del session.told[:2]
        kinds = [one["type"] for one in session.told]
        assert kinds[:5] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        started = [one for one in session.told if one["type"].endswith("speech_started")]
        stopped = [one for one in session.told if one["type"].endswith("speech_stopped")]
        committed = [one for one in session.told if one["type"].endswith("committed")]
        completed = [one for one in session.told if one["type"].endswith("completed")]
        ids = [one["item_id"] for one in started]
        assert [one["item_id"] for one in (*stopped, *committed, *completed)] == ids * 3
        assert [one["previous_item_id"] for one in committed] == [None, ids[0]]
        assert abs(started[0]["audio_start_ms"] - 800) <= 70
        assert abs(stopped[0]["audio_end_ms"] - 2_500) <= 70
        assert abs(started[1]["audio_start_ms"] - 2_800) <= 70
        for end, begin, told, text in zip(stopped, started, completed, texts, strict=True):
            seconds = (end["audio_end_ms"] - begin["audio_start_ms"]) / 1000
            assert told["usage"] == {"type": "duration", "seconds": pytest.approx(seconds, abs=0.07)}
            assert 16_000 * (seconds - 0.5) < int(text) <= 16_000 * seconds + 600  # begun with at a pause
        deltas = {one["item_id"]: one["delta"] for one in session.told if one["type"].endswith("delta")}
        assert deltas == dict(zip(ids, texts, strict=True))


async def test_without_turn_detection_it_is_complete_when_the_client_says_so(v1: V1) -> None:
    async with realtime(v1) as session:
        await session.update(**MANUAL)
        for seconds in (1.0, 2.0):
            await session.speak(loud(seconds / 2) + quiet(1) + loud(seconds / 2))
            await session.say("input_audio_buffer.commit")
            assert (await session.next())["type"] == "input_audio_buffer.committed"
            assert int(await session.transcript()) == pytest.approx(16_000 * (seconds + 1), abs=200)


@pytest.mark.parametrize(
    ("format_", "rate", "encode"),
    [
        ({"type": "audio/pcm", "rate": 16_000}, 16_000, bytes),
        ({"type": "audio/pcm"}, 24_000, bytes),
        ({"type": "audio/pcmu"}, 8_000, lambda pcm: bytes(0x0F if at else 0x8F for at in _signs(pcm))),
        ({"type": "audio/pcma"}, 8_000, lambda pcm: bytes(0x3A if at else 0xBA for at in _signs(pcm))),
    ],
)
async def test_each_format_is_as_long_and_as_loud_as_it_was(
    v1: V1, format_: dict[str, Any], rate: int, encode: Any
) -> None:
    async with realtime(v1) as session:
        await session.update(format=format_, **MANUAL)
        await session.speak(encode(loud(1.5, rate)), 997)
        await session.say("input_audio_buffer.commit")
        assert int(await session.transcript()) == pytest.approx(24_000, abs=2)  # nothing: it was not loud


def _signs(pcm: bytes) -> list[bool]:
    return [byte >= 0x80 for byte in pcm[1::2]]


async def test_speech_that_is_one_item_for_its_client_may_be_several_utterances(tmp_path: Path) -> None:
    parts = {"transcription": {"segmenter": {"long_seconds": 2.0, "max_seconds": 4.0}}}
    async with open_v1(tmp_path, **parts) as v1, realtime(v1) as session:
        await session.update(**MANUAL)
        await session.speak((loud(2.2) + quiet(0.3)) * 3)
        await session.say("input_audio_buffer.commit")
        done = await session.first(f"{TRANSCRIPTION}completed")
        assert len(done["transcript"].split()) >= 3
        assert sum(map(int, done["transcript"].split())) == pytest.approx(120_000, abs=2_000)
        assert done["usage"]["seconds"] == pytest.approx(7.5, abs=0.01)
        deltas = [one["delta"] for one in session.told if one["type"].endswith("delta")]
        assert "".join(deltas) == done["transcript"]
        assert {one.get("item_id", done["item_id"]) for one in session.told} == {done["item_id"]}


class Understanding(Engine):
    """A word for every quarter of a second."""

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        said = super().transcribe(utterance, hints)
        return replace(said, text=" ".join(f"w{number}" for number in range(len(utterance.samples) // 4_000)))


@pytest.mark.parametrize("turn_detection", [None, {"type": "server_vad"}])
async def test_text_is_told_while_somebody_still_speaks(
    tmp_path: Path, turn_detection: dict[str, str] | None
) -> None:
    partials = {"partials": {"every_ms": 250, "share": 1.0}}
    async with open_v1(tmp_path, Understanding(), transcription=partials) as v1, realtime(v1) as session:
        await session.update(turn_detection=turn_detection)
        for _ in range(3):
            await session.speak(loud(0.6))
            await session.first(f"{TRANSCRIPTION}delta")
        await session.speak(loud(0.5) + quiet(1))
        await session.say("input_audio_buffer.commit")
        done = await session.first(f"{TRANSCRIPTION}completed")
        kinds = [one["type"] for one in session.told]
        assert kinds.index("input_audio_buffer.committed") > kinds.index(f"{TRANSCRIPTION}delta")
        told = "".join(one["delta"] for one in session.told if one["type"].endswith("delta"))
        assert told == done["transcript"]
        assert told.startswith("w0 w1 w2 w3 w4 w5 w6 w7 w8")


async def test_hints_of_the_client_reach_the_engine_and_those_of_the_house_stay_else(tmp_path: Path) -> None:
    engine = Engine()
    house = {"prompt": "At home.", "hotwords": "Herd"}
    async with open_v1(tmp_path, engine, transcription=house) as v1, realtime(v1) as session:
        asked = {"language": "de-DE", "prompt": "In the kitchen.", "keywords": ["Ada", "Abzug"]}
        for transcription in ({}, asked, {"languages": ["de", "en"]}):
            await session.update(transcription=transcription, **MANUAL)
            await session.speak(loud(0.5))
            await session.say("input_audio_buffer.commit")
            await session.transcript()
    assert engine.hints[-3:] == [
        Hints(prompt="At home.", hotwords="Herd"),
        Hints(language="de", prompt="In the kitchen.", hotwords="Ada, Abzug"),
        Hints(language="auto", prompt="At home.", hotwords="Herd"),
    ]


async def test_what_is_cleared_is_not_understood(v1: V1) -> None:
    async with realtime(v1) as session:
        await session.update(**MANUAL)
        await session.speak(loud(2))
        await session.say("input_audio_buffer.clear")
        assert (await session.first("input_audio_buffer.cleared"))["event_id"]
        await session.say("input_audio_buffer.commit")
        assert (await session.error())["code"] == "input_audio_buffer_commit_empty"
        await session.speak(loud(1))
        await session.say("input_audio_buffer.commit")
        assert int(await session.transcript()) == pytest.approx(16_000, abs=2)


async def test_silence_that_is_committed_has_no_text_and_costs_nothing(tmp_path: Path) -> None:
    engine = Engine()
    async with open_v1(tmp_path, engine) as v1, realtime(v1) as session:
        await session.speak(quiet(2))
        await session.say("input_audio_buffer.commit")
        assert await session.transcript() == ""
        assert engine.lengths == []


async def test_an_utterance_that_is_not_understood_is_told_so_and_the_session_goes_on(tmp_path: Path) -> None:
    engine = Engine()
    engine.poison = {16_000}
    async with open_v1(tmp_path, engine) as v1, realtime(v1) as session:
        await session.update(format={"type": "audio/pcm", "rate": 16_000}, **MANUAL)
        for seconds in (1, 2):
            await session.speak(loud(seconds, 16_000))
            await session.say("input_audio_buffer.commit")
        failed = await session.first(f"{TRANSCRIPTION}failed")
        assert failed["error"]["type"] == "server_error"
        assert "16000 are too many" in failed["error"]["message"]
        assert await session.transcript() == "32000"


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"OpenAI-Beta": "realtime=v1"}},
        {"protocols": ("realtime", "openai-insecure-api-key.none", "openai-beta.realtime-v1")},
    ],
)
async def test_the_betas_names_are_understood_and_used(v1: V1, how: dict[str, Any]) -> None:
    async with realtime(v1, **how) as session:
        assert session.socket.protocol == ("realtime" if "protocols" in how else None)
        assert (await session.next())["type"] == "transcription_session.created"
        given = {
            "input_audio_format": "pcm16",
            "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
            "turn_detection": {**OURS, "silence_duration_ms": 300},
            "input_audio_noise_reduction": {"type": "far_field"},
            "include": ["item.input_audio_transcription.logprobs"],
        }
        await session.say("transcription_session.update", session=given)
        told = (await session.first("transcription_session.updated"))["session"]
        assert {name: told[name] for name in given} == given
        await session.speak(loud(1) + quiet(1))
        await session.transcript()
        kinds = [one["type"] for one in session.told]
        assert "conversation.item.created" in kinds
        assert "conversation.item.added" not in kinds


async def test_who_says_a_beta_message_in_a_present_session_is_answered_in_its_words(v1: V1) -> None:
    async with realtime(v1) as session:
        assert (await session.next())["type"] == "session.created"
        await session.say("transcription_session.update", session={"input_audio_format": "g711_alaw"})
        told = await session.first("transcription_session.updated")
        assert told["session"]["input_audio_format"] == "g711_alaw"


@pytest.mark.parametrize(
    ("query", "model"),
    [("?model=whisper-1", "whisper-1"), ("?model=gpt-realtime", "none"), ("", "none"),
     ("?intent=transcription&model=gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe")],
)  # fmt: skip
async def test_a_model_may_stand_in_the_url(v1: V1, query: str, model: str) -> None:
    async with realtime(v1, query) as session:
        created = await session.next()
        assert created["session"]["audio"]["input"]["transcription"]["model"] == model


UPDATE = '{"type": "session.update", "event_id": "mine", "session": %s}'
IN_AUDIO = '{"type": "transcription", "audio": {"input": %s}}'


@pytest.mark.parametrize(
    ("message", "code", "param", "words"),
    [
        ("", "invalid_json", None, "not JSON"),
        ("{", "invalid_json", None, "not JSON"),
        ("[" * 100_000, "invalid_event", "type", "Expected"),
        ("7", "invalid_event", "type", "Expected"),
        ("{}", "invalid_event", "type", "type"),
        ('{"type": 7}', "invalid_event", "type", "Expected `str`"),
        ('{"type": "hello"}', "invalid_value", "type", "no message 'hello'"),
        ('{"type": "response.create"}', "unsupported_event", "type", "nobody answers"),
        ('{"type": "conversation.item.create", "item": {}}', "unsupported_event", "type", "nobody answers"),
        ('{"type": "input_audio_buffer.append"}', "invalid_value", None, "audio"),
        ('{"type": "input_audio_buffer.append", "audio": 7}', "invalid_value", "audio", "Expected `str`"),
        ('{"type": "input_audio_buffer.append", "audio": "no!"}', None, "audio", "not base64"),
        ('{"type": "input_audio_buffer.append", "audio": "\u00fc"}', None, "audio", "not base64"),
        ('{"type": "input_audio_buffer.commit"}', "input_audio_buffer_commit_empty", None, "100 ms"),
        (UPDATE % '{"type": "realtime"}', "unsupported_session_type", "session.type", "nobody answers"),
        (UPDATE % (IN_AUDIO % '{"format": {"type": "audio/mp3"}}'), None, "session.audio.input.format.type", "mp3"),
        (UPDATE % (IN_AUDIO % '{"format": {"type": "audio/pcm", "rate": 7}}'), None,
         "session.audio.input.format.rate", "7 Hz"),
        (UPDATE % (IN_AUDIO % '{"turn_detection": {"threshold": 2}}'), "invalid_value",
         "session.audio.input.turn_detection", "< 1"),
        (UPDATE % (IN_AUDIO % '{"transcription": {"model": "gpt-9"}}'), "model_not_found", "model", "gpt-9"),
        (UPDATE % (IN_AUDIO % '{"transcription": {"prompt": "%s"}}' % ("x" * 5_000)), "invalid_value",
         "session.audio.input.transcription.prompt", "length"),
        (UPDATE % (IN_AUDIO % '{"transcription": {"language": "klingon"}}'), "unsupported_language", "language",
         "klingon"),
        (UPDATE % '{"input_audio_format": "mp3"}', None, "session.input_audio_format", "pcm16"),
    ],
    ids=range(22),
)  # fmt: skip
async def test_a_wrong_message_is_explained_and_ends_nothing(
    v1: V1, message: str, code: str | None, param: str | None, words: str
) -> None:
    async with realtime(v1) as session:
        before = (await session.next())["session"]["audio"]
        await session.socket.send_str(message)
        told = await session.error()
        assert (told["type"], told["code"], told["param"]) == ("invalid_request_error", code, param)
        assert words in told["message"]
        assert told["event_id"] == ("mine" if "mine" in message else None)
        await session.say("session.update", session={})
        assert (await session.first("session.updated"))["session"]["audio"] == before
        await session.speak(loud(0.5) + quiet(1))
        assert await session.transcript()


async def test_bytes_are_no_message_and_a_sample_may_come_in_two(v1: V1) -> None:
    async with realtime(v1) as session:
        await session.update(format={"type": "audio/pcm", "rate": 16_000}, **MANUAL)
        await session.socket.send_bytes(b"\0\1")
        assert "JSON" in (await session.error())["message"]
        audio = loud(1, 16_000)
        for piece in (audio[:3], audio[3:3], audio[3:1_000], audio[1_000:]):
            await session.say("input_audio_buffer.append", audio=base64.b64encode(piece).decode())
        await session.say("input_audio_buffer.commit")
        assert await session.transcript() == "16000"
