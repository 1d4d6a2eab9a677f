"""Whether anybody is there who may answer, where no agent is named: whoever reads the transcripts may.

Present is whoever says so every second, as the SDK does, and whoever answered within the hour and never says so. Where
none of either was heard of, it is whom the broker shows to be reading; one that cannot tell may have some.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict

from gateway.broker.base import CANNOT_TELL, BrokerError, MessageBroker
from gateway.contract.agents import ABSENT_SECONDS, AgentPresence
from gateway.contract.messages import RESULTS_TOPIC

HEARD_OF_SECONDS = 3_600.0
"""Who answered is there for so long: a slow program gets no fallback thrown over its answer."""
LOOK_SECONDS = 5.0
"""How often it is looked who reads, until somebody has been heard of."""
SHOWN_SECONDS = 2 * LOOK_SECONDS
"""Who was seen reading so long before a question may be at work on it: some do not read meanwhile."""
TELL_SECONDS = 1.0
"""A broker that does not say who reads within that time cannot tell."""
MOST_NAMES = 64
MOST_COPIES = 256
"""That are remembered; those that were silent for longest are forgotten."""


class Somebody:
    """What is known of those who may answer. Every time is the event loop's."""

    def __init__(self, broker: MessageBroker) -> None:
        self._broker = broker
        self._now = asyncio.get_running_loop().time
        self._answered: OrderedDict[str, float] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()  # copies of who says that it is there
        self._shown_at = -math.inf
        self._is_unsure = False
        self._patient_until = -math.inf
        self.heard = asyncio.Event()
        """Whether anybody has answered anything since the gateway began."""

    # -- who is heard of

    def answered(self, agent: str) -> None:
        """Somebody has said something about a request."""
        self._answered.pop(agent, None)
        self._answered[agent] = self._now()
        if len(self._answered) > MOST_NAMES:
            self._answered.popitem(last=False)
        self.heard.set()

    def seen(self, presence: AgentPresence, now: float) -> None:
        """One says that it is there, or that it leaves."""
        copy = (presence.agent, presence.instance)
        self._seen.pop(copy, None)
        self._seen[copy] = now - ABSENT_SECONDS if presence.state == "leaving" else now
        if len(self._seen) > MOST_COPIES:
            self._seen.popitem(last=False)

    def misread(self, agent: str, reason: str, now: float) -> None:
        """What it says of itself cannot be read: nothing is known of it."""

    def be_patient(self, now: float) -> None:
        """Nobody could be heard of until now: whoever is there has the time again to say so."""
        self._patient_until = now + ABSENT_SECONDS

    async def watch(self) -> None:
        """Look who reads, as long as nobody has been heard of."""
        while True:
            if not self.heard.is_set() and not self._seen:
                await self._readers()
            await asyncio.sleep(LOOK_SECONDS)

    # -- who is there

    @property
    def will_be_missed(self) -> bool:
        """Whether it will be known when nobody is there any more: some say that they are there, and then do not."""
        return bool(self._seen) or self._is_unsure or self._now() < self._patient_until

    async def is_there(self) -> bool:
        """Whether anybody is, or may be."""
        if self._now() < self._patient_until:
            return True
        is_present = self._is_present()
        return is_present if is_present is not None else await self._readers() != 0

    async def is_known(self) -> bool:
        """Whether it is known that somebody is. A broker that cannot tell knows of nobody, until there is an answer."""
        is_present = self._is_present()
        if is_present is not None:
            return is_present
        readers = await self._readers()
        return readers > 0 or (readers == CANNOT_TELL and self.heard.is_set())

    def _is_present(self) -> bool | None:
        """By what they have said themselves; None: of nobody anything was heard within the hour."""
        now = self._now()
        self._forget_old(now)
        says_so = {agent for agent, _ in self._seen}
        if self._answered.keys() - says_so:
            return True
        return any(now - at < ABSENT_SECONDS for at in self._seen.values()) if says_so else None

    def was_reading(self, asked_at: float) -> bool:
        """Whether somebody was seen reading at about that time, who will not say when it goes."""
        return not self._seen and self._shown_at >= asked_at - SHOWN_SECONDS

    def _forget_old(self, now: float) -> None:
        for name, at in list(self._answered.items()):
            if now - at >= HEARD_OF_SECONDS:
                del self._answered[name]
        for copy, at in list(self._seen.items()):
            if now - at >= HEARD_OF_SECONDS:
                del self._seen[copy]

    async def _readers(self) -> int:
        try:
            async with asyncio.timeout(TELL_SECONDS):
                readers = await self._broker.readers(RESULTS_TOPIC)
        except (BrokerError, TimeoutError):
            self._is_unsure = True  # it may tell the next time
            return CANNOT_TELL
        self._is_unsure = False
        if readers > 0:
            self._shown_at = self._now()
        return readers
