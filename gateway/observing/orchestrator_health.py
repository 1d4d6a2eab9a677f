"""Who answers, as the gateway's health shows it: nobody is a state, too, until somebody is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from gateway.broker.base import BrokerError, MessageBroker
from gateway.contract.messages import RESULTS_TOPIC
from gateway.observing.health import Health, HealthState
from gateway.orchestrators.builtin import NAME

log = structlog.get_logger(__name__)

COMPONENT = "orchestrator"
LOOK_SECONDS = 2.0
"""How often it is looked whether somebody has come, or gone."""
BOOT_SECONDS = 5.0
"""A system that boots gets so long before anybody is warned, and a broker that is back."""
TIDY_SECONDS = 30.0
"""How often it is looked whether what nobody reads any more can be removed."""

BLAME_SECONDS = 600.0
"""So long after it last kept everybody waiting, an orchestrator is well again."""

UNBLOCK = "await what takes long there (asyncio.to_thread), or run it as a program of its own over a broker"
DEMO = "the demo's: it switches nothing"
DEMO_NOTICE = (
    "The demo answers, and switches nothing. Name yours in orchestrator.app, or a broker in broker.url."
)
BESIDE = "the demo's orchestrator answers beside whoever else reads transcription.results"
ASK_FOR_AUTO = "set orchestrator.app to auto, or to module:name for your own"
NOBODY = "nobody answers: no orchestrator is to be seen on the broker"
START_ONE = "start an orchestrator that reads transcription.results, or name yours in orchestrator.app"
NOWHERE = "nobody answers, and with memory:// nobody can"
NAME_ONE = "name your orchestrator in orchestrator.app, or a broker in broker.url"


class OrchestratorHealth:
    """To be made before the orchestrator inside the gateway runs, which may have worse to tell.

    ``inside``: which one that is, if any. ``shared``: others can come to the broker.
    """

    def __init__(self, health: Health, broker: MessageBroker, inside: str, *, shared: bool) -> None:
        self._health = health
        self._broker = broker
        self._inside = inside
        self._shared = shared
        self._end_of_blame: asyncio.TimerHandle | None = None
        self._tell_as_configured()

    def _tell_as_configured(self) -> None:
        if self._inside == NAME and self._shared:
            self._health.set(COMPONENT, HealthState.DEGRADED, BESIDE, ASK_FOR_AUTO, detail=DEMO)
        elif self._inside:
            detail, notice = f"{self._inside}, inside the gateway", ""
            if self._inside == NAME:
                detail, notice = DEMO, DEMO_NOTICE
            self._health.set(COMPONENT, HealthState.HEALTHY, detail=detail, notice=notice)
        else:
            reason = NOBODY if self._shared else NOWHERE
            self._health.set(COMPONENT, HealthState.DEGRADED, reason, works=False)

    async def watch(self, is_known: Callable[[], Awaitable[bool]], connected: Callable[[], bool]) -> None:
        """Until cancelled. ``is_known``: whether somebody is there; ``connected``: whether that can be known now."""
        if self._inside:
            return
        why = (NOBODY, START_ONE) if self._shared else (NOWHERE, NAME_ONE)
        now = asyncio.get_running_loop().time
        since = now()
        while True:
            if not connected():  # which the broker's own health says
                since = now()
            elif await is_known():
                self._health.set(COMPONENT, HealthState.HEALTHY)
            elif now() - since >= BOOT_SECONDS:
                self._health.set(COMPONENT, HealthState.DEGRADED, *why, works=False)
            await asyncio.sleep(LOOK_SECONDS)

    def blocked(self, name: str, seconds: float) -> None:
        """The orchestrator inside kept the event loop for itself."""
        reason = f"{name} kept everything else waiting for {seconds:.1f} s: no device was heard or answered meanwhile"
        self._health.set(COMPONENT, HealthState.DEGRADED, reason, UNBLOCK)
        if self._end_of_blame is not None:
            self._end_of_blame.cancel()
        loop = asyncio.get_running_loop()
        self._end_of_blame = loop.call_later(BLAME_SECONDS, self._tell_as_configured)

    def ailing(self, _name: str, reason: str, remedy: str) -> None:
        """The orchestrator inside cannot answer for now, or (no reason) can again."""
        if reason:
            self._health.set(COMPONENT, HealthState.DEGRADED, reason, remedy, works=False)
        else:
            self._tell_as_configured()

    def unusable(self, _name: str, reason: str) -> None:
        """The orchestrator inside cannot be run at all."""
        self._health.set(COMPONENT, HealthState.UNHEALTHY, reason, "correct orchestrator.app")

    async def tidy_up(self) -> None:
        """Remove what the broker keeps for the built-in orchestrator, which was the default over each broker once.

        Nobody reads it any more, so it would grow to its bound. Whoever still does keeps it.
        """
        while self._shared and self._inside != NAME:
            with suppress(BrokerError):
                if await self._broker.abandon(RESULTS_TOPIC, NAME):
                    log.debug("nothing is kept for the built-in orchestrator")
                    return
            await asyncio.sleep(TIDY_SECONDS)
