"""The audit log: every event that concerns who may do what, as JSON lines in a file of its own and in the log.

It never holds a token or what anybody said: facts are short values named by the gateway, and every character of
them that could begin a line or steer a terminal is escaped. ``audit.log`` lies beside the journal, mode 0600;
when it is full it becomes ``audit.log.1``, and so on.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog

from gateway.access.limits import Buckets, Rate
from gateway.access.private_files import open_private
from gateway.contract.escaping import one_line

log = structlog.get_logger("earshot.audit")

FILE = "audit.log"
MAX_BYTES = 4 * 1024 * 1024
MAX_FILES = 4
MAX_WAITING = 1_000
"""Lines that wait for a slow disk; further ones are lost, and counted."""
PATIENCE_SECONDS = 1.0
"""Nobody waits longer for a line to be written."""
MAX_CHARACTERS = 200
"""A longer value is cut."""
REFUSALS = Rate(per_second=1.0, burst=30.0)
"""So many refusals of one address, or texts of one device, are written down; the others are counted, and told with the
next line."""


class What(enum.StrEnum):
    """What happened."""

    MADE = "token made"
    ROTATED = "token rotated"
    REVOKED = "token revoked"
    FIRST_USED = "token used for the first time since the start"
    UNREADABLE = "tokens unreadable"
    SHOWN_OUT = "connection ended with its token"
    SIGNED_IN = "page signed in"
    SIGNED_OUT = "page signed out"
    NOT_ADMITTED = "not admitted"
    NOT_ALLOWED = "not allowed"
    SHOWN_IN_URL = "token in a url"
    FOREIGN = "foreign page or name"
    LIMITED = "limit reached"
    OPERATED = "changed by an operator"
    CONFIGURATION = "configuration changed"
    DOOR = "door changed by the configuration"
    DEAD_LETTER = "dead letter touched"
    CONTENT = "content filtered"
    FIRMWARE = "firmware over the air"
    REGISTRY = "device registry changed"
    CUT_OFF = "device cut off"
    TOOL = "tool called by an agent"


_REFUSALS = frozenset({What.NOT_ADMITTED, What.NOT_ALLOWED, What.SHOWN_IN_URL, What.FOREIGN, What.LIMITED})

_SERIOUS = _REFUSALS | {What.DOOR}
_BOUNDED = _REFUSALS | {What.CONTENT, What.FIRMWARE}
"""Those that somebody outside can cause as often as they like."""


class Audit:
    """Writes from any process; ``folder`` None: to the log only. Only the gateway makes room, and has a log.

    On an event loop's thread lines are handed to a thread of its own, in order; elsewhere they are written at once.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        of_gateway: bool = False,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock``: what is written; ``ticks``: what refusals are counted by, which nobody sets."""
        self._path = None if folder is None else folder / FILE
        self._of_gateway = of_gateway
        self._clock = clock
        self._ticks = ticks
        self._refusals = Buckets(REFUSALS)
        self._failed = False
        self._turn = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._last: asyncio.Future[None] | None = None
        self.noted = 0
        """Lines that were to be written since the start."""
        self.left_out = 0
        """Refusals that were not written down since the last line."""
        self.lost = 0
        """Lines that the disk did not take."""
        self.on_note: Callable[[What, Mapping[str, object]], None] = lambda _what, _facts: None
        """Told of each fact, also of those that are too many to be written down."""
        self.on_used: Callable[[str, str], None] = lambda _name, _address: None
        """Told which program's token came from where, each time that it lets somebody in."""

    def note(self, what: What, **facts: str | float) -> None:
        """Write one line. Never raises."""
        self.on_note(what, facts)
        whose = str(facts.get("address", facts.get("device_id", "")))
        if what in _BOUNDED and self._refusals.take(whose, self._ticks()) > 0:
            self.left_out += 1
            return
        if self.left_out:
            facts["left_out"], self.left_out = self.left_out, 0
        safe = {name: _safe(value) for name, value in facts.items()}
        if self._of_gateway:
            log.log(logging.WARNING if what in _SERIOUS else logging.INFO, what.value, **safe)
        if self._path is not None:
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
            self.noted += 1
            self._hand_over(
                self._path, msgspec.json.encode({"time": when, "event": what.value, **safe}) + b"\n"
            )

    async def written(self) -> None:
        """Wait until what was noted before is written, or the disk has been waited for long enough."""
        if self._last is not None:
            await asyncio.wait([self._last], timeout=PATIENCE_SECONDS)

    def _hand_over(self, path: Path, line: bytes) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write(path, line)
            return
        if self._waiting >= MAX_WAITING:
            self.lost += 1
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "audit")
        self._waiting += 1
        self._last = loop.run_in_executor(self._thread, self._write, path, line)
        self._last.add_done_callback(self._taken)

    def _taken(self, _future: asyncio.Future[None]) -> None:
        self._waiting -= 1

    def _write(self, path: Path, line: bytes) -> None:
        with self._turn:
            self._write_alone(path, line)

    def _write_alone(self, path: Path, line: bytes) -> None:
        try:
            file = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                size = os.fstat(file).st_size
                os.write(file, line)
            finally:
                os.close(file)
            if self._of_gateway and size + len(line) >= MAX_BYTES:
                _make_room(path)
        except OSError as error:
            self.lost += 1
            if not self._failed and self._of_gateway:
                log.error("the audit log cannot be written", path=str(path), reason=str(error))  # noqa: TRY400
            self._failed = True
        else:
            self._failed = False


def _make_room(path: Path) -> None:
    for number in range(MAX_FILES - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def _safe(value: str | float) -> str | float:
    return one_line(value[:MAX_CHARACTERS]) if isinstance(value, str) else value
