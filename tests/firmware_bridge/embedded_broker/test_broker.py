"""The broker inside the gateway: a real child process, a real amqtt."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.embedded_broker.broker import EmbeddedBroker, EmbeddedBrokerFailed
from firmware_bridge.embedded_broker.passwords import GATEWAY, Passwords

pytestmark = pytest.mark.slow

PASSWORDS = Passwords(bytes(32))


async def test_it_takes_a_free_port_carries_messages_and_ends(heard: Any) -> None:
    async with EmbeddedBroker(0, PASSWORDS, "a") as broker:
        address = BrokerAddress("127.0.0.1", broker.port, GATEWAY, PASSWORDS.of(GATEWAY))
        own = BrokerAddress("127.0.0.1", broker.port, "b", PASSWORDS.of("b"))
        one = await MqttConnection.open(
            address, MqttSession(client_id="one"), lambda m: heard((m.topic, m.payload))
        )
        await one.subscribe("a/+/up")
        board = await MqttConnection.open(
            own, MqttSession(client_id="one"), lambda m: heard((m.topic, m.payload))
        )
        board.publish("a/b/up", b"\0\1\2")
        await heard.until(lambda: heard.items)
        assert heard.items == [("a/b/up", b"\0\1\2")]
        heard.items.clear()
        await board.subscribe("a/b/down")
        one.publish("a/b/down", b"\0\3")
        await heard.until(lambda: heard.items)
        assert heard.items == [("a/b/down", b"\0\3")]
        await one.close()
        await board.close()
    assert await broker.ended() == 0


async def test_a_port_in_use_is_said_with_a_remedy() -> None:
    async with EmbeddedBroker(0, PASSWORDS, "a") as first:
        with pytest.raises(EmbeddedBrokerFailed, match="in use") as failed:
            async with EmbeddedBroker(first.port, PASSWORDS, "a"):
                pass
    assert "embedded_port" in failed.value.remedy


async def test_without_amqtt_the_remedy_is_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "amqtt.py").write_text("raise ImportError('not installed')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EmbeddedBrokerFailed, match="not installed") as failed:
        async with EmbeddedBroker(0, PASSWORDS, "a"):
            pass
    assert "pip install 'earshot-gateway[embedded]'" in failed.value.remedy


async def test_a_child_that_says_nonsense_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "amqtt.py").write_text("print('hello')\nraise SystemExit(7)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EmbeddedBrokerFailed, match="did not start"):
        async with EmbeddedBroker(0, PASSWORDS, "a"):
            pass


async def test_its_death_is_noticed() -> None:
    async with EmbeddedBroker(0, PASSWORDS, "a") as broker:
        os.kill(broker.pid, signal.SIGKILL)
        assert await asyncio.wait_for(broker.ended(), 5.0) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_outlives_the_signals_of_a_group_but_not_its_parent(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "firmware_bridge.embedded_broker.broker", "--port", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(b'{"secret": "' + b"A" * 44 + b'", "prefix": "a"}\n')
        child.stdin.flush()
        assert b"port" in child.stdout.readline()
        child.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)
        child.stdin.close()
        assert child.wait(5.0) == 0
