"""The way of alerts to an address of somebody's: in order, signed where wanted, tried again, and never waited for."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from pathlib import Path
from typing import Final

import msgspec
import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from firmware_bridge.named_files import first_line
from firmware_bridge.pacing import Backoff
from firmware_bridge.servers import in_words, tls_context
from gateway.alerting.alerts import Alert
from gateway.contract.signature import signed
from gateway.settings.observing.alerts import AlertSettings

log = structlog.get_logger(__name__)

MOST_WAITING: Final = 100
"""Alerts; the oldest go first."""
TIMEOUT_SECONDS: Final = 10.0
TRIES: Final = 8
"""Of one alert that is not taken, over a quarter of an hour; then it is given up."""
AGAIN: Final = frozenset({408, 425, 429})
"""And all from 500 on."""


class AlertWebhook:
    """``offer`` alerts at any time; ``run`` tells them."""

    def __init__(self, settings: AlertSettings, gateway: str) -> None:
        """``gateway``: what this one is called there."""
        self.told = 0
        self.given_up = 0
        """Alerts, since the start."""
        self._settings = settings
        self._gateway = gateway
        self._waiting: deque[Alert] = deque()
        self._some = asyncio.Event()
        self._is_away = False

    def offer(self, alert: Alert) -> None:
        """It is told when it is its turn."""
        self._waiting.append(alert)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self.given_up += 1
        self._some.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        tls = None
        if self._settings.webhook.startswith("https:"):
            tls = await asyncio.to_thread(tls_context, self._settings.webhook_ca_file, "", "")
        session = ClientSession(
            connector=TCPConnector(limit=1, ssl=tls if tls is not None else True),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=TIMEOUT_SECONDS),
        )
        async with session:
            while True:
                await self._some.wait()
                self._some.clear()
                while self._waiting:
                    await self._tell(session, self._waiting.popleft())

    async def _tell(self, session: ClientSession, alert: Alert) -> None:
        body = msgspec.json.encode({"gateway": self._gateway, **msgspec.to_builtins(alert)})
        backoff = Backoff(1.0, 300.0)
        refusals = 0
        while refusals < TRIES:
            reason, again, is_there = await self._post(session, body)
            refusals += is_there  # one that is away is waited for: in an outage alerts are wanted most
            if not reason:
                self.told += 1
                if self._is_away:
                    log.info("alerts reach their webhook again")
                self._is_away = False
                return
            if not self._is_away:
                log.warning("an alert does not reach its webhook", alert=alert.name, reason=reason, remedy="alerts.webhook")  # fmt: skip # noqa: E501
            self._is_away = True
            if not again:
                break
            await asyncio.sleep(backoff.next())
        self.given_up += 1

    async def _post(self, session: ClientSession, body: bytes) -> tuple[str, bool, bool]:
        """Why it was not taken, whether to try it again, and whether anybody was there."""
        try:
            headers = await self._headers(body)
            post = session.post(self._settings.webhook, data=body, headers=headers, allow_redirects=False)
            async with post as answer:
                status = answer.status
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            return in_words(error) or "no answer in time", True, False
        if 200 <= status < 300:
            return "", False, True
        return f"it answers with {status}", status in AGAIN or status >= 500, True

    async def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._settings.webhook_secret_file:
            secret = await asyncio.to_thread(first_line, Path(self._settings.webhook_secret_file))
            headers |= signed(secret.encode(), time.time(), body)
        return headers
