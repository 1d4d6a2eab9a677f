"""Alerts as an MQTT broker keeps them: each retained under its name, for whoever comes later."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Final

import msgspec
import structlog

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials, MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_words import Wording
from firmware_bridge.pacing import Backoff
from gateway.alerting.alerts import Alert
from gateway.settings.observing.alerts import AlertSettings

log = structlog.get_logger(__name__)

TOPIC: Final = "earshot/alerts/{}"
_PLAIN = re.compile(r"[^a-z0-9]+")
WORDS: Final = Wording(
    start="start the MQTT broker, or correct alerts.mqtt",
    certificate="correct alerts.mqtt_ca_file",
    tls="correct alerts.mqtt_ca_file",
    login="correct the user in alerts.mqtt, or mqtt_password_file",
    not_now="correct the user in alerts.mqtt, or mqtt_password_file",
    rights="allow it to write earshot/alerts/# in the broker's access list",
)


class AlertMqtt:
    """``offer`` alerts at any time; ``run`` has the broker keep the last of each name."""

    def __init__(self, settings: AlertSettings, gateway: str) -> None:
        self._gateway = gateway
        files = settings.mqtt_password_file, settings.mqtt_ca_file, "", ""
        self._address = BrokerAddress.parse(settings.mqtt, Credentials(*files, "alerts"))
        self._waiting: dict[str, Alert] = {}
        self._some = asyncio.Event()
        self._is_away = False

    def offer(self, alert: Alert) -> None:
        """It takes the place of what was told of the same before."""
        self._waiting[alert.name] = alert
        self._some.set()

    async def run(self) -> None:
        """Until it is cancelled: a connection for what is news, which is seldom."""
        backoff = Backoff(1.0, 60.0)
        while True:
            await self._some.wait()
            try:
                await self._tell()
            except MqttUnavailable as error:
                if not self._is_away:
                    log.warning("alerts do not reach their broker", reason=error.reason, remedy=error.remedy)
                self._is_away = True
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()
                self._is_away = False

    async def _tell(self) -> None:
        session = MqttSession(client_id=f"earshot-alerts-{secrets.token_hex(4)}")
        connection = await MqttConnection.open(self._address, session, lambda *_: None, WORDS)
        try:
            while self._waiting:
                told = dict(self._waiting)
                for name, alert in told.items():
                    payload = msgspec.json.encode({"gateway": self._gateway, **msgspec.to_builtins(alert)})
                    connection.publish(topic_of(name), payload, retain=True)
                await connection.ping()  # the broker has them: it answers in order
                for name, alert in told.items():
                    if self._waiting.get(name) is alert:
                        del self._waiting[name]
            self._some.clear()
        finally:
            await connection.close()


def topic_of(name: str) -> str:
    """Where an alert is kept."""
    return TOPIC.format(_PLAIN.sub("-", name.lower()).strip("-"))
