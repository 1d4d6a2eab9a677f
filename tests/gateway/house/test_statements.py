"""What a hub says of gateways that it does not hear any more, and of those that are back. No clock, no broker."""

from __future__ import annotations

from msgspec import structs

from gateway.contract.events import FORGOTTEN, HUB_EPOCH, DeviceEvent, HealthEvent, HubEvent, StatusEvent
from gateway.house.sharing import Sharing
from gateway.house.statements import COMPONENT, REMEDY
from gateway.hub.fanout import Serialized
from gateway.hub.hub import Hub
from gateway.hub.snapshot import KEPT_NAMES
from gateway.settings.web import WebSettings
from tests.gateway.events import device, status

NORTH, SOUTH = "e_north", "e_south"


class Watched:
    """A hub, and what it says itself."""

    def __init__(self) -> None:
        self.hub = Hub(WebSettings())
        self.statements = Sharing("here", self.hub).statements
        self.seqs: dict[str, int] = {}

    def hear(self, epoch: str, *events: HubEvent) -> None:
        for event in events:
            self.seqs[epoch] = self.seqs.get(epoch, 0) + 1
            self.hub.show(Serialized(structs.replace(event, epoch=epoch, seq=self.seqs[epoch])))

    def states(self) -> dict[str, str]:
        return {one.device_id: one.state for one in self.hub.standing().devices}

    def health(self) -> dict[tuple[str, str], str]:
        return {(one.gateway, one.component): one.state for one in self.hub.standing().health}

    def said(self) -> list[HubEvent]:
        return [item.event for item in self.hub.history.of(self.statements.epoch, 0)]  # type: ignore[misc]


def health(gateway: str, component: str = "broker", state: str = "healthy") -> HealthEvent:
    return HealthEvent(component=component, gateway=gateway, state=state)


def test_who_is_there_is_said_once() -> None:
    house = Watched()
    house.statements.here("north", NORTH)
    house.statements.here("north", NORTH)
    assert house.health() == {("north", COMPONENT): "healthy"}
    assert len(house.said()) == 1


def test_who_has_gone_takes_its_devices_and_sessions_and_parts_with_it() -> None:
    house = Watched()
    house.statements.here("north", NORTH)
    house.hear(NORTH, device("kitchen"), device("hall", "disconnected"), status(), health("north"))
    house.hear(SOUTH, device("ward"), status(device="ward"), health("south"))
    house.statements.went("north", NORTH, "it was stopped")
    assert house.states() == {"kitchen": "disconnected", "hall": "disconnected", "ward": "connected"}
    assert [one.device_id for one in house.hub.standing().sessions] == ["ward"]
    assert house.health() == {("south", "broker"): "healthy", ("north", COMPONENT): "unhealthy"}
    told = [one for one in house.said() if isinstance(one, DeviceEvent)]
    assert [one.reason for one in told] == ["the gateway north is not there: it was stopped"]
    (word,) = [one for one in house.said() if isinstance(one, HealthEvent) and one.state == "unhealthy"]
    assert (word.reason, word.remedy, word.works) == ("it was stopped", REMEDY, False)


def test_it_is_said_once() -> None:
    house = Watched()
    house.hear(NORTH, device("kitchen"))
    house.statements.went("north", NORTH, "nothing is heard of it")
    said = len(house.said())
    house.statements.went("north", NORTH, "nothing is heard of it")
    assert len(house.said()) == said


def test_who_was_only_unheard_for_a_while_has_its_devices_back() -> None:
    house = Watched()
    house.hear(NORTH, device("kitchen"), health("north", state="degraded"))
    house.statements.went("north", NORTH, "nothing is heard of it")
    house.statements.here("north", NORTH)
    assert house.states() == {"kitchen": "connected"}
    assert house.health() == {("north", "broker"): "degraded", ("north", COMPONENT): "healthy"}


def test_its_next_run_has_what_it_says_then() -> None:
    house = Watched()
    house.statements.here("north", NORTH)
    house.hear(NORTH, device("kitchen"), device("hall"), health("north"))
    house.statements.here("north", "e_north2")
    house.hear("e_north2", device("kitchen"), health("north", state="degraded"))
    house.statements.went("north", NORTH, "nothing is heard of it", replaced=True)
    assert house.states() == {"kitchen": "connected", "hall": "disconnected"}
    assert house.health() == {("north", "broker"): "degraded", ("north", COMPONENT): "healthy"}


def test_a_device_is_where_it_came_last_and_not_away_because_it_left_elsewhere() -> None:
    house = Watched()
    house.hear(NORTH, device("kitchen"))
    assert house.statements.at("kitchen") == NORTH
    house.hear(SOUTH, device("kitchen"))
    assert house.statements.at("kitchen") == SOUTH
    house.hear(NORTH, device("kitchen", "disconnected"))
    assert house.states() == {"kitchen": "connected"}
    house.statements.went("north", NORTH, "it was stopped")
    assert house.states() == {"kitchen": "connected"}
    house.hear(SOUTH, device("kitchen", "disconnected"))
    assert house.states() == {"kitchen": "disconnected"}
    assert house.statements.at("ward") == ""


def test_a_device_of_a_dead_gateway_may_come_and_go_elsewhere() -> None:
    house = Watched()
    house.hear(NORTH, device("kitchen"))
    house.statements.went("north", NORTH, "nothing is heard of it")
    house.hear(SOUTH, device("kitchen"))
    assert house.states() == {"kitchen": "connected"}
    house.statements.here("north", NORTH)
    assert house.statements.at("kitchen") == SOUTH
    assert house.states() == {"kitchen": "connected"}


def test_what_a_device_reports_says_nothing_of_where_it_is() -> None:
    house = Watched()
    house.hear(NORTH, device("kitchen"))
    house.hear(SOUTH, device("kitchen", notice="level"))
    assert house.statements.at("kitchen") == NORTH


def test_what_a_hub_says_itself_goes_by_an_epoch_of_its_own_in_order() -> None:
    house = Watched()
    house.statements.here("north", NORTH)
    house.statements.went("north", NORTH, "it was stopped")
    house.statements.forget("north")
    assert house.statements.epoch.startswith(HUB_EPOCH)
    assert [one.seq for one in house.said()] == [1, 2, 3]
    assert house.said()[-1].state == FORGOTTEN  # type: ignore[union-attr]
    assert house.health() == {}
    again = house.statements.restated(StatusEvent(session_id="s", user_id="u", device_id="d", status="idle"))
    assert (again.event.epoch, again.event.seq) == (house.statements.epoch, 3)


def test_no_more_devices_are_known_than_a_picture_has() -> None:
    house = Watched()
    for number in range(KEPT_NAMES + 5):
        house.hear(NORTH, device(f"d{number}"))
    assert house.statements.at("d0") == ""
    assert house.statements.at(f"d{KEPT_NAMES}") == NORTH
