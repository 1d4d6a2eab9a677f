"""What the fields of a request say about how it is heard, and how it is answered. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from msgspec import Struct

from gateway.web.openai.cutting import cut_as_asked
from gateway.web.openai.errors import WrongRequest
from gateway.web.openai.fields import FormFields, check_choice
from gateway.web.openai.languages import asked_language
from gateway.web.openai.names import own_name
from transcription.settings import SegmenterSettings, TranscriptionSettings
from transcription.transcriber import Hints

FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt")
DIARIZED: Final = "diarized_json"
MOST_CHARACTERS: Final = 4_000
"""Of a prompt, and of all keywords: the model reads some 150 words of both together."""
Task = Literal["transcribe", "translate"]


class ServerVad(Struct, frozen=True, tag_field="type", tag="server_vad", forbid_unknown_fields=True):
    """Where it is cut, in OpenAI's words; what is left out is as configured."""

    threshold: float | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """``words`` and ``segments``: which times are told in ``verbose_json``.

    ``publish``: it is put to the orchestrators, too, as what the caller's own device has heard.
    """

    model: str
    form: str
    stream: bool
    hints: Hints
    cut: SegmenterSettings
    words: bool
    segments: bool
    publish: bool


def options(
    fields: FormFields, task: Task, settings: TranscriptionSettings, languages: Sequence[str]
) -> Options:
    """All of it. ``languages``: those that the model knows; none: nobody knows. Raises WrongRequest."""
    model = fields.one("model")
    if not model:
        raise WrongRequest("`model` is missing", "model", "missing_required_parameter")
    form = _form(fields)
    stream = fields.flag("stream")
    if stream and form != "json":
        raise WrongRequest(f"`stream` goes with the response_format json, not with {form}", "stream")
    granularities = fields.choices("timestamp_granularities", ("word", "segment"))
    if granularities and form != "verbose_json":
        raise WrongRequest("`timestamp_granularities` go with verbose_json", "timestamp_granularities")
    if "word" in granularities and task == "translate":
        raise WrongRequest("what is translated has no words with times", "timestamp_granularities")
    publish = fields.flag("publish")  # our own
    if publish and (stream or task == "translate"):
        raise WrongRequest("what is published is neither streamed nor translated", "publish")
    _no_speakers(fields)
    fields.number("temperature", 0, 1)  # nothing is left to chance here
    fields.choices("include", ("logprobs",))
    return Options(
        model=model,
        form=form,
        stream=stream,
        hints=_hints(fields, task, settings, languages, words="word" in granularities),
        cut=_cut(fields, settings.segmenter),
        words="word" in granularities,
        segments=not granularities or "segment" in granularities,
        publish=publish,
    )


def _form(fields: FormFields) -> str:
    form = fields.one("response_format") or "json"
    if form == DIARIZED:
        raise WrongRequest(
            f"`response_format` {DIARIZED} tells speakers apart, which nobody here can: take verbose_json",
            "response_format",
            "unsupported_value",
        )
    check_choice("response_format", form, FORMATS)
    return form


def _no_speakers(fields: FormFields) -> None:
    for name in ("known_speaker_names", "known_speaker_references"):
        if fields.all(name):
            raise WrongRequest(f"`{name}` tell speakers apart, which nobody here can", name)


def _hints(
    fields: FormFields, task: Task, settings: TranscriptionSettings, languages: Sequence[str], *, words: bool
) -> Hints:
    if task == "translate" and len(languages) == 1:
        raise WrongRequest(
            f"the model {own_name(settings.model)} knows only one language, and translates nothing: a multilingual one "
            "(base, small) can (transcription.model)",
            "model",
            "unsupported_model",
        )
    prompt, keywords = _text(fields, "prompt"), _keywords(fields)
    return Hints(
        language=asked_language(fields.one("language"), fields.all("languages"), languages),
        prompt=settings.prompt if prompt is None else prompt,
        hotwords=settings.hotwords if keywords is None else keywords,
        word_timestamps=words,
        task=task,
    )


def _text(fields: FormFields, name: str) -> str | None:
    text = fields.one(name)
    if text is not None and len(text) > MOST_CHARACTERS:
        raise WrongRequest(f"`{name}` has more than {MOST_CHARACTERS} characters", name)
    return text


def _keywords(fields: FormFields) -> str | None:
    """As one text; speaches calls them ``hotwords``."""
    found = fields.all("keywords")
    text = ", ".join(word for word in found if word.strip()) if found else _text(fields, "hotwords")
    if text is not None and len(text) > MOST_CHARACTERS:
        raise WrongRequest(f"`keywords` have more than {MOST_CHARACTERS} characters together", "keywords")
    return text


def _cut(fields: FormFields, settings: SegmenterSettings) -> SegmenterSettings:
    """Where it is cut into utterances: as configured, which is what ``auto`` means, but for what is asked for."""
    text, inner = fields.one("chunking_strategy"), fields.within("chunking_strategy")
    pairs = {name: value for name in ("type", *ServerVad.__struct_fields__) if (value := inner.one(name))}
    if not pairs and text in (None, "", "auto"):
        return settings
    try:
        vad = msgspec.convert(pairs, ServerVad, strict=False) if pairs else _vad(text or "")
        return cut_as_asked(settings, vad.threshold, vad.prefix_padding_ms, vad.silence_duration_ms)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise WrongRequest(f"`chunking_strategy`: {error}", "chunking_strategy") from error


def _vad(text: str) -> ServerVad:
    return msgspec.json.decode(text, type=ServerVad)
