"""The parts of the gateway that the web server serves, as one value.

The page is there before the rest of the gateway and outlives it, so that it can say what is missing. What
comes later is asked for at each request: :meth:`Parts.running` raises NotRunning while it is not there.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from firmware_bridge.bridge import Bridge
from gateway.access.audit import Audit
from gateway.access.common_door import CommonDoor
from gateway.access.principals import Principal
from gateway.alerting.watching import AlertWatch
from gateway.broker.base import BrokerStatus, MessageBroker
from gateway.config.configuration import GatewayConfig
from gateway.config.reloading import Plan
from gateway.hub.hub import Hub
from gateway.journal import AnyJournal
from gateway.journal.of_house import HouseHistory
from gateway.observing.health import Health
from gateway.observing.machine.sampler import Sampler
from gateway.observing.requests.counting import HttpRequests
from gateway.pipeline.asking.typed_text import Said
from gateway.pipeline.forgetting import Forgetting
from gateway.pipeline.pipeline import Pipeline
from gateway.registry.admission import Register
from gateway.settings.openai import OpenAISettings
from gateway.settings.web import WebSettings
from transcription.recognizing import Recognizing


class NotRunning(Exception):
    """The gateway is starting or stopping: what was asked for is not there (503)."""


class NotAtHub(NotRunning):
    """A hub never has it, however long one waits (503)."""


_CONNECTED = BrokerStatus(connected=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningParts:
    """What is there while the gateway is up. ``reconfigure`` changes its settings as far as that goes."""

    config: GatewayConfig
    broker: MessageBroker
    recognizer: Recognizing
    journal: AnyJournal
    bridge: Bridge
    pipeline: Pipeline
    register: Register
    reconfigure: Callable[[GatewayConfig], Plan]
    config_file: Path | None = None
    """What the configuration was read from."""
    forgetting: Forgetting | None = None
    """Erases what was said; None: nothing is remembered."""
    house_history: HouseHistory | None = None
    """What was said at all gateways that share a store; None: this one does not."""
    broker_status: BrokerStatus = _CONNECTED
    """How the broker is."""

    @property
    def model(self) -> str:
        """By its name or its folder: the one that is loaded, or is to be."""
        return self.recognizer.state.model or self.config.transcription.model

    def agents_here(self) -> int:
        """Of the agents that are named, how many are there."""
        agents = self.pipeline.agents
        if agents is None:
            return 0
        return sum(one.is_present for one in agents.standings(asyncio.get_running_loop().time()))

    def at_work(self) -> dict[str, float]:
        """How much of everything there is now, by names that are always the same."""
        stats = self.pipeline.stats()
        return {
            "devices": sum(device.connected for device in self.bridge.devices()),
            "agents": self.agents_here(),
            "sessions": stats.sessions,
            "recognizer_queue": self.recognizer.waiting,
            "questions": stats.asked,
            "unpublished": stats.unpublished,
            "undelivered": stats.undelivered,
            "broker_buffered": sum(topic.buffered_messages for topic in self.broker.stats()),
            "broker_connected": self.broker_status.connected,
        }


class Others(Protocol):
    """The other gateways of the house, for whom there is more than this one."""

    async def answered(self, operation: Any, call: Any) -> object:
        """What an operation of the API answers, by whichever gateway. Raises as it does."""

    async def say(self, text: str, principal: Principal) -> Said:
        """Somebody's words, put to whoever answers by one of them. Raises SayError."""


def _nothing_yet() -> RunningParts | None:
    return None


@dataclass(frozen=True, slots=True)
class Parts:
    """The gateway as the web server sees it. ``find_running`` gives what is up, or None while nothing is.

    ``folder`` is where tokens, keys and a certificate of our own lie; without one there are none.
    """

    settings: WebSettings
    hub: Hub
    health: Health
    find_running: Callable[[], RunningParts | None] = _nothing_yet
    folder: Path | None = None
    audit: Audit = field(default_factory=lambda: Audit(None, of_gateway=True))

    openai: OpenAISettings = field(default_factory=OpenAISettings)
    common_door: CommonDoor = field(default_factory=CommonDoor)
    """What the door has in common with those of other gateways."""
    others: Others | None = None
    """None: this gateway is alone."""
    give_audio: Callable[[str], bytes | None] | None = None
    """What recognizers fetch here, by its secret; None: nothing is."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever changes the configuration."""
    requests: HttpRequests = field(default_factory=HttpRequests)
    """Those that are served."""
    house_figures: Callable[[], Mapping[str, float]] = dict
    """What was told and heard in the house so far, by fixed names; none: this gateway is alone."""
    alerting: AlertWatch | None = None
    """What is amiss, and whether anything gives way for want of memory; None: nobody looks."""
    machine: Sampler | None = None
    """What the machine and our processes use; None: nobody looks."""

    def is_full(self) -> bool:
        """Whether as many devices are connected, or as many listeners attached, as may be."""
        running = self.find_running()
        devices = running.bridge.devices() if running else ()
        most = running.config.devices.max_devices if running else math.inf
        listeners = self.hub.stats().listeners
        return listeners >= self.settings.max_listeners or sum(one.connected for one in devices) >= most

    def running(self) -> RunningParts:
        """What is up now. Raises NotRunning."""
        running = self.find_running()
        if self.find_running is _nothing_yet and self.others is not None:
            raise NotAtHub("this is a hub: devices, models and settings are at the gateways")
        if running is None:
            raise NotRunning("the gateway is starting or stopping; try again soon")
        return running
