"""Redaction: that something was said is seen, what was said is not; devices and the broker get it as ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec import Struct

from firmware_bridge.simulator.user import ReplyShown
from gateway.contract.events import DeliveryEvent, HubEvent, PartialEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import WordTime
from gateway.contract.redaction import redacted
from gateway.hub.hub import Hub
from gateway.journal import Journal
from gateway.journal.history import Selection
from gateway.settings.web import WebSettings
from tests.gateway.events import device, partial, reply, status, transcription
from tests.gateway.works import loud, open_works


def test_what_is_nothing_but_words_is_not_shown_at_all() -> None:
    assert redacted(partial()) is None
    assert redacted(reply("The light", final=False)) is None


@pytest.mark.parametrize("event", [device(), status()])
def test_what_holds_no_words_is_shown_as_it_is(event: HubEvent) -> None:
    assert redacted(event) == event


def test_of_the_rest_everything_is_shown_but_the_words() -> None:
    words = (WordTime(word="turn", start=0.0, end=0.1, probability=1.0),)
    said = msgspec.structs.replace(transcription("turn on"), words=words)
    seen = redacted(said)
    assert seen == msgspec.structs.replace(said, text="", words=(), redacted=True)
    answered = redacted(reply("It is on."))
    assert isinstance(answered, ReplyEvent)
    assert (answered.text, answered.redacted, answered.correlation_id) == ("", True, reply("").correlation_id)
    failed = redacted(msgspec.structs.replace(reply(""), error="no such room: cellar", agent="cellar"))
    assert isinstance(failed, ReplyEvent)
    assert failed.error
    assert "cellar" not in repr(failed)


async def test_a_hub_that_redacts_shows_words_to_nobody_who_listens_or_comes_later() -> None:
    hub = Hub(WebSettings(), redact=True)
    with hub.attach() as outbox:
        assert not hub.is_wanted(partial()), "nobody need work it out"
        for event in (partial("turn"), transcription("turn on"), reply("It is on.")):
            hub.publish(event)
        hub.close()
        seen = [item.text async for item in outbox]
    with hub.attach() as late:
        seen += [item.text async for item in late]
    assert len(seen) == 4, "a snapshot, the transcription, the reply, and the snapshot of who came later"
    assert not [text for text in seen if "turn on" in text or "It is on." in text]


async def test_a_redacted_turn_is_remembered_without_its_words(tmp_path: Path) -> None:
    async with (
        open_works(
            journal=tmp_path / "journal.db", privacy={"redact": True}, journal_settings={"keep_audio": True}
        ) as works,
        works.board() as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        assert heard.text == "16000", "the broker gets the words"
        await works.reply(heard, "secret answer", agent="home")
        said = await saying
        assert said.reply == "secret answer", "the device gets them, too"
        await kitchen.told.first(ReplyShown)
        shown = await works.events.first(TranscriptionEvent)
        assert (shown.text, shown.redacted) == ("", True)
        answered = await works.events.first(ReplyEvent)
        assert (answered.text, answered.redacted) == ("", True)
        await works.events.first(DeliveryEvent)
        await works.settled()
        assert isinstance(works.journal, Journal)
        (row,) = await works.journal.history.page(Selection(), 9)
        assert (row.text, row.redacted, row.audio.seconds) == ("", True, heard.audio.seconds)
        assert row.reply is not None
        assert (row.reply.text, row.reply.agent) == ("", ""), "an orchestrator calls itself what it likes"
        assert row.speech_to_reply_ms > 0


FACTS = {
    "epoch", "session_id", "user_id", "device_id", "correlation_id", "utterance_id", "language", "status", "state",
    "room", "link", "firmware", "notice", "component", "remedy", "detail", "about", "conversation_id", "echo_of",
    "version", "stage", "answers", "gateway", "worker",
}  # fmt: skip
"""Texts of events that are nobody's words."""
TOLD_BY_US = {
    ("transcription", "error"),
    ("device", "reason"),
    ("health", "reason"),
    ("firmware", "reason"),
    ("arbitration", "reason"),
}
"""What the gateway or its engine says of itself."""
SECRET = "rhubarb"


@pytest.mark.parametrize("kind", get_args(HubEvent), ids=lambda kind: str(kind.__struct_config__.tag))
def test_every_text_of_every_event_is_a_fact_or_is_redacted(kind: type[Struct]) -> None:
    """A new field that holds words has to be taken out by `redacted`, or named here."""
    tag = str(kind.__struct_config__.tag)
    texts = {one.name for one in msgspec.structs.fields(kind) if one.type in (str, str | None)}
    names = dict.fromkeys(texts, SECRET)
    sample = {TranscriptionEvent: transcription(), ReplyEvent: reply(), PartialEvent: partial()}
    base = (
        sample.get(kind)
        or {"status": status(), "device": device()}.get(tag)
        or kind(**dict.fromkeys((one.name for one in msgspec.structs.fields(kind) if one.required), ""))
    )
    seen = redacted(msgspec.structs.replace(base, **names))
    shown = {name for name in texts if SECRET in str(getattr(seen, name, ""))}
    assert {name for name in shown - FACTS if (tag, name) not in TOLD_BY_US} == set()
