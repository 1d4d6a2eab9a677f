"""The door of an adapter: who may come, how many, and what people see of it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from gateway.adapters import doors
from gateway.adapters.doors import THIS_MACHINE, AdapterDoor, NoPlace, Stranger
from gateway.contract.events import HealthEvent
from gateway.observing.health import Health
from tests.record import Record, passes

HA = "192.168.1.5"


class Entrance:
    """A door, and what health tells of it."""

    def __init__(self, connections: int = 8, **allow: str) -> None:
        self.told = Record()
        self.door = AdapterDoor("wyoming", Health(self.told), allow=allow, connections=connections)

    def detail(self) -> str:
        detail: str = self.told.of(HealthEvent, component="wyoming")[-1].detail
        return detail


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("", THIS_MACHINE),
        ("127.0.0.1", THIS_MACHINE),
        ("::1", THIS_MACHINE),
        ("::ffff:127.0.0.1", THIS_MACHINE),
        (HA, "Assistant"),
        (f"::ffff:{HA}", "Assistant"),
        ("10.1.2.3", "lab"),
        ("fe80::1%eth0", "link"),
    ],
)
async def test_who_comes_is_known_by_a_name(address: str, name: str) -> None:
    entrance = Entrance(Assistant=HA, lab="10.0.0.0/8", link="fe80::/10")
    assert entrance.door.name_of(address) == name


@pytest.mark.parametrize("address", ["192.168.1.6", "8.8.8.8", "2001:db8::1"])
async def test_whoever_nobody_named_stays_outside(address: str) -> None:
    entrance = Entrance(Assistant=HA)
    with pytest.raises(Stranger, match=r"adapters\.wyoming\.allow"), entrance.door.admitted(address):
        pass


async def test_one_address_leaves_room_for_others() -> None:
    entrance = Entrance(connections=4, Assistant=HA, Another="192.168.1.6")
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(entrance.door.admitted(HA))
        with pytest.raises(NoPlace), entrance.door.admitted(HA):
            pass
        stack.enter_context(entrance.door.admitted("192.168.1.6"))
    with entrance.door.admitted(HA):
        pass


async def test_health_shows_who_is_in_and_not_more_often_than_anybody_looks() -> None:
    entrance = Entrance(Assistant=HA)
    entrance.door.opened("port 10300")
    assert entrance.detail() == "port 10300: nobody is there"
    for _ in range(100):
        with entrance.door.admitted(HA):
            pass
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(entrance.door.admitted(HA))
        stack.enter_context(entrance.door.admitted(""))
        await passes(
            lambda: entrance.detail() == "port 10300: Assistant, 3 connections; this machine, 1 connection"
        )
    await passes(lambda: entrance.detail() == "port 10300: nobody is there")
    assert len(entrance.told.items) == 3
    entrance.door.close()


async def test_who_leaves_when_it_is_closed_shows_it_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "SHOWN_SECONDS", 0.0)
    entrance = Entrance(Assistant=HA)
    entrance.door.opened("port 10300")
    with entrance.door.admitted(HA):
        await passes(lambda: entrance.detail().endswith("Assistant, 1 connection"))
        entrance.door.close()
    told = len(entrance.told.items)
    await asyncio.sleep(0.01)
    assert len(entrance.told.items) == told


async def test_a_door_that_cannot_be_opened_says_what_to_do() -> None:
    entrance = Entrance()
    entrance.door.failed("port 10300 is taken", "stop the other one")
    (event,) = entrance.told.of(HealthEvent, component="wyoming")
    assert (event.reason, event.remedy, event.works) == ("port 10300 is taken", "stop the other one", False)


async def test_health_names_the_latest_who_was_not_let_in_and_where_they_would_be_named() -> None:
    entrance = Entrance(Assistant=HA)
    entrance.door.opened("port 10300")
    for stranger in ("8.8.8.8", "192.168.1.6"):
        with pytest.raises(Stranger), entrance.door.admitted(stranger):
            pass
    await passes(lambda: entrance.told.of(HealthEvent, component="wyoming")[-1].notice)
    told = entrance.told.of(HealthEvent, component="wyoming")[-1]
    assert told.notice == "Somebody was not let in: 192.168.1.6 is not in adapters.wyoming.allow"
    assert told.state == "healthy"
