"""What belongs to others is not there: every operation, with tokens of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.access.needed import Open
from gateway.access.principals import Right, Role
from gateway.contract.events import DeviceEvent
from gateway.journal import effects as e
from gateway.journal.dead_letters import refused
from gateway.web.operations.table import OPERATIONS
from tests.gateway.access.keyring import Keyring
from tests.gateway.journal.rows import letter, remembered, utterance
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.web.house import bearer

USERS = {"users": {"kitchen": "ann", "attic": "bob"}}


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Served]:
    """Ann's kitchen and Bob's attic have each said something."""
    async with open_served(
        tmp_path,
        devices=USERS,
        web={"require_token": True},
        journal_settings={"keep_audio": True},
    ) as one:
        journal = one.works.journal
        for user, device in (("ann", "kitchen"), ("bob", "attic")):
            name = f"u_{user}"
            await journal.commit(
                e.Heard(utterance(name, session=f"s_{user}", user_id=user, device_id=device)),
                e.Transcribed(name),
            )
            row = remembered(name, "a secret", user_id=user, device_id=device, session_id=f"s_{user}")
            await journal.commit(e.Remembered(row))
            await journal.commit(refused(letter(0, user_id=user, device_id=device), "no reply"))
        yield one


async def test_nobody_without_a_token(guarded: Served) -> None:
    for one in OPERATIONS:
        path = one.path.format(
            device_id="kitchen",
            utterance_id="u_ann",
            number=1,
            ticket="c_1.q_1",
            agent="nobody",
            feature="nothing",
            user_id="ann",
        )
        closed = 415 if one.body else 204
        status = {Open.EVERYBODY: 200, Open.INTRODUCES: closed, Open.TICKETED: closed}.get(one.right, 401)
        await guarded.call(one.method, path, status)


async def test_a_listener_sees_what_is_in_its_scope(guarded: Served, keyring: Keyring) -> None:
    async with guarded.works.board("kitchen"), guarded.works.board("attic"):
        await guarded.works.events.first(DeviceEvent, count=2, state="connected")
        for what in ("users", "devices"):
            scope = {"users": ("ann",)} if what == "users" else {"devices": ("kitchen",)}
            headers = bearer(keyring.token(f"by-{what}", **scope))
            found = (await guarded.get("/utterances", headers=headers))["utterances"]
            assert [one["utterance_id"] for one in found] == ["u_ann"]
            assert (await guarded.get("/utterances?user_id=bob", headers=headers))["utterances"] == []
            assert (await guarded.get("/utterances?q=secret", headers=headers))["utterances"] == found
            devices = (await guarded.get("/devices", headers=headers))["devices"]
            assert [one["device_id"] for one in devices] == ["kitchen"]
            for path in ("/utterances/u_bob", "/utterances/u_bob/audio", "/devices/attic"):
                mine = path.replace("bob", "ann").replace("attic", "kitchen")
                async with guarded.raw("GET", f"api/v1{mine}", headers=headers) as response:
                    assert response.status == 200
                await guarded.get(path, 404, headers=headers)
            assert (await guarded.get("/health", headers=headers))["epoch"]


@pytest.mark.parametrize("role", Role)
async def test_a_role_does_what_it_is_for_and_nothing_else(
    guarded: Served, keyring: Keyring, role: Role
) -> None:
    rights = {
        Role.LISTENER: {Right.LISTEN, Right.SPEAK},  # and, of the whole house, to measure
        Role.ORCHESTRATOR: {Right.LISTEN, Right.REPLY},
        Role.DEVICE: {Right.BE_DEVICE},
        Role.OPERATOR: set(Right) - {Right.GOVERN, Right.MEASURE},  # they are for the whole house
        Role.SCRAPER: set(),  # nor has one with a scope
    }[role]
    headers = bearer(keyring.token("somebody", role=role, devices=("kitchen",)))
    for one in OPERATIONS:
        path = one.path.format(
            device_id="nobody",
            utterance_id="u_nobody",
            number=99,
            ticket="c_1.q_1",
            agent="nobody",
            feature="nothing",
            user_id="ann",
        )
        async with guarded.raw(one.method, f"api/v1{path}", headers=headers) as response:
            refusal = response.status == 403
        needed = {Open.EVERYBODY: None, Open.TICKETED: None, Open.INTRODUCES: Right.LISTEN}.get(
            one.right, one.right
        )
        enough = set(needed) if isinstance(needed, tuple) else {needed}
        assert refusal is (needed is not None and not enough & rights), one.name


async def test_an_operator_of_one_user_operates_on_that_user(guarded: Served, keyring: Keyring) -> None:
    headers = bearer(keyring.token("ann", role=Role.OPERATOR, users=("ann",)))
    letters = (await guarded.get("/dead-letters", headers=headers))["dead_letters"]
    assert [one["number"] for one in letters] == [1]
    await guarded.get("/dead-letters/2", 404, headers=headers)
    await guarded.call("POST", "/dead-letters/2/replay", 404, headers=headers)
    await guarded.call("DELETE", "/utterances/u_bob", 404, headers=headers)
    await guarded.call("DELETE", "/utterances?user_id=bob", 404, headers=headers)
    body = {"json": {"text": "hello"}, "headers": headers}
    await guarded.call("POST", "/devices/attic/announcements", 404, **body)
    await guarded.call("POST", "/devices/kitchen/announcements", 202, **body)
    assert (await guarded.call("DELETE", "/utterances?user_id=ann", headers=headers))["erased"] == 3, (
        "what was said, what could not be done, and what was announced"
    )
    whole = bearer(keyring.token("all", role=Role.OPERATOR))
    left = (await guarded.get("/utterances", headers=whole))["utterances"]
    assert [one["utterance_id"] for one in left] == ["u_bob"]
