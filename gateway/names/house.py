"""All names that are known, of every source, and how each source is."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import Protocol

from gateway.names.tiers import MOST_NAMES, Named, cleaned, folded, in_order
from gateway.observing.health import HealthState
from transcription.models.models import takes_names
from transcription.settings import TranscriptionSettings

COMPONENT = "names"
MOST_ROOMS = 256
"""Lists that are kept, one for each room."""


class SourceHealth(Protocol):
    """Where is said how the sources are; the gateway's health is one."""

    def set(
        self,
        component: str,
        state: HealthState,
        reason: str = "",
        remedy: str = "",
        *,
        works: bool = True,
        detail: str = "",
        quiet: bool = False,
    ) -> object:
        """One of them is like this now."""


class KnownNames:
    """What the sources found, until they find something else: a source that is away keeps what it had."""

    def __init__(
        self,
        health: SourceHealth,
        transcription: TranscriptionSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._health = health
        self._clock = clock
        self._found: dict[str, tuple[Named, ...]] = {}
        self._lists: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._details: dict[str, str] = {}
        self.wanted: list[asyncio.Event] = []
        """Set whenever somebody begins to speak: who asks others may ask them again."""
        self.model_changed(transcription)

    def told(self, room: str) -> tuple[str, ...]:
        """Somebody begins to speak in that room: what is known, the likeliest first."""
        for event in self.wanted:
            event.set()
        if not self._takes_names:
            return ()
        key = folded(room)
        if key not in self._lists:
            self._lists[key] = in_order(chain.from_iterable(self._found.values()), room)
            if len(self._lists) > MOST_ROOMS:
                self._lists.popitem(last=False)
        return self._lists[key]

    def found(self, source: str, names: Iterable[Named]) -> None:
        """A source has these now."""
        every = list(islice(cleaned(names), MOST_NAMES + 1))
        more = ", and more of them than are kept" if len(every) > MOST_NAMES else ""
        known = tuple(every[:MOST_NAMES])
        if self._found.get(source) != known:
            self._found[source] = known
            self._lists.clear()
        at = time.strftime("%H:%M", time.localtime(self._clock()))
        self._details[source] = f"{_names(len(known))} at {at}{more}"
        self._health.set(
            f"{COMPONENT}: {source}", HealthState.HEALTHY, detail=self._details[source], quiet=True
        )

    def lost(self, source: str, reason: str, remedy: str) -> None:
        """A source cannot be had, or cannot be used; what it had stays."""
        self._health.set(
            f"{COMPONENT}: {source}",
            HealthState.DEGRADED,
            reason,
            remedy,
            works=bool(self._found.get(source)),
            detail=self._details.get(source, "none yet"),
        )

    def model_changed(self, transcription: TranscriptionSettings) -> None:
        """Another model listens, perhaps one that names do no good."""
        self._takes_names = transcription.engine != "off" and takes_names(transcription.model)
        if self._takes_names:
            self._health.set(COMPONENT, HealthState.HEALTHY, quiet=True)
            return
        self._health.set(
            COMPONENT,
            HealthState.DEGRADED,
            f"the model {transcription.model} is not told any: it hears worse with them",
            "set transcription.model to another one (base, small), or empty the section names",
            works=False,
        )


def _names(count: int) -> str:
    return "1 name" if count == 1 else f"{count} names"
