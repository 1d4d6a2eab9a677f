"""What other gateways of the house publish: taken in the order of each, once, and what is missing is noticed.

Who publishes here is trusted as far as the broker lets it; what it publishes is looked at all the same, and what is
none is counted and shown to nobody.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
import structlog

from firmware_bridge.pacing import Allowance
from gateway.contract.events import HUB_EPOCH, ErasureEvent, HubEvent
from gateway.contract.house import EventBatch, HouseTold, decode_batch, decode_shown, number_of
from gateway.contract.messages import BadMessage, is_token
from gateway.hub.fanout import Serialized
from gateway.hub.history import MOST_EPOCHS
from gateway.hub.hub import Hub

log = structlog.get_logger(__name__)

MOST_HELD = 64
HELD_BYTES = 4 * 1024 * 1024
"""Batches of one gateway that wait for what was before them; with more, nobody waits any longer."""


class FollowedEpoch:
    """How far this hub is with one run of a gateway. ``seq``: the last event that nobody may miss."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        self.seq = 0
        self.held: dict[int, EventBatch] = {}
        """By the event that each comes after."""
        self.held_bytes = 0

    @property
    def is_behind(self) -> bool:
        """Whether something is missing before what is held."""
        return bool(self.held)


class Incoming:
    """All of them. ``on_gap`` is told of each epoch of which something is missing."""

    def __init__(self, hub: Hub, own: Iterable[str], alive: Callable[[], set[str]]) -> None:
        """``own``: epochs of this process, of which nobody else may speak. ``alive``: of gateways that are there."""
        self.on_gap: Callable[[str], None] = lambda _epoch: None
        self.refused: Counter[str] = Counter()
        """Of what came and was none, by why."""
        self.shown = 0
        self._hub = hub
        self._own = frozenset(own)
        self._alive = alive
        self._followed: dict[str, FollowedEpoch] = {}
        self._logged = Allowance(10, 1 / 60, time.monotonic())

    def is_own(self, epoch: str) -> bool:
        """Whether nobody else may speak of it."""
        return epoch in self._own

    def followed(self, epoch: str) -> FollowedEpoch | None:
        """How far it is with that one."""
        return self._followed.get(epoch)

    def seq(self, epoch: str) -> int:
        """The last event of it that nobody may miss; 0: none is known."""
        followed = self._followed.get(epoch)
        return 0 if followed is None else followed.seq

    def seqs(self) -> dict[str, int]:
        """Of each epoch the last event that nobody may miss."""
        return {epoch: followed.seq for epoch, followed in self._followed.items()}

    def hear(self, gateway: str, payload: bytes) -> None:
        """A batch came under the key of this gateway."""
        try:
            batch = self._checked(decode_batch(payload), gateway)
            if batch.epoch not in self._own:
                self._hear(batch)
        except BadMessage as error:
            self._refuse("batches", error)

    def _checked(self, batch: EventBatch, gateway: str) -> EventBatch:
        if batch.gateway != gateway:
            raise BadMessage("it is not under its gateway's key")
        if batch.epoch in self._own and batch.gateway != self._name:
            raise BadMessage("it goes by a run of this gateway")
        return batch

    @property
    def _name(self) -> str:
        house = self._hub.house
        return "" if house is None else house.name

    def begin(self, epoch: str, gateway: str) -> FollowedEpoch:
        """The gateway's run of that epoch, which may be new. Raises BadMessage for one that cannot be."""
        followed = self._followed.get(epoch)
        if followed is None:
            if not is_token(epoch) or epoch.startswith(HUB_EPOCH) or epoch in self._own:
                raise BadMessage("its epoch is none")
            self._make_room()
            followed = self._followed[epoch] = FollowedEpoch(gateway)
            followed.seq = self._hub.history.seq(epoch)  # it may have been here before
        if followed.gateway != gateway:
            raise BadMessage("its epoch is another gateway's")
        return followed

    def retire(self, epoch: str) -> None:
        """It has ended long ago."""
        self._followed.pop(epoch, None)
        self._hub.history.retire(epoch)

    def told(self, told: HouseTold, *, quietly: bool = False) -> bool:
        """What another hub knows of an epoch; whether listeners have to begin anew for that. Raises BadMessage.

        They have where something of it is forgotten everywhere: then what follows is told ``quietly``, too.
        """
        followed = self.begin(told.epoch, told.of)
        quietly = quietly or told.forgotten > followed.seq
        if told.forgotten > followed.seq:
            for raw in told.standing:
                event, _ = decode_shown(raw)
                if event.epoch == told.epoch and event.seq <= told.forgotten:
                    self._hub.stands(event)
            self._hub.history.begin(told.epoch, told.forgotten)
            followed.seq = told.forgotten
        self._show(told.epoch, followed, told.events, quietly=quietly)
        self.release(told.epoch)
        return quietly

    def release(self, epoch: str, *, whatever_is_missing: bool = False) -> bool:
        """Show what was held as far as nothing is missing before it; false: something still is."""
        followed = self._followed.get(epoch)
        while followed is not None and followed.held:
            after = min(followed.held)
            batch = followed.held[after]
            if after > followed.seq:
                if not whatever_is_missing:
                    return False
                self._hub.history.begin(epoch, after)
                followed.seq = after
            del followed.held[after]
            followed.held_bytes -= _size(batch)
            self._show(epoch, followed, batch.events)
        return True

    def _hear(self, batch: EventBatch) -> None:
        known = batch.epoch in self._followed
        if not known and batch.after and batch.epoch not in self._alive():
            raise BadMessage("nobody is there of whose run it could be")
        followed = self.begin(batch.epoch, batch.gateway)
        if not batch.events:
            return
        if batch.after <= followed.seq:
            self._show(batch.epoch, followed, batch.events)
            self.release(batch.epoch)
        elif batch.after not in followed.held:
            self._hold(batch, followed)
            self.on_gap(batch.epoch)

    def _hold(self, batch: EventBatch, followed: FollowedEpoch) -> None:
        followed.held[batch.after] = batch
        followed.held_bytes += _size(batch)
        while len(followed.held) > MOST_HELD or followed.held_bytes > HELD_BYTES:
            latest = followed.held.pop(max(followed.held))  # it is asked for with what is missing
            followed.held_bytes -= _size(latest)

    def _show(
        self, epoch: str, followed: FollowedEpoch, events: Iterable[msgspec.Raw], *, quietly: bool = False
    ) -> None:
        for raw in events:
            try:
                event, data = _of_epoch(epoch, raw)
            except BadMessage as error:
                self._refuse("events", error)
                followed.seq = max(followed.seq, number_of(epoch, raw))  # nobody here can tell it any better
                continue
            if event.seq <= self._hub.history.seq(epoch):
                continue  # had before
            if not event.droppable:
                followed.seq = event.seq
            seen = event if isinstance(event, ErasureEvent) else self._hub.seen(event)
            if seen is None:
                continue
            item = Serialized(seen, data if seen is event else b"")
            if quietly:
                self._hub.recall(item)
            else:
                self._hub.show(item)
            self.shown += 1

    def _make_room(self) -> None:
        if len(self._followed) < MOST_EPOCHS - 4:
            return
        alive = self._alive()
        ended = next((epoch for epoch in self._followed if epoch not in alive), None)
        if ended is None:
            raise BadMessage("there are too many gateways")
        self.retire(ended)

    def _refuse(self, what: str, error: BadMessage) -> None:
        self.refused[what] += 1
        if self._logged.take(time.monotonic()):
            log.warning("what came from another gateway is refused", what=what, reason=str(error))


def _size(batch: EventBatch) -> int:
    return sum(len(memoryview(event)) for event in batch.events)


def _of_epoch(epoch: str, raw: msgspec.Raw) -> tuple[HubEvent | ErasureEvent, bytes]:
    """An event, and its JSON. Raises BadMessage."""
    event, data = decode_shown(raw)
    if event.epoch != epoch:
        raise BadMessage("not an event of its batch: its epoch is another")
    return event, data
