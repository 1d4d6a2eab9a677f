"""Home Assistant's MQTT discovery read at a broker: what devices tell of themselves there, as long as it is kept."""

from __future__ import annotations

import asyncio
import secrets
from itertools import chain, islice

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession, stay_connected
from firmware_bridge.carriers.mqtt_publication import Publication
from firmware_bridge.carriers.mqtt_words import Wording
from gateway.names.discovered import names_in
from gateway.names.house import KnownNames
from gateway.names.tiers import Named, cleaned
from gateway.settings.names import DiscoveredNamesSettings

SOURCE = "MQTT"
MOST_TOPICS = 4_000
MOST_OF_ONE = 128
"""Names in one message."""
SETTLED_SECONDS = 0.5
"""What comes in this time is taken together: a broker hands out all that it keeps at once."""

_LOGIN = "correct the user and password in names.mqtt.url or password_file"
_TLS = "correct ca_file, cert_file and key_file under names.mqtt"
WORDS = Wording(
    start="start the MQTT broker, or correct names.mqtt.url",
    certificate=_TLS,
    tls=_TLS,
    login=_LOGIN,
    not_now=_LOGIN,
    rights="allow reading <prefix>/# in the broker's access list (names.mqtt.prefix)",
)


def address_of(settings: DiscoveredNamesSettings) -> BrokerAddress:
    """Where the broker is. Raises ValueError saying what is wrong with the URL."""
    files = settings.password_file, settings.ca_file, settings.cert_file, settings.key_file
    return BrokerAddress.parse(settings.url, Credentials(*files, "names.mqtt"))


class DiscoveredNames:
    """What the broker keeps, for as long as it runs."""

    def __init__(
        self,
        settings: DiscoveredNamesSettings,
        known: KnownNames,
        *,
        settled_seconds: float = SETTLED_SECONDS,
    ) -> None:
        self._address = address_of(settings)
        self._prefix = settings.prefix
        self._known = known
        self._settled_seconds = settled_seconds
        self._named: dict[str, tuple[Named, ...]] = {}
        """By topic."""
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Read, for ever."""
        await stay_connected(self._read_once, lambda reason, remedy: self._known.lost(SOURCE, reason, remedy))

    async def _read_once(self) -> str:
        session = MqttSession(client_id=f"earshot-names-{secrets.token_hex(4)}", wants_kept=True)
        self._named.clear()  # what was taken away meanwhile is not told any more
        connection = await MqttConnection.open(self._address, session, self._received, WORDS)
        try:
            await connection.subscribe(f"{self._prefix}/+/+/config", f"{self._prefix}/+/+/+/config")
            await connection.ping()  # what it keeps has come by then
            self._news.set()
            return await self._until_ended(connection)
        finally:
            await connection.close()

    async def _until_ended(self, connection: MqttConnection) -> str:
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell(), name="names of the house")
            reason = await connection.ended()
            telling.cancel()
        return f"{self._address}: {reason}"

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(self._settled_seconds)
            self._news.clear()
            self._known.found(SOURCE, chain.from_iterable(self._named.values()))

    def _received(self, publication: Publication) -> None:
        told = cleaned(names_in(publication.topic, publication.payload, self._prefix))
        found = tuple(islice(told, MOST_OF_ONE))
        if found and (publication.topic in self._named or len(self._named) < MOST_TOPICS):
            self._named[publication.topic] = found
        elif not found and self._named.pop(publication.topic, None) is None:
            return
        self._news.set()
