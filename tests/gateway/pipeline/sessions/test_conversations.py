"""What belongs together, and what of it is remembered: by a simple model, and within its bounds."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.contract.agents import MOST_TURNS, ConversationTurn
from gateway.journal.records import TurnRow
from gateway.pipeline.sessions.conversations import CUT_OFF, LATE_SECONDS, Conversation, Conversations
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.settings.sessions import SessionSettings

WINDOW = 60.0


def conversations(*, keep_words: bool = True, **settings: Any) -> Conversations:
    wanted = msgspec.convert({"hints_seconds": WINDOW, **settings}, SessionSettings)
    return Conversations(wanted, keep_words=keep_words)


def named(number: int, device: str = "kitchen", user: str = "ann", boot: int = 7) -> UtteranceName:
    """Each in a session of its own, as by pushes of a button."""
    return UtteranceName(f"s_{number}", user, StreamName(device, boot, number), f"u_{number}", f"c_{number}")


def words(conversation: Conversation) -> list[tuple[str, str]]:
    return [(turn.text, turn.reply) for turn in conversation.turns]


# What belongs together


def test_pushes_of_a_button_are_one_conversation_with_a_memory() -> None:
    all_of_them = conversations()
    first = all_of_them.said(named(1), "switch on the light", 0.0, timestamp=1_000.0)
    all_of_them.answered("c_1", "It is on.", "house", 1.0)
    second = all_of_them.said(named(2, boot=8), "and off again", 50.0)
    third = all_of_them.said(named(3), "which one", 55.0)
    assert first.id.startswith("v_")
    assert first.id == second.id == third.id
    assert (first.turns, len(second.turns)) == ((), 1)
    assert second.turns[0] == ConversationTurn(
        text="switch on the light", reply="It is on.", agent="house", timestamp=1_000.0, correlation_id="c_1"
    )
    assert words(third) == [("switch on the light", "It is on."), ("and off again", "")]


def test_it_lapses_when_nothing_was_said_or_answered_for_the_window_and_not_while_an_answer_is_awaited() -> (
    None
):
    all_of_them = conversations()
    first = all_of_them.said(named(1), "one", 0.0)
    assert all_of_them.is_open("kitchen", 1_000.0)
    all_of_them.answered("c_1", "1", "house", 1_000.0)
    assert all_of_them.is_open("kitchen", 1_000.0 + WINDOW)
    assert not all_of_them.is_open("kitchen", 1_001.0 + WINDOW)
    assert all_of_them.said(named(2), "two", 1_000.0 + WINDOW).id == first.id
    all_of_them.ended("c_2", 1_010.0 + WINDOW)
    third = all_of_them.said(named(3), "three", 1_011.0 + 2 * WINDOW)
    assert third.id != first.id
    assert third.turns == ()


def test_a_conversation_of_no_length_is_one_turn() -> None:
    all_of_them = conversations(hints_seconds=0)
    first = all_of_them.said(named(1), "one", 0.0)
    assert all_of_them.said(named(2), "beside it", 0.0).id == first.id
    all_of_them.ended("c_1", 0.0)
    all_of_them.ended("c_2", 0.0)
    assert all_of_them.said(named(3), "two", 0.1).id != first.id


def test_each_device_and_each_user_of_it_has_a_conversation_of_its_own() -> None:
    all_of_them = conversations()
    ids = [
        all_of_them.said(named(1), "one", 0.0).id,
        all_of_them.said(named(2, "web-ann"), "two", 0.0).id,
        all_of_them.said(named(3, user="bob"), "three", 0.0).id,
    ]
    assert len(set(ids)) == 3
    all_of_them.change_hands(lambda device_id: "cleo" if device_id == "kitchen" else "ann")
    assert not all_of_them.is_open("kitchen", 0.0)
    assert all_of_them.is_open("web-ann", 0.0)
    assert all_of_them.answered("c_3", "3", "house", 0.0) is None


def test_noise_is_no_turn_and_keeps_no_conversation_open() -> None:
    all_of_them = conversations()
    first = all_of_them.said(named(1), "one", 0.0)
    all_of_them.answered("c_1", "1", "house", 0.0)
    noise = all_of_them.said(named(2), "", WINDOW - 1)
    assert (noise.id, words(noise)) == (first.id, [("one", "1")])
    assert not all_of_them.is_open("kitchen", WINDOW + 1)
    assert not all_of_them.spoken_since("c_1")


def test_an_utterance_that_is_transcribed_again_is_said_again() -> None:
    all_of_them = conversations()
    all_of_them.said(named(1), "won", 0.0)
    all_of_them.said(named(2), "two", 1.0)
    assert words(all_of_them.said(named(1), "one", 2.0)) == [("two", "")]
    assert words(all_of_them.said(named(3), "three", 3.0)) == [("two", ""), ("one", "")]


def test_it_is_known_whether_the_device_has_spoken_since() -> None:
    all_of_them = conversations(conversation_turns=0)
    all_of_them.said(named(1), "one", 0.0)
    all_of_them.ended("c_1", 30.0)
    assert not all_of_them.spoken_since("c_1")
    all_of_them.said(named(2), "two", 31.0)
    assert all_of_them.spoken_since("c_1")
    assert not all_of_them.spoken_since("c_2")
    assert all_of_them.spoken_since("c_unknown")


# What is remembered


def test_a_better_answer_takes_the_place_of_the_one_before_and_of_a_fallback() -> None:
    all_of_them = conversations()
    all_of_them.said(named(1), "one", 0.0)
    interim = all_of_them.answered("c_1", "perhaps 1", "quick", 1.0, final=False)
    assert interim is not None
    assert interim.reply == "perhaps 1"
    assert all_of_them.is_open("kitchen", 10_000.0)
    all_of_them.answered("c_1", "1", "slow", 2.0)
    all_of_them.said(named(2), "two", 3.0)
    all_of_them.ended("c_2", 33.0)  # by the gateway's own fallback
    all_of_them.answered("c_2", "2", "late", 34.0)
    assert words(all_of_them.said(named(3), "three", 35.0)) == [("one", "1"), ("two", "2")]


def test_an_answer_too_late_for_its_conversation_is_not_remembered_and_opens_nothing() -> None:
    all_of_them = conversations()
    all_of_them.said(named(1), "one", 0.0)
    all_of_them.ended("c_1", 30.0)
    assert all_of_them.answered("c_1", "1", "house", 31.0 + WINDOW) is None
    assert not all_of_them.is_open("kitchen", 31.0 + WINDOW)


def test_the_oldest_turns_are_forgotten_first_by_number_and_by_size() -> None:
    few = conversations(conversation_turns=2)
    for number in range(5):
        few.said(named(number), f"text {number}", 0.0)
    assert words(few.said(named(9), "more", 0.0)) == [("text 3", ""), ("text 4", "")]
    small = conversations(conversation_kb=1)
    for number in range(4):
        small.said(named(number), f"{number}" * 200, 0.0)
        small.answered(f"c_{number}", "x" * 200, "house", 0.0)
    assert [turn.text[0] for turn in small.said(named(9), "more", 0.0).turns] == ["2", "3"]


@pytest.mark.parametrize("character", ["x", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "\N{PENGUIN}"])
def test_what_is_too_long_is_cut_between_two_characters(character: str) -> None:
    all_of_them = conversations(conversation_kb=1)
    all_of_them.said(named(1), "before", 0.0)
    all_of_them.said(named(2), character * 100_000, 0.0)
    all_of_them.answered("c_2", character * 100_000, "house", 0.0)
    before, huge = all_of_them.said(named(3), "after", 0.0).turns
    assert before.text == "before"
    for text, most in ((huge.text, 256), (huge.reply, 512)):
        assert most - 8 <= len(text.encode()) <= most
        assert text.endswith(CUT_OFF)
        assert set(text) == {character, CUT_OFF}


@pytest.mark.parametrize("forgetful", [{"conversation_turns": 0}, {"keep_words": False}])
def test_without_a_memory_ids_go_on_and_there_are_no_turns(forgetful: dict[str, Any]) -> None:
    all_of_them = conversations(**forgetful)
    first = all_of_them.said(named(1), "one", 0.0)
    assert all_of_them.answered("c_1", "1", "house", 0.0) is None
    assert all_of_them.said(named(2), "two", 0.0) == Conversation(first.id, begun=True)
    all_of_them.answered("c_2", "2", "house", 0.0)
    assert all_of_them.before(named(2)).begun, "it is not the first, though nothing of the first is left"


def test_what_is_erased_is_in_no_memory_and_the_conversation_goes_on() -> None:
    all_of_them = conversations()
    first = all_of_them.said(named(1), "one", 0.0)
    all_of_them.said(named(2), "two", 0.0)
    all_of_them.forget(lambda name: name.correlation_id == "c_1")
    assert all_of_them.answered("c_1", "1", "house", 0.0) is None
    third = all_of_them.said(named(3), "three", 0.0)
    assert (third.id, words(third)) == (first.id, [("two", "")])
    all_of_them.forget(lambda name: name.user_id == "ann")
    assert all_of_them.said(named(4), "four", 0.0) == Conversation(first.id, begun=True)


# What a gateway before this one knew


def row(number: int, age: float, conversation_id: str = "v_1", device: str = "kitchen") -> TurnRow:
    return TurnRow(
        **named(number, device).row_ids(), conversation_id=conversation_id, age=age,
        text=f"text {number}", reply="yes", agent="house", timestamp=float(number),
    )  # fmt: skip


def test_it_goes_on_after_a_restart_as_long_as_its_window_lasts() -> None:
    all_of_them = conversations()
    all_of_them.restore([row(1, 100.0), row(2, 50.0), row(3, 70.0, "v_2", "garden")], 1_000.0)
    assert all_of_them.is_open("kitchen", 1_000.0)
    assert not all_of_them.is_open("garden", 1_000.0)
    heard = all_of_them.said(named(9), "more", 1_010.0)
    assert (heard.id, words(heard)) == ("v_1", [("text 1", "yes"), ("text 2", "yes")])
    assert heard.turns[1].timestamp == 2.0


def test_speech_that_was_still_to_be_transcribed_belongs_to_the_conversation_of_its_time() -> None:
    all_of_them = conversations()
    all_of_them.restore([row(1, 4_000.0)], 5_000.0)
    assert all_of_them.said(named(2), "more", 1_030.0).id == "v_1"
    assert all_of_them.said(named(3), "more", 5_000.0).id == "v_1"  # for an answer is awaited


def test_an_answer_that_is_still_awaited_keeps_it_open_after_a_restart_too() -> None:
    all_of_them = conversations()
    all_of_them.restore([row(1, 500.0)], 1_000.0)
    all_of_them.reopen("c_1")
    assert all_of_them.is_open("kitchen", 1_000.0)
    all_of_them.ended("c_1", 1_000.0)
    assert all_of_them.is_open("kitchen", 1_000.0 + WINDOW)
    assert not all_of_them.is_open("kitchen", 1_001.0 + WINDOW)


def test_who_has_spoken_before_the_journal_could_be_read_has_begun_anew() -> None:
    all_of_them = conversations()
    begun = all_of_them.said(named(9), "quick", 1_000.0)
    all_of_them.restore([row(1, 10.0), row(2, 10.0, "v_2", "garden")], 1_000.0)
    assert all_of_them.said(named(10), "more", 1_001.0).id == begun.id
    assert all_of_them.said(named(11, "garden"), "more", 1_001.0).id == "v_2"


# The bounds


def test_what_is_over_is_put_away_when_no_text_of_its_time_can_come_any_more() -> None:
    all_of_them = conversations()
    all_of_them.said(named(1), "one", 0.0)
    all_of_them.said(named(2, "garden"), "two", 0.0)
    all_of_them.ended("c_2", 0.0)
    all_of_them.lapse(WINDOW + LATE_SECONDS)
    assert len(all_of_them) == 2
    all_of_them.lapse(WINDOW + LATE_SECONDS + 1)
    assert len(all_of_them) == 1
    assert all_of_them.is_open("kitchen", WINDOW + LATE_SECONDS + 1)


def test_of_more_devices_than_sessions_may_be_the_one_silent_for_longest_is_forgotten() -> None:
    all_of_them = conversations(max_sessions=2)
    for number, device in enumerate(("kitchen", "garden", "kitchen", "cellar")):
        all_of_them.said(named(number, device), "text", float(number))
    assert [all_of_them.is_open(device, 3.0) for device in ("kitchen", "garden", "cellar")] == [
        True,
        False,
        True,
    ]


def test_a_visitor_with_many_devices_makes_room_before_any_board() -> None:
    all_of_them = conversations(max_sessions=4)
    all_of_them.said(named(0, "kitchen"), "text", 0.0)
    all_of_them.said(named(1, "web-bob"), "text", 0.0, visitor="bob")
    for number in range(2, 9):
        all_of_them.said(named(number, f"web-ann-{number}"), "text", 0.0, visitor="ann")
    all_of_them.said(named(9, "garden"), "text", 0.0)
    assert len(all_of_them) == 4
    assert all(all_of_them.is_open(one, 0.0) for one in ("kitchen", "web-bob", "garden", "web-ann-8"))


def test_what_is_older_than_anything_may_be_is_handed_to_nobody() -> None:
    all_of_them = Conversations(SessionSettings(hints_seconds=WINDOW), keep_seconds=100.0)
    for number in range(4):
        heard = all_of_them.said(named(number), f"text {number}", number * 50.0)
    assert [turn.text for turn in heard.turns] == ["text 1", "text 2"]


def test_no_more_turns_can_be_wanted_than_a_request_may_have() -> None:
    annotation = SessionSettings.__annotations__["conversation_turns"]
    assert f"le={MOST_TURNS}" in annotation
    assert get_args(annotation) == ()


@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_devices() -> None:
    all_of_them = conversations(max_sessions=100, conversation_kb=1)
    numbers = itertools.count()

    def talk(devices: int) -> None:
        for _ in range(devices):
            at = next(numbers)
            for number in range(at * 4, at * 4 + 4):
                all_of_them.said(named(number, f"d{at}"), "text" * 100, float(at))
                all_of_them.answered(f"c_{number}", "reply" * 100, "house", float(at))

    talk(500)
    gc.collect()
    tracemalloc.start()
    try:
        talk(10_000)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(all_of_them) == 100
    assert grown < 100 * 8 * 1024  # those there were before are counted as new


# Against a simple model

DEVICES = st.sampled_from(["kitchen", "garden", "web-ann"])
USERS = st.sampled_from(["ann", "ann", "ann", "bob"])
TEXTS = st.sampled_from(["", "yes", "x" * 150, "y" * 300])
STEPS = st.sampled_from([0.0, 1.0, WINDOW, WINDOW + 1])
TURNS, BYTES = 3, 1024


class _Modelled:
    """One device's conversation, in plain lists."""

    def __init__(self, conversation_id: str, user: str, now: float) -> None:
        self.id, self.user, self.last = conversation_id, user, now
        self.memory: list[list[str]] = []  # correlation id, text, reply
        self.said: list[str] = []
        self.open: set[str] = set()

    def lapsed(self, now: float) -> bool:
        return not self.open and now - self.last > WINDOW

    def trim(self) -> None:
        while (
            len(self.memory) > TURNS
            or sum(len((text + reply).encode()) for _, text, reply in self.memory) > BYTES
        ):
            del self.memory[0]


class ConversationsModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real = conversations(conversation_turns=TURNS, conversation_kb=1)
        self.now = 0.0
        self.model: dict[str, _Modelled] = {}
        self.names: list[UtteranceName] = []

    @rule(seconds=STEPS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(device=DEVICES, user=USERS, text=TEXTS)
    def say(self, device: str, user: str, text: str) -> None:
        name = named(len(self.names), device, user)
        self.names.append(name)
        found = self.real.said(name, text, self.now)
        one = self.model.get(device)
        if one is None or one.user != user or one.lapsed(self.now):
            assert found.id not in {other.id for other in self.model.values()}
            one = self.model[device] = _Modelled(found.id, user, self.now)
        assert found.id == one.id
        assert words(found) == [(said, reply) for _, said, reply in one.memory]
        if text:
            one.memory.append([name.correlation_id, text[:253] + CUT_OFF if len(text) > 256 else text, ""])
            one.said.append(name.correlation_id)
            one.open.add(name.correlation_id)
            one.last = self.now
            one.trim()

    def of(self, correlation_id: str) -> _Modelled | None:
        return next((one for one in self.model.values() if correlation_id in one.said), None)

    @rule(data=st.data(), reply=TEXTS, final=st.booleans())
    def answer(self, data: st.DataObject, reply: str, final: bool) -> None:  # noqa: FBT001 - drawn
        name = data.draw(st.sampled_from(self.names)).correlation_id if self.names else "c_none"
        remembered = self.real.answered(name, reply, "house", self.now, final=final)
        one = self.of(name)
        if one is None or one.lapsed(self.now):
            assert remembered is None
            return
        if final:
            one.open.discard(name)
        if self._is_forgotten(one, name):
            assert remembered is None
            return
        for turn in one.memory:
            if turn[0] == name:
                turn[2] = reply
        one.last = self.now
        one.trim()

    @staticmethod
    def _is_forgotten(one: _Modelled, name: str) -> bool:
        """Neither its words nor that it was said: nobody waits, and others came after it."""
        is_known = name in one.open or name == one.said[-1] or any(turn[0] == name for turn in one.memory)
        return not is_known

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names)).correlation_id if self.names else "c_none"
        self.real.ended(name, self.now)
        one = self.of(name)
        if one is not None and name in one.open:
            one.open.discard(name)
            one.last = self.now

    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names)).correlation_id if self.names else "c_none"
        self.real.forget(lambda one: one.correlation_id == name)
        for one in self.model.values():
            one.memory = [turn for turn in one.memory if turn[0] != name]

    @rule()
    def tidy(self) -> None:
        self.real.lapse(self.now)

    @invariant()
    def it_is_known_what_is_open(self) -> None:
        for device in ("kitchen", "garden", "web-ann"):
            one = self.model.get(device)
            assert self.real.is_open(device, self.now) == (one is not None and not one.lapsed(self.now))

    @invariant()
    def the_last_of_each_is_the_last(self) -> None:
        for one in self.model.values():
            if one.said and not one.lapsed(self.now):
                assert not self.real.spoken_since(one.said[-1])
                assert all(map(self.real.spoken_since, one.said[:-1]))


TestConversationsModel = ConversationsModel.TestCase
TestConversationsModel.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
