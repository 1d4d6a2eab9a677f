"""Recordings over OpenAI's interface into text, by its own client: every form, every field, and as it is understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.contract.events import ReplyEvent
from tests.gateway.web.api.served import speech
from tests.gateway.web.openai.v1 import V1, error, open_v1
from tests.gateway.works import Engine, loud, quiet
from tests.transcription.recordings import recording, wav
from transcription.audio import from_pcm16
from transcription.transcriber import Segment, Transcript, Word


def file(data: bytes, name: str = "speech.wav") -> tuple[str, bytes]:
    return name, data


class Talking(Engine):
    """Says ``words`` one after the other, an utterance each."""

    def __init__(self, *words: str, language: str = "en") -> None:
        super().__init__()
        self.languages = ("en", "de", "fr")
        self._words = list(words)
        self._language = language

    def transcribe(self, utterance: Any, hints: Any = None) -> Transcript:
        super().transcribe(utterance, hints)
        text = self._words.pop(0) if self._words else "more"
        words = tuple(Word(one, 0.1 * i, 0.1 * i + 0.1, 0.9) for i, one in enumerate(text.split()))
        return Transcript(
            text, self._language, 0.8, 0.1, (Segment(0.0, 1.0, text),), "talking", "none", 0.0,
            words=words if hints.word_timestamps else (),
        )  # fmt: skip


async def test_the_client_gets_the_text(tmp_path: Path) -> None:
    async with open_v1(tmp_path, Talking("set a timer", "for an hour")) as v1:
        told = await v1.client.audio.transcriptions.create(model="whisper-1", file=file(speech(1.0, 1.0)))
    assert told.text == "set a timer for an hour"
    assert told.usage is not None
    assert told.usage.type == "duration"
    assert told.usage.seconds == pytest.approx(4.0, abs=0.05)
    assert [one.code for one in told.languages or []] == ["en"]
    assert "missing" not in (told.model_extra or {})


async def test_plain_text_and_subtitles(tmp_path: Path) -> None:
    async with open_v1(tmp_path, Talking(*["good <day>"] * 9)) as v1:
        create = v1.client.audio.transcriptions.create
        plain = await create(model="whisper-1", file=file(speech(1.0)), response_format="text")
        srt = await create(model="whisper-1", file=file(speech(1.0)), response_format="srt")
        vtt = await create(model="whisper-1", file=file(speech(1.0, 1.0)), response_format="vtt")
    assert plain == "good <day>\n"
    assert str(srt).startswith("1\n00:00:00,")
    assert str(srt).endswith("\ngood (day)\n")
    assert str(vtt).startswith("WEBVTT\n\n00:00:00.")
    assert str(vtt).count("good &lt;day&gt;") == 2


async def test_times_of_segments_and_words(tmp_path: Path) -> None:
    async with open_v1(tmp_path, Talking("one two", "three", "four", "five", "six", language="de")) as v1:
        create = v1.client.audio.transcriptions.create
        both = await create(
            model="whisper-1", file=file(speech(1.0, 1.0)), response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )  # fmt: skip
        segments = await create(model="whisper-1", file=file(speech(1.0)), response_format="verbose_json")
        words = await create(
            model="whisper-1", file=file(speech(1.0)), response_format="verbose_json",
            timestamp_granularities=["word"],
        )  # fmt: skip
        assert [hints.word_timestamps for hints in v1.works.engine.hints] == [True, True, False, True]
    assert (both.language, both.text, both.model_extra) == ("german", "one two three", {"task": "transcribe"})
    assert both.segments is not None
    assert [one.text for one in both.segments] == [" one two", " three"]
    assert [one.id for one in both.segments] == [0, 1]
    assert both.segments[1].avg_logprob == pytest.approx(-0.223, abs=0.001)
    assert both.words is not None
    assert [one.word for one in both.words] == ["one", "two", "three"]
    assert both.words[2].start == pytest.approx(both.segments[1].start, abs=0.001)
    starts = [one.start for one in both.words]
    assert starts == [round(one, 3) for one in starts]  # and not 0.30000000000000004
    assert both.segments[1].end <= both.duration
    assert (segments.words, len(segments.segments or [])) == (None, 1)
    assert (len(words.words or []), words.segments) == (1, None)


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-transcribe", "none"])
async def test_it_comes_as_it_is_understood_whatever_the_model_is_called(tmp_path: Path, model: str) -> None:
    async with open_v1(tmp_path, Talking("set a timer", "for an hour")) as v1:
        stream = await v1.client.audio.transcriptions.create(
            model=model, file=file(speech(1.0, 1.0)), stream=True
        )
        events = [event async for event in stream]
    assert [event.type for event in events] == [
        "transcript.text.delta", "transcript.text.delta", "transcript.text.done",
    ]  # fmt: skip
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert deltas == ["set a timer", " for an hour"]
    (last,) = (event for event in events if event.type == "transcript.text.done")
    assert last.text == "".join(deltas)
    assert last.usage is None


class Halting(Talking):
    """Stops after each utterance, until it is let go."""

    def transcribe(self, utterance: Any, hints: Any = None) -> Transcript:
        said = super().transcribe(utterance, hints)
        self.go.clear()
        return said


async def test_an_utterance_is_told_before_the_next_is_understood(tmp_path: Path) -> None:
    engine = Halting("first", "second")
    async with open_v1(tmp_path, engine) as v1:
        stream = await v1.client.audio.transcriptions.create(
            model="whisper-1", file=file(speech(1.0, 1.0)), stream=True
        )
        told = aiter(stream)
        first = await anext(told)
        assert first.type == "transcript.text.delta"
        assert first.delta == "first"
        assert len(engine.hints) == 1
        engine.go.set()
        assert [event.type async for event in told][-1] == "transcript.text.done"


async def test_nothing_said_is_an_empty_text(v1: V1) -> None:
    create = v1.client.audio.transcriptions.create
    told = await create(model="whisper-1", file=file(wav(quiet(2))), response_format="verbose_json")
    assert (told.text, told.segments, told.language) == ("", [], "")
    stream = await create(model="whisper-1", file=file(wav(quiet(2))), stream=True)
    assert [event.type async for event in stream] == ["transcript.text.done"]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # of their translations
async def test_it_may_ask_to_be_published_as_its_callers_own_words(tmp_path: Path) -> None:
    async with open_v1(tmp_path, Talking("set a timer", "for an hour")) as v1:
        create, asked = v1.client.audio.transcriptions.create, {"publish": True}
        told = await create(model="whisper-1", file=file(speech(1.0, 1.0)), extra_body=asked)
        assert told.text == "set a timer for an hour"
        heard = [await v1.works.result(number) for number in (1, 2)]
        assert [one.text for one in heard] == ["set a timer", "for an hour"]
        assert {one.device_id for one in heard} == {"web-local"}
        await v1.works.reply(heard[0], "for how long?")
        await v1.works.events.first(ReplyEvent, correlation_id=heard[0].correlation_id)
        for refused, way in ((v1.client.audio.translations.create, {}), (create, {"stream": True})):
            with pytest.raises(openai.BadRequestError, match="neither streamed nor translated"):
                await refused(model="whisper-1", file=file(speech(1.0)), extra_body=asked, **way)
        await create(model="whisper-1", file=file(speech(1.0)))
        assert len(v1.works.results.items) == 2


# -- what is told of how it is heard


async def hints_of(v1: V1, **fields: Any) -> Any:
    given: dict[str, Any] = {"model": "whisper-1", "file": file(speech(1.0)), **fields}
    await v1.client.audio.transcriptions.create(**given)
    return v1.works.engine.hints[-1]


async def test_prompt_keywords_and_language_are_hints(tmp_path: Path) -> None:
    configured = {"prompt": "as ever", "hotwords": "Earshot"}
    async with open_v1(tmp_path, Talking(), transcription=configured) as v1:
        plain = await hints_of(v1, temperature=0.4, include=["logprobs"])
        assert (plain.language, plain.prompt, plain.hotwords) == (None, "as ever", "Earshot")
        told = await hints_of(v1, prompt="Dear Ann,", keywords=["Nanit", "Ecobee"], language="German")
        assert (told.language, told.prompt, told.hotwords) == ("de", "Dear Ann,", "Nanit, Ecobee")
        assert (await hints_of(v1, prompt="")).prompt == ""
        assert (await hints_of(v1, extra_body={"hotwords": "Herd"})).hotwords == "Herd"


@pytest.mark.parametrize(
    ("fields", "language"),
    [
        ({"language": "de-AT"}, "de"),
        ({"language": "auto"}, "auto"),
        ({"languages": ["fr"]}, "fr"),
        ({"languages": ["en", "de"]}, "auto"),
        ({"languages": ["de", "ja"]}, "de"),
        ({"language": "en", "languages": ["de"]}, "en"),
    ],
)
async def test_languages(tmp_path: Path, fields: dict[str, Any], language: str) -> None:
    async with open_v1(tmp_path, Talking(), journal=None) as v1:
        assert (await hints_of(v1, **fields)).language == language


async def test_where_it_is_cut_can_be_told(tmp_path: Path) -> None:
    said = wav(loud(1.0) + quiet(1.2) + loud(1.0) + quiet(1))
    async with open_v1(tmp_path, Engine()) as v1:
        create = v1.client.audio.transcriptions.create
        apart = await create(model="whisper-1", file=file(said), chunking_strategy="auto")
        together = await create(
            model="whisper-1",
            file=file(said),
            chunking_strategy={"type": "server_vad", "silence_duration_ms": 1500},
        )
        assert (len(apart.text.split()), len(together.text.split())) == (2, 1)
        for strategy in (
            {"type": "server_vad", "threshold": 7},
            {"type": "server_vad", "silence_duration_ms": 1},
        ):
            with pytest.raises(openai.BadRequestError, match="chunking_strategy"):
                await create(model="whisper-1", file=file(said), chunking_strategy=strategy)  # type: ignore[arg-type]


async def test_what_means_nothing_here_is_told(v1: V1) -> None:
    raw = v1.client.audio.transcriptions.with_raw_response
    answer = await raw.create(
        model="whisper-1", file=file(speech(1.0)), extra_body={"vad_filter": "true", "temperature": 0}
    )
    assert answer.headers["X-Ignored-Fields"] == "vad_filter"
    odd = await raw.create(
        model="whisper-1", file=file(speech(1.0)), extra_body={"a\x01b\x7f\u00e9\u2028c": "x"}
    )
    assert odd.headers["X-Ignored-Fields"] == "a%01b c"
    plain = await raw.create(model="whisper-1", file=file(speech(1.0)), temperature=0)
    assert "X-Ignored-Fields" not in plain.headers


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "whisper-9"}, "model"),
        ({"model": "gpt-4o-transcribe-diarize"}, "model"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"response_format": "papyrus"}, "response_format"),
        ({"response_format": "srt", "stream": True}, "stream"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        (
            {"response_format": "verbose_json", "timestamp_granularities": ["letter"]},
            "timestamp_granularities",
        ),
        ({"temperature": 7}, "temperature"),
        ({"extra_body": {"temperature": "warm"}}, "temperature"),
        ({"extra_body": {"temperature": "nan"}}, "temperature"),
        ({"extra_body": {"stream": "perhaps"}}, "stream"),
        ({"include": ["everything"]}, "include"),
        ({"language": "klingon"}, "language"),
        ({"language": "ja"}, "language"),
        ({"languages": ["ja", "ko"]}, "languages"),
        ({"prompt": "x" * 5000}, "prompt"),
        ({"prompt": "x" * 20_000}, "prompt"),
        ({"keywords": ["x" * 100] * 50}, "keywords"),
        ({"known_speaker_names": ["ann"], "known_speaker_references": ["data:"]}, "known_speaker_names"),
        ({"file": ("speech.wav", b"")}, "file"),
        ({"file": ("speech.wav", b"no sound at all")}, "file"),
        ({"chunking_strategy": "often"}, "chunking_strategy"),
    ],
)
async def test_what_is_wrong_is_told_where_it_is(tmp_path: Path, fields: dict[str, Any], param: str) -> None:
    async with open_v1(tmp_path, Talking(), journal=None) as v1:
        with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as refused:
            await hints_of(v1, **fields)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"
    assert refused.value.request_id


# -- what was not heard


async def test_what_is_missing_of_it_is_told(tmp_path: Path) -> None:
    engine = Engine()
    async with open_v1(tmp_path, engine) as v1:
        create = v1.client.audio.transcriptions.create
        whole = await create(model="whisper-1", file=file(speech(1.0, 2.0)))
        first, second = whole.text.split()
        engine.poison = {int(first)}
        told = await create(model="whisper-1", file=file(speech(1.0, 2.0)))
        assert told.text == second
        ((gap),) = (told.model_extra or {})["missing"]
        assert "too many" in gap["reason"]
        raw = v1.client.audio.transcriptions.with_raw_response
        plain = await raw.create(model="whisper-1", file=file(speech(1.0, 2.0)), response_format="text")
        assert "too many" in plain.headers["X-Missing"]
        engine.poison = {int(first), int(second)}
        with pytest.raises(openai.InternalServerError, match="nothing of it was understood"):
            await create(model="whisper-1", file=file(speech(1.0, 2.0)))


async def test_what_goes_wrong_in_a_stream_is_an_error_of_the_client_s(tmp_path: Path) -> None:
    async with open_v1(tmp_path, Talking("first"), web={"port": 0, "uploads": {"seconds": 5}}) as v1:
        stream = await v1.client.audio.transcriptions.create(
            model="whisper-1", file=file(speech(1.0, 1.0, 1.0, 1.0)), stream=True
        )
        told = aiter(stream)
        assert (await anext(told)).type == "transcript.text.delta"
        with pytest.raises(openai.APIError, match="longer than 5 s"):
            _ = [event async for event in told]


async def test_without_a_model_it_says_what_is_missing(tmp_path: Path) -> None:
    async with open_v1(tmp_path, transcription={"engine": "off"}) as v1:
        with pytest.raises(openai.InternalServerError) as refused:
            await hints_of(v1)
    assert refused.value.status_code == 503
    assert refused.value.response.headers["Retry-After"]


# -- translations

deprecated = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""With whisper-1, says the client, which the interface is not without."""


