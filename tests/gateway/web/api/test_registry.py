"""The device registry over the API: approved, denied, named, given a key and revoked, while devices come and speak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link.frames import FaultCode, Header, Hello
from firmware_bridge.link.wires import Line
from firmware_bridge.simulator.user import FaultShown
from gateway.access.principals import Right
from gateway.contract.events import DeviceEvent
from gateway.registry.file import RegistryFile
from gateway.web.api.registry import OPERATIONS
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.web.site import open_site
from tests.gateway.works import loud
from tests.record import passes
from tests.system.house import running


@asynccontextmanager
async def served_with(folder: Path, **devices: Any) -> AsyncIterator[Served]:
    """With the register looked at as a gateway does it."""
    async with open_served(folder, devices=devices) as served:
        with running(served.works.register.watch()):
            yield served


def knock(served: Served, device_id: str = "kitchen") -> None:
    served.works.bridge.receive(Line("mqtt", device_id), [Hello(Header(), device_id, 5, "fw 1", 0, 0, 0, 0)])


def state(told: dict[str, Any], device_id: str) -> str:
    return next((one["state"] for one in told["devices"] if one["device_id"] == device_id), "")


async def test_who_waits_is_listed_and_comes_in_once_it_is_approved(tmp_path: Path) -> None:
    async with served_with(tmp_path, unknown="approve") as served:
        knock(served)
        told = await served.get("/devices")
        (waiting,) = told["waiting"]
        assert (waiting["device_id"], waiting["link"], waiting["firmware"], waiting["times"]) == (
            "kitchen",
            "mqtt",
            "fw 1",
            1,
        )
        assert told["refused"][0]["reason"] == "kitchen awaits approval"
        assert "earshot devices approve" in (await served.get("/health"))["components"]["devices"]["remedy"]
        answer = await served.call("POST", "/devices/kitchen/approve")
        assert (answer["standing"], answer["has_key"], "key" in answer) == ("approved", False, False)
        knock(served)
        told = await served.get("/devices")
        assert (told["waiting"], told["refused"], state(told, "kitchen")) == ([], [], "connected")
        assert [one["device_id"] for one in told["registered"]] == ["kitchen"]


async def test_who_is_away_is_told_by_why_it_may_not_come_back(tmp_path: Path) -> None:
    async with served_with(tmp_path) as served:
        knock(served)
        served.works.bridge.line_lost(Line("mqtt", "kitchen"), "unplugged")
        reasons = []
        for how in ("revoke", "deny", "approve"):
            await served.call("POST", f"/devices/kitchen/{how}")
            reasons.append((await served.get("/devices/kitchen"))["reason"])
        assert reasons == ["kitchen was revoked", "kitchen was denied", "unplugged"]


@pytest.mark.parametrize("how", ["deny", "revoke"])
async def test_who_is_cut_off_is_gone_when_the_answer_comes(tmp_path: Path, how: str) -> None:
    async with served_with(tmp_path) as served, served.works.board() as kitchen:
        stream = kitchen.end.start_stream(end_on_silence=False)
        for _ in range(20):
            kitchen.end.audio(stream, loud(0.02), 320)
        kitchen._pump()
        await passes(lambda: bool(served.works.pipeline.sessions()))
        await served.call("POST", f"/devices/kitchen/{how}")
        assert state(await served.get("/devices"), "kitchen") == "disconnected"
        assert served.works.bridge.devices() == ()
        await passes(lambda: not served.works.pipeline.sessions())
        assert served.works.engine.lengths == [], "what was not said to its end never was"


async def test_what_the_command_line_writes_holds_within_a_second(tmp_path: Path) -> None:
    async with served_with(tmp_path, rooms={"attic": "Attic"}) as served, served.works.board():
        await served.works.events.first(DeviceEvent, device_id="kitchen")
        file = RegistryFile(tmp_path)
        async with asyncio.timeout(1.0):
            file.describe("kitchen", {"name": "the board", "room": "Kitchen", "user": "ann"})
            await served.works.events.first(DeviceEvent, device_id="kitchen", room="Kitchen")
        (device,) = (await served.get("/devices"))["devices"]
        assert (device["name"], device["room"], device["user_id"]) == ("the board", "Kitchen", "ann")
        async with asyncio.timeout(1.0):
            file.revoke("kitchen")
            await served.works.events.first(DeviceEvent, device_id="kitchen", state="disconnected")


async def test_a_device_is_described_in_part_and_by_hand_wins(tmp_path: Path) -> None:
    async with served_with(tmp_path, known={"kitchen": {"room": "Kitchen"}}) as served:
        async with served.works.board():
            await served.works.events.first(DeviceEvent, device_id="kitchen")
            await served.call("PATCH", "/devices/kitchen", json={"name": "board", "room": "Attic"})
            await served.call("PATCH", "/devices/kitchen", json={"priority": "urgent"})
            (device,) = (await served.get("/devices"))["devices"]
            assert (device["name"], device["room"], device["priority"]) == ("board", "Kitchen", "urgent")
        for wrong in ({"room": "x" * 65}, {"user": "a b"}, {"priority": "now"}, {"key": "0" * 64}):
            await served.call("PATCH", "/devices/kitchen", 422, json=wrong)


async def test_a_key_is_shown_once(tmp_path: Path) -> None:
    async with served_with(tmp_path) as served:
        made = await served.call("POST", "/devices/kitchen/key")
        assert len(bytes.fromhex(made["key"])) == 32
        told = str(await served.get("/devices"))
        assert ("'has_key': True" in told, made["key"] in told) == (True, False)
        await served.call("POST", "/devices/kitchen/revoke")
        assert "'has_key': False" in str(await served.get("/devices"))


async def test_what_was_never_said_cannot_be_taken_back(tmp_path: Path) -> None:
    async with served_with(tmp_path, unknown="deny") as served:
        knock(served)
        await served.call("POST", "/devices/kitchen/unregister", 409)
        await served.call("POST", "/devices/kitchen/approve")
        await served.call("POST", "/devices/kitchen/unregister", 204)
        told = await served.get("/devices")
        assert (told["registered"], told["waiting"]) == ([], [])
        await served.call("POST", "/devices/web-panel/approve", 409)
        await served.call("POST", "/devices/a%20b/approve", 422)


async def test_a_register_that_cannot_be_read_or_written_is_a_state(tmp_path: Path) -> None:
    async with served_with(tmp_path) as served:
        (tmp_path / "devices.json").write_text('[{"device_id": "kit')
        for how in ("approve", "deny", "revoke", "key", "unregister"):
            await served.call("POST", f"/devices/kitchen/{how}", 503)
        (tmp_path / "devices.json").unlink()
        (tmp_path / "devices.json.lock").unlink()
        (tmp_path / "devices.json.lock").mkdir()
        await served.call("POST", "/devices/kitchen/approve", 503)
        assert (await served.get("/devices"))["registered"] == []


def test_only_who_governs_the_whole_house_decides_who_is_of_it() -> None:
    assert {one.right for one in OPERATIONS} == {Right.GOVERN}


async def test_with_a_key_only_who_has_it_comes_in(tmp_path: Path) -> None:
    async with served_with(tmp_path) as served:
        made = bytes.fromhex((await served.call("POST", "/devices/kitchen/key"))["key"])
        async with served.works.board(key=made) as board:
            await board.connected()
            (device,) = (await served.get("/devices"))["devices"]
            assert (device["state"], device["has_key"]) == ("connected", True)
        async with served.works.board(key=bytes(32)) as impostor:
            told = (await impostor.told.first(FaultShown)).message
            assert told == "kitchen has to prove who it is, and its proof is wrong"
        async with served.works.board() as impostor:
            assert (await impostor.told.first(FaultShown)).message == "kitchen has to prove who it is"
        health = (await served.get("/health"))["components"]["devices"]
        assert "earshot devices key kitchen" in health["remedy"]
        async with served.works.board(key=made) as board:
            await board.connected()


async def test_a_new_key_ends_who_has_the_old_one_while_it_speaks(tmp_path: Path) -> None:
    async with served_with(tmp_path) as served:
        old = bytes.fromhex((await served.call("POST", "/devices/kitchen/key"))["key"])
        async with served.works.board(key=old) as board:
            await board.connected()
            board.end.start_stream(end_on_silence=False)
            board._pump()
            await passes(lambda: bool(served.works.pipeline.sessions()))
            new = RegistryFile(tmp_path).make_key("kitchen").key
            async with asyncio.timeout(1.0):
                told = (await board.told.first(FaultShown, code=FaultCode.REFUSED)).message
            assert told == "kitchen has to prove who it is, and its proof is wrong"
            assert served.works.bridge.devices() == ()
        async with served.works.board(key=bytes.fromhex(new)) as board:
            await board.connected()


async def test_with_a_key_a_board_on_a_websocket_proves_itself_too(tmp_path: Path) -> None:
    async with open_site(journal=tmp_path / "journal.db") as site:
        key = bytes.fromhex(RegistryFile(tmp_path).make_key("kitchen").key)
        await site.parts.register.look()
        async with site.board("kitchen", key=key) as board:
            await board.connected()
        async with site.board("kitchen", key=bytes(32)) as impostor:
            assert "its proof is wrong" in (await impostor.told.first(FaultShown)).message
