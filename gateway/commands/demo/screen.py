"""The demo's terminal: a live table where there is a terminal, else a line per utterance."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.contract.escaping import one_line
from gateway.contract.events import (
    DeliveryEvent,
    ListenerEvent,
    PartialEvent,
    ReplyEvent,
    StatusEvent,
    TranscriptionEvent,
)

ROWS = 12
SHORT_ID = 10
WIDE = 100
"""Columns of a terminal that has room for ids."""

_STATUS_STYLES = {
    "listening": "cyan",
    "transcribing": "yellow",
    "thinking": "magenta",
    "error": "red",
    "busy": "red",
}


@dataclass(slots=True)
class Row:
    """One utterance on the screen."""

    device_id: str
    link: str
    status: str = "listening"
    text: str = ""
    tentative: str = ""
    """What may still change, behind ``text``."""
    correlation_id: str = ""
    reply: str = ""
    text_ms: float | None = None
    reply_ms: float | None = None


class Screen:
    """What the demo shows, from the same events that the page gets.

    ``quiet`` shows nothing; ``once``: it ends by itself.
    """

    def __init__(self, *, quiet: bool, once: bool) -> None:
        self._end = "ends by itself" if once else "Ctrl-C ends"
        self._console = Console(quiet=quiet)
        self._live = Live(console=self._console, refresh_per_second=8) if self._console.is_terminal else None
        self._rows: list[Row] = []
        self._current: dict[str, Row] = {}
        self._by_correlation: OrderedDict[str, Row] = OrderedDict()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line of its own, above the table."""
        self._console.print(Text(line))

    def speaking(self, device_id: str, link: str, _words: str) -> None:
        """A device begins to speak."""
        row = Row(device_id, link)
        self._current[device_id] = row
        self._rows = [*self._rows[1 - ROWS :], row]
        self._refresh()

    def is_open(self, device_id: str) -> bool:
        """Whether what a device says now has a row, and no text yet."""
        row = self._current.get(device_id)
        return row is not None and row.text_ms is None

    def show(self, event: ListenerEvent) -> None:
        """Take what the listener saw."""
        match event:
            case StatusEvent() if event.device_id in self._current:
                row = self._current[event.device_id]
                row.status = event.status if row.reply_ms is None else "done"
            case PartialEvent() if event.device_id in self._current:
                row = self._current[event.device_id]
                if row.text_ms is None:
                    row.text, row.tentative = event.stable, f"{event.text[len(event.stable) :]} ..."
            case TranscriptionEvent() if event.device_id in self._current:
                row = self._current[event.device_id]
                row.text, row.text_ms = event.text or event.error or "(no speech)", event.timings.text_ms
                row.tentative = ""
                row.correlation_id = event.correlation_id
                self._by_correlation[event.correlation_id] = row
            case ReplyEvent(correlation_id=correlation_id) if correlation_id in self._by_correlation:
                row = self._by_correlation[correlation_id]
                row.reply = event.text if event.final else row.reply + event.text
            case DeliveryEvent(correlation_id=correlation_id) if correlation_id in self._by_correlation:
                row = self._by_correlation.pop(correlation_id)
                row.reply_ms, row.status = event.speech_to_reply_ms, "done"
                if not self._live:
                    self._print(row)
        self._refresh()

    def _refresh(self) -> None:
        if self._live:
            self._live.update(self._table())

    def _table(self) -> Table:
        table = Table(
            title="Earshot",
            title_style="bold",
            caption=f"times count from the end of speech; {self._end}",
            box=SIMPLE_HEAD,
        )
        table.add_column("device", no_wrap=True)
        table.add_column("link", min_width=len("push-to-talk"))
        table.add_column("status", no_wrap=True)
        for heading in ("heard", "reply"):
            table.add_column(heading, overflow="fold")
        table.add_column("to text", justify="right", no_wrap=True)
        table.add_column("to reply", justify="right", no_wrap=True)
        if wide := self._console.width >= WIDE:
            table.add_column("correlation id", no_wrap=True)
        for row in self._rows:
            table.add_row(
                row.device_id,
                row.link,
                Text(row.status, style=_STATUS_STYLES.get(row.status, "green")),
                Text.assemble((one_line(row.text), "bold"), (one_line(row.tentative), "dim")),
                Text(one_line(row.reply), style="blue"),
                _milliseconds(row.text_ms),
                _milliseconds(row.reply_ms),
                *([row.correlation_id[:SHORT_ID]] if wide else []),
            )
        return table

    def _print(self, row: Row) -> None:
        line = Text(f"{row.device_id:<9}{row.link:<22}")
        line.append(one_line(f'"{row.text}"'), style="bold")
        line.append(one_line(f" -> {row.reply}"), style="blue")
        line.append(
            f"  (text {_milliseconds(row.text_ms)}, reply {_milliseconds(row.reply_ms)}, {row.correlation_id})",
            style="dim",
        )
        self._console.print(line, soft_wrap=True)


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"
