"""The doctor's look at the brokers and at who answers: it logs in, asks who reads, and imports."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import structs

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials, MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_words import DEVICES, Wording
from firmware_bridge.settings import MqttSettings
from gateway.adapters.home_assistant.broker import WORDS, address_of
from gateway.adapters.home_assistant.topics import HomeTopics
from gateway.broker.base import CANNOT_TELL, BrokerError, BrokerStatus, BrokerUnavailable
from gateway.broker.opening import MEMORY, open_broker
from gateway.commands.doctor.agents import agents, listen
from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import RESULTS_TOPIC
from gateway.observing.broker_health import in_words
from gateway.observing.orchestrator_health import (
    ASK_FOR_AUTO,
    BESIDE,
    DEMO,
    NAME_ONE,
    NOBODY,
    NOWHERE,
    START_ONE,
)
from gateway.orchestrators.builtin import NAME
from gateway.orchestrators.loading import inside, load_orchestrator
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.home_assistant import HomeAssistantSettings

CLOSE_SECONDS = 0.5


def devices_broker(settings: MqttSettings) -> Finding:
    """The broker that devices connect to, which is not ours."""
    files = Credentials(settings.password_file, settings.ca_file, settings.cert_file, settings.key_file)
    address = BrokerAddress.parse(settings.url, files)
    try:
        asyncio.run(_log_in(address, f"{settings.prefix}/+/up"))
    except MqttUnavailable as error:
        return fail("mqtt", error.reason, error.remedy)
    return ok("mqtt", f"{address} lets us in")


def home_assistants_broker(settings: HomeAssistantSettings) -> Finding:
    """The broker that Home Assistant is at."""
    address = address_of(settings)
    try:
        asyncio.run(_log_in(address, HomeTopics(settings.prefix, settings.name).orders, WORDS))
    except MqttUnavailable as error:
        return fail("home assistant", error.reason, error.remedy)
    return ok("home assistant", f"{address} lets us in")


def brokers(config: GatewayConfig) -> Iterator[Finding]:
    """The broker of the messages, and whether anybody answers there, or here."""
    if config.broker.url == MEMORY:
        yield ok("broker", "memory://, inside the gateway")
        yield from _who(config, None)
        return
    try:
        look = asyncio.run(_look(config))
    except BrokerUnavailable as error:
        yield fail("broker", str(error), error.remedy)
        yield from _who(config, None)
    except BrokerError as error:  # its client library is missing
        yield fail("broker", str(error))
        yield from _who(config, None)
    else:
        yield _connected(look.status)
        yield from _who(config, look)


class _Look(NamedTuple):
    """What a broker shows: how it is, how many read transcripts there, and which agents say to be there."""

    status: BrokerStatus
    readers: int
    there: Counter[str]


def _who(config: GatewayConfig, look: _Look | None) -> Iterator[Finding]:
    """Who answers, here or there. ``look``: None where nobody could."""
    if config.orchestrator.agents:
        yield from agents(config, look.there if look else None)
    elif here := _answers_here(config):
        yield here
    elif look is not None:
        yield _answers_there(config, look.readers)
    elif config.broker.url == MEMORY:
        yield warn("orchestrator", NOWHERE, NAME_ONE)


async def _log_in(address: BrokerAddress, topic: str, words: Wording = DEVICES) -> None:
    name = f"earshot-doctor-{secrets.token_hex(4)}"
    connection = await MqttConnection.open(address, MqttSession(client_id=name), lambda _: None, words)
    try:
        await connection.subscribe(topic)
    finally:
        await connection.close()


async def _look(config: GatewayConfig) -> _Look:
    """Nothing is made that anybody keeps. Raises BrokerError."""
    told: list[BrokerStatus] = []
    settings = structs.replace(config.broker, keep_for_groups=())
    broker = open_broker(config.broker.url, settings, told.append)
    try:
        groups = ("", *config.broker.keep_for_groups)
        readers = [await broker.readers(RESULTS_TOPIC, group) for group in groups]
        there = await listen(broker, config.orchestrator) if config.orchestrator.agents else Counter()
    finally:
        await broker.close(CLOSE_SECONDS)
    return _Look(told[-1], max(readers) or min(readers), there)


def _connected(status: BrokerStatus) -> Finding:
    if status.weaknesses:
        return warn("broker", f"{in_words(status)}; {'; '.join(status.weaknesses)}")
    return ok("broker", in_words(status))


def _answers_here(config: GatewayConfig) -> Finding | None:
    app = inside(config.orchestrator.app, config.broker.url)
    if not app:
        return None
    if app == NAME:
        demo = (BESIDE, ASK_FOR_AUTO) if config.broker.url != MEMORY else (DEMO, NAME_ONE)
        return warn("orchestrator", *demo)
    try:
        found = load_orchestrator(app)
        found.check()
    except BadOrchestrator as error:
        return fail("orchestrator", str(error), "correct orchestrator.app, or what it names")
    return ok("orchestrator", f"{app} answers as {found.name}, inside the gateway")


def _answers_there(config: GatewayConfig, readers: int) -> Finding:
    if readers > 0:
        return ok("orchestrator", "somebody reads transcripts on the broker")
    if readers == CANNOT_TELL:
        return ok("orchestrator", "on the broker, which does not show whether anybody is there")
    if config.broker.url.startswith("mqtt"):
        return ok("orchestrator", "on the broker; MQTT does not show whether anybody is there")
    return warn("orchestrator", NOBODY, START_ONE)
