"""The picture: every event painted in, nothing without a bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.principals import Principal, Role
from gateway.contract.events import DeliveryEvent, HealthEvent, HubEvent, ReplyEvent, SnapshotEvent, Subscribe
from gateway.hub.snapshot import KEPT_CONVERSATION, KEPT_NAMES, KEPT_REPLY_CHARACTERS, Filter, Picture
from tests.gateway.events import delivery, device, partial, reply, status, transcription


def picture_of(*events: HubEvent, subscribe: Subscribe | None = None) -> SnapshotEvent:
    picture = Picture()
    for event in events:
        picture.apply(event)
    return picture.snapshot(Filter(subscribe or Subscribe()), "e1", 7)


def test_an_empty_house() -> None:
    snapshot = picture_of()
    assert (snapshot.epoch, snapshot.seq) == ("e1", 7)
    assert (snapshot.devices, snapshot.sessions, snapshot.conversation, snapshot.health) == ((), (), (), ())


def test_the_latest_of_each_device_counts_and_reports_do_not() -> None:
    snapshot = picture_of(
        device("kitchen"),
        device("study"),
        device("kitchen", "disconnected"),
        device("study", notice="button"),
    )
    assert [(event.device_id, event.state) for event in snapshot.devices] == [
        ("study", "connected"),
        ("kitchen", "disconnected"),
    ]


def test_an_idle_session_is_not_open() -> None:
    listening = status()
    assert picture_of(listening).sessions == (listening,)
    assert picture_of(listening, status("idle")).sessions == ()


def test_pieces_of_a_reply_become_one() -> None:
    snapshot = picture_of(transcription(), reply("The light ", final=False), reply("is on", final=False))
    assert [event.text for event in snapshot.conversation if not isinstance(event, DeliveryEvent)] == [
        "turn on the light",
        "The light is on",
    ]


def test_the_final_reply_replaces_its_pieces() -> None:
    done = reply("Done.")
    assert picture_of(reply("Do", final=False), done).conversation == (done,)


def test_a_late_reply_and_another_agent_stand_beside_it() -> None:
    replies = (
        reply("Sorry."),
        reply("18 degrees.", late=True),
        reply("Rain.", agent="weather"),
    )
    assert picture_of(*replies).conversation == replies


def test_a_reply_without_end_is_cut() -> None:
    pieces = [reply("x" * 1000, final=False)] * 30
    (event,) = picture_of(*pieces).conversation
    assert isinstance(event, ReplyEvent)
    assert len(event.text) == KEPT_REPLY_CHARACTERS


def test_partials_leave_no_trace() -> None:
    snapshot = picture_of(partial())
    assert snapshot.conversation == ()


def test_everything_is_bounded() -> None:
    names = [device(f"d{number}") for number in range(KEPT_NAMES + 5)]
    talk = [transcription(number=number) for number in range(KEPT_CONVERSATION + 5)]
    snapshot = picture_of(*names, *talk)
    assert snapshot.devices == tuple(names[5:])
    assert snapshot.conversation == tuple(talk[5:])


def test_a_listener_sees_what_it_asked_for() -> None:
    health = HealthEvent(component="broker", state="degraded")
    delivered = delivery()
    events = (device("kitchen"), device("study"), transcription(), delivered, health)
    study = picture_of(*events, subscribe=Subscribe(devices=("study",)))
    assert [event.device_id for event in study.devices] == ["study"]
    assert (study.conversation, study.health) == ((), ())
    kinds = picture_of(*events, subscribe=Subscribe(kinds=("delivery", "health")))
    assert (kinds.devices, kinds.conversation, kinds.health) == ((), (delivered,), (health,))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=20))
def test_the_picture_is_the_last_word_on_every_device(story: list[tuple[str, bool]]) -> None:
    events = [device(name, "connected" if up else "disconnected") for name, up in story]
    last = {event.device_id: event for event in events}
    assert {event.device_id: event for event in picture_of(*events).devices} == last


@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        ({}, {"kitchen", "cellar", "health"}),
        ({"devices": frozenset({"kitchen"})}, {"kitchen", "health"}),
        ({"users": frozenset({"ben"})}, {"cellar", "health"}),
        ({"users": frozenset({"ben"}), "devices": frozenset({"kitchen"})}, {"health"}),
    ],
)
def test_nobody_sees_beyond_the_scope_whatever_is_asked_for(
    scope: dict[str, frozenset[str]], seen: set[str]
) -> None:
    principal = Principal(name="anna's tablet", role=Role.LISTENER, **scope)
    sees = Filter(Subscribe(), principal)
    events = {
        "kitchen": status(),
        "cellar": status(device="cellar", user="ben"),
        "health": HealthEvent(component="broker", state="healthy"),
    }
    assert {name for name, event in events.items() if sees(event)} == seen
    asks = Filter(Subscribe(devices=("cellar",)), principal)
    assert asks(events["cellar"]) == ("cellar" in seen)
