"""Roles and scopes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.principals import LOCAL, Principal, Right, Role
from gateway.contract.messages import is_token


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.LISTENER, {Right.LISTEN, Right.SPEAK, Right.MEASURE}),
        (Role.ORCHESTRATOR, {Right.LISTEN, Right.REPLY}),
        (Role.DEVICE, {Right.BE_DEVICE}),
        (Role.OPERATOR, set(Right)),
        (Role.SCRAPER, {Right.MEASURE}),
    ],
)
def test_a_role_has_its_rights_and_no_more(role: Role, rights: set[Right]) -> None:
    somebody = Principal(name="ann", role=role)
    assert {right for right in Right if somebody.may(right)} == rights


def test_a_scope_bounds_what_is_seen() -> None:
    ann = Principal(
        name="ann", role=Role.LISTENER, users=frozenset({"ann"}), devices=frozenset({"hall", "attic"})
    )
    assert ann.sees(user_id="ann", device_id="hall")
    assert not ann.sees(user_id="bob", device_id="hall")
    assert not ann.sees(user_id="ann", device_id="kitchen")
    assert not ann.sees(user_id=None, device_id="kitchen")


def test_what_is_nobodys_is_seen_by_everybody() -> None:
    ann = Principal(name="ann", role=Role.LISTENER, users=frozenset({"ann"}))
    assert ann.sees(user_id=None, device_id=None)


def test_an_empty_scope_bounds_nothing() -> None:
    assert LOCAL.sees(user_id="anybody", device_id="anything")


class TestOwnDevice:
    """As which device somebody speaks over the web."""

    @pytest.mark.parametrize(
        "name", ["ann", "hall tablet", "grüße", "a/b+c#d", "x" * 200, "web-web", "-", "A_9"]
    )
    def test_it_is_a_devices_id(self, name: str) -> None:
        own = Principal(name=name, role=Role.LISTENER).own_device
        assert is_token(own)
        assert is_token(f"{own}-12345678")
        assert own.startswith("web-")

    def test_a_plain_name_is_itself(self) -> None:
        assert LOCAL.own_device == "web-local"

    @given(st.text(max_size=60), st.text(max_size=60))
    def test_no_two_names_share_one(self, one: str, other: str) -> None:
        first, second = (Principal(name=name, role=Role.LISTENER) for name in (one, other))
        assert (first.own_device == second.own_device) == (one == other)
        assert first.owns(f"{second.own_device}-x") == (one == other)

    def test_its_words_are_theirs_to_see_whatever_the_scope(self) -> None:
        ann = Principal(name="ann", role=Role.LISTENER, devices=frozenset({"hall"}), users=frozenset({"ann"}))
        assert ann.sees(user_id="home", device_id="web-ann")
        assert ann.sees(user_id="home", device_id="web-ann-7")
        assert not ann.sees(user_id="home", device_id="web-anna")
        assert not ann.sees(user_id="home", device_id="web-bob")


@pytest.mark.parametrize(
    ("role", "scope", "device", "may"),
    [
        (Role.LISTENER, (), "web-ann", True),
        (Role.LISTENER, (), "web-page-1", False),
        (Role.LISTENER, (), "kitchen", False),
        (Role.LISTENER, ("kitchen",), "web-ann", True),
        (Role.LISTENER, ("kitchen",), "web-ann-2", True),
        (Role.LISTENER, ("kitchen",), "web-page-1", False),
        (Role.LISTENER, ("kitchen",), "kitchen", False),
        (Role.DEVICE, (), "kitchen", True),
        (Role.DEVICE, ("kitchen",), "kitchen", True),
        (Role.DEVICE, ("kitchen",), "study", False),
        (Role.DEVICE, ("kitchen",), "web-ann", False),
        (Role.DEVICE, ("kitchen",), "web-ann-2", False),
        (Role.ORCHESTRATOR, (), "web-ann", False),
        (Role.OPERATOR, (), "kitchen", True),
        (Role.OPERATOR, (), "web-x", True),
    ],
)
def test_who_may_be_which_device(role: Role, scope: tuple[str, ...], device: str, *, may: bool) -> None:
    assert Principal(name="ann", role=role, devices=frozenset(scope)).may_be(device, "home") is may


@pytest.mark.parametrize(
    ("role", "scope", "words"),
    [
        (Role.LISTENER, ("kitchen",), "web-ann"),
        (Role.DEVICE, ("study", "kitchen"), "kitchen, study"),
        (Role.OPERATOR, ("kitchen",), "kitchen, web-ann"),
        (Role.ORCHESTRATOR, ("kitchen",), "no device"),
    ],
)
def test_a_refusal_can_say_which_device_it_may_be(role: Role, scope: tuple[str, ...], words: str) -> None:
    ann = Principal(name="ann", role=role, devices=frozenset(scope))
    assert ann.possible_devices == words
    assert all(ann.may_be(one, "home") for one in words.split(", ") if one != "no device")


@pytest.mark.parametrize(
    ("role", "device", "user", "may"),
    [
        (Role.OPERATOR, "kitchen", "ann", True),
        (Role.OPERATOR, "kitchen", "bob", False),
        (Role.OPERATOR, "web-bob", "bob", False),
        (Role.OPERATOR, "web-ann-7", "home", True),
        (Role.LISTENER, "web-page-1", "ann", False),
    ],
)
def test_who_sees_one_users_devices_may_be_no_other(role: Role, device: str, user: str, *, may: bool) -> None:
    assert Principal(name="ann", role=role, users=frozenset({"ann"})).may_be(device, user) is may
