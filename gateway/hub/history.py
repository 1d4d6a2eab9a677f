"""Events that are kept for whoever resumes, in the order in which this hub shows them; and how far each gateway is.

A cursor names for each gateway of the house, by its epoch, the last event that somebody has had. It means the same at
every hub. A hub that is the only one of its house knows one epoch.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from heapq import merge

from gateway.contract.events import HUB_EPOCH
from gateway.hub.fanout import Serialized, Shown

HISTORY_BYTES = 8 * 1024 * 1024
"""Of what is kept, beside ``web.history_events``; the oldest are forgotten first."""
MOST_EPOCHS = 64
"""That are known at once; the one unheard of longest goes first."""
MOST_RETIRED = 1_024
"""Of which it is known how far they came, should they come back."""


class EventHistory:
    """Of one hub."""

    def __init__(self, epoch: str, most_events: int) -> None:
        """``epoch``: that of the gateway whose hub it is; it is never forgotten. ``most_events``: of each gateway."""
        self._epoch = epoch
        self._most = most_events
        self._kept: deque[Serialized] = deque()
        self._bytes = 0
        self._seqs: dict[str, int] = {epoch: 0}
        self._forgotten: dict[str, int] = {}
        self._retired: OrderedDict[str, int] = OrderedDict()

    @property
    def cursors(self) -> Mapping[str, int]:
        """The latest event of each epoch."""
        return self._seqs

    def seq(self, epoch: str) -> int:
        """The latest that is known of it; 0: none."""
        return self._seqs.get(epoch) or self._retired.get(epoch, 0)

    def forgotten(self, epoch: str) -> int:
        """Up to this one, what there was is not here any more, or never was."""
        return self._forgotten.get(epoch, 0)

    def keep(self, most_events: int) -> None:
        """So many of each gateway, from now on."""
        self._most = most_events
        self._trim()

    def note(self, item: Serialized) -> None:
        """One more, newer than all of its epoch."""
        event = item.event
        if event.epoch not in self._seqs:
            self._open(event.epoch)
        self._seqs[event.epoch] = event.seq
        if not event.droppable:
            self._kept.append(item)
            self._bytes += item.size
            self._trim()

    def begin(self, epoch: str, seq: int) -> None:
        """Of this epoch nothing up to ``seq`` is to be had."""
        if epoch not in self._seqs:
            self._open(epoch)
        self._seqs[epoch] = max(seq, self.seq(epoch))
        self._forgotten[epoch] = max(seq, self.forgotten(epoch))

    def retire(self, epoch: str) -> None:
        """It has ended, and nobody will ask any more what there was."""
        if epoch in self._seqs and epoch != self._epoch:
            self._retired[epoch] = self._seqs.pop(epoch)
            self._forgotten.pop(epoch, None)
            self.forget(lambda event: event.epoch == epoch)
            if len(self._retired) > MOST_RETIRED:
                self._retired.popitem(last=False)

    def of(self, epoch: str, after: int) -> list[Serialized]:
        """What is kept of one epoch after that event, in order."""
        return [item for item in self._kept if item.event.epoch == epoch and item.event.seq > after]

    def missed(self, had: Mapping[str, int]) -> list[Serialized] | None:
        """What came after the events that somebody has had; None: not all of that is here.

        What a hub says itself is no part of it for somebody who was at another.
        """
        if any(epoch not in self._seqs and not epoch.startswith(HUB_EPOCH) for epoch in had):
            return None
        if had.get(self._epoch, 0) > self.seq(self._epoch):
            return None
        strange = {epoch for epoch in self._seqs if epoch.startswith(HUB_EPOCH) and epoch not in had}
        for epoch in self._seqs.keys() - strange:
            if had.get(epoch, 0) < self.forgotten(epoch):
                return None
        return [
            item
            for item in self._kept
            if item.is_shown
            and item.event.seq > had.get(item.event.epoch, 0)
            and item.event.epoch not in strange
        ]

    def mix(self) -> None:
        """What was told of one gateway after the other stands as it happened: the oldest, of whomever, go first."""
        theirs: dict[str, list[Serialized]] = {}
        for item in self._kept:
            theirs.setdefault(item.event.epoch, []).append(item)
        self._kept = deque(merge(*theirs.values(), key=lambda item: item.event.timestamp))

    def forget(self, is_gone: Callable[[Shown], bool]) -> None:
        """Keep these no longer."""
        self._kept = deque(item for item in self._kept if not is_gone(item.event))
        self._bytes = sum(item.size for item in self._kept)

    def _trim(self) -> None:
        most = self._most * len(self._seqs)
        while len(self._kept) > most or self._bytes > HISTORY_BYTES:
            oldest = self._kept.popleft()
            self._bytes -= oldest.size
            self._forgotten[oldest.event.epoch] = oldest.event.seq

    def _open(self, epoch: str) -> None:
        if len(self._seqs) >= MOST_EPOCHS:
            heard = {item.event.epoch: place for place, item in enumerate(self._kept)}
            self.retire(min(self._seqs.keys() - {self._epoch}, key=lambda one: heard.get(one, -1)))
        if seq := self._retired.pop(epoch, 0):
            self._seqs[epoch] = self._forgotten[epoch] = seq
        else:
            self._seqs[epoch] = 0
