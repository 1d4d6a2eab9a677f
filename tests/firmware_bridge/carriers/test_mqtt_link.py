"""The gateway's MQTT carrier: topics, states of the broker, and what is said about them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.carriers import mqtt_connection, mqtt_link
from firmware_bridge.carriers.mqtt_address import BrokerAddress, MqttSilent
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession, denies_publishing
from firmware_bridge.carriers.mqtt_link import MqttLink
from firmware_bridge.link.events import LinkChanged
from firmware_bridge.link.frames import FaultCode, Header, Hello, Ping
from firmware_bridge.link.framing import Decoded, FrameRejected
from firmware_bridge.link.wires import Line
from firmware_bridge.settings import MqttSettings
from tests.servers.mosquitto import Mosquitto

PING = Ping(Header(link=7, timestamp=1234))


@dataclass(frozen=True)
class Arrived:
    line: Line
    what: Decoded


@dataclass(frozen=True)
class Lost:
    line: Line


class Owner:
    """Records what a link tells its owner."""

    def __init__(self, heard: Any) -> None:
        self.heard = heard

    def carrier_up(self, carrier: str) -> None:
        self.heard(LinkChanged(carrier, up=True))

    def carrier_weak(self, carrier: str, reason: str, remedy: str) -> None:
        self.heard(LinkChanged(carrier, up=True, reason=reason, remedy=remedy))

    def carrier_down(self, carrier: str, reason: str, remedy: str, *, passing: bool = False) -> None:
        self.heard(LinkChanged(carrier, up=False, reason=reason, remedy=remedy, passing=passing))

    def line_lost(self, line: Line, reason: str) -> None:
        assert reason
        self.heard(Lost(line))

    def receive(self, line: Line, arrivals: Iterable[Decoded]) -> None:
        for arrival in arrivals:
            self.heard(Arrived(line, arrival))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (mqtt_connection, mqtt_link):
        monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.02)


@asynccontextmanager
async def link_to(heard: Any, url: str, **settings: Any) -> AsyncIterator[MqttLink]:
    link = MqttLink(MqttSettings(url=url, embedded_port=0, **settings), Owner(heard))
    running = asyncio.create_task(link.run())
    yield link
    running.cancel()
    await asyncio.wait((running,))


async def client(url: str, on_message: Callable[[str, bytes], None] = lambda _t, _p: None) -> MqttConnection:
    return await MqttConnection.open(
        BrokerAddress.parse(url),
        MqttSession(client_id="device"),
        lambda message: on_message(message.topic, message.payload),
    )


async def test_a_frame_on_a_devices_topic_arrives_on_its_line(heard: Any, mosquitto: Any) -> None:
    async with link_to(heard, mosquitto.url, prefix="house/speech"):
        await heard.first(LinkChanged, link="mqtt", up=True)
        device = await client(mosquitto.url)
        device.publish("house/speech/kitchen/up", PING.to_bytes())
        device.publish("house/speech/a/b/up", PING.to_bytes())
        device.publish("earshot/v1/kitchen/up", PING.to_bytes())
        device.publish("house/speech/cellar/up", b"\x09rubbish")
        await heard.first(Arrived, line=Line("mqtt", "cellar"))
        await device.close()
    arrived = heard.of(Arrived)
    assert arrived[0] == Arrived(Line("mqtt", "kitchen"), PING)
    assert len(arrived) == 2, "other topics are not listened to"
    assert isinstance(arrived[1].what, FrameRejected)
    assert arrived[1].what.code is FaultCode.MALFORMED


async def test_frames_go_to_the_devices_own_topic(heard: Any, mosquitto: Any, recorder: Any) -> None:
    seen = recorder()
    device = await client(mosquitto.url, lambda topic, payload: seen((topic, payload)))
    await device.subscribe("#")
    async with link_to(heard, mosquitto.url) as link:
        assert not link.send(Line("mqtt", "kitchen"), PING), "there is no connection yet"
        await heard.first(LinkChanged, up=True)
        assert link.send(Line("mqtt", "kitchen"), PING)
        await seen.until(lambda: seen.items)
    assert seen.items == [("earshot/v1/kitchen/down", PING.to_bytes())]
    await device.close()


async def test_only_the_last_will_means_a_device_is_lost(heard: Any, mosquitto: Any) -> None:
    async with link_to(heard, mosquitto.url):
        await heard.first(LinkChanged, up=True)
        device = await client(mosquitto.url)
        for state in (b"online", b"\xff\xfe", b"", b"offline"):
            device.publish("earshot/v1/kitchen/state", state, retain=True)
        assert await heard.first(Lost) == Lost(Line("mqtt", "kitchen"))
        assert len(heard.of(Lost)) == 1
        await device.close()


async def test_what_the_broker_kept_is_nothing_that_a_device_says_now(heard: Any, mosquitto: Any) -> None:
    hello = Hello(Header(), "kitchen", 5, "", 0, 0, 0, 0)
    device = await client(mosquitto.url)
    async with link_to(heard, mosquitto.url):
        await heard.first(LinkChanged, up=True)
        device.publish("earshot/v1/kitchen/up", hello.to_bytes(), retain=True)
        assert await heard.first(Arrived) == Arrived(Line("mqtt", "kitchen"), hello), "said now, and kept"
    for topic in ("cellar/up", "a-will/up"):
        device.publish(f"earshot/v1/{topic}", PING.to_bytes(), retain=True)
    device.publish("earshot/v1/kitchen/state", b"offline", retain=True)
    heard.items.clear()
    async with link_to(heard, mosquitto.url) as link:
        for _ in range(2):  # at the first connection, and when one is made anew
            await heard.first(LinkChanged, up=True)
            device.publish("earshot/v1/attic/up", PING.to_bytes())
            assert await heard.first(Arrived) == Arrived(Line("mqtt", "attic"), PING)
            assert not heard.of(Lost)
            heard.items.clear()
            assert link._connection
            link._connection.abort()
    await device.close()


async def test_each_failure_has_its_reason_and_remedy_and_is_tried_again(
    heard: Any, mosquitto: Any, guarded_mosquitto: Any
) -> None:
    mosquitto.stop()
    async with link_to(heard, mosquitto.url):
        down = await heard.first(LinkChanged, up=False, count=3)
        assert "refused" in down.reason
        assert "start the MQTT broker" in down.remedy
        mosquitto.start()
        await heard.first(LinkChanged, up=True)
        mosquitto.stop()
        await heard.until(lambda: not heard.items[-1].up)
        assert mosquitto.url in heard.items[-1].reason
    async with link_to(heard, guarded_mosquitto.url):
        down = await heard.first(LinkChanged, remedy="correct the user and password in devices.mqtt.url")
        assert guarded_mosquitto.url in down.reason


async def test_a_broker_that_forbids_the_topics_is_a_state_with_a_remedy(heard: Any) -> None:
    async def forbid(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        writer.write(bytes.fromhex("20020000"))  # CONNACK: welcome
        while (await reader.readexactly(1))[0] != 0x82:  # until SUBSCRIBE
            pass
        _, high, low = await reader.readexactly(3)
        writer.write(bytes((0x90, 4, high, low, 0x80, 0x80)))  # SUBACK: failure, failure
        await reader.read()
        writer.close()

    async with await asyncio.start_server(forbid, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with link_to(heard, f"mqtt://127.0.0.1:{port}"):
            down = await heard.first(LinkChanged, up=False)
    assert "does not allow reading earshot/v1/+/up" in down.reason
    assert "access list" in down.remedy


async def test_two_gateways_on_one_broker_do_not_throw_each_other_out(heard: Any, mosquitto: Any) -> None:
    async with link_to(heard, mosquitto.url), link_to(heard, mosquitto.url):
        await heard.first(LinkChanged, up=True, count=2)
        device = await client(mosquitto.url)
        device.publish("earshot/v1/kitchen/up", PING.to_bytes())
        await heard.first(Arrived, count=2)
        await device.close()
    assert not heard.of(LinkChanged, up=False)


@pytest.mark.slow
async def test_an_embedded_broker_that_dies_is_started_again_on_its_port(heard: Any) -> None:
    async with link_to(heard, "embedded") as link:
        assert link.url == ""
        await heard.first(LinkChanged, up=True)
        url = link.url
        os.kill(embedded_pid(), signal.SIGKILL)
        await heard.first(LinkChanged, up=True, count=2)
        assert link.url == url
        assert heard.of(LinkChanged, up=False)


@pytest.mark.slow
async def test_an_embedded_broker_that_hangs_is_started_again(
    heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_link, "HUNG_SECONDS", 0.5)
    monkeypatch.setattr(mqtt_connection, "KEEPALIVE_SECONDS", 1)
    async with link_to(heard, "embedded") as link:
        await heard.first(LinkChanged, up=True)
        stopped = embedded_pid()
        os.kill(stopped, signal.SIGSTOP)
        await heard.first(LinkChanged, up=True, count=2)
        assert (
            "hangs"
            in (await heard.first(LinkChanged, up=False, count=len(heard.of(LinkChanged, up=False)))).reason
        )
        assert embedded_pid() != stopped
        assert link.url


def embedded_pid() -> int:
    """The child of this process that is an embedded broker."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (pid,) = [
        int(child) for child in children if b"embedded_broker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return pid


