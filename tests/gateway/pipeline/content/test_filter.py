"""The word in between, as it is configured: what becomes of a text, who is told, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import pytest

from gateway.pipeline.content.filter import PERSONAL, UNCHECKED, TextFilter
from gateway.pipeline.content.hook import Hook
from gateway.pipeline.content.port import DataRuling, NoFilter, PassingText, Ruling, Way
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.settings.content import ContentSettings

NAME = UtteranceName("s_1", "ann", StreamName("kitchen", 1, 1), "u_1", "c_1")
CARD = "my card is 4111 1111 1111 1111, damn"


class Desk:
    """A filter, and what it has told."""

    def __init__(
        self, settings: ContentSettings, function: Callable[[PassingText], Any] | None = None
    ) -> None:
        self.notes: list[tuple[Way, str, Ruling, UtteranceName]] = []
        self.states: list[str] = []
        self.hook = None if function is None else Hook(function, settings.hook_seconds)
        self.filter = TextFilter(
            settings, self.hook, note=lambda *told: self.notes.append(told), hook_state=self.states.append
        )

    async def look(self, text: str, way: Way = Way.TRANSCRIPT) -> Ruling:
        return await self.filter.look(way, text, NAME, "en")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.hook is not None:
            self.hook.close()


@pytest.mark.parametrize(
    ("settings", "ruling"),
    [
        (ContentSettings(personal_data="flag"), Ruling(CARD, ("personal_data",))),
        (
            ContentSettings(personal_data="mask"),
            Ruling("my card is [card number], damn", ("personal_data",)),
        ),
        (ContentSettings(personal_data="drop"), Ruling("", ("personal_data",), dropped=True)),
        (
            ContentSettings(forbidden_words=("damn",)),
            Ruling("my card is 4111 1111 1111 1111, ***", ("forbidden_words",)),
        ),
        (
            ContentSettings(forbidden_words=("damn",), forbidden="flag"),
            Ruling(CARD, ("forbidden_words",)),
        ),
        (
            ContentSettings(personal_data="mask", forbidden_words=("damn", "card number")),
            Ruling("my card is [card number], ***", ("personal_data", "forbidden_words")),
        ),
        (
            ContentSettings(personal_data="mask", forbidden_words=("damn",), forbidden="drop"),
            Ruling("", ("personal_data", "forbidden_words"), dropped=True),
        ),
        (ContentSettings(forbidden_words=("light",)), Ruling(CARD)),
    ],
)
async def test_what_becomes_of_a_text(settings: ContentSettings, ruling: Ruling) -> None:
    with Desk(settings) as desk:
        assert await desk.look(CARD) == ruling


@pytest.mark.parametrize(
    ("action", "outcome"), [("flag", "flagged"), ("mask", "changed"), ("drop", "dropped")]
)
async def test_it_is_counted_and_told_without_the_words(action: Any, outcome: str) -> None:
    with Desk(ContentSettings(personal_data=action)) as desk:
        await desk.look("turn on the light")
        ruling = await desk.look(CARD)
        assert {name: count for name, count in desk.filter.counts.items() if count} == {outcome: 1}
        assert desk.notes == [(Way.TRANSCRIPT, outcome, ruling, NAME)]


@pytest.mark.parametrize(
    ("applies_to", "looked_at"),
    [
        ("both", set(Way)),
        ("transcripts", {Way.TRANSCRIPT}),
        ("replies", {Way.REPLY, Way.ANNOUNCEMENT}),
    ],
)
async def test_it_looks_at_what_it_is_to_look_at(applies_to: Any, looked_at: set[Way]) -> None:
    with Desk(ContentSettings(personal_data="drop", applies_to=applies_to)) as desk:
        assert {way for way in Way if (await desk.look(CARD, way)).dropped} == looked_at
        assert {way for way in Way if desk.filter.holds(way)} == looked_at


@pytest.mark.parametrize(
    ("settings", "holds"),
    [
        (ContentSettings(personal_data="flag"), False),
        (ContentSettings(personal_data="flag", forbidden_words=("x",), forbidden="flag"), False),
        (ContentSettings(personal_data="mask"), True),
        (ContentSettings(personal_data="flag", forbidden_words=("x",)), True),
    ],
)
async def test_what_may_be_changed_is_held_until_its_end(settings: ContentSettings, *, holds: bool) -> None:
    with Desk(settings) as desk:
        assert desk.filter.holds(Way.REPLY) is holds


async def test_the_function_is_asked_first_and_what_it_makes_is_looked_at() -> None:
    asked: list[PassingText] = []

    def look(one: PassingText) -> str:
        asked.append(one)
        one.flag("own")
        return "write to ann@example.org"

    with Desk(ContentSettings(personal_data="mask", hook="m:f"), look) as desk:
        assert await desk.look(CARD) == Ruling(
            "write to [e-mail address]", ("changed", "own", "personal_data")
        )
        assert desk.filter.holds(Way.TRANSCRIPT)
        assert desk.states == [""]
    (one,) = asked
    assert (one.way, one.text, one.user_id, one.device_id) == ("transcript", CARD, "ann", "kitchen")
    assert (one.session_id, one.correlation_id, one.language) == ("s_1", "c_1", "en")


async def test_the_function_keeps_a_text_back() -> None:
    with Desk(ContentSettings(hook="m:f"), lambda _one: None) as desk:
        assert await desk.look(CARD) == Ruling("", (), dropped=True)
        assert desk.filter.counts["dropped"] == 1


async def test_the_function_lets_a_text_pass() -> None:
    with Desk(ContentSettings(hook="m:f"), lambda one: one.text) as desk:
        assert await desk.look(CARD) == Ruling(CARD)
        assert desk.filter.counts.total() == 0
        assert desk.notes == []


@pytest.mark.parametrize(
    ("failed", "ruling"),
    [
        ("drop", Ruling("", ("unchecked",), dropped=True)),
        ("pass", Ruling("my card is [card number], damn", ("unchecked", "personal_data"))),
    ],
)
async def test_a_function_that_fails_does_what_is_configured(failed: Any, ruling: Ruling) -> None:
    settings = ContentSettings(personal_data="mask", hook="m:f", hook_failed=failed)
    with Desk(settings, lambda _one: 3) as desk:
        assert await desk.look(CARD) == ruling
        assert desk.filter.counts["failed"] == 1
        assert desk.states == ["it returned int, which is no text"]


async def test_what_one_session_says_keeps_its_order() -> None:
    order: list[str] = []

    async def slow(one: PassingText) -> str:
        if one.text == "first":
            await asyncio.sleep(0.05)
        return one.text

    async def say(text: str, session_id: str) -> None:
        name = UtteranceName(session_id, "ann", StreamName("kitchen", 1, 1), "u", "c")
        await desk.filter.look(Way.TRANSCRIPT, text, name)
        order.append(text)

    with Desk(ContentSettings(hook="m:f", hook_seconds=5), slow) as desk:
        await asyncio.gather(say("first", "s_1"), say("second", "s_1"), say("other", "s_2"))
    assert order == ["other", "first", "second"]


async def test_a_long_text_is_searched_beside_the_event_loop() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    with Desk(ContentSettings(personal_data="mask")) as desk:
        ticking = asyncio.create_task(tick())
        ruling = await desk.look("1 " * 20_000 + CARD)
        ticking.cancel()
    assert ruling.text.endswith("my card is [card number], damn")
    assert ticks > 2


@pytest.mark.parametrize(
    ("action", "left", "dropped"),
    [
        ("flag", {"said": [CARD]}, False),
        ("mask", {"said": ["my card is [card number], damn"]}, False),
        ("drop", None, True),
    ],
)
async def test_what_a_reply_has_for_programs_is_looked_at_too(
    action: Any, left: dict[str, Any] | None, *, dropped: bool
) -> None:
    with Desk(ContentSettings(personal_data=action)) as desk:
        data = {"said": [CARD]}
        assert await desk.filter.look_into(Way.REPLY, data, NAME) == DataRuling(left, (PERSONAL,), dropped)
        assert data == {"said": [CARD]}
        assert desk.filter.counts.total() == len(desk.notes) == 1
        assert await desk.filter.look_into(Way.REPLY, {"a": 1}, NAME) == DataRuling({"a": 1})


async def test_data_that_lies_too_deep_is_nobodys() -> None:
    deep: Any = "light"
    for _ in range(100):
        deep = [deep]
    with Desk(ContentSettings(personal_data="flag")) as desk:
        assert await desk.filter.look_into(Way.REPLY, {"a": deep}, NAME) == DataRuling(None, (UNCHECKED,))


async def test_the_function_is_not_asked_about_data() -> None:
    with Desk(ContentSettings(hook="m:f"), lambda _one: None) as desk:
        assert await desk.filter.look_into(Way.REPLY, {"a": 1}, NAME) == DataRuling({"a": 1})
        assert await NoFilter().look_into(Way.REPLY, {"a": 1}, NAME) == DataRuling({"a": 1})


async def test_nothing_configured_is_nothing_done() -> None:
    nothing = NoFilter()
    assert not ContentSettings().is_on
    assert await nothing.look(Way.TRANSCRIPT, CARD, NAME) == Ruling(CARD)
    assert not nothing.holds(Way.REPLY)
    assert nothing.counts.total() == 0


@pytest.mark.parametrize(
    "settings",
    [
        ContentSettings(personal_data="flag"),
        ContentSettings(forbidden_words=("x",)),
        ContentSettings(hook="m:f"),
    ],
)
def test_anything_configured_turns_it_on(settings: ContentSettings) -> None:
    assert settings.is_on
