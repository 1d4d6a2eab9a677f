"""POST /v1/audio/transcriptions and /v1/audio/translations: a form with a recording in it, and its text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from gateway.adapters.doors import AdapterDoor, NoPlace
from gateway.contract.messages import WantedHints
from gateway.observing.requests.following import correlation_of
from gateway.pipeline.asking.typed_text import own_speaker
from gateway.pipeline.recordings.coming import coming
from gateway.pipeline.recordings.refusals import Stopped
from gateway.pipeline.recordings.spool import Spool
from gateway.pipeline.recordings.transcribing import (
    FilePlace,
    Passage,
    RecordingText,
    Tell,
    untold,
)
from gateway.web.entrance.guard import count_upload, who
from gateway.web.entrance.problems import Problem
from gateway.web.explaining import problem_of
from gateway.web.openai.answers import TextDelta, answer, done
from gateway.web.openai.errors import REQUEST_HEADER, WrongRequest, answer_of
from gateway.web.openai.fields import FormFields
from gateway.web.openai.form import received
from gateway.web.openai.multipart import BadForm, boundary_of
from gateway.web.openai.names import check_name
from gateway.web.openai.options import Options, Task, options
from gateway.web.parts import Parts, RunningParts
from gateway.web.recordings import (
    body_of,
    check_length,
    in_header,
    is_gone,
    missing_header,
    refused_as_problems,
    whole,
)

IGNORED_HEADER = "X-Ignored-Fields"
"""What of a form means nothing here."""
MOST_IGNORED = 400
"""Characters."""


class AudioTexts:
    """Both requests: they differ by what Whisper is asked for."""

    def __init__(self, parts: Parts, door: AdapterDoor) -> None:
        """``door`` counts who is heard."""
        self._parts = parts
        self._door = door

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        """What is said, in the language in which it is."""
        return await self._answered(request, "transcribe")

    async def translate(self, request: web.Request) -> web.StreamResponse:
        """What is said, in English."""
        return await self._answered(request, "translate")

    async def _answered(self, request: web.Request, task: Task) -> web.StreamResponse:
        running = self._parts.running()
        try:
            boundary = boundary_of(request.headers.get("Content-Type", ""))
        except BadForm as error:
            raise WrongRequest(str(error), code="invalid_multipart") from error
        uploads = running.config.web.uploads
        check_length(request, uploads)
        count_upload(request)
        with self._heard(request, running) as place:
            async with Spool() as spool:
                fields = await received(coming(body_of(request), uploads), boundary, spool)
                wanted = self._options(fields, task, running)
                work = _Work(request, running, place, spool, wanted)
                if wanted.stream:
                    return await _Stream(request, _ignored(fields)).follow(work)
                recording = await work.transcribed(untold)
        return _whole(recording, wanted, _ignored(fields))

    @contextmanager
    def _heard(self, request: web.Request, running: RunningParts) -> Iterator[FilePlace]:
        """A place for the request. Raises Problem for whatever is refused, here and while it is held."""
        principal = who(request)
        with refused_as_problems("file"), running.pipeline.transcribing.place(principal.owner) as place:
            try:
                with self._door.place(principal.owner, principal.name):
                    yield place
            except NoPlace as error:
                raise Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from error

    def _options(self, fields: FormFields, task: Task, running: RunningParts) -> Options:
        languages = running.recognizer.state.languages
        wanted = options(fields, task, running.config.transcription, languages)
        check_name(wanted.model, running.model, self._parts.openai.models)
        return wanted


@dataclass(frozen=True, slots=True)
class _Work:
    """A recording that has come whole, and what is wanted of it."""

    request: web.Request
    running: RunningParts
    place: FilePlace
    spool: Spool
    wanted: Options

    async def transcribed(self, tell: Tell) -> RecordingText:
        """All of it, behind what devices say. Raises as ``transcribe_at``, and Problem when nothing was understood."""
        recording = await (self._published() if self.wanted.publish else self._heard(tell))
        failed = [passage.error for passage in recording.passages if passage.error]
        if failed and len(failed) == len(recording.passages):
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"nothing of it was understood: {failed[0]}")
        return recording

    async def _heard(self, tell: Tell) -> RecordingText:
        principal, wanted, pipeline = who(self.request), self.wanted, self.running.pipeline
        return await pipeline.transcribing.transcribe_at(
            self.place,
            self.spool.pieces(),
            wanted.cut,
            wanted.hints,
            lambda: is_gone(self.request),
            priority=pipeline.priority(principal.own_device, principal.own_user),
            tell=tell,
        )

    async def _published(self) -> RecordingText:
        """As it is published. Raises Problem, too, where it was not heard to its end."""
        hints, recorded = self.wanted.hints, self.running.pipeline.recorded
        settings = replace(self.running.config.transcription, segmenter=self.wanted.cut)
        wanted = WantedHints(
            language=hints.language,
            prompt=hints.prompt,
            hotwords=hints.hotwords,
            word_timestamps=hints.word_timestamps,
        )
        speaker = own_speaker(who(self.request))  # whoever may ask for this may speak
        said = await recorded.put(self.place, self.spool.pieces(), speaker, settings, wanted)
        return await whole(said, "file").text()


def _ignored(fields: FormFields) -> dict[str, str]:
    names = in_header(", ".join(fields.ignored()))[:MOST_IGNORED].strip()
    return {IGNORED_HEADER: names} if names else {}


def _whole(recording: RecordingText, wanted: Options, headers: dict[str, str]) -> web.Response:
    body, media_type = answer(recording, wanted)
    charset = "utf-8" if media_type.startswith("text/") else None
    headers = headers | missing_header(recording)
    return web.Response(body=body, content_type=media_type, charset=charset, headers=headers)


class _Stream:
    """Server-sent events: each utterance as it is understood. Until the first, an error has its own status."""

    def __init__(self, request: web.Request, headers: dict[str, str]) -> None:
        self._response: web.StreamResponse | None = None
        self._request = request
        self._headers = headers
        self._said = False

    async def follow(self, work: _Work) -> web.StreamResponse:
        """All of it. Raises Problem, as long as nothing was said."""
        try:
            with refused_as_problems("file"):
                return await self._finish(await work.transcribed(self.tell))
        except Exception as error:
            if self._response is None:
                raise
            return await self._fail(self._response, error)

    async def tell(self, passage: Passage) -> None:
        """The next utterance. Raises Stopped when nobody takes it."""
        if passage.text:
            delta, self._said = f" {passage.text}" if self._said else passage.text, True
            await self._send(TextDelta(delta))

    async def _finish(self, recording: RecordingText) -> web.StreamResponse:
        """All of it, and the end."""
        response = await self._send(done(recording))
        await response.write_eof()
        return response

    async def _fail(self, response: web.StreamResponse, error: Exception) -> web.StreamResponse:
        """It cannot go on: OpenAI's clients raise an error of theirs at this."""
        if not is_gone(self._request):
            await self._send(answer_of(problem_of(error, self._request)))
            await response.write_eof()
        return response

    async def _send(self, event: Struct) -> web.StreamResponse:
        try:
            if self._response is None:
                self._response = await self._begun()
            await self._response.write(b"data: " + msgspec.json.encode(event) + b"\n\n")
        except ConnectionError as error:
            raise Stopped("whoever sent it has gone") from error
        return self._response

    async def _begun(self) -> web.StreamResponse:
        told = {REQUEST_HEADER: correlation_of(self._request), "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=self._headers | told)
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(self._request)
        return response
