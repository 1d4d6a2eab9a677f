"""An effect before its check: whoever is refused has changed nothing, and one bad frame is one bad frame."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType

from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.link.frames import DeviceFrame, Fault, FaultCode, Header, Hello, Ping, Welcome, decode
from firmware_bridge.simulator.user import FaultShown, ReplyShown
from firmware_bridge.simulator.wires import Mqtt
from gateway.access.principals import Role
from gateway.client.credentials import Introduction
from gateway.client.device_socket import WebSocketWire
from tests.attacks.castle import SPOKEN, Castle, open_castle
from tests.record import PATIENCE
from tests.servers.mosquitto import Mosquitto
from tests.system.house import Board, pcm, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.unwell(perhaps=("devices",)),
]  # who is refused is told of for a while

PREFIX = "earshot/v1"
LONGEST = 65_535 - len(f"{PREFIX}//up")


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    server = Mosquitto(tmp_path_factory.mktemp("mosquitto")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def standing_castle(tmp_path_factory: pytest.TempPathFactory, mosquitto: Mosquitto) -> Iterator[Castle]:
    parts = {
        "devices": {"mqtt": {"url": mosquitto.url}, "users": {"study": "bob"}},
        "web": {"require_token": True},
    }
    with open_castle(tmp_path_factory.mktemp("castle"), parts) as castle:
        yield castle


def hello(device_id: str, boot: int = 7) -> Hello:
    return Hello(Header(credit=32), device_id, boot, "", 100, 0, 0, 0)


def page(castle: Castle, device_id: str, token: str, **options: Any) -> Board:
    return Board(device_id, WebSocketWire(castle.url, Introduction(token)), **options)


async def devices(castle: Castle, client: ClientSession) -> dict[str, Any]:
    return {device["device_id"]: device for device in (await castle.ask(client, "devices"))["devices"]}


async def is_answered(board: Board) -> None:
    await board.connected()
    said = await board.say(pcm(SPOKEN))
    assert (said.transcript, bool(said.reply), said.fallback) == (text(SPOKEN), True, False)


async def attacker(mosquitto: Mosquitto, heard: Any = lambda _: None) -> MqttConnection:
    return await MqttConnection.open(
        BrokerAddress.parse(mosquitto.url), MqttSession(client_id="attacker"), heard
    )


class TestMqtt:
    @pytest.mark.parametrize(
        "name",
        ["x" * LONGEST, "x" * (LONGEST - 2), "", "x" * 65, "ä", "a b", "kitchen\n", "../hall", "$SYS"],
        ids=["longest", "long-answer", "empty", "65", "letter", "blank", "line", "path", "dollar"],
    )
    async def test_a_topic_that_is_no_devices(self, castle: Castle, mosquitto: Mosquitto, name: str) -> None:
        """Its frames are dropped: HELLO is not taken on, and nothing that is for others is lost over it."""
        attacking = await attacker(mosquitto)
        for _ in range(30 if len(name) > 1000 else 1100):
            attacking.publish(f"{PREFIX}/{name}/up", hello("intruder").to_bytes())
            attacking.publish(f"{PREFIX}/{name}/up", Ping(Header(link=9)).to_bytes())
            attacking.publish(f"{PREFIX}/{name}/state", b"offline")
        async with Board("bedside", Mqtt(mosquitto.url, "bedside")) as board:
            await is_answered(board)
        async with ClientSession() as client:
            assert "intruder" not in await devices(castle, client)
        await attacking.close()

    async def test_another_id_than_the_topics(self, castle: Castle, mosquitto: Mosquitto) -> None:
        attacking = await attacker(mosquitto)
        async with Board("bedside", Mqtt(mosquitto.url, "bedside")) as board:
            await board.connected()
            attacking.publish(f"{PREFIX}/elsewhere/up", hello("bedside", board.end.boot).to_bytes())
            attacking.publish(f"{PREFIX}/elsewhere/up", hello("bedside", 8).to_bytes())
            await is_answered(board)
        await attacking.close()

    async def test_a_packet_that_no_frame_is_as_large_as(self, castle: Castle, mosquitto: Mosquitto) -> None:
        """The gateway keeps none of it, and hears what comes behind it."""
        attacking = await attacker(mosquitto)
        for _ in range(3):
            attacking.publish(f"{PREFIX}/bedside/up", bytes(40_000_000))
        async with Board("bedside", Mqtt(mosquitto.url, "bedside")) as board:
            await is_answered(board)
        await attacking.close()

    async def test_states_that_are_none(self, castle: Castle, mosquitto: Mosquitto) -> None:
        attacking = await attacker(mosquitto)
        async with Board("bedside", Mqtt(mosquitto.url, "bedside")) as board:
            await board.connected()
            for state in (b"", b"\xff", b"OFFLINE", b"offline\n", b"x" * 60_000):
                attacking.publish(f"{PREFIX}/bedside/state", state)
            attacking.publish(f"{PREFIX}/bedside/state", b"offline", retain=True)
            attacking.publish(f"{PREFIX}/bedside/state", b"", retain=True)
            await is_answered(board)
        await attacking.close()

    @pytest.mark.parametrize("boot", [7, 8], ids=["its own boot", "another boot"])
    async def test_a_board_that_calls_itself_a_page(
        self, castle: Castle, mosquitto: Mosquitto, boot: int
    ) -> None:
        """What is for a page is for nobody on MQTT, also while the page is silent."""
        answers: asyncio.Queue[DeviceFrame] = asyncio.Queue()
        attacking = await attacker(mosquitto, lambda message: answers.put_nowait(decode(message.payload)))
        await attacking.subscribe(f"{PREFIX}/web-bob-tablet/down")
        bob = castle.token("bob", users=("bob",))
        async with page(castle, "web-bob-tablet", bob, boot=7) as board:
            await board.connected()
            attacking.publish(f"{PREFIX}/web-bob-tablet/up", hello("web-bob-tablet", boot).to_bytes())
            fault = await asyncio.wait_for(answers.get(), PATIENCE)
            assert isinstance(fault, Fault)
            assert fault.code is FaultCode.REFUSED
            await is_answered(board)
        await attacking.close()


class TestSerial:
    async def test_a_board_on_a_wire_that_calls_itself_a_page(self, castle: Castle) -> None:
        async with castle.board("web-bob-tablet") as board:
            fault = await board.told.first(FaultShown)
        assert fault.code is FaultCode.REFUSED


class TestPages:
    @pytest.mark.parametrize("is_there", [True, False], ids=["beside", "instead"])
    async def test_somebody_elses_page(self, castle: Castle, *, is_there: bool) -> None:
        """Ann is refused; what Bob's page says and is told is not hers, before and after."""
        ann, bob = castle.token("ann", users=("ann",)), castle.token("bob", users=("bob",))
        async with (
            ClientSession() as client,
            client.ws_connect(f"{castle.url}ws", headers={"Authorization": f"Bearer {ann}"}) as listening,
        ):
            await listening.send_str('{"type":"subscribe"}')
            async with page(castle, "web-bob-page", bob) as board:
                await board.connected()
                if is_there:
                    await self._is_refused(castle, "web-bob-page", ann)
                    await is_answered(board)
            if not is_there:
                await self._is_refused(castle, "web-bob-page", ann)
                async with page(castle, "web-bob-page", bob) as board:
                    await is_answered(board)
            await listening.send_str("{}")  # answered with an error, behind all that was for Ann
            told = []
            while "error" not in (told[-1:] or [""])[0]:
                message = await listening.receive(PATIENCE)
                assert message.type is WSMsgType.TEXT, message
                told.append(message.data)
        assert '"device_id":"web-bob-page"' not in "".join(told)
        assert text(SPOKEN) not in "".join(told)

    @staticmethod
    async def _is_refused(castle: Castle, name: str, token: str) -> None:
        async with page(castle, name, token) as attacking:
            fault = await attacking.told.first(FaultShown)
            assert fault.code is FaultCode.REFUSED
            assert not attacking.told.of(ReplyShown)

    @pytest.mark.parametrize(
        ("role", "scope", "name"),
        [
            (Role.LISTENER, {}, "web-bob"),
            (Role.LISTENER, {}, "web-bob-page"),
            (Role.LISTENER, {}, "web-page"),
            (Role.LISTENER, {}, "web-"),
            (Role.LISTENER, {}, "web-annabel"),
            (Role.LISTENER, {"users": ("bob",)}, "study"),
            (Role.LISTENER, {"devices": ("study",)}, "study"),
            (Role.LISTENER, {"devices": ("web-bob",)}, "web-bob"),
            (Role.DEVICE, {"devices": ("kitchen",)}, "study"),
            (Role.DEVICE, {"devices": ("kitchen",)}, "web-kitchen"),
            (Role.OPERATOR, {"users": ("ann",)}, "study"),
            (Role.OPERATOR, {"users": ("ann",)}, "web-bob"),
            (Role.OPERATOR, {"devices": ("kitchen",)}, "study"),
        ],
    )
    async def test_who_is_nobody_of_that_name(
        self, castle: Castle, role: Role, scope: dict[str, tuple[str, ...]], name: str
    ) -> None:
        await self._is_refused(castle, name, castle.token("ann", role, **scope))
        async with ClientSession() as client:
            assert (await devices(castle, client)).get(name, {}).get("state") != "connected"

    async def test_another_name_after_a_good_one(self, castle: Castle) -> None:
        """The socket is one device's: also with that one's link and boot."""
        headers = {"Authorization": f"Bearer {castle.token('ann')}"}
        async with ClientSession() as client, client.ws_connect(castle.url + "device", headers=headers) as ws:
            await ws.send_bytes(hello("web-ann").to_bytes())
            assert isinstance(decode((await ws.receive(PATIENCE)).data), Welcome)
            for name in ("web-ann-2", "web-bob", "study"):
                await ws.send_bytes(hello(name).to_bytes())
                fault = decode((await ws.receive(PATIENCE)).data)
                assert isinstance(fault, Fault)
                assert fault.code is FaultCode.BAD_ID

    async def test_a_second_one_of_its_own(self, castle: Castle) -> None:
        """Even who may be any device is sent away, and owns nothing by having asked."""
        operator = castle.token("op", Role.OPERATOR)
        bob = castle.token("bob", users=("bob",))
        async with page(castle, "web-bob-page", bob) as board:
            await board.connected()
            async with page(castle, "web-bob-page", operator) as second:
                assert (await second.told.first(FaultShown)).code is FaultCode.DUPLICATE_ID
            async with ClientSession() as client:
                assert (await devices(castle, client))["web-bob-page"]["user_id"] == "bob"
            await is_answered(board)
