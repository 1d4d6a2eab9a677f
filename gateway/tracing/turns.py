"""Turns of this gateway, watched as a listener watches them, and exported as spans when they are over.

What is traced is a sample by the trace: of one turn all spans are there, or none.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog

from gateway.contract.events import DeliveryEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.tracing import CALLER, traceparent
from gateway.hub.hub import Hub, nobody_asks
from gateway.hub.listener_queue import HubError
from gateway.observing.metrics.waits import no_trace
from gateway.tracing.otlp import SpanExporter
from gateway.tracing.spans import TracedTurn

log = structlog.get_logger(__name__)

MOST_TURNS: Final = 2_048
"""Of which more is awaited."""
LINGER_SECONDS: Final = 5.0
"""For the device to say that it has the answer."""
LONGEST_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 1.0
AGAIN_SECONDS: Final = 5.0


class Tracing:
    """``run`` watches; ``exporter`` sends."""

    def __init__(self, hub: Hub, exporter: SpanExporter, sample: float, model: Callable[[], str]) -> None:
        """``sample``: which share of the turns. ``model``: the recognizer's, at the moment."""
        self.exporter = exporter
        self._hub = hub
        self._sample = sample
        self._model = model
        self._turns: OrderedDict[str, tuple[float, TracedTurn]] = OrderedDict()
        """By correlation id, and when they are exported, whatever is lacking."""
        self._callers: OrderedDict[str, str] = OrderedDict()
        """The trace contexts that turns came by, by correlation id, until they are shown here."""
        self._now = asyncio.get_running_loop().time

    def trace_of(self, correlation_id: str) -> str:
        """The trace of a turn, in hexadecimal; empty where it is not traced."""
        is_traced = bool(correlation_id) and self._is_sampled(correlation_id)
        return traceparent(correlation_id).split("-")[1] if is_traced else ""

    def note_caller(self, event: object) -> None:
        """By which request a turn came: only its publisher knows that."""
        if isinstance(event, TranscriptionEvent) and (caller := CALLER.get()):
            self._callers[event.correlation_id] = caller
            if len(self._callers) > MOST_TURNS:
                self._callers.popitem(last=False)

    async def run(self) -> None:
        """Until the hub is closed."""
        hub = self._hub
        hub.on_publish, hub.waits.trace_of = self.note_caller, self.trace_of
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self.exporter.run(), name="spans to their collector")
                looking = tasks.create_task(self._look(), name="turns that are over")
                await self._watch()
                sending.cancel()
                looking.cancel()
        finally:
            if hub.on_publish == self.note_caller:  # else another one traces meanwhile
                hub.on_publish, hub.waits.trace_of = nobody_asks, no_trace

    async def _watch(self) -> None:
        while True:
            if await self._watched():
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _watched(self) -> bool:
        """Whether the hub was closed; else this listener was too slow for it."""
        try:
            with self._hub.attach() as queue:
                async for one in queue:
                    if getattr(one.event, "epoch", "") == self._hub.epoch:  # not another gateway's
                        self.see(one.event)
        except HubError as error:
            log.info("turns are traced again in a moment", reason=str(error))
            return False
        return True

    def see(self, event: object) -> None:
        """One event of this gateway."""
        match event:
            case TranscriptionEvent(correlation_id=name) if name and self._is_sampled(name):
                is_over = not event.success or not (event.text or event.redacted)
                turn = TracedTurn(event, caller=self._callers.pop(name, ""))
                self._turns[name] = self._now() + (0.0 if is_over else LONGEST_SECONDS), turn
                if len(self._turns) > MOST_TURNS:
                    self._export(next(iter(self._turns)))
            case ReplyEvent(final=True, correlation_id=name) if name in self._turns:
                _, turn = self._turns[name]
                if turn.replied is None:
                    turn.replied = event
                    self._turns[name] = self._now() + LINGER_SECONDS, turn
            case DeliveryEvent(correlation_id=name) if name in self._turns:
                self._turns[name][1].delivered = event
                self._export(name)
            case _:
                pass

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._now()
            for name in [name for name, (due, _) in self._turns.items() if due <= now]:
                self._export(name)

    def _export(self, name: str) -> None:
        _, turn = self._turns.pop(name)
        self.exporter.offer(turn.spans(self._model()))

    def _is_sampled(self, correlation_id: str) -> bool:
        """By the trace's id, as everybody else who samples by it decides."""
        trace_id = traceparent(correlation_id).split("-")[1]
        return int(trace_id[-14:], 16) >= round((1 - self._sample) * (1 << 56))
