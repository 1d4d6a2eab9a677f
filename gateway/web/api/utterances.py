"""What was said: the history, with its words, its timings and its audio, as far as they are kept."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import replace

from firmware_bridge.settings import DeviceId
from firmware_bridge.speech_files import wav_file
from gateway.access.principals import Right
from gateway.contract.messages import AudioFacts, Timings
from gateway.journal import Journal
from gateway.journal.history import History, Selection
from gateway.journal.of_house import HouseAway, HouseHistory, HouseRow, PageKey
from gateway.journal.records import HistoryReply, HistoryRow, redacted_reply
from gateway.pipeline.forgetting import Forgetting
from gateway.web.api.cursors import from_cursor, from_house_cursor, to_cursor, to_house_cursor
from gateway.web.api.operation import AnyCall, Call, Carry, Operation, Token
from gateway.web.entrance.problems import Problem, not_found, unavailable

WAV = "audio/wav"
_BEGIN_ANEW = "ask again without `before`: what this gateway has heard is shown meanwhile"


class Answer(Struct, frozen=True, kw_only=True):
    """What was answered. ``fallback``: nobody did in time, and the text is the gateway's own.

    ``cached``: somebody's part in it was answered before, to the same.
    """

    text: str
    agent: str
    error: str | None
    fallback: bool
    text_to_reply_ms: float
    agents: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    cached: bool = False


class Utterance(Struct, frozen=True, kw_only=True):
    """One utterance. ``spoken_at``: when it began. ``redacted``: its words are kept from everybody.

    ``announcement``: nobody said anything; ``reply`` is what the device is told, and ``speech_to_reply_ms`` how long
    that took.

    ``publish_ms``: from its text to the broker's receipt. ``speech_to_reply_ms``: from the end of speech until its
    device had the answer. 0: that did not happen (yet). ``conversation_id``: empty where it is of none.
    ``flags``, here and of the reply: what the content filter has found in it, or made of it. ``gateway``: which of the
    house heard it, and has its audio; empty: this one, whose house shares no history.
    """

    utterance_id: str
    session_id: str
    user_id: str
    device_id: str
    correlation_id: str
    spoken_at: float
    text: str
    success: bool
    error: str | None
    language: str
    confidence: float
    audio: AudioFacts
    timings: Timings
    publish_ms: float
    reply: Answer | None
    speech_to_reply_ms: float
    has_audio: bool
    redacted: bool
    announcement: bool
    conversation_id: str
    flags: tuple[str, ...] = ()
    gateway: str = ""


class UtterancePage(Struct, frozen=True):
    """Newest first. ``next`` is the cursor of the page after this one; null: there is none.

    ``whole`` false: the store that the house shares is away, or has yet to be told some: what other gateways have heard
    is missing, or what this one heard last.
    """

    utterances: tuple[Utterance, ...]
    next: str | None
    whole: bool = True


class Search(Struct, frozen=True, kw_only=True):
    """Which utterances."""

    q: Annotated[
        str,
        Meta(
            max_length=200,
            description="Words, or parts of words, all of which stand in what was said or answered.",
        ),
    ] = ""
    session_id: Annotated[Token, Meta(description="Of this session.")] | None = None
    conversation_id: Annotated[Token, Meta(description="Of this conversation.")] | None = None
    device_id: Annotated[DeviceId, Meta(description="Of this device.")] | None = None
    user_id: Annotated[Token, Meta(description="Of this user.")] | None = None
    before: Annotated[str, Meta(max_length=64, description="The cursor `next` of the page before.")] = ""
    limit: Annotated[int, Meta(ge=1, le=200, description="Utterances on a page.")] = 50


class WhichUtterance(Struct, frozen=True):
    """Which utterance."""

    utterance_id: Token


async def list_utterances(call: Call[None, Search, None]) -> UtterancePage:
    """A page of them."""
    query, principal = call.query, call.principal
    if query.q and call.parts.running().config.privacy.redact:
        raise unavailable(
            "words are kept from everybody, so nobody can look for them", "set privacy.redact to false"
        )
    wanted = Selection(
        text=query.q,
        session_id=query.session_id or "",
        conversation_id=query.conversation_id or "",
        device_id=query.device_id or "",
        user_id=query.user_id or "",
        users=principal.users,
        devices=principal.devices,
    )
    own, house = _history(call), call.parts.running().house_history
    key = from_house_cursor(query.before)
    if house is not None and (key is not None or not query.before):
        try:
            return await _page_of_house(call, house, wanted, key)
        except HouseAway as away:
            if key is not None:
                raise unavailable(f"{away}, and this page is of the whole house", _BEGIN_ANEW) from away
    rows = await own.page(replace(wanted, before=from_cursor(query.before)), query.limit + 1)
    page = rows[: query.limit]
    more = to_cursor(page[-1].number) if len(rows) > query.limit else None
    return UtterancePage(tuple(shown(row, call) for row in page), more, house is None)


async def _page_of_house(
    call: Call[None, Search, None], house: HouseHistory, wanted: Selection, before: PageKey | None
) -> UtterancePage:
    page = await house.page(wanted, before, call.query.limit)
    more = None if page.more is None else to_house_cursor(page.more)
    return UtterancePage(tuple(shown(one.row, call, one.gateway) for one in page.rows), more, page.whole)


async def show_utterance(call: Call[WhichUtterance, None, None]) -> Utterance:
    """One of them."""
    found = await _find(call, _history(call))
    return shown(found.row, call, found.gateway)


async def play_utterance(call: Call[WhichUtterance, None, None]) -> web.Response:
    """Its audio, or the part of it that is asked for."""
    history = _history(call)
    found = await _find(call, history)
    row = found.row
    pcm = await history.audio(row.utterance_id) if shown(row, call).has_audio else None
    if pcm is None and found.gateway:
        raise not_found(f"audio: if it is kept, the gateway {found.gateway} has it")
    if pcm is None:
        raise not_found("audio: it is not kept (journal.keep_audio), or not any more (history.audio_days)")
    return ranged(call.request, wav_file(pcm))


async def erase_utterance(call: Call[WhichUtterance, None, None]) -> None:
    """For good."""
    found = await _find(call, journal_of(call).history)
    await forgetting_of(call).utterance(found.row.utterance_id, found.row.correlation_id)
    await tell_house(call)


async def tell_house(call: AnyCall) -> None:
    """Whoever asks for it again does not find it; while the store is away, other gateways are told later."""
    if (house := call.parts.running().house_history) is not None:
        await house.caught_up()


def ranged(request: web.Request, whole: bytes) -> web.Response:
    """A file, or the range of it that is asked for. Raises Problem (416)."""
    headers = {"Accept-Ranges": "bytes"}
    try:
        wanted = request.http_range
        start, stop, _ = wanted.indices(len(whole))
    except ValueError:
        wanted, start, stop = slice(None), 0, len(whole)  # what cannot be understood is ignored (RFC 9110)
    if wanted == slice(None, None, 1) or wanted == slice(None):
        return web.Response(body=whole, content_type=WAV, headers=headers)
    if start >= stop:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"it has {len(whole)} bytes",
            headers={"Content-Range": f"bytes */{len(whole)}"},
        )
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(whole)}"
    return web.Response(
        body=whole[start:stop], status=HTTPStatus.PARTIAL_CONTENT, content_type=WAV, headers=headers
    )


async def _find(call: Call[WhichUtterance, None, None], history: History) -> HouseRow:
    """Here, or in the whole house. Raises Problem."""
    utterance_id = call.path.utterance_id
    own = await history.utterance(utterance_id)
    found = HouseRow("", own) if own is not None else await _elsewhere(call, utterance_id)
    if found is None or not call.principal.sees(user_id=found.row.user_id, device_id=found.row.device_id):
        raise not_found("utterance")
    return found


async def _elsewhere(call: AnyCall, utterance_id: str) -> HouseRow | None:
    house = call.parts.running().house_history
    if house is None:
        return None
    try:
        return await house.utterance(utterance_id)
    except HouseAway as away:
        raise unavailable(f"this gateway has not heard it, and {away}", "ask again later") from away


def journal_of(call: AnyCall) -> Journal:
    """Where the history is, to erase from it even when it is switched off. Raises Problem."""
    journal = call.parts.running().journal
    if not isinstance(journal, Journal):
        raise unavailable("there is no history without a journal", "set journal.enabled to true")
    return journal


def forgetting_of(call: AnyCall) -> Forgetting:
    """Raises Problem."""
    journal_of(call)
    forgetting = call.parts.running().forgetting
    assert forgetting is not None  # where there is a journal
    return forgetting


def _history(call: AnyCall) -> History:
    """The history, to look into. Raises Problem."""
    journal = journal_of(call)
    if not call.parts.running().config.history.enabled:
        raise unavailable("the history is switched off", "set history.enabled to true")
    return journal.history


def shown(row: HistoryRow, call: AnyCall, gateway: str = "") -> Utterance:
    """A row as it may be seen: words of the time before redaction are kept back, too."""
    redact = row.redacted or call.parts.running().config.privacy.redact
    reply = row.reply
    if redact and reply is not None:
        reply = redacted_reply(reply)
    return Utterance(
        utterance_id=row.utterance_id,
        session_id=row.session_id,
        user_id=row.user_id,
        device_id=row.device_id,
        correlation_id=row.correlation_id,
        spoken_at=row.spoken_at,
        text="" if redact else row.text,
        success=row.success,
        error=row.error,
        language=row.language,
        confidence=row.confidence,
        audio=row.audio,
        timings=row.timings,
        publish_ms=row.publish_ms,
        reply=None if reply is None else _answer(reply),
        speech_to_reply_ms=row.speech_to_reply_ms,
        has_audio=row.has_audio and not redact,
        redacted=redact,
        announcement=row.is_announcement,
        conversation_id=row.conversation_id,
        flags=row.flags,
        gateway=gateway,
    )


def _answer(reply: HistoryReply) -> Answer:
    return Answer(
        text=reply.text,
        agent=reply.agent,
        error=reply.error,
        fallback=reply.fallback,
        text_to_reply_ms=reply.text_to_reply_ms,
        agents=reply.agents,
        missing=reply.missing,
        flags=reply.flags,
        cached=reply.cached,
    )


_MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)

OPERATIONS = (
    Operation(
        name="listUtterances", method="GET", path="/utterances", right=Right.LISTEN, run=list_utterances,
        summary="What was said, newest first", query=Search, answer=UtterancePage,
        problems=(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE), carry=Carry.BY_THE_STORE,
    ),
    Operation(
        name="showUtterance", method="GET", path="/utterances/{utterance_id}", right=Right.LISTEN,
        run=show_utterance, summary="One utterance", path_type=WhichUtterance, answer=Utterance, problems=_MISSING,
        carry=Carry.BY_THE_STORE,
    ),
    Operation(
        name="eraseUtterance", method="DELETE", path="/utterances/{utterance_id}", right=Right.OPERATE,
        run=erase_utterance, summary="Erase an utterance, words and audio", path_type=WhichUtterance, problems=_MISSING,
        carry=Carry.BY_THE_STORE,
    ),
    Operation(
        name="playUtterance", method="GET", path="/utterances/{utterance_id}/audio", right=Right.LISTEN,
        run=play_utterance, summary="The audio of an utterance, as long as it is kept; takes Range",
        path_type=WhichUtterance, produces=(WAV,), problems=(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, *_MISSING),
    ),
)  # fmt: skip
