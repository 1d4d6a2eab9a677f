"""What health says of the gateway that stands by."""

from __future__ import annotations

from gateway.observing.health import Health
from gateway.observing.standby_health import COMPONENT, StandbyHealth
from gateway.process.mishaps import Mishaps
from tests.record import Record


def test_it_says_whether_durable_is_on_two_disks_and_why_not() -> None:
    told = Record()
    health = Health(told, Mishaps())
    standby = StandbyHealth(health, "kitchen")
    standby.standing_changed(False, "nobody stands by")
    shown = health.report().components[COMPONENT]
    assert shown.state == "degraded"
    assert shown.reason == "what is called durable is at this gateway only: nobody stands by"
    assert "house.standby_for: kitchen" in shown.remedy
    standby.standing_changed(True, "")
    shown = health.report().components[COMPONENT]
    assert shown.state == "healthy"
    assert shown.reason == ""
    standby.standing_changed(False, "its disk: it is full")
    assert "it is full" in health.report().components[COMPONENT].reason
    assert health.report().state == "degraded", "it goes on, and is served"
    assert len(told.items) == 3, "listeners see each change"
