"""Devices on MQTT, native topics: one frame per message under ``<prefix>/<device_id>/``.

``up`` carries the device's frames, ``down`` the gateway's, and ``state`` is ``online`` or
``offline``, retained, the latter being the device's last will.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets

import structlog

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials, MqttSilent, MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import (
    FIRST_RETRY_SECONDS,
    MqttConnection,
    MqttSession,
    denies_publishing,
    stay_connected,
)
from firmware_bridge.carriers.mqtt_publication import Publication
from firmware_bridge.embedded_broker.broker import EmbeddedBroker, EmbeddedBrokerFailed
from firmware_bridge.embedded_broker.passwords import GATEWAY, Passwords
from firmware_bridge.link.frames import DeviceFrame, is_device_id
from firmware_bridge.link.framing import DatagramDecoder, DecoderCounters
from firmware_bridge.link.wires import MQTT, Line, Wires
from firmware_bridge.pacing import Backoff
from firmware_bridge.settings import MqttSettings

HUNG_SECONDS = 15.0
"""An embedded broker to which there is no connection for so long does not work, though it lives."""
EMBEDDED_RETRY_SECONDS = 30.0
"""The longest wait before an embedded broker that did not start is started again."""

NOBODY = "earshot-asks"
"""No device has this id: what is published for it, to learn whether we may, reaches nobody."""

log = structlog.get_logger(__name__)


class MqttLink:
    """The gateway's connection to the devices' MQTT broker, or to one it starts itself."""

    def __init__(self, settings: MqttSettings, wires: Wires, passwords: Passwords | None = None) -> None:
        """``passwords``: of the embedded broker; without them only its gateway can log in.

        Raises ValueError when the URL is no broker's.
        """
        self._passwords = passwords or Passwords(secrets.token_bytes(32))
        self._settings = settings
        self._wires = wires
        files = Credentials(settings.password_file, settings.ca_file, settings.cert_file, settings.key_file)
        self._address = None if settings.url == "embedded" else BrokerAddress.parse(settings.url, files)
        self._connection: MqttConnection | None = None
        self._used = asyncio.Event()
        """Something was to be published for a device."""
        self._was_denied = False
        self._asks_rights = settings.url != "embedded"
        self._decoder = DatagramDecoder()

    @property
    def url(self) -> str:
        """The broker's URL without a password; empty until an embedded broker has its port."""
        return str(self._address or "")

    def url_of(self, device_id: str) -> str:
        """The same with what the device logs in with, where the broker is the embedded one."""
        is_ours = self._settings.url == "embedded" and self.url
        return self._passwords.url(self.url, device_id) if is_ours else self.url

    async def run(self) -> None:
        """Connect, serve and reconnect for ever; cancel it to disconnect."""
        if self._settings.url == "embedded":
            await self._run_with_embedded_broker(self._settings.embedded_port)
        else:
            await stay_connected(self._serve_once, self._lost)

    @property
    def counters(self) -> DecoderCounters:
        """What has come so far, over all devices."""
        return dataclasses.replace(self._decoder.counters)

    def send(self, line: Line, frame: DeviceFrame) -> bool:
        """Publish a frame to a device; False when there is no connection or it takes nothing more."""
        topic = f"{self._settings.prefix}/{line.device_id}/down"
        self._used.set()
        return self._connection is not None and self._connection.publish(topic, frame.to_bytes())

    async def _run_with_embedded_broker(self, port: int) -> None:
        backoff = Backoff(FIRST_RETRY_SECONDS, EMBEDDED_RETRY_SECONDS)
        while True:
            try:
                async with EmbeddedBroker(port, self._passwords, self._settings.prefix) as broker:
                    backoff.reset()
                    port = broker.port  # a free one that was found is kept for the next life
                    self._address = BrokerAddress("127.0.0.1", port, GATEWAY, self._passwords.of(GATEWAY))
                    await self._run_until(broker)
            except EmbeddedBrokerFailed as failure:
                self._wires.carrier_down(MQTT, failure.reason, failure.remedy)
            await asyncio.sleep(backoff.next())

    async def _run_until(self, broker: EmbeddedBroker) -> None:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(stay_connected(self._serve_once, self._lost), name="mqtt link")
            ended = tasks.create_task(broker.ended())
            hung = tasks.create_task(self._hung())
            await asyncio.wait((ended, hung), return_when=asyncio.FIRST_COMPLETED)
            what = "ended" if ended.done() else "hangs"
            log.warning("embedded MQTT broker does not go on", what=what)
            for task in (serving, ended, hung):
                task.cancel()
        self._wires.carrier_down(MQTT, f"the embedded MQTT broker {what}", "it is started again")

    async def _hung(self) -> None:
        """Until it is clear that nobody gets into the embedded broker any more."""
        loop = asyncio.get_running_loop()
        served = loop.time()
        while loop.time() - served < HUNG_SECONDS:
            await asyncio.sleep(min(1.0, HUNG_SECONDS / 4))
            if self._connection is not None:
                served = loop.time()

    async def _serve_once(self) -> str:
        """One connection, from opening to its end; why it ended. Raises MqttUnavailable."""
        assert self._address
        connection = await MqttConnection.open(
            self._address, MqttSession(client_id=f"earshot-{secrets.token_hex(4)}"), self._received
        )
        try:
            await connection.subscribe(f"{self._settings.prefix}/+/up", f"{self._settings.prefix}/+/state")
            if self._was_denied:
                await self._check_rights(self._address)
            self._connection = connection
            self._wires.carrier_up(MQTT)
            return f"{self._address}: {await self._ended(connection, self._address)}"
        finally:
            self._connection = None
            await connection.close()

    async def _ended(self, connection: MqttConnection, address: BrokerAddress) -> str:
        """Until the connection has; once something is for a device, it is asked whether it may go there."""
        ended = asyncio.create_task(connection.ended())
        self._used.clear()
        used = asyncio.create_task(self._used.wait())
        try:
            await asyncio.wait((ended, used), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._check_rights(address)
            return await ended
        finally:
            used.cancel()
            ended.cancel()

    async def _check_rights(self, address: BrokerAddress) -> None:
        """Raises MqttUnavailable where nothing that is for a device would reach it, which the broker does not say."""
        if not self._asks_rights:
            return
        topic = f"{self._settings.prefix}/{NOBODY}/down"
        try:
            denied = await denies_publishing(address, topic)
        except MqttSilent:
            self._asks_rights = False  # nor will it the next time, and devices wait
            return
        self._was_denied = denied
        if denied:
            raise MqttUnavailable(
                f"{address} does not allow publishing on {self._settings.prefix}/+/down",
                "allow it in the broker's access list, or change devices.mqtt.prefix",
            )

    def _lost(self, reason: str, remedy: str) -> None:
        self._wires.carrier_down(MQTT, reason, remedy)

    def _received(self, publication: Publication) -> None:
        topic, payload = publication.topic, publication.payload
        device_id, _, leaf = topic.removeprefix(f"{self._settings.prefix}/").rpartition("/")
        if not is_device_id(device_id):  # nobody's: there is no line for it, and no topic to answer on
            self._decoder.counters.bytes += len(payload)
            self._decoder.counters.malformed += 1
            return
        line = Line(MQTT, device_id)
        if leaf == "up":
            self._wires.receive(line, self._decoder.feed(payload))
        elif payload == b"offline":
            self._wires.line_lost(line, "the broker says it is offline")
