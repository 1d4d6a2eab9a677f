"""Whoever an event is for is found as if everybody had been asked, and is asked without the others."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from gateway.access.principals import LOCAL, Principal, Role
from gateway.contract.events import HealthEvent, HubEvent, Subscribe
from gateway.hub.groups import Groups
from gateway.hub.snapshot import Filter
from tests.gateway.events import device, reply, status

USERS = ["", "anna", "ben", "carl"]
DEVICES = ["kitchen", "study", "web-anna", "web-anna-2", "web-anna_b-2", "web-ben", "web-", "web"]


def some(names: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)


principals = st.one_of(
    st.just(LOCAL),
    st.builds(
        lambda name, users, devices: Principal(
            name=name, role=Role.LISTENER, users=frozenset(users), devices=frozenset(devices)
        ),
        st.sampled_from(["anna", "anna-b", "ben"]),
        some(USERS[1:]),
        some(DEVICES),
    ),
)
wishes = st.builds(
    lambda users, devices, kinds: Subscribe(users=users, devices=devices, kinds=kinds),
    some(USERS),
    some(DEVICES),
    some(["status", "device"]),
)
events = st.one_of(
    st.builds(
        lambda name, user: status(device=name, user=user), st.sampled_from(DEVICES), st.sampled_from(USERS)
    ),
    st.builds(device, st.sampled_from(DEVICES)),
    st.just(HealthEvent(component="broker", state="healthy")),
    st.builds(
        lambda about: HealthEvent(component="device", state="healthy", about=about), st.sampled_from(DEVICES)
    ),
    st.just(reply("Done.")),
)


@given(st.lists(st.tuples(wishes, principals), max_size=12), st.lists(events, max_size=6))
def test_nobody_is_forgotten_and_nobody_comes_twice(
    listeners: list[tuple[Subscribe, Principal]], happened: list[HubEvent]
) -> None:
    groups: Groups[int] = Groups()
    filters = [Filter(wish, principal) for wish, principal in listeners]
    for number, wanted in enumerate(filters):
        groups.join(wanted, number)
    for event in happened:
        found = sorted(chain.from_iterable(group.lanes for group in groups.wanting(event)))
        assert found == [number for number, wanted in enumerate(filters) if wanted(event)]
        assert groups.wants(event) == bool(found)
    for number, wanted in enumerate(filters):
        groups.leave(wanted, number)
        groups.leave(wanted, number)
    assert not groups
    assert not any(groups.wanting(event) for event in happened)
    assert not any((groups._of_everybody, groups._of_user, groups._of_device))


def test_a_thousand_people_are_not_asked_about_each_other() -> None:
    groups: Groups[int] = Groups()
    for number in range(1_000):
        principal = Principal(name=f"p{number}", role=Role.LISTENER, users=frozenset({f"p{number}"}))
        groups.join(Filter(Subscribe(), principal), number)
    assert len(groups._asked(status(device="web-p7", user="p7"))) == 1
    assert len(groups._asked(HealthEvent(component="broker", state="healthy"))) == 1_000