@pytest.mark.slow
async def test_without_amqtt_the_remedy_is_said(
    heard: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "amqtt.py").write_text("raise ImportError('not installed')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with link_to(heard, "embedded"):
        down = await heard.first(LinkChanged, up=False)
        assert "earshot-gateway[embedded]" in down.remedy


async def test_a_broker_that_lets_us_publish_nothing_for_devices_says_so(heard: Any, tmp_path: Path) -> None:
    access = tmp_path / "acl"
    access.write_text("topic read #\ntopic write +/+/+/up\n")
    server = Mosquitto(tmp_path, f"allow_anonymous true\nacl_file {access}").start()
    try:
        async with link_to(heard, server.url) as link:
            await heard.first(LinkChanged, up=True)
            link.send(Line("mqtt", "kitchen"), PING)
            down = await heard.first(LinkChanged, up=False)
            assert "does not allow publishing on earshot/v1/+/down" in down.reason
            assert "access list" in down.remedy
            await heard.first(LinkChanged, up=False, count=4)
            assert len(heard.of(LinkChanged, up=True)) == 1, "it does not say in between that all is well"
            access.write_text("topic readwrite #\n")
            server.reload()
            await heard.first(LinkChanged, up=True, count=2)
    finally:
        server.kill()


async def test_a_broker_of_old_is_not_asked_for_ever(heard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "ASK_SECONDS", 0.05)
    calls: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _reader, writer: calls.append(writer), "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(MqttSilent):
            await denies_publishing(BrokerAddress("127.0.0.1", port), "earshot/v1/nobody/down")
        for call in calls:
            call.close()
            await call.wait_closed()


@pytest.mark.parametrize("name", ["", "x" * 65, "x" * 60_000, "a b", "ä", "a$b", "."], ids=len)
async def test_what_is_said_under_no_devices_name_is_nobodys(heard: Any, mosquitto: Any, name: str) -> None:
    hello = Hello(Header(), "kitchen", 5, "", 0, 0, 0, 0)
    async with link_to(heard, mosquitto.url) as link:
        await heard.first(LinkChanged, up=True)
        device = await client(mosquitto.url)
        device.publish(f"earshot/v1/{name}/up", hello.to_bytes())
        device.publish(f"earshot/v1/{name}/state", b"offline")
        device.publish("earshot/v1/cellar/up", PING.to_bytes())
        assert await heard.first(Arrived) == Arrived(Line("mqtt", "cellar"), PING)
        assert not heard.of(Lost)
        assert link.counters.malformed == 2
        await device.close()
