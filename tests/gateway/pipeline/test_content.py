"""A word in between: whoever gets a text gets what is left of it, and nobody what is kept back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import PartialShown, ReplyShown, TranscriptShown
from gateway.access.principals import Principal, Role
from gateway.contract.agents import REQUESTS_TOPIC, AgentRequest, decode_request
from gateway.contract.events import PartialEvent, ReplyEvent, StatusEvent, TranscriptionEvent
from gateway.journal import Journal
from gateway.journal.history import Selection
from gateway.journal.records import HistoryRow
from gateway.pipeline.content.filter import CHANGED, FORBIDDEN, PERSONAL, UNCHECKED
from gateway.pipeline.content.port import KEPT_BACK, PassingText, Way
from gateway.pipeline.telling.announcements import KeptBack
from gateway.pipeline.telling.fallback_texts import TEXTS, Apology
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.record import passes
from tests.system.house import Board
from transcription.transcriber import Word

ANNA = Principal(name="anna", role=Role.LISTENER, users=frozenset({"anna"}), devices=frozenset({"kitchen"}))
CARD = "my card is 4111 1111 1111 1111"
MASKED = "my card is [card number]"
FILTERED = TEXTS["en"][Apology.FILTERED]
ORCHESTRATOR = {"fallback_text": "nobody", "timeout_seconds": 20}
MASK = {"personal_data": "mask", "forbidden_words": ["16000"]}
DROP = {
    "personal_data": "drop",
    "forbidden_words": ["16000"],
    "forbidden": "drop",
}
FLAG = {"personal_data": "flag", "forbidden_words": ["16000"], "forbidden": "flag"}
EVERY = {"partials": {"every_ms": 500, "share": 1.0, "longest_ms": 10_000}}
ALOUD = "the device says 16000 when it has spoken for a second"


def hooked(name: str, **more: Any) -> dict[str, Any]:
    return {"hook": f"tests.gateway.pipeline.test_content:{name}", "hook_seconds": 5, **more}


async def remembered(works: Works) -> list[HistoryRow]:
    assert isinstance(works.journal, Journal)
    await works.settled()
    return await works.journal.history.page(Selection(), 9)


def outcomes(works: Works) -> list[tuple[Way, str]]:
    return [(way, outcome) for way, outcome, _, _ in works.filtered]


# -- what is said


async def test_everybody_gets_what_is_left_of_a_transcript(tmp_path: Path) -> None:
    """The device, listeners, orchestrators and the history; and the speech itself is not kept."""
    engine = Engine()
    engine.says = replace(engine.says, words=(Word("16000", 0.0, 1.0, 0.9),))
    how = {"journal": tmp_path / "j.db", "journal_settings": {"keep_audio": True}}
    async with open_works(engine, content=MASK, **how) as works, works.board() as kitchen:  # type: ignore[arg-type]
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        assert (heard.text, heard.flags, heard.words, heard.success) == ("***", (FORBIDDEN,), (), True)
        await works.reply(heard, "yes")
        said = await saying
        assert (said.transcript, said.reply) == ("***", "yes")
        event = await works.events.first(TranscriptionEvent)
        assert (event.text, event.flags, event.words) == ("***", (FORBIDDEN,), ())
        (row,) = await remembered(works)
        assert (row.text, row.flags, row.has_audio) == ("***", (FORBIDDEN,), False)
        await works.idle()
    assert b"16000" not in (tmp_path / "j.db").read_bytes()


async def test_what_nothing_is_found_in_is_as_it_was(tmp_path: Path) -> None:
    engine = Engine()
    engine.says = replace(engine.says, words=(Word("32000", 0.0, 1.0, 0.9),))
    how = {"journal": tmp_path / "j.db", "journal_settings": {"keep_audio": True}}
    async with open_works(engine, content=MASK, **how) as works, works.board() as kitchen:  # type: ignore[arg-type]
        saying = asyncio.create_task(kitchen.say(loud(2)))
        heard = await works.result()
        assert (heard.text, heard.flags, [word.word for word in heard.words]) == ("32000", (), ["32000"])
        await works.reply(heard, "yes")
        await saying
        (row,) = await remembered(works)
        assert (row.text, row.has_audio) == ("32000", True)
        assert works.filtered == []


async def test_a_transcript_that_is_kept_back_is_nobodys(tmp_path: Path) -> None:
    """Its turn ends, its device is told so, nobody is asked; consumers learn that there was something."""
    how = {"journal": tmp_path / "j.db", "orchestrator": ORCHESTRATOR}
    async with open_works(content=DROP, **how) as works, works.board() as kitchen:  # type: ignore[arg-type]
        said = await kitchen.say(loud(1))
        assert (said.transcript, said.reply) == (None, FILTERED)
        heard = await works.result()
        assert (heard.text, heard.success, heard.error, heard.flags) == ("", False, KEPT_BACK, (FORBIDDEN,))
        event = await works.events.first(TranscriptionEvent)
        assert (event.text, event.success, event.error) == ("", False, KEPT_BACK)
        assert await kitchen.statuses(1, "idle") == ["listening", "transcribing", "error", "idle"]
        assert kitchen.told.of(TranscriptShown) == []
        (row,) = await remembered(works)
        assert (row.text, row.success, row.error) == ("", False, KEPT_BACK)
        await works.idle()


async def test_a_transcript_that_is_flagged_passes() -> None:
    async with open_works(content=FLAG) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        assert (heard.text, heard.flags) == ("16000", (FORBIDDEN,))
        await works.reply(heard, "yes")
        assert (await saying).transcript == "16000"
        assert outcomes(works) == [(Way.TRANSCRIPT, "flagged")]
        assert works.pipeline.content.counts["flagged"] == 1


async def test_typed_text_goes_the_same_way() -> None:
    async with open_works(content=MASK) as works:
        said = await works.pipeline.say(CARD, ANNA)
        heard = await works.result(correlation_id=said.correlation_id)
        assert (heard.text, heard.flags) == (MASKED, (PERSONAL,))
        event = await works.events.first(TranscriptionEvent)
        assert (event.text, event.flags) == (MASKED, (PERSONAL,))


@pytest.mark.parametrize(
    ("content", "shown"), [(MASK, False), (DROP, False), (hooked("as_it_is"), False), (FLAG, True)]
)
async def test_while_a_text_may_be_changed_nobody_sees_it_before_its_end(
    content: dict[str, Any], *, shown: bool
) -> None:
    async with (
        open_works(content=content, transcription=EVERY) as works,
        works.board(wants_partials=True) as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(loud(2)))
        await works.reply(await works.result(), "yes")
        await saying
        assert bool(works.events.of(PartialEvent)) is shown
        assert bool(kitchen.told.of(PartialShown)) is shown


async def test_what_is_said_in_one_session_stays_in_its_order() -> None:
    """Although the function takes longer for the first."""
    SLOW.clear()
    async with open_works(content=hooked("slow_for_the_first")) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say((loud(1) + quiet(1)) * 2, end_on_silence=True))
        first, second = await works.result(1), await works.result(2)
        assert first.audio.end_reason == "silence"
        assert (first.text, second.text) == tuple(SLOW)
        assert first.session_id == second.session_id
        saying.cancel()


# -- what is answered


async def test_everybody_gets_what_is_left_of_a_reply(tmp_path: Path) -> None:
    async with open_works(content=MASK, journal=tmp_path / "j.db") as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(2)))
        await works.reply(await works.result(), CARD)
        assert (await saying).reply == MASKED
        event = await works.events.first(ReplyEvent)
        assert (event.text, event.flags, event.error) == (MASKED, (PERSONAL,), None)
        (row,) = await remembered(works)
        assert row.reply is not None
        assert (row.reply.text, row.reply.flags, row.flags) == (MASKED, (PERSONAL,), ())
        assert outcomes(works) == [(Way.REPLY, "changed")]
        await works.idle()


async def test_for_a_reply_that_is_kept_back_the_device_gets_the_fallback() -> None:
    async with open_works(content=DROP, orchestrator=ORCHESTRATOR) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(2)))
        await works.reply(await works.result(), CARD)
        assert (await saying).reply == FILTERED
        event = await works.events.first(ReplyEvent)
        assert (event.text, event.error, event.flags) == ("", KEPT_BACK, (PERSONAL,))
        await works.idle()


async def test_why_there_is_no_answer_is_looked_at_too() -> None:
    async with open_works(content=MASK, orchestrator=ORCHESTRATOR) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(2)))
        await works.reply(await works.result(), "", error=f"no such card: {CARD}")
        assert (await saying).reply == "nobody"
        event = await works.events.first(ReplyEvent)
        assert event.error == f"no such card: {MASKED}"


async def test_pieces_of_a_reply_are_held_until_all_of_it_is_there() -> None:
    """Half a number is no number yet."""
    async with open_works(content=MASK) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(2)))
        heard = await works.result()
        for number, piece in enumerate(("my card is 4111 11", "11 1111 ", "1111")):
            await works.reply(heard, piece, final=False, message_id=f"m_{number}")
        await works.reply(heard, "", message_id="m_end")
        assert (await saying).reply == MASKED
        assert [(event.text, event.final) for event in works.events.of(ReplyEvent)] == [(MASKED, True)]
        assert [one.text for one in kitchen.told.of(ReplyShown)] == [MASKED]


async def test_a_device_that_wants_pieces_gets_none_while_they_are_held() -> None:
    async with open_works(content=MASK) as works, works.board(wants_pieces=True) as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(2)))
        heard = await works.result()
        for number, piece in enumerate(("my card is 4111 11", "11 1111 ")):
            await works.reply(heard, piece, final=False, message_id=f"m_{number}")
        await works.reply(heard, "", error="its end is lost: joe@example.com", message_id="m_end")
        assert (await saying).reply == "my card is 4111 1111 1111 "
        assert [one.text for one in kitchen.told.of(ReplyShown)] == ["my card is 4111 1111 1111 "]
        event = await works.events.first(ReplyEvent)
        assert event.error == "its end is lost: [e-mail address]"


async def test_pieces_come_as_ever_while_nothing_can_be_changed() -> None:
    async with open_works(content=FLAG) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(2)))
        heard = await works.result()
        await works.reply(heard, "one ", final=False, message_id="m_1")
        await works.reply(heard, CARD, final=True, message_id="m_2")
        await saying
        events = works.events.of(ReplyEvent)
        assert [(event.text, event.final, event.flags) for event in events] == [
            ("one ", False, ()),
            (CARD, True, (PERSONAL,)),
        ]


async def test_a_late_reply_is_looked_at_too() -> None:
    orchestrator = {"timeout_seconds": 0.05, "fallback_text": "nobody"}
    async with open_works(content=MASK, orchestrator=orchestrator) as works, works.board() as kitchen:
        assert (await kitchen.say(loud(2))).reply == "nobody"
        heard = await works.result()
        await works.reply(heard, "4111 1111 ", final=False, message_id="m_1")
        await works.reply(heard, "", error=CARD, message_id="m_2")
        late = await works.events.first(ReplyEvent, late=True)
        assert (late.text, late.error, late.flags) == ("4111 1111 ", MASKED, (PERSONAL,))
        assert [event.late for event in works.events.of(ReplyEvent)] == [False, True]


async def test_a_filter_for_replies_leaves_transcripts_alone_and_the_other_way_round() -> None:
    for applies_to, heard_text, reply_text in (
        ("replies", CARD, MASKED),
        ("transcripts", MASKED, CARD),
    ):
        async with open_works(content={**MASK, "applies_to": applies_to}) as works:
            await works.pipeline.say(CARD, ANNA)
            heard = await works.result()
            await works.reply(heard, CARD)
            assert heard.text == heard_text
            assert (await works.events.first(ReplyEvent)).text == reply_text


# -- what agents say that are asked by name

AGENT = {"agents": {"clerk": {}}, "fallback_text": "nobody"}


@asynccontextmanager
async def asked(content: dict[str, Any]) -> AsyncIterator[tuple[Works, Board, AgentRequest]]:
    """The clerk, asked about two seconds of speech."""
    async with (
        open_works(content=content, orchestrator=AGENT) as works,
        works.board() as kitchen,
        works.broker.subscribe(REQUESTS_TOPIC) as requests,
    ):
        saying = asyncio.create_task(kitchen.say(loud(2)))
        delivery = await anext(aiter(requests))
        await delivery.ack()
        yield works, kitchen, decode_request(delivery.message.payload)
        await saying
        await works.idle()


async def tell(works: Works, request: AgentRequest, text: str, **fields: Any) -> None:
    await works.reply(request.transcript, text, agent="clerk", request_id=request.request_id, **fields)


async def test_a_first_answer_and_a_better_one_are_both_looked_at() -> None:
    async with asked(MASK) as (works, kitchen, request):
        await tell(works, request, f"wait, {CARD}", interim=True, final=False, message_id="m_1")
        first = await works.events.first(ReplyEvent, interim=True)
        assert (first.text, first.flags) == (f"wait, {MASKED}", (PERSONAL,))
        await tell(works, request, f"yes, {CARD}", data={"card": 4111111111111111, "n": 1}, message_id="m_2")
        last = await works.events.first(ReplyEvent, final=True)
        assert (last.text, last.data) == (f"yes, {MASKED}", {"card": "[card number]", "n": 1})
        await kitchen.told.first(ReplyShown, text=f"yes, {MASKED}")
    assert [one.text for one in kitchen.told.of(ReplyShown)] == [f"wait, {MASKED}", f"yes, {MASKED}"]


async def test_a_first_answer_that_stays_the_only_one_is_looked_at_once() -> None:
    PATIENCE.clear()
    async with asked(hooked("patient_once")) as (works, kitchen, request):
        await tell(works, request, "wait", interim=True, final=False, message_id="m_1")
        await kitchen.told.first(ReplyShown, text="wait")
        await tell(works, request, "", error="no", message_id="m_2")
        last = await works.events.first(ReplyEvent, final=True)
        assert (last.text, last.error) == ("wait", None)
    assert PATIENCE == ["32000", "wait"]


async def test_a_first_answer_that_is_kept_back_is_nobodys_and_the_better_one_is_there() -> None:
    async with asked(DROP) as (works, kitchen, request):
        await tell(works, request, CARD, interim=True, final=False, message_id="m_1")
        await tell(works, request, "yes", message_id="m_2")
        await works.events.first(ReplyEvent, final=True)
    assert [one.text for one in kitchen.told.of(ReplyShown)] == ["yes"]
    assert [event.text for event in works.events.of(ReplyEvent)] == ["yes"]


async def test_data_that_is_kept_back_takes_its_words_with_it() -> None:
    async with asked(DROP) as (works, _, request):
        await tell(works, request, "yes", data={"card": [CARD]})
        event = await works.events.first(ReplyEvent, final=True)
        assert (event.text, event.error, event.data) == ("", KEPT_BACK, None)


async def test_what_agents_say_of_their_progress_is_looked_at() -> None:
    async with asked(MASK) as (works, _, request):
        await tell(works, request, "", progress=f"looking for {CARD}", final=False, message_id="m_1")
        status = await works.events.first(StatusEvent, detail=f"looking for {MASKED}")
        assert status.status == "thinking"
        await tell(works, request, "yes", message_id="m_2")


# -- what is announced


async def test_an_announcement_is_told_without_what_is_masked() -> None:
    async with open_works(content=MASK) as works, works.board() as kitchen:
        await kitchen.connected()
        await works.pipeline.announcements.announce("kitchen", "home", CARD, "clock", 60)
        shown = await kitchen.told.first(ReplyShown)
        assert shown.text == MASKED
        event = await works.events.first(ReplyEvent)
        assert (event.text, event.flags) == (MASKED, (PERSONAL,))


async def test_an_announcement_that_is_kept_back_waits_for_nobody() -> None:
    async with open_works(content=DROP) as works:
        with pytest.raises(KeptBack, match=KEPT_BACK):
            await works.pipeline.announcements.announce("kitchen", "home", CARD, "clock", 60)
        assert len(works.pipeline.announcements) == 0
        assert outcomes(works) == [(Way.ANNOUNCEMENT, "dropped")]


# -- the user's own function (found as an orchestrator is: by its module and its name)


SLOW: list[str] = []


def as_it_is(text: PassingText) -> str:
    return text.text


async def slow_for_the_first(text: PassingText) -> str:
    SLOW.append(text.text)
    if len(SLOW) == 1:
        await asyncio.sleep(0.3)
    return text.text


PATIENCE: list[str] = []


def patient_once(text: PassingText) -> str | None:
    PATIENCE.append(text.text)
    return text.text if PATIENCE.count(text.text) == 1 else None


def politely(text: PassingText) -> str:
    text.flag("polite")
    return f"{text.text}, please" if text.way is Way.TRANSCRIPT else text.text


def nothing_of_it(_text: PassingText) -> None:
    return None


def breaks(_text: PassingText) -> str:
    raise RuntimeError(ALOUD)


async def test_the_function_may_change_and_flag_what_is_said() -> None:
    async with open_works(content=hooked("politely")) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        assert (heard.text, heard.flags) == ("16000, please", (CHANGED, "polite"))
        await works.reply(heard, "yes")
        said = await saying
        assert (said.transcript, said.reply) == ("16000, please", "yes")
        assert (await works.events.first(ReplyEvent)).flags == ("polite",)


async def test_the_function_may_keep_back_what_is_said() -> None:
    async with (
        open_works(content=hooked("nothing_of_it")) as works,
        works.board() as kitchen,
    ):
        assert (await kitchen.say(loud(1))).reply == FILTERED
        assert (await works.result()).error == KEPT_BACK


@pytest.mark.parametrize(("failed", "text"), [("drop", ""), ("pass", "16000")])
async def test_a_function_that_breaks_keeps_everything_back_unless_it_is_to_pass(
    failed: str, text: str
) -> None:
    content = hooked("breaks", hook_failed=failed)
    async with open_works(content=content) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        assert (heard.text, heard.success, heard.flags) == (text, bool(text), (UNCHECKED,))
        if heard.success:
            await works.reply(heard, "yes")
        await saying
        assert works.pipeline.content.counts["failed"] >= 1
        await passes(lambda: len(works.pipeline._questions) == 0)
