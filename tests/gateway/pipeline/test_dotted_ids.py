"""A device whose id has dots, as other programs name theirs: from its HELLO to its answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

from firmware_bridge.simulator.user import ReplyShown
from gateway.access.principals import Role
from gateway.contract.messages import RESULTS_TOPIC
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.api.served import open_served
from tests.gateway.web.house import bearer
from tests.gateway.works import loud, open_works
from tests.system.house import running

NAME = "esp32.001"
SETTINGS = {
    "users": {NAME: "ann", "esp32-001": "bob"},
    "rooms": {NAME: "Kitchen"},
    "priorities": {"devices": {NAME: "urgent"}},
}


async def test_it_speaks_and_is_answered_and_no_other_is(tmp_path: Path) -> None:
    async with (
        open_works(journal=tmp_path / "journal.db", devices=SETTINGS) as works,
        works.board(NAME) as dotted,
        works.board("esp32-001") as other,
        works.broker.subscribe(RESULTS_TOPIC, f"device.{NAME}") as its,
    ):
        saying = [asyncio.create_task(board.say(loud(0.5))) for board in (other, dotted)]
        for number in (1, 2):
            heard = await works.result(number)
            await works.reply(heard, f"hello {heard.user_id}")
        assert [one.reply for one in await asyncio.gather(*saying)] == ["hello bob", "hello ann"]
        delivery = await anext(its)
        key = delivery.message.routing_key
        assert (key.device, key.user) == (NAME, "ann")
        assert delivery.message.headers["earshot-priority"] == "urgent"
        assert its.pending == 0
        await works.idle()


async def test_it_is_told_something_over_the_api_by_that_name(tmp_path: Path) -> None:
    async with open_served(tmp_path, devices=SETTINGS, web={"require_token": True}) as served:
        token = bearer(Keyring(tmp_path).token("sam", role=Role.OPERATOR, devices=(NAME,)))
        async with served.works.board(NAME) as board:
            await board.connected()
            told = await served.get(f"/devices/{NAME}", headers=token)
            assert (told["device_id"], told["user_id"], told["room"]) == (NAME, "ann", "Kitchen")
            path = f"/devices/{NAME}/announcements"
            await served.call("POST", path, 202, json={"text": "dinner"}, headers=token)
            assert (await board.told.first(ReplyShown)).text == "dinner"
        for wrong in (".", "..", "a..b", "a.", ".a", "a" * 65):
            async with served.raw("GET", f"api/v1/devices/{wrong}", headers=token) as response:
                assert response.status in {404, 422}


async def test_an_orchestrator_asks_for_it_by_that_name() -> None:
    async with open_works(devices=SETTINGS) as works:
        agent = Orchestrator("its")

        @agent.on_transcript(devices=[NAME])
        async def answer(heard: Heard) -> str:
            return f"yes, {heard.device_id}"

        with running(agent.run(works.broker)):
            async with works.board(NAME) as board:
                assert (await board.say(loud(0.5))).reply == f"yes, {NAME}"
