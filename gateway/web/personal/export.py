"""All that is kept of a user, given to them as one ZIP file: what they said and were answered, and how it sounded.

The file is made as it is sent: no more than one recording of it is in memory, and nothing on the disk.
"""

from __future__ import annotations

import asyncio
import time
import zipfile
from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus
from typing import IO, Annotated, Any, cast

import msgspec
import structlog
from aiohttp import web
from msgspec import Meta, Struct

from firmware_bridge.speech_files import wav_file
from gateway.access.principals import Right
from gateway.journal import JournalError
from gateway.journal.dead_letters import summary, whole
from gateway.journal.history import Selection
from gateway.journal.of_user import OfUser
from gateway.web.api.health import running_version
from gateway.web.api.operation import AnyCall, Call, Operation, Token
from gateway.web.api.utterances import Utterance, journal_of, shown
from gateway.web.entrance.problems import not_found
from gateway.web.personal.kept import kept_elsewhere

log = structlog.get_logger(__name__)

ZIP = "application/zip"
PAGE = 200
"""Utterances that are looked up at once."""
_encode = msgspec.json.Encoder().encode


class WhoseData(Struct, frozen=True):
    """Whose."""

    user_id: Annotated[Token, Meta(description="Everything that is kept of this user.")]


async def export_user(call: Call[WhoseData, None, None]) -> web.StreamResponse:
    """As it is sent. What fails on the way breaks off: a ZIP file without its end is none."""
    user_id = call.path.user_id
    if not call.principal.sees(user_id=user_id, device_id=None):
        raise not_found("user")
    rest = await journal_of(call).history.of_user(user_id)
    response = web.StreamResponse(
        headers={
            "Content-Type": ZIP,
            "Content-Disposition": f'attachment; filename="{user_id}.zip"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(call.request)
    try:
        async for part in _archive(call, user_id, rest):
            await response.write(part)
    except JournalError as error:
        log.warning("an export breaks off", user_id=user_id, reason=str(error))
        if call.request.transport is not None:
            call.request.transport.abort()
    else:
        await response.write_eof()
    return response


class _Sink:
    """Written to like a file that cannot go back; gives what it was given."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """As files have it."""

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def _archive(call: AnyCall, user_id: str, rest: OfUser) -> AsyncIterator[bytes]:
    sink, heard, audible = _Sink(), 0, []
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("utterances.jsonl", "w") as file:
            async for page in _pages(call, user_id):
                heard += len(page)
                audible += [one.utterance_id for one in page if one.has_audio]
                await asyncio.to_thread(file.write, _lines(page))
                yield sink.take()
        redact = call.parts.running().config.privacy.redact
        for name, lines in _rest(rest, redact=redact).items():
            await asyncio.to_thread(archive.writestr, f"{name}.jsonl", _lines(lines))
            yield sink.take()
        sounds = 0
        for utterance_id in audible:
            pcm = await journal_of(call).history.audio(utterance_id)
            if pcm is not None:  # its time came meanwhile
                sounds += 1
                archive.writestr(f"audio/{utterance_id}.wav", wav_file(pcm), zipfile.ZIP_STORED)
                yield sink.take()
        report = {
            "user_id": user_id,
            "made_at": time.time(),
            "earshot": running_version(),
            "words": not redact,
            "counts": {
                "utterances": heard, "audio": sounds, "unheard": len(rest.unheard),
                **{name: len(lines) for name, lines in _rest(rest, redact=redact).items()},
            },
            "kept": await asyncio.to_thread(kept_elsewhere, call, user_id, journal_of(call).path),
        }  # fmt: skip
        archive.writestr("report.json", msgspec.json.format(_encode(report)))
    yield sink.take()


async def _pages(call: AnyCall, user_id: str) -> AsyncIterator[list[Utterance]]:
    """What this gateway has heard, newest first."""
    before = 0
    while rows := await journal_of(call).history.page(Selection(user_id=user_id, before=before), PAGE):
        yield [shown(row, call) for row in rows]
        before = rows[-1].number


def _lines(facts: Iterable[Any]) -> bytes:
    return b"".join(_encode(one) + b"\n" for one in facts)


def _rest(rest: OfUser, *, redact: bool) -> dict[str, list[dict[str, Any]]]:
    """What is no history (yet): the conversations' last turns, what waits, and what could not be done."""
    return {
        "conversations": [
            {
                "correlation_id": one.correlation_id, "conversation_id": one.conversation_id,
                "device_id": one.device_id, "timestamp": one.timestamp, "agent": one.agent,
                "text": "" if redact else one.text, "reply": "" if redact else one.reply,
            }
            for one in rest.turns
        ],
        "waiting": [
            {
                "correlation_id": one.correlation_id, "device_id": one.device_id, "asked_at": one.asked_at,
                "state": one.state, "answer": "" if redact else one.text,
            }
            for one in rest.requests
        ],
        "messages": [
            {
                "message_id": one.message_id, "topic": one.topic, "correlation_id": one.correlation_id,
                "queued_at": one.queued_at, "payload": None if redact else _inside(one.payload),
            }
            for one in rest.letters
        ],
        "dead_letters": [
            {**summary(one), "contents": None if redact else whole(one)} for one in rest.dead_letters
        ],
    }  # fmt: skip


def _inside(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return payload.decode("utf-8", "replace")


OPERATIONS = (
    Operation(
        name="exportUser", method="GET", path="/users/{user_id}/data", right=Right.OPERATE, run=export_user,
        summary="All that is kept of a user, words and audio, as a ZIP file", path_type=WhoseData, produces=(ZIP,),
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
)  # fmt: skip
