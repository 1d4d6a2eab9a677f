"""MQTT on asyncio against a real Mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firmware_bridge.carriers import mqtt_connection
from firmware_bridge.carriers.mqtt_address import BrokerAddress, MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import (
    OUTBOX_MESSAGES,
    LastWill,
    MqttConnection,
    MqttSession,
    stay_connected,
)


async def open_to(
    url: str, client_id: str, on_message: Callable[[str, bytes], None], **more: Any
) -> MqttConnection:
    return await MqttConnection.open(
        BrokerAddress.parse(url),
        MqttSession(client_id=client_id, **more),
        lambda message: on_message(message.topic, message.payload),
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://box", BrokerAddress("box", 1883)),
        ("mqtt://box:99", BrokerAddress("box", 99)),
        ("mqtt://[::1]:99", BrokerAddress("::1", 99)),
        ("mqtt://ann:p%40ss@box", BrokerAddress("box", 1883, "ann", "p@ss")),
        ("mqtts://box", BrokerAddress("box", 8883, tls=True)),
        ("mqtts://ann@box:99", BrokerAddress("box", 99, "ann", tls=True)),
    ],
)
def test_a_url_names_host_port_and_login(url: str, address: BrokerAddress) -> None:
    assert BrokerAddress.parse(url) == address
    assert "p@ss" not in str(address)
    assert BrokerAddress.parse(str(address)).port == address.port


@pytest.mark.parametrize("url", ["", "box", "http://box", "mqtt://", "mqtt://box/topic", "ws://u:secret@box"])
def test_what_is_no_brokers_url_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"mqtt\[s\]://") as refused:
        BrokerAddress.parse(url)
    assert "secret" not in str(refused.value)


async def test_messages_go_both_ways_in_order(mosquitto: Any, recorder: Any) -> None:
    heard = recorder()
    listener = await open_to(mosquitto.url, "listener", lambda topic, payload: heard((topic, payload)))
    await listener.subscribe("a/+/up")
    speaker = await open_to(mosquitto.url, "speaker", lambda _t, _p: None)
    for number in range(300):
        assert speaker.publish("a/b/up", bytes([number % 256]) * 2000)
    await heard.until(lambda: len(heard.items) == 300)
    assert heard.items == [("a/b/up", bytes([number % 256]) * 2000) for number in range(300)]
    await speaker.close()
    await listener.close()


@pytest.mark.parametrize("wants_kept", [False, True])
async def test_what_the_broker_has_kept_is_handed_on_to_who_wants_it_before_the_subscription_is_ended(
    mosquitto: Any,
    recorder: Any,
    wants_kept: bool,  # noqa: FBT001
) -> None:
    speaker = await open_to(mosquitto.url, "speaker", lambda _t, _p: None)
    for number in range(500):
        assert speaker.publish(f"kept/{number}", b"x" * 3000, retain=True)
    await speaker.ping()
    heard = recorder()
    listener = await open_to(mosquitto.url, "listener", lambda topic, _: heard(topic), wants_kept=wants_kept)
    await listener.subscribe("kept/+")
    await listener.unsubscribe("kept/+")
    assert len(heard.items) == (500 if wants_kept else 0)
    assert listener.stale == (0 if wants_kept else 500)
    speaker.publish("kept/1", b"more", retain=True)
    await speaker.ping()
    await listener.ping()
    assert "kept/1" not in heard.items[500:]
    await speaker.close()
    await listener.close()


async def test_the_outbox_is_bounded_and_what_it_refuses_is_counted(mosquitto: Any) -> None:
    speaker = await open_to(mosquitto.url, "speaker", lambda _t, _p: None)
    # The loop has no turn here, so nothing leaves.
    taken = [speaker.publish("a/b/up", b"x") for _ in range(OUTBOX_MESSAGES + 5)]
    assert taken == [True] * OUTBOX_MESSAGES + [False] * 5
    assert speaker.refused == 5
    await speaker.close()
    assert not speaker.publish("a/b/up", b"x")


async def test_an_abort_publishes_the_last_will_and_a_close_does_not(mosquitto: Any, recorder: Any) -> None:
    heard = recorder()
    listener = await open_to(mosquitto.url, "listener", lambda topic, payload: heard((topic, payload)))
    await listener.subscribe("state/#")
    for name in ("polite", "rude"):
        will = LastWill(f"state/{name}", b"offline")
        connection = await open_to(mosquitto.url, name, lambda _t, _p: None, will=will)
        if name == "polite":
            await connection.close()
        else:
            connection.abort()
        assert await connection.ended()
        connection.abort()  # again: harmless
        await connection.close()
    await heard.until(lambda: heard.items)
    assert heard.items == [("state/rude", b"offline")]
    await listener.close()


async def test_a_broker_that_goes_ends_the_connection(mosquitto: Any) -> None:
    connection = await open_to(mosquitto.url, "one", lambda _t, _p: None)
    mosquitto.stop()
    assert await asyncio.wait_for(connection.ended(), 5.0) == "connection lost"


async def test_nobody_there_is_a_state_with_a_remedy(free_tcp_port: int) -> None:
    with pytest.raises(MqttUnavailable, match="refused") as unavailable:
        await open_to(f"mqtt://127.0.0.1:{free_tcp_port}", "one", lambda _t, _p: None)
    assert "start the MQTT broker" in unavailable.value.remedy


async def test_a_name_nobody_knows_is_a_state() -> None:
    with pytest.raises(MqttUnavailable):
        await open_to("mqtt://no-such-host.invalid", "one", lambda _t, _p: None)


async def test_a_wrong_password_is_a_state_with_a_remedy(guarded_mosquitto: Any) -> None:
    with pytest.raises(MqttUnavailable, match="refused") as unavailable:
        await open_to(guarded_mosquitto.url, "one", lambda _t, _p: None)
    assert "user and password" in unavailable.value.remedy


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(MqttUnavailable, match="does not answer"):
            await open_to(f"mqtt://127.0.0.1:{port}", "one", lambda _t, _p: None, connect_seconds=0.1)


class LateAddress(BrokerAddress):
    """Its login is known when somebody says so."""

    asked = threading.Event()
    known = threading.Event()

    def login(self) -> None:
        self.asked.set()
        assert self.known.wait(10)


async def test_who_is_cancelled_while_connecting_leaves_nothing_open() -> None:
    """The thread that connects cannot be cancelled."""
    gone = asyncio.get_running_loop().create_future()

    async def wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set_result(None)

    async with await asyncio.start_server(wait_for_the_end, "127.0.0.1", 0) as server:
        address = LateAddress("127.0.0.1", server.sockets[0].getsockname()[1])
        connection = MqttConnection(address, MqttSession(client_id="a"), lambda _: None)
        connecting = asyncio.create_task(connection.connect())
        assert await asyncio.to_thread(address.asked.wait, 10)
        connecting.cancel()
        await asyncio.wait((connecting,))
        address.known.set()
        async with asyncio.timeout(5):
            await gone
    assert connecting.cancelled()


async def test_stay_connected_tries_again_after_each_end_and_each_failure() -> None:
    calls: list[str] = []
    lost: list[tuple[str, str]] = []
    done = asyncio.Event()

    async def serve_once() -> str:
        calls.append("call")
        if len(calls) == 1:
            raise MqttUnavailable("not there", "start it")
        return "it went"

    def on_lost(reason: str, remedy: str) -> None:
        lost.append((reason, remedy))
        if len(lost) == 3:
            done.set()

    await cancelled_when(done, stay_connected(serve_once, on_lost))
    assert lost == [("not there", "start it"), ("it went", ""), ("it went", "")]


async def cancelled_when(done: asyncio.Event, work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    await asyncio.wait_for(done.wait(), 10.0)
    task.cancel()
    await asyncio.wait((task,))


async def test_a_topic_that_cannot_be_costs_nothing_but_its_message(mosquitto: Any, heard: Any) -> None:
    one = await open_to(mosquitto.url, "one", lambda topic, payload: heard((topic, payload)))
    await one.subscribe("a/+/up")
    for _ in range(OUTBOX_MESSAGES + 1):
        assert not one.publish("a/" + "x" * 65_535 + "/up", b"lost")
    assert one.refused == OUTBOX_MESSAGES + 1
    assert one.publish("a/b/up", b"kept")
    await heard.until(lambda: heard.items)
    assert heard.items == [("a/b/up", b"kept")]
    await one.close()


@pytest.mark.parametrize("size", [mqtt_connection.MAX_PACKET_BYTES, 5_000_000])
async def test_a_packet_that_is_no_frames_is_thrown_away_as_it_comes(
    mosquitto: Any, heard: Any, size: int
) -> None:
    one = await open_to(mosquitto.url, "one", lambda topic, payload: heard((topic, payload)))
    await one.subscribe("a/+/up")
    for payload in (b"before", bytes(size), b"between", bytes(size), b"after"):
        assert one.publish("a/b/up", payload)
    await heard.until(lambda: len(heard.items) == 3)
    assert [payload for _, payload in heard.items] == [b"before", b"between", b"after"]
    assert one._socket.oversized == 2
    await one.close()
