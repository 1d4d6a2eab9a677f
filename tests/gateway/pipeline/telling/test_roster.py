"""Which devices there are, and what of that is a matter of health: from what the links report to what listeners see."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import UNSET, structs

from firmware_bridge.bridge import Bridge
from firmware_bridge.link.events import DeviceConnected, DeviceDisconnected, HelloRefused, LinkChanged
from firmware_bridge.link.frames import FaultCode
from firmware_bridge.settings import DeviceSettings, MqttSettings, SerialSettings
from gateway.access.principals import LOCAL, Principal, Role
from gateway.contract.events import SnapshotEvent, Subscribe
from gateway.hub.hub import Hub
from gateway.observing.health import ComponentHealth, Health, HealthState, seen_by
from gateway.pipeline.telling import roster as roster_module
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import FallbackTexts
from gateway.pipeline.telling.roster import KEPT_REFUSALS, REFUSAL_SECONDS, Roster
from gateway.settings.orchestrator import OrchestratorSettings
from gateway.settings.web import WebSettings
from transcription.settings import TranscriptionSettings

TEXTS = FallbackTexts(OrchestratorSettings(), TranscriptionSettings())

A, B = "/dev/serial/by-id/usb-a", "/dev/serial/by-id/usb-b"
SETTINGS = DeviceSettings(
    serial=SerialSettings(ports=()),
    mqtt=MqttSettings(url=""),
    users={"kitchen": "ann"},
    rooms={"kitchen": "Kitchen"},
)


class House:
    def __init__(self) -> None:
        self.now = 100.0
        self.hub = Hub(WebSettings())
        self.health = Health(self.hub.publish)
        announcer = Announcer(Bridge(SETTINGS, lambda _event: None), self.hub, SETTINGS, TEXTS)
        self.roster = Roster(self.health, announcer, lambda: self.now)

    def come(self, device_id: str = "kitchen", link: str = A) -> None:
        self.roster.link_changed(LinkChanged(link, up=True))
        self.roster.connected(DeviceConnected(device_id, 1, link, "1.0", 64, False, False, 0))

    def go(self, device_id: str = "kitchen", link: str = A, *, passing: bool = True) -> None:
        """As the links tell it: the port hangs up, and is not there at the next look."""
        self.roster.disconnected(DeviceDisconnected(device_id, 1, "unplugged"))
        for passes in (False, True)[: 1 + passing]:
            self.roster.link_changed(
                LinkChanged(link, up=False, reason="unplugged", remedy="plug it in", passing=passes)
            )

    async def seen(self, principal: Principal = LOCAL) -> SnapshotEvent:
        """What a listener that comes now starts from."""
        with self.hub.attach(Subscribe(), principal) as outbox:
            first = (await anext(outbox)).event
        assert isinstance(first, SnapshotEvent)
        return first

    @property
    def components(self) -> dict[str, ComponentHealth]:
        return self.health.report().components

    @property
    def devices(self) -> list[tuple[str, bool]]:
        return [(one.hello.device_id, one.gone is None) for one in self.roster.devices()]


@pytest.fixture
def house() -> House:
    return House()


def test_an_unplugged_board_is_named_until_it_comes_back(house: House) -> None:
    house.come()
    assert house.components == {A: ComponentHealth(HealthState.HEALTHY)}
    house.go()
    remedy = "plug it in; or forget it: earshot devices forget kitchen"
    assert house.components == {
        A: ComponentHealth(HealthState.DEGRADED, "unplugged", remedy, works=False, about="kitchen")
    }
    house.come()
    assert house.components == {A: ComponentHealth(HealthState.HEALTHY)}
    assert house.devices == [("kitchen", True)]


@pytest.mark.parametrize("passing", [True, False], ids=["found by a pattern", "named in the settings"])
def test_on_another_port_its_old_name_goes_by_itself(house: House, *, passing: bool) -> None:
    house.come()
    house.go(passing=passing)
    house.come(link=B)
    assert set(house.components) == {B}
    assert house.health.report().state is HealthState.HEALTHY


def test_nor_does_it_matter_which_of_the_two_is_seen_first(house: House) -> None:
    house.come()
    house.come(link=B)
    house.roster.link_changed(LinkChanged(A, up=False, reason="unplugged", remedy="plug it in", passing=True))
    assert set(house.components) == {B}


def test_a_port_without_a_device_is_missed_only_where_the_settings_name_it(house: House) -> None:
    for link, passing in ((A, True), (B, False)):
        house.roster.link_changed(
            LinkChanged(link, up=False, reason="in use by another program", remedy="close it")
        )
        house.roster.link_changed(
            LinkChanged(link, up=False, reason="unplugged", remedy="plug it in", passing=passing)
        )
    assert set(house.components) == {B}


def test_a_board_that_is_gone_for_good_can_be_forgotten(house: House) -> None:
    house.come()
    assert not house.roster.forget("kitchen"), "it is here"
    house.go()
    house.come("bath", B)
    assert house.roster.forget("kitchen")
    assert not house.roster.forget("kitchen")
    assert set(house.components) == {B}
    assert house.devices == [("bath", True)]
    assert not house.roster.knows("kitchen")
    house.come()
    assert house.devices == [("bath", True), ("kitchen", True)]


def test_a_line_of_two_devices_is_missed_until_both_are_forgotten(house: House) -> None:
    for device_id in ("kitchen", "bath"):
        house.come(device_id)
        house.roster.disconnected(DeviceDisconnected(device_id, 1, "another device took its line"))
    house.go()
    assert house.components[A].about is UNSET
    house.roster.forget("kitchen")
    assert house.components[A].about == "bath"
    house.roster.forget("bath")
    assert house.components == {}


def test_a_broker_that_is_away_stands_before_a_board_that_is_unplugged(house: House) -> None:
    house.come()
    house.go()
    house.health.set("configuration", HealthState.DEGRADED, "changed but not applied")
    house.health.set("broker", HealthState.DEGRADED, "refused", works=False)
    house.health.set("page", HealthState.HEALTHY)
    assert list(house.components) == ["broker", A, "configuration", "page"]
    house.health.set("voice activity", HealthState.UNHEALTHY, "no model")
    assert next(iter(house.components)) == "voice activity", "what does not work at all stands first"


def test_a_line_that_works_badly_says_so(house: House) -> None:
    house.roster.link_changed(LinkChanged(A, up=True, reason="noise", remedy="another cable"))
    assert house.components[A].works is False, "nobody comes through"
    house.roster.connected(DeviceConnected("kitchen", 1, A, "1.0", 64, False, False, 0))
    assert house.components[A] == ComponentHealth(HealthState.DEGRADED, "noise", "another cable")
    house.roster.link_changed(LinkChanged(A, up=True))
    assert house.components[A] == ComponentHealth(HealthState.HEALTHY)


def test_a_visitor_that_left_is_not_away(house: House) -> None:
    house.come("web-local-1", "web")
    assert house.devices == [("web-local-1", True)]
    house.roster.disconnected(DeviceDisconnected("web-local-1", 1, "its socket is closed"))
    assert house.devices == []


def test_who_is_refused_is_named_with_what_to_do_until_it_is_let_in_or_gives_up(house: House) -> None:
    again = HelloRefused(
        "bath", "mqtt", FaultCode.DUPLICATE_ID, "bath is connected already over web (boot 7)"
    )
    for _ in range(3):
        house.roster.refused(again)
    house.roster.refused(HelloRefused("", A, FaultCode.MALFORMED, "HELLO: boot is missing"))
    told = house.components["devices"]
    assert told.state is HealthState.DEGRADED
    assert "bath on mqtt is refused: bath is connected already" in told.reason
    assert f"a device on {A} is refused: HELLO: boot is missing" in told.reason
    assert (
        told.remedy
        == "give one of the two devices another id; correct the HELLO of its firmware (docs/protocol.md, 3.3)"
    )
    assert [(one.event.device_id, one.times) for one in house.roster.refusals()] == [("bath", 3), ("", 1)]
    house.come("kitchen", A)
    assert "boot is missing" not in house.components["devices"].reason, "that line has its device now"
    house.now += REFUSAL_SECONDS + 1
    house.roster.tick()
    assert "devices" not in house.components


def test_who_is_refused_for_its_token_is_told_so(house: House) -> None:
    house.roster.refused(
        HelloRefused("hall", "web", FaultCode.REFUSED, "page may not be the device hall; web-page it may")
    )
    assert "token" in house.components["devices"].remedy
    house.roster.refused(HelloRefused("bath", "mqtt", FaultCode.REFUSED, "there are 2 devices already"))
    assert "devices.max_devices" in house.components["devices"].remedy


def test_refusals_are_bounded_and_not_all_told(house: House) -> None:
    for number in range(KEPT_REFUSALS + 5):
        house.roster.refused(HelloRefused(f"d{number}", "mqtt", FaultCode.REFUSED, "full"))
    assert len(house.roster.refusals()) == KEPT_REFUSALS
    assert house.components["devices"].reason.endswith(f"and {KEPT_REFUSALS - 3} more")


def test_devices_that_are_away_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "KEPT_DEVICES", 2)
    for number in range(5):
        house.come(f"d{number}", f"/dev/tty{number}")
        house.go(f"d{number}", f"/dev/tty{number}")
    house.come("kitchen")
    assert house.devices == [("d3", False), ("d4", False), ("kitchen", True)]


def only(name: str, **scope: str) -> Principal:
    return Principal(
        name=name, role=Role.LISTENER, **{key: frozenset({value}) for key, value in scope.items()}
    )


async def test_what_is_about_a_device_is_for_those_who_may_see_it(house: House) -> None:
    house.come()
    house.go()
    cook, other = only("cook", devices="kitchen"), only("other", devices="bath")
    assert set(seen_by(cook, house.health.report()).components) == {A}
    assert set(seen_by(other, house.health.report()).components) == set()
    assert [event.about for event in (await house.seen(cook)).health] == ["kitchen"]
    assert (await house.seen(other)).health == ()


async def test_listeners_that_come_later_see_who_is_here_or_away_and_nobody_else(house: House) -> None:
    house.come()
    house.go()
    house.come("bath", B)
    house.come("web-ann", "web")
    house.come("hall", "mqtt")
    for device_id in ("web-ann", "hall"):
        house.roster.disconnected(DeviceDisconnected(device_id, 1, "its socket is closed"))
    house.roster.forget("hall")
    seen = await house.seen()
    assert [(one.device_id, one.state, one.link) for one in seen.devices] == [
        ("kitchen", "disconnected", A),
        ("bath", "connected", B),
    ]
    ports = [one for one in seen.health if one.component.startswith("/dev")]
    assert [(one.component, one.about) for one in ports] == [(A, "kitchen"), (B, "")]
    house.roster.forget("kitchen")
    seen = await house.seen()
    assert [one.device_id for one in seen.devices] == ["bath"]
    assert A not in [one.component for one in seen.health]


async def test_users_and_rooms_change_and_everybody_sees_it(house: House) -> None:
    ann, bob = only("ann", users="ann"), only("bob", users="bob")
    house.come()
    house.come("bath", B)
    house.go("bath", B)
    house.roster.reconfigure(structs.replace(SETTINGS, users={"kitchen": "bob"}, rooms={"bath": "Bathroom"}))
    seen = await house.seen()
    assert {(one.device_id, one.user_id, one.room, one.state) for one in seen.devices} == {
        ("kitchen", "bob", "", "connected"),
        ("bath", "home", "Bathroom", "disconnected"),
    }
    assert [one.device_id for one in (await house.seen(bob)).devices] == ["kitchen"]
    assert (await house.seen(ann)).devices == ()


async def test_who_watches_is_told_that_a_device_is_another_users_now(house: House) -> None:
    house.come()
    with house.hub.attach(Subscribe(), only("ann", users="ann")) as outbox:
        await anext(outbox)
        house.roster.reconfigure(structs.replace(SETTINGS, users={"kitchen": "bob"}))
        house.roster.reconfigure(structs.replace(SETTINGS, users={"kitchen": "bob"}))
        house.hub.close()
        told = [item.event async for item in outbox]
    assert [(event.device_id, event.state) for event in told] == [("kitchen", "forgotten")]


def test_who_was_turned_away_is_refused_no_more_once_it_may_come_in(house: House) -> None:
    """That there are two of one id is no matter of who may come in."""
    awaits = HelloRefused("kitchen", A, FaultCode.REFUSED, "kitchen awaits approval", "approve it")
    house.roster.refused(awaits)
    house.roster.refused(replace(awaits, device_id="attic"))
    house.roster.refused(HelloRefused("kitchen", B, FaultCode.DUPLICATE_ID, "two of them"))
    assert "approve it" in house.components["devices"].remedy
    house.roster.readmitted({"kitchen": "", "attic": "kitchen awaits approval"}.__getitem__)
    assert [(one.event.device_id, one.event.reason) for one in house.roster.refusals()] == [
        ("attic", "kitchen awaits approval"),
        ("kitchen", "two of them"),
    ]