@deprecated
async def test_a_translation_is_asked_of_the_engine(tmp_path: Path) -> None:
    async with open_v1(tmp_path, Talking("good day", "good day", language="de")) as v1:
        plain = await v1.client.audio.translations.create(model="whisper-1", file=file(speech(1.0)))
        assert plain.text == "good day"
        told = await v1.client.audio.translations.create(
            model="whisper-1", file=file(speech(1.0)), response_format="verbose_json"
        )
        assert (told.language, told.text) == ("english", "good day")
        assert [hints.task for hints in v1.works.engine.hints] == ["translate"] * 2


@deprecated
async def test_a_model_of_one_language_translates_nothing(tmp_path: Path) -> None:
    engine = Talking()
    engine.languages = ("en",)
    async with open_v1(tmp_path, engine) as v1:
        with pytest.raises(openai.BadRequestError, match="translates nothing") as refused:
            await v1.client.audio.translations.create(model="whisper-1", file=file(speech(1.0)))
        assert refused.value.code == "unsupported_model"
        assert engine.hints == []


# -- in which order the parts come


async def test_the_order_of_the_parts_does_not_matter(tmp_path: Path) -> None:
    parts = [
        'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n',
        'Content-Disposition: form-data; name="language"\r\n\r\nde',
        'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1',
    ]
    async with open_v1(tmp_path, Talking(*["ja"] * 6)) as v1:
        for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0)):
            body = b""
            for number in order:
                body += b"--B\r\n" + parts[number].encode() + (speech(1.0) if number == 0 else b"") + b"\r\n"
            headers = {"Content-Type": "multipart/form-data; boundary=B"}
            path = "/audio/transcriptions"
            async with v1.raw("POST", path, data=body + b"--B--\r\n", headers=headers) as response:
                assert json.loads(await response.read())["text"] == "ja"
            assert v1.works.engine.hints[-1].language == "de"
            async with v1.raw("POST", path, data=body, headers=headers) as response:
                assert (await error(response))["code"] == "invalid_multipart"


async def test_a_long_recording_waits_on_the_disk(tmp_path: Path) -> None:
    """Two minutes are 4 MB: more than is kept in memory, and the same text."""
    long = recording(from_pcm16(loud(1.0) + quiet(120) + loud(2.0) + quiet(1)), "wav")
    async with open_v1(tmp_path) as v1:
        told = await v1.client.audio.transcriptions.create(model="whisper-1", file=file(long))
    assert len(told.text.split()) == 2
