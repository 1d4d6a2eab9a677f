"""Recordings over HTTP, whichever interface they came by: their bytes, whether somebody waits, and what is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from aiohttp import web

from gateway.contract.messages import WantedHints
from gateway.pipeline.asking.typed_text import CannotSay, Speaker
from gateway.pipeline.recorded_speech import SaidRecording
from gateway.pipeline.recordings import refusals
from gateway.pipeline.recordings.refusals import FileRefused
from gateway.pipeline.recordings.transcribing import RecordingText
from gateway.settings.web import UploadSettings
from gateway.web.entrance.problems import Problem, misfit, unavailable
from gateway.web.parts import RunningParts
from transcription.errors import ModelUnavailable, TranscriptionError

MISSING_HEADER = "X-Missing"
MISSING_IN_HEADER = 20
_NOT_IN_HEADERS = re.compile("[^ -~]+")

_STATUS: dict[type[FileRefused], HTTPStatus] = {
    refusals.TooManyFiles: HTTPStatus.TOO_MANY_REQUESTS,
    refusals.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    refusals.TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    refusals.NoDisk: HTTPStatus.SERVICE_UNAVAILABLE,
    refusals.Stopped: HTTPStatus.SERVICE_UNAVAILABLE,
}


@contextmanager
def refused_as_problems(place: str) -> Iterator[None]:
    """What is refused in here is raised as a Problem. ``place``: where the recording stands in the request."""
    try:
        yield
    except FileRefused as error:
        raise _refusal(error, place) from error
    except CannotSay as error:
        raise unavailable(str(error), "try again soon") from error
    except ModelUnavailable as error:
        raise unavailable(str(error), error.remedy) from error
    except TranscriptionError as error:
        raise unavailable(str(error), "try again soon") from error


def check_length(request: web.Request, settings: UploadSettings) -> None:
    """Whether a body that says how long it is may come at all. Raises Problem."""
    if (request.content_length or 0) > settings.megabytes * 1024 * 1024:
        too_large = f"it has more than {settings.megabytes} MiB (web.uploads.megabytes)"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large)


async def body_of(request: web.Request) -> AsyncIterator[bytes]:
    """Its pieces as they come."""
    async for piece in request.content.iter_any():
        yield piece


async def put_recording(
    request: web.Request, running: RunningParts, speaker: Speaker, wanted: WantedHints
) -> SaidRecording:
    """The request's body, to the orchestrators as what that device has heard. Raises Problem."""
    check_length(request, running.config.web.uploads)
    pipeline, settings = running.pipeline, running.config.transcription
    with refused_as_problems("body"), pipeline.transcribing.place(speaker.owner) as place:
        said = await pipeline.recorded.put(place, body_of(request), speaker, settings, wanted)
    return whole(said, "body")


def whole(said: SaidRecording, place: str) -> SaidRecording:
    """One that was heard to its end. Raises Problem; ``place``: where it stands in the request."""
    if isinstance(said.failure, FileRefused):
        raise _refusal(said.failure, place, _already(said)) from said.failure
    if said.failure is not None:
        raise said.failure
    return said


def _already(said: SaidRecording) -> str:
    """What cannot be taken back."""
    if not said.utterances:
        return ""
    return f"; {len(said.utterances)} utterances before that are said, in the session {said.session_id}"


def is_gone(request: web.Request) -> bool:
    """Whether nobody waits for an answer any more."""
    return request.transport is None or request.transport.is_closing()


def missing_header(recording: RecordingText) -> dict[str, str]:
    """What could not be heard, for answers that have no place for it; empty: everything was."""
    gaps = recording.absent[:MISSING_IN_HEADER]
    missing = "; ".join(f"{gap.at:.1f} s: {gap.reason}" for gap in gaps)
    return {MISSING_HEADER: in_header(missing)} if missing else {}


def in_header(text: str) -> str:
    """What of it may stand in a header: whoever sent it may have put anything into it."""
    return " ".join(_NOT_IN_HEADERS.sub(" ", text).split())


def _refusal(error: FileRefused, place: str, already: str = "") -> Problem:
    if isinstance(error, refusals.NoRecording):
        return misfit(place, f"{error}{already}")
    headers = {"Retry-After": "10"} if isinstance(error, refusals.TooManyFiles) else {}
    return Problem(_STATUS[type(error)], f"{error}{already}", headers=headers)
