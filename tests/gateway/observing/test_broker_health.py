"""A broker that is away is a degraded gateway as long as the journal keeps, and an unhealthy one without."""

from __future__ import annotations

import pytest

from gateway.broker.base import BrokerStatus, Durability
from gateway.contract.events import HealthEvent
from gateway.journal import JournalState, NoJournal
from gateway.observing.broker_health import BrokerHealth
from gateway.observing.health import Health

THERE = BrokerStatus(connected=True, server="Redis 7.0")
WEAK = BrokerStatus(connected=True, weaknesses=("it forgets", "it is slow"))
AWAY = BrokerStatus(connected=False, reason="nobody is here", remedy="come back")
KEEPS = JournalState(durable=True)
FULL = JournalState(durable=False, reason="the disk is full")


class Shown:
    """What the health tells of the broker."""

    def __init__(self) -> None:
        self.events: list[HealthEvent] = []
        self.health = Health(self.events.append)
        self.broker = BrokerHealth(self.health)

    @property
    def now(self) -> tuple[str, str, str]:
        one = self.health.report().components["broker"]
        return one.state, one.reason, one.remedy


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_one_that_is_there_is_well(shown: Shown) -> None:
    shown.broker.broker_changed(THERE)
    assert shown.now == ("healthy", "", "")


def test_what_it_is_and_what_it_promises_is_said_too(shown: Shown) -> None:
    shown.broker.broker_changed(BrokerStatus(True, server="RabbitMQ 3.10.8", durability=Durability.FSYNC))
    told = shown.health.report().components["broker"].detail
    assert told == "RabbitMQ 3.10.8: fsync (what it has confirmed is on its disk)"
    assert shown.events[-1].detail == told


def test_one_that_is_away_does_not_work(shown: Shown) -> None:
    shown.broker.journal_changed(KEEPS)
    shown.broker.broker_changed(AWAY)
    away = shown.health.report().components["broker"]
    assert (away.state, away.works) == ("degraded", False)


def test_one_that_denies_something_says_what(shown: Shown) -> None:
    shown.broker.journal_changed(KEEPS)
    shown.broker.broker_changed(BrokerStatus(True, reason="no writing", remedy="allow it"))
    assert shown.now == ("degraded", "no writing: transcripts wait in the journal", "allow it")
    shown.broker.broker_changed(THERE)
    assert shown.now[0] == "healthy"


def test_one_that_is_weakly_configured_says_how(shown: Shown) -> None:
    shown.broker.broker_changed(WEAK)
    assert shown.now == ("degraded", "it forgets; it is slow", "")


def test_one_that_is_away_is_bridged_by_the_journal(shown: Shown) -> None:
    shown.broker.journal_changed(KEEPS)
    shown.broker.broker_changed(AWAY)
    assert shown.now == ("degraded", "nobody is here: transcripts wait in the journal", "come back")
    assert shown.health.report().ready


@pytest.mark.parametrize("state", [NoJournal.state, FULL, None])
def test_without_one_that_keeps_the_gateway_cannot_do_its_job(
    shown: Shown, state: JournalState | None
) -> None:
    if state is not None:
        shown.broker.journal_changed(state)
    shown.broker.broker_changed(AWAY)
    assert shown.now == ("unhealthy", "nobody is here: transcripts wait in memory only", "come back")
    assert not shown.health.report().ready


def test_a_journal_that_fails_meanwhile_is_seen_there_too(shown: Shown) -> None:
    shown.broker.journal_changed(KEEPS)
    shown.broker.broker_changed(AWAY)
    shown.broker.journal_changed(FULL)
    assert shown.now[0] == "unhealthy"
    shown.broker.journal_changed(KEEPS)
    assert shown.now[0] == "degraded"
    shown.broker.broker_changed(THERE)
    shown.broker.journal_changed(FULL)
    assert shown.now[0] == "healthy", "the journal says for itself how it is"
    assert [event.state for event in shown.events] == ["degraded", "unhealthy", "degraded", "healthy"]


def test_a_journal_alone_says_nothing_of_a_broker(shown: Shown) -> None:
    shown.broker.journal_changed(FULL)
    assert "broker" not in shown.health.report().components
