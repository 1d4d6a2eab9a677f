"""Alerts on their way to a webhook and a broker, which may be slow, wrong, or gone."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_publication import Publication
from gateway.alerting import webhook
from gateway.alerting.alerts import Alert, AlertState
from gateway.alerting.mqtt import AlertMqtt, topic_of
from gateway.alerting.webhook import MOST_WAITING, TRIES, AlertWebhook
from gateway.settings.observing.alerts import AlertSettings
from tests.gateway.alerting.receiver import Receiver, receiving
from tests.record import passes
from tests.servers.process import free_port


def alert(name: str = "disk", state: AlertState = AlertState.RAISED) -> Alert:
    return Alert(
        name=name, state=state, text="full", remedy="make room", urgent=True, raised_at=5.0, over_at=0.0
    )


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hurry(webhook.Backoff):
        def next(self) -> float:
            return min(0.01, super().next())

    monkeypatch.setattr(webhook, "Backoff", Hurry)


@asynccontextmanager
async def telling(receiver: Receiver | None, **settings: Any) -> AsyncIterator[AlertWebhook]:
    url = receiver.url if receiver else "http://127.0.0.1:1/"
    one = AlertWebhook(AlertSettings(webhook=url, **settings), "attic")
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_they_come_in_order_and_say_which_gateway() -> None:
    async with receiving() as receiver, telling(receiver) as one:
        for name in "abc":
            one.offer(alert(name))
        one.offer(alert("a", AlertState.OVER))
        await passes(lambda: one.told == 4)
        assert [each["name"] for each in receiver.alerts] == ["a", "b", "c", "a"]
        assert receiver.alerts[3]["state"] == "over"
        assert (
            receiver.alerts[0].items() >= {"gateway": "attic", "remedy": "make room", "urgent": True}.items()
        )


async def test_whoever_has_the_secret_can_tell_that_it_is_ours(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse\n")
    async with (
        receiving() as receiver,
        telling(receiver, webhook_secret_file=str(tmp_path / "secret")) as one,
    ):
        one.offer(alert())
        await passes(lambda: one.told == 1)
        headers, body = receiver.headers[0], receiver.bodies[0]
    stamp = headers["X-Earshot-Timestamp"]
    code = hmac.new(b"correct horse", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["X-Earshot-Signature"] == f"sha256={code}"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_one_that_has_trouble_is_told_again(status: int) -> None:
    async with receiving() as receiver, telling(receiver) as one:
        receiver.statuses = [status, status]
        one.offer(alert())
        await passes(lambda: one.told == 1)
        assert len(receiver.bodies) == 3


@pytest.mark.parametrize("status", [301, 302, 400, 404])
async def test_one_that_does_not_want_it_is_asked_once_and_nowhere_else(status: int) -> None:
    async with receiving() as receiver, telling(receiver) as one:
        receiver.statuses = [status]
        one.offer(alert("a"))
        one.offer(alert("b"))
        await passes(lambda: one.told == 1)
        assert (len(receiver.bodies), one.given_up) == (2, 1)


async def test_one_that_always_fails_is_given_up_and_the_next_is_tried() -> None:
    async with receiving() as receiver, telling(receiver) as one:
        receiver.statuses = [500] * TRIES
        one.offer(alert("a"))
        one.offer(alert("b"))
        await passes(lambda: one.told == 1)
        assert (one.given_up, receiver.alerts[-1]["name"]) == (1, "b")


async def test_one_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.05)
    async with receiving() as receiver, telling(receiver) as one:
        receiver.go.clear()
        one.offer(alert())
        await passes(lambda: len(receiver.bodies) >= 2)
        receiver.go.set()
        await passes(lambda: one.told == 1)


async def test_one_that_is_away_for_long_is_waited_for() -> None:
    """In an outage alerts are wanted most; their number is bounded, and not their patience."""
    port = free_port()
    one = AlertWebhook(AlertSettings(webhook=f"http://127.0.0.1:{port}/hook"), "attic")
    task = asyncio.create_task(one.run())
    one.offer(alert("a"))
    one.offer(alert("b"))
    await asyncio.sleep(0.02 * TRIES)
    async with receiving(port) as receiver:
        await passes(lambda: one.told == 2)
        assert [each["name"] for each in receiver.alerts] == ["a", "b"]
    assert one.given_up == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_waits_is_bounded_and_the_newest_stay() -> None:
    async with telling(None) as one:
        for number in range(MOST_WAITING + 20):
            one.offer(alert(str(number)))
        assert one.given_up == 20
        assert one._waiting[-1].name == str(MOST_WAITING + 19)


async def test_a_secret_that_cannot_be_read_is_told_in_the_log_and_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    async with receiving() as receiver, telling(receiver, webhook_secret_file=str(file)) as one:
        one.offer(alert())
        await asyncio.sleep(0.02)
        assert receiver.bodies == []
        file.write_text("words\n")
        await passes(lambda: one.told == 1)


# -- a broker


async def kept(url: str) -> dict[str, Any]:
    """What the broker says to whoever comes now."""
    found: dict[str, Any] = {}

    def take(publication: Publication) -> None:
        found[publication.topic] = msgspec.json.decode(publication.payload)

    address = BrokerAddress.parse(url, Credentials("", "", "", "", "alerts"))
    session = MqttSession(client_id="late", wants_kept=True)
    connection = await MqttConnection.open(address, session, take)
    await connection.subscribe("earshot/alerts/#")
    await connection.ping()
    await connection.close()
    return found


async def test_whoever_comes_to_the_broker_later_sees_how_things_are(mosquitto: Any) -> None:
    one = AlertMqtt(AlertSettings(mqtt=mosquitto.url), "attic")
    task = asyncio.create_task(one.run())
    one.offer(alert("disk"))
    one.offer(alert("door"))
    await passes(lambda: not one._waiting)
    one.offer(alert("disk", AlertState.OVER))
    await passes(lambda: not one._waiting)
    found = await kept(mosquitto.url)
    task.cancel()
    assert {topic: told["state"] for topic, told in found.items()} == {
        "earshot/alerts/disk": "over",
        "earshot/alerts/door": "raised",
    }
    assert found["earshot/alerts/door"]["gateway"] == "attic"


async def test_a_broker_that_is_away_is_told_when_it_is_back(mosquitto: Any) -> None:
    mosquitto.kill()
    one = AlertMqtt(AlertSettings(mqtt=mosquitto.url), "attic")
    task = asyncio.create_task(one.run())
    one.offer(alert("disk"))
    await passes(lambda: one._is_away)
    one.offer(alert("disk", AlertState.OVER))
    mosquitto.start()
    await passes(lambda: not one._waiting)
    task.cancel()
    assert (await kept(mosquitto.url))["earshot/alerts/disk"]["state"] == "over"


def test_an_alert_s_name_is_no_part_of_the_topic_that_means_something() -> None:
    assert topic_of("token in two hands") == "earshot/alerts/token-in-two-hands"
    assert topic_of("a/#+ b") == "earshot/alerts/a-b"
