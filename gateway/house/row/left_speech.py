"""Speech that a gateway finds without a text when it begins again: since it died, another may have heard it.

A device that had not been told that its speech is safe keeps it, and says it again to the next gateway. So the others
are asked before anything is transcribed; what one of them has is theirs. Where several find the same and none is sure,
the one whose name stands first keeps it: it is never dropped by all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import islice

import structlog

from gateway.broker.base import BrokerError
from gateway.contract.messages import new_id
from gateway.house.row.wire import MOST_SPEECH, SpeechFound, SpeechSought
from gateway.pipeline.moving import Having
from gateway.pipeline.sessions.names import SpeechPlace

log = structlog.get_logger(__name__)

SETTLE_SECONDS = 0.3
"""Within it those answer, too, who have not said yet that they are there."""
ANSWER_SECONDS = 0.5
AGAIN_SECONDS = 0.5
MOST_GIVEN = 4_096
LONGEST_SECONDS = 5.0
"""Then what nobody has said to have is transcribed here: rather twice than never."""


class LeftSpeech:
    """Asks for this gateway, and answers for it."""

    def __init__(
        self,
        gateway: str,
        others: Callable[[], set[str]],
        tell_all: Callable[[SpeechSought], Awaitable[None]],
    ) -> None:
        """``others``: the names of the gateways that are there."""
        self._gateway = gateway
        self._others = others
        self._tell_all = tell_all
        self._open: dict[SpeechPlace, asyncio.Future[str]] = {}
        self._given: OrderedDict[SpeechPlace, None] = OrderedDict()
        """What is another's."""
        self._asking: asyncio.Task[None] | None = None
        self._ask = ""
        self._awaited: set[str] = set()
        self._found: dict[str, tuple[Having, ...]] = {}
        self._all_found = asyncio.Event()

    def whose(self, place: SpeechPlace) -> asyncio.Future[str]:
        """The name of the gateway that has it; empty: it is this one's."""
        future = self._open.get(place)
        if future is None:
            future = self._open[place] = asyncio.get_running_loop().create_future()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._seek(), name="speech left here")
        return future

    async def answer(
        self, sought: SpeechSought, has: Callable[[SpeechPlace], Awaitable[Having]]
    ) -> SpeechFound:
        """What this one has of what another seeks."""
        having = [self._sure(place, await has(place)) for place in sought.speech]
        return SpeechFound(gateway=self._gateway, ask=sought.ask, having=tuple(having))

    def _sure(self, place: SpeechPlace, having: Having) -> Having:
        if any(_overlap(place, one) for one in self._given):
            return Having.NOT
        asks_too = any(_overlap(place, one) for one in self._open)
        return Having.UNDECIDED if asks_too and having is Having.WHOLE else having

    def found(self, found: SpeechFound) -> None:
        """What another has of what this one seeks."""
        if found.ask == self._ask:
            self._found[found.gateway] = found.having
            if self._found.keys() >= self._awaited:
                self._all_found.set()

    # -- inside

    async def _seek(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LONGEST_SECONDS
        try:
            while self._open:
                await self._ask_once()
                if self._open and loop.time() >= deadline:
                    log.info("speech left here is transcribed, though others may have it", of=len(self._open))
                    return
                if self._open:
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            for place in list(self._open):
                self._decide(place, "")

    async def _ask_once(self) -> None:
        asked = tuple(islice(self._open, MOST_SPEECH))
        self._ask, self._awaited, self._found = new_id("ask"), self._others(), {}
        self._all_found.clear()
        sought = SpeechSought(gateway=self._gateway, ask=self._ask, speech=asked)
        if not await self._is_told(sought):
            return
        await asyncio.sleep(SETTLE_SECONDS)
        self._awaited |= self._others()
        if not self._found.keys() >= self._awaited:
            self._all_found.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._all_found.wait()
        for number, place in enumerate(asked):
            self._judge(
                place, {name: having[number] for name, having in self._found.items() if number < len(having)}
            )

    def _judge(self, place: SpeechPlace, having: dict[str, Having]) -> None:
        owners = [
            name
            for name, one in having.items()
            if one is Having.WHOLE or (one is Having.UNDECIDED and name < self._gateway)
        ]
        if owners:
            self._decide(place, min(owners))
        elif having.keys() >= self._awaited and Having.COMING not in having.values():
            self._decide(place, "")

    def _decide(self, place: SpeechPlace, owner: str) -> None:
        future = self._open.pop(place)
        if owner:  # the journal says so later
            self._given[place] = None
            if len(self._given) > MOST_GIVEN:
                self._given.popitem(last=False)
        if not future.done():
            future.set_result(owner)

    async def _is_told(self, sought: SpeechSought) -> bool:
        with suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._tell_all(sought)
                return True
        return False


def _overlap(one: SpeechPlace, other: SpeechPlace) -> bool:
    return one[:3] == other[:3] and one.start < other.end and other.start < one.end
