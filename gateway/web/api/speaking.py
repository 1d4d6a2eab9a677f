"""Saying something: to the orchestrators as a listener, for them as an answer, and to a device without being asked."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from gateway.access.needed import Open
from gateway.access.principals import Right
from gateway.broker.base import BrokerError, BrokerUnavailable, RoutingKey
from gateway.contract.messages import (
    ERROR_CHARACTERS,
    REPLIES_TOPIC,
    OrchestratorReply,
    WantedHints,
    encode,
    new_id,
)
from gateway.pipeline.asking.typed_text import MAX_CHARACTERS, BadText, CannotSay, MayNotSpeak, Said
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.telling.announcements import CannotAnnounce, KeptBack
from gateway.web.api.devices import DeviceName
from gateway.web.api.operation import Call, Carry, Operation
from gateway.web.entrance.problems import Problem, misfit, no_device, not_found, unavailable
from gateway.web.parts import RunningParts

_Text = Annotated[str, Meta(min_length=1, max_length=MAX_CHARACTERS)]


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said. ``hints``: its language, and how the listener's own speech is heard from then on."""

    text: _Text
    hints: WantedHints | None = None


class Announcement(Struct, frozen=True, forbid_unknown_fields=True):
    """Text for a device. ``keep_seconds``: how long it is kept for one that is away."""

    text: _Text
    keep_seconds: Annotated[float, Meta(gt=0, le=604_800)] = 86_400.0


class Announced(Struct, frozen=True):
    """By what the announcement is known: its reply and delivery events have this id."""

    correlation_id: str


class Ticket(Struct, frozen=True):
    """What an agent of kind webhook was told as its ``reply_url``: which question, and the secret that it goes by."""

    ticket: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,100}\.[A-Za-z0-9_-]{1,100}$")]


class LaterReply(Struct, frozen=True, forbid_unknown_fields=True):
    """An answer that took longer; its parts are those of a reply. ``final`` false: more follows, and is appended."""

    text: Annotated[str, Meta(max_length=1024 * 1024)] = ""
    final: bool = True
    error: Annotated[str, Meta(max_length=ERROR_CHARACTERS)] | None = None
    interim: bool = False
    progress: Annotated[str, Meta(max_length=1_000)] = ""
    understood: bool = True
    acted: bool = False
    confidence: Annotated[float, Meta(ge=0, le=1)] = 0.0
    data: Annotated[dict[str, Any], Meta(max_length=1_000)] | None = None
    hints: WantedHints | None = None
    message_id: Annotated[str, Meta(max_length=200)] = ""


class Replied(Struct, frozen=True):
    """The broker has the reply, this safely (`memory`, `os`, `fsync` or `quorum`)."""

    correlation_id: str
    message_id: str
    durability: str


async def say(call: Call[None, None, Words]) -> Said:
    """Put a text to the orchestrators as if a device had heard it."""
    try:
        return await call.parts.running().pipeline.say(call.body.text, call.principal, call.body.hints)
    except BadText as error:
        raise misfit("text", str(error)) from error
    except MayNotSpeak as error:
        raise Problem(HTTPStatus.FORBIDDEN, str(error)) from error
    except CannotSay as error:
        raise unavailable(str(error), "try again soon") from error


async def reply(call: Call[None, None, OrchestratorReply]) -> Replied:
    """Publish an answer for whoever waits for it."""
    running, body = call.parts.running(), call.body
    request = running.pipeline.asked(body.correlation_id)
    if request is None or not call.principal.sees(user_id=request.user_id, device_id=request.device_id):
        raise not_found("request; an answer is awaited for a while only (orchestrator.late_seconds)")
    if body.session_id != request.session_id:
        raise misfit("session_id", "is not the request's")
    return await _published(running, request, body)


async def _published(running: RunningParts, request: UtteranceName, body: OrchestratorReply) -> Replied:
    body = structs.replace(
        body, message_id=body.message_id or new_id("m"), timestamp=body.timestamp or time.time()
    )
    key = RoutingKey(request.user_id, request.device_id, request.session_id)
    try:
        receipt = await running.broker.publish(
            REPLIES_TOPIC,
            key,
            encode(body),
            correlation_id=body.correlation_id,
            message_id=body.message_id,
        )
    except BrokerUnavailable as error:
        raise unavailable(f"the broker is away: {error}", error.remedy or "try again soon") from error
    except BrokerError as error:
        raise unavailable(f"the broker does not take it: {error}", "try again soon") from error
    return Replied(body.correlation_id, body.message_id, receipt.durability.value)


async def reply_later(call: Call[Ticket, None, LaterReply]) -> Replied:
    """Publish an answer, or a piece of one, in the name of the agent that was asked with this address."""
    running, body = call.parts.running(), call.body
    correlation_id, _, request_id = call.path.ticket.partition(".")
    request, agent = (
        running.pipeline.asked(correlation_id),
        running.pipeline.awaited(correlation_id, request_id),
    )
    if request is None or not agent:
        raise not_found("question behind this address; it is over, or was never asked")
    told = OrchestratorReply(
        correlation_id=correlation_id,
        session_id=request.session_id,
        request_id=request_id,
        agent=agent,
        **structs.asdict(body),
    )
    return await _published(running, request, told)


async def announce(call: Call[DeviceName, None, Announcement]) -> Announced:
    """Tell a device something, now or when it comes back."""
    running, device_id = call.parts.running(), call.path.device_id
    user_id = running.pipeline.user(device_id)
    if not running.pipeline.knows(device_id) or not call.principal.sees(user_id=user_id, device_id=device_id):
        raise no_device()
    text = call.body.text.strip()
    if not text:
        raise misfit("text", "there is nothing to say")
    try:
        correlation_id = await running.pipeline.announcements.announce(
            device_id,
            user_id,
            text,
            call.principal.name,
            call.body.keep_seconds,
            owner=call.principal.owner,
        )
    except KeptBack as error:
        raise misfit("text", str(error)) from error
    except CannotAnnounce as error:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS, str(error), remedy="wait until the device has taken some"
        ) from error
    return Announced(correlation_id)


OPERATIONS = (
    Operation(
        name="say", method="POST", path="/say", right=Right.SPEAK, run=say, body=Words, answer=Said,
        status=HTTPStatus.ACCEPTED, summary="Say something as a listener; the answer comes as events",
        problems=(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
        carry=Carry.TO_ANYBODY,
    ),
    Operation(
        name="reply", method="POST", path="/replies", right=Right.REPLY, run=reply, body=OrchestratorReply,
        answer=Replied, status=HTTPStatus.ACCEPTED, summary="Answer a transcript, or a piece of an answer",
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
        carry=Carry.TO_WHOEVER_KNOWS,
    ),
    Operation(
        name="replyLater", method="POST", path="/replies/{ticket}", right=Open.TICKETED, run=reply_later,
        path_type=Ticket, body=LaterReply, answer=Replied, status=HTTPStatus.ACCEPTED,
        summary="Answer what this address was given for, or a piece of it; the address lets in, and for that alone",
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
        carry=Carry.TO_WHOEVER_KNOWS,
    ),
    Operation(
        name="announce", method="POST", path="/devices/{device_id}/announcements", right=Right.REPLY, run=announce,
        path_type=DeviceName, body=Announcement, answer=Announced, status=HTTPStatus.ACCEPTED,
        summary="Tell a device something, now or when it comes back",
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS),
        carry=Carry.TO_ITS_GATEWAY,
    ),
)  # fmt: skip
