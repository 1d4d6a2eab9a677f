"""Listeners that speak over their WebSocket, and what they may not say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from gateway.client.listener import GatewayUnreachable, Listener
from gateway.contract.events import (
    ErrorEvent,
    ListenerEvent,
    ReplyEvent,
    SaidEvent,
    SnapshotEvent,
    TranscriptionEvent,
    decode_event,
)
from gateway.pipeline.asking.typed_text import MAX_CHARACTERS
from tests.gateway.events import reply
from tests.gateway.web.house import PATIENCE, House
from tests.gateway.web.site import Site, open_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


async def receive(ws: ClientWebSocketResponse, kind: type[ListenerEvent]) -> ListenerEvent:
    """The next event of this kind."""
    while True:
        event = decode_event(await ws.receive_str(timeout=PATIENCE))
        if isinstance(event, kind):
            return event


async def test_text_in_and_its_answer_out(site: Site, client: ClientSession) -> None:
    async with client.ws_connect(site.url + "ws") as ws:
        await ws.send_str('{"type":"subscribe","kinds":["transcription","reply"]}')
        await ws.send_str('{"type":"say","text":"turn on the light","ref":"7"}')
        said = await receive(ws, SaidEvent)
        assert isinstance(said, SaidEvent)
        assert (said.device_id, said.ref) == ("web-local", "7")
        heard = await site.parts.result(correlation_id=said.correlation_id)
        await site.parts.reply(heard, "The light ", final=False)
        await site.parts.reply(heard, "The light is on.")
        while not (isinstance(event := await receive(ws, ReplyEvent), ReplyEvent) and event.final):
            assert event.correlation_id == said.correlation_id
        assert event.text == "The light is on."


async def test_what_answers_a_listener_is_no_event_to_resume_after(site: Site, client: ClientSession) -> None:
    hub, words = site.parts.hub, ["before", "between", "after", "missed"]
    async with client.ws_connect(site.url + "ws") as ws:
        await ws.send_str('{"type":"subscribe","kinds":["reply"]}')
        await receive(ws, SnapshotEvent)
        hub.publish(reply(words[0]))
        first = await receive(ws, ReplyEvent)
        for message, kind in (('{"type":"say","text":"hm"}', SaidEvent), ("hello?", ErrorEvent)):
            await ws.send_str(message)
            answer = await receive(ws, kind)
            assert (answer.epoch, answer.seq) == ("", 0)
    for text in words[1:]:
        hub.publish(reply(text))
    async with client.ws_connect(site.url + "ws") as ws:
        cursor = {"epoch": first.epoch, "seq": first.seq}
        await ws.send_json({"type": "subscribe", "kinds": ["reply"], **cursor})
        missed = [await receive(ws, ReplyEvent) for _ in words[1:]]
        assert [event.text for event in missed if isinstance(event, ReplyEvent)] == words[1:]


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ('{"type":"say","text":""}', "not_said", "nothing to say"),
        (json.dumps({"type": "say", "text": "x" * (MAX_CHARACTERS + 1)}), "not_said", "more than 4000"),
        ('{"type":"say","text":"\\u0007"}', "not_said", "control characters"),
        ('{"type":"say"}', "ignored", "missing required field `text`"),
        ('{"type":"say","text":1}', "ignored", "Expected `str`"),
        ('{"type":"say","text":"a","to":"all"}', "ignored", "unknown field `to`"),
        ('{"type":"say","text":"\\ud800"}', "ignored", "truncated"),
        ('{"type":"subscribe"}', "ignored", "Invalid value 'subscribe'"),
        ("hello?", "ignored", "malformed"),
        ("[" * 60_000, "ignored", "not a say message"),
    ],
)
async def test_what_is_not_said_does_no_harm(
    site: Site, client: ClientSession, message: str, code: str, reason: str
) -> None:
    async with client.ws_connect(site.url + "ws") as ws:
        await ws.send_str('{"type":"subscribe"}')
        await receive(ws, SnapshotEvent)
        await ws.send_str(message)
        error = await receive(ws, ErrorEvent)
        assert isinstance(error, ErrorEvent)
        assert (error.code, error.closes) == (code, False)
        assert reason in error.reason
        await ws.send_str('{"type":"say","text":"and now?"}')
        await receive(ws, SaidEvent)


async def test_a_say_before_the_subscription_is_none(site: Site, client: ClientSession) -> None:
    async with client.ws_connect(site.url + "ws") as ws:
        await ws.send_str('{"type":"say","text":"hello"}')
        error = await receive(ws, ErrorEvent)
        assert isinstance(error, ErrorEvent)
        assert error.closes


async def test_before_the_gateway_is_up_nothing_can_be_said(house: House, client: ClientSession) -> None:
    async with client.ws_connect(house.url + "ws") as ws:
        await ws.send_str('{"type":"subscribe"}')
        await ws.send_str('{"type":"say","text":"hello","ref":"1"}')
        error = await receive(ws, ErrorEvent)
        assert isinstance(error, ErrorEvent)
        assert (error.code, error.ref) == ("not_said", "1")
        assert "starting or stopping" in error.reason
        house.publish(reply())
        await receive(ws, ReplyEvent)


async def test_a_listener_that_speaks_and_leaves_at_once(site: Site, client: ClientSession) -> None:
    async with client.ws_connect(site.url + "ws") as ws:
        await ws.send_str('{"type":"subscribe"}')
        await receive(ws, SnapshotEvent)
        await ws.send_str('{"type":"say","text":"bye"}')
    heard = await site.parts.result(text="bye")
    await site.parts.reply(heard, "gone already?")
    await site.parts.events.first(ReplyEvent)
    await site.parts.idle()


class TestListener:
    async def test_ten_lines_that_listen_and_answer(self, site: Site) -> None:
        async with Listener(site.url) as listener:
            assert isinstance(await anext(listener), SnapshotEvent)
            await listener.say("turn on the light")
            heard = await site.parts.result()
            await site.parts.reply(heard, "The light is on.")
            kinds: list[type] = []
            async with asyncio.timeout(PATIENCE):
                async for event in listener:
                    kinds.append(type(event))
                    if isinstance(event, ReplyEvent):
                        break
            assert event.text == "The light is on."
            assert SaidEvent in kinds
            assert TranscriptionEvent in kinds

    async def test_what_cannot_be_said_is_an_event_too(self, site: Site) -> None:
        async with Listener(site.url) as listener:
            assert isinstance(await anext(listener), SnapshotEvent)
            await listener.say("")
            error = await anext(listener)
            assert isinstance(error, ErrorEvent)
            assert error.code == "not_said"
            await listener.say("better")

    async def test_nobody_is_there_to_hear_it(self, site: Site) -> None:
        listener = Listener(site.url)
        with pytest.raises(GatewayUnreachable):
            await listener.say("hello")
