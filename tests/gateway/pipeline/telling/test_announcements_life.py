"""Announcements and devices that come and go in any order: each is told once to each boot, until it has it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.journal.effects import Asked, Delivered, Effect, HandedOver, Remembered
from gateway.journal.no_journal import NoJournal
from gateway.journal.records import RequestRow
from gateway.pipeline.content.port import NoFilter
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.pipeline.telling import announcements
from gateway.pipeline.telling.announcements import MAX_WAITING_OF_A_DEVICE, Announcements, CannotAnnounce
from gateway.process.mishaps import Mishaps
from gateway.settings.history import HistorySettings
from gateway.settings.privacy import PrivacySettings
from tests.gateway.machine import Machine

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["announce", "announce", "come", "go", "deliver", "full", "room", "expire", "late"]),
        st.sampled_from(["kitchen", "hall"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


class Announcer:
    """As much of an announcer as is used; a device takes what it has room for."""

    def __init__(self) -> None:
        self.full: set[str] = set()
        self.told: list[tuple[str, int, str]] = []
        self.shown: list[str] = []
        self.taken: list[str] = []

    def announcement(self, stream: StreamName, correlation_id: str, text: str) -> bool:
        assert text
        if stream.device_id in self.full:
            return False
        self.told.append((stream.device_id, stream.boot, correlation_id))
        return True

    def reply(self, name: UtteranceName, _text: str, *, agent: str, flags: tuple[str, ...]) -> None:
        assert agent
        assert not flags
        self.shown.append(name.correlation_id)

    def delivered(self, name: UtteranceName, waited_ms: float) -> None:
        assert waited_ms >= 0
        self.taken.append(name.correlation_id)


class Journal(NoJournal):
    """Notes what was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.effects: list[Effect] = []

    def commit(self, *effects: Effect):  # type: ignore[no-untyped-def]  # noqa: ANN201 - as in the base
        self.effects += effects
        return super().commit(*effects)


class House:
    def __init__(self) -> None:
        self.announcer, self.journal = Announcer(), Journal()
        self.announcements = Announcements(
            self.announcer,  # type: ignore[arg-type]
            self.journal,
            Mishaps(),
            HistorySettings(),
            PrivacySettings(),
            content=NoFilter(),
        )
        self.waiting: dict[str, str] = {}
        self.boots: dict[str, int] = {}
        self.now = 1_000.0

    async def do(self, step: str, device: str, number: int) -> None:
        match step:
            case "announce":
                if list(self.waiting.values()).count(device) >= MAX_WAITING_OF_A_DEVICE:
                    with pytest.raises(CannotAnnounce, match=device):
                        await self.announcements.announce(device, "ann", "hello", "a", 60.0)
                else:
                    name = await self.announcements.announce(device, "ann", "hello", "a", 60.0)
                    self.waiting[name] = device
            case "come":
                self.boots[device] = number
                self.announcements.welcome(device, number)
            case "go":
                self.announcements.suspend(device)
            case "deliver":
                told = [one for one in self.announcer.told if one[0] == device]
                if told:
                    name = told[number % len(told)][2]
                    self.announcements.delivered(device, name)
                    self.waiting.pop(name, None)
                self.announcements.delivered(device, "nobody's")
                self.announcements.delivered("cellar", next(iter(self.waiting), ""))
            case _:
                self.do_elsewhere(step, device)
        assert len(self.announcements) == len(self.waiting)

    def do_elsewhere(self, step: str, device: str) -> None:
        """What happens to a device's outbox, and with time."""
        match step:
            case "full":
                self.announcer.full.add(device)
            case "room":
                self.announcer.full.discard(device)
            case "expire":
                self.announcements.expire()
            case "late":
                self.now += 61.0
                self.announcements.expire()
                self.waiting.clear()


@given(STEPS)
async def test_each_boot_is_told_once_and_in_order_until_it_has_it(steps: list[tuple[str, str, int]]) -> None:
    house = House()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(announcements, "_now", lambda: house.now)
        for step in steps:
            await house.do(*step)
        told = house.announcer.told
        for one, other in itertools.pairwise(told):
            assert one != other, "nothing is said twice in a row"
        house.announcer.full.clear()
        for boot, device in enumerate(("kitchen", "hall"), start=100):
            house.announcements.expire()  # others, too, have room now
            told.clear()
            house.announcements.welcome(device, boot)
            waiting = [name for name, whose in house.waiting.items() if whose == device]
            assert told == [(device, boot, name) for name in waiting], (
                "all of it, oldest first, and nobody else's"
            )
            house.announcements.welcome(device, boot)
            house.announcements.expire()
            assert len(told) == len(waiting), "the same boot again hears nothing new"
    assert len(set(house.announcer.taken)) == len(house.announcer.taken)


@given(STEPS)
async def test_what_is_over_is_over_in_the_journal_too(steps: list[tuple[str, str, int]]) -> None:
    house = House()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(announcements, "_now", lambda: house.now)
        for step in steps:
            await house.do(*step)
    asked = {one.request.correlation_id for one in house.journal.effects if isinstance(one, Asked)}
    ended = [one.correlation_id for one in house.journal.effects if isinstance(one, Delivered)]
    assert len(ended) == len(set(ended)), "once"
    assert asked - set(ended) == house.waiting.keys()
    kept = [one.row for one in house.journal.effects if isinstance(one, Remembered)]
    assert {row.correlation_id for row in kept} == asked, "the history knows each"
    told = {one.correlation_id for one in house.journal.effects if isinstance(one, HandedOver)}
    assert told == set(house.announcer.taken)
    assert set(house.announcer.shown) == asked, "listeners see each, whether or not its device does"


async def test_one_of_the_gateway_before_this_one_is_told_with_the_rest() -> None:
    house = House()
    row: RequestRow
    name = await house.announcements.announce("kitchen", "ann", "hello", "a", 60.0)
    (asked,) = (one for one in house.journal.effects if isinstance(one, Asked))
    row = asked.request
    later = House()
    later.announcements.restore(row)
    later.announcements.welcome("kitchen", 7)
    assert later.announcer.told == [("kitchen", 7, name)]
    assert row.message == b""
    assert row.due


async def test_a_step_of_the_clock_takes_no_announcement_away(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(wall=100.0).install(monkeypatch)
    house = House()
    await house.announcements.announce("kitchen", "ann", "hello", "a", 60.0)
    for wall in (1_800_000_000.0, 1_800_000_000.0 + 40 * 86_400, 100.0):
        machine.wall = wall
        house.announcements.expire()
        assert len(house.announcements) == 1
    (asked,) = (one for one in house.journal.effects if isinstance(one, Asked))
    for age, left in ((59.0, 1), (61.0, 0)):
        later = House()
        later.announcements.restore(replace(asked.request, age=age))
        later.announcements.expire()
        assert len(later.announcements) == left, "and another gateway knows how long it has waited"
