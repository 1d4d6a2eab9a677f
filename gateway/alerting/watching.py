"""Looks every few seconds at what is amiss, and tells it: on the page, and wherever else people want to be told.

What was raised outlives the gateway (``alerts.json`` beside the journal), so nobody is told twice of the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from gateway.access.audit import What
from gateway.access.private_files import read_private, write_private
from gateway.access.tokens import TokenError, TokenFile
from gateway.alerting.alerts import Alert, Alerts, AlertState, Amiss
from gateway.alerting.intruders import Intruders
from gateway.alerting.relief import WORDS, Relief, relief
from gateway.alerting.rules import OWN, Expiry, Window, amiss, ending, unwell
from gateway.hub.hub import Hub
from gateway.observing.health import Health, HealthState
from gateway.observing.machine.sampler import MachineSample
from gateway.settings.observing.alerts import AlertSettings

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 5.0
ENDINGS_SECONDS: Final = 3_600.0
"""How often it is looked what ends soon."""
FILE: Final = "alerts.json"
_DAY = 86_400.0


class Teller(Protocol):
    """Somewhere where alerts are told."""

    def offer(self, alert: Alert) -> None:
        """When it is its turn."""

    async def run(self) -> None:
        """Until it is cancelled."""


class AlertWatch:
    """``audited``, ``used`` and ``booted`` are told facts at any time; ``run`` looks."""

    def __init__(
        self,
        settings: AlertSettings,
        *,
        folder: Path | None,
        hub: Hub,
        health: Health,
        sample: Callable[[], MachineSample | None],
        relieve: Callable[[Relief], None],
        certificate: Callable[[], tuple[float, float] | None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``relieve`` is told how much is to give way. ``certificate``: from when until when the page's is good.

        In Unix seconds, read from its file; None: it shows none.
        """
        self.relief = Relief.NONE
        self.alerts = Alerts(settings.after_seconds, now)
        self.tellers: list[Teller] = []
        self._settings = settings
        self._folder = folder
        self._hub, self._health = hub, health
        self._sample, self._relieve, self._certificate = sample, relieve, certificate
        self._now = now
        self._window, self._intruders = Window(), Intruders()
        self._endings: list[Expiry] = []
        self._looked_at = -ENDINGS_SECONDS
        self._shown: set[str] = set()

    # -- told as it happens

    def audited(self, what: What, facts: Mapping[str, object]) -> None:
        """Something concerned who may do what, whether it is written down or not."""
        if what is What.NOT_ADMITTED and "address" in facts and "device_id" not in facts:
            self._intruders.refused(str(facts["address"]), self._now())

    def used(self, token: str, address: str) -> None:
        """A token of a program has let somebody in."""
        self._intruders.used(token, address, self._now())

    def booted(self, device_id: str, boot: int) -> None:
        """A device has said hello."""
        self._intruders.booted(device_id, boot, self._now())

    def reconfigure(self, settings: AlertSettings) -> None:
        """Other thresholds, from the next look on."""
        self._settings = settings
        self.alerts.reconfigure(settings.after_seconds)

    # -- looking

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._restore()
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Once; nothing before the machine was looked at: what was amiss before is not over for that."""
        sample = self._sample()
        if sample is None:
            return
        await self._look_for_endings()
        self._window.note(self._hub.waits, self._now(), self._settings.window_seconds)
        self._give_way(relief(self.relief, sample))
        news = self.alerts.look([*self._own(sample), *unwell(self._health.report())])
        self._show()
        if news:
            for alert in news:
                _log(alert)
                for teller in self.tellers:
                    teller.offer(alert)
            await self._keep()

    def _own(self, sample: MachineSample) -> list[Amiss]:
        """What no component of health says already."""
        bounds = self._hub.waits.speech_to_text.bounds
        return [
            *amiss(self._settings, self._window, bounds, sample),
            *self._intruders.amiss(self._now()),
            *ending(self._settings, self._endings, time.time()),
        ]

    def _show(self) -> None:
        """On the page, among what is not well. What health says itself is there already."""
        components = self._health.report().components
        shown = {f"{OWN}{one.name}": one for one in self.alerts.current if one.name not in components}
        shown.pop(f"{OWN}devices gone", None)
        for name, one in shown.items():
            self._health.set(name, HealthState.DEGRADED, self.alerts.shown(one.name), one.remedy, quiet=True)
        for name in self._shown - shown.keys():
            self._health.forget(name)
        self._shown = set(shown)

    def _give_way(self, wanted: Relief) -> None:
        if wanted is self.relief:
            return
        self.relief = wanted
        self._relieve(wanted)
        if wanted is Relief.NONE:
            self._health.forget("relief")
        else:
            remedy = "a smaller model, fewer devices, or fewer other programs here"
            self._health.set("relief", HealthState.DEGRADED, f"too little is free: {WORDS[wanted]}", remedy)

    async def _look_for_endings(self) -> None:
        if self._now() - self._looked_at >= ENDINGS_SECONDS:
            self._looked_at = self._now()
            self._endings = await asyncio.to_thread(self._read_endings)

    def _read_endings(self) -> list[Expiry]:
        endings: list[Expiry] = []
        if self._folder is None:
            return endings
        try:
            tokens = TokenFile(self._folder).read().living(time.time() - _DAY * self._settings.ends_days)
        except TokenError:
            tokens = []  # health says so
        for token in tokens:
            if not token.revoked_at:
                remedy = f"earshot token rotate {token.name}"
                endings.append(Expiry(f"the token {token.name}", token.made_at, token.expires_at, remedy))
        if (valid := self._certificate()) is not None:
            endings.append(Expiry("the page's certificate", *valid, "renew it: docs/security.md"))
        return endings

    # -- over restarts

    async def _restore(self) -> None:
        if self._folder is None:
            return
        try:
            data = await asyncio.to_thread(read_private, self._folder / FILE)
            self.alerts.restore(msgspec.json.decode(data, type=list[Alert]))
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("the alerts of before cannot be read", reason=str(error))

    async def _keep(self) -> None:
        if self._folder is None:
            return
        data = msgspec.json.encode(self.alerts.current)
        try:
            await asyncio.to_thread(write_private, self._folder / FILE, data)
        except OSError as error:
            log.warning("the alerts cannot be kept", reason=str(error))


def _log(alert: Alert) -> None:
    if alert.state is AlertState.RAISED:
        log.warning("alert", alert=alert.name, reason=alert.text, remedy=alert.remedy)
    else:
        log.info("alert is over", alert=alert.name, reason=alert.text)


def tellers(settings: AlertSettings, gateway: str) -> list[tuple[str, Teller, Callable[[], Awaitable[None]]]]:
    """Those that the settings want, each with its name and its work."""
    found: list[tuple[str, Teller, Callable[[], Awaitable[None]]]] = []
    if settings.webhook:
        from gateway.alerting.webhook import AlertWebhook  # noqa: PLC0415 - where it is wanted

        webhook = AlertWebhook(settings, gateway)
        found.append(("alerts' webhook", webhook, webhook.run))
    if settings.mqtt:
        from gateway.alerting.mqtt import AlertMqtt  # noqa: PLC0415 - where it is wanted

        mqtt = AlertMqtt(settings, gateway)
        found.append(("alerts' broker", mqtt, mqtt.run))
    return found
