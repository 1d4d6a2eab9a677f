"""A module of ours in a process of its own, watched, and started again as often as it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from msgspec import Struct

from firmware_bridge.child import listen_to, start
from firmware_bridge.pacing import Allowance, Backoff
from gateway.agents.process.wire import MOST_LINE, NotALine, Ready, Unfit, line
from gateway.contract.messages import UNREADABLE
from gateway.orchestrators.answer import CannotAnswer
from gateway.process.ending import until_done

log = structlog.get_logger(__name__)

LOAD_SECONDS = 60.0
"""A child that is not ready by then hangs."""
LEAVE_SECONDS = 1.0
"""One that is told to end has so long; then it is killed."""
LAST_WORDS_SECONDS = 0.2
"""What it has printed is read for so long after its end, where others that it started hold that pipe, too."""
LOOK_SECONDS = 0.01
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Seconds before it is started again."""
SHORT_PAUSE = 1.0
"""Who asks waits for one that was there and is away for less; otherwise it is told at once that it is not there."""
STEADY_SECONDS = 60.0
"""One that was there for so long begins with short pauses again."""
LINES, LINES_PER_SECOND = 100, 2.0
"""Of what it prints, so much goes to the log; the rest is counted."""

Said = TypeVar("Said", bound=Struct)


@dataclass(frozen=True, slots=True)
class Child(Generic[Said]):
    """``who``: in what is said of it. ``first``: what it is told first. ``said``: reads what it says.

    ``take``: is given each, but Ready and Unfit. ``ended``: told why, each time it has ended, before it is started
    again. ``ailing``: why it is not there, and what helps; twice nothing when it is again.
    """

    who: str
    module: str
    first: Callable[[], Struct]
    said: msgspec.json.Decoder[Said]
    take: Callable[[Said], None]
    ended: Callable[[str], None]
    ailing: Callable[[str, str], None]
    words: tuple[str, ...] = ()
    remedy: str = "see what it says in the log"


class Watched(Generic[Said]):
    """``running`` is to be entered before it is told anything."""

    def __init__(self, child: Child[Said]) -> None:
        self._child = child
        self._process: Process | None = None
        self._verdict = ""
        self._was_ready_at: float | None = None
        self._trouble: CannotAnswer | None = None
        self._decided = asyncio.Event()
        """Whether it is ready, or in trouble; until then who asks waits."""

    @property
    def pid(self) -> int:
        """Of the process that there is now; 0: there is none."""
        return 0 if self._process is None else self._process.pid

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as it is wanted."""
        task = asyncio.create_task(self._keep_up(), name=f"{self._child.who}'s process")
        try:
            yield
        finally:
            await until_done([task])

    async def ready(self) -> None:
        """Returns when it may be told something. Raises CannotAnswer: it is not there, and does not come at once."""
        while True:
            await self._decided.wait()
            if self._trouble is not None:
                raise CannotAnswer(
                    self._trouble.reason, self._trouble.remedy
                )  # each has its own, and its frames
            if self._was_ready_at is not None:
                return

    async def tell(self, message: Struct) -> None:
        """Raises CannotAnswer for what cannot be told. That it has ended meanwhile, ``ended`` is told."""
        try:
            data = line(message)
        except NotALine as error:
            raise CannotAnswer(f"what was to be handed over is no message: {error}") from error
        if (process := self._process) is not None and process.stdin is not None:
            with suppress(OSError, RuntimeError):  # it ends, or has ended
                process.stdin.write(data)
                await process.stdin.drain()

    def tell_soon(self, message: Struct) -> None:
        """The same from where nobody waits; few, and small."""
        if (process := self._process) is not None and process.stdin is not None:
            with suppress(OSError, RuntimeError, NotALine):
                process.stdin.write(line(message))

    def kill(self, reason: str) -> None:
        """End it at once, with all that it started; ``reason``: what it did."""
        if (process := self._process) is not None:
            if process.returncode is None:
                self._verdict = self._verdict or reason
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it started may have outlived it

    async def _keep_up(self) -> None:
        backoff, loop = Backoff(FIRST_PAUSE, LONGEST_PAUSE), asyncio.get_running_loop()
        while True:
            try:
                reason, remedy = await self._life()
            except OSError as error:
                reason, remedy = f"cannot be started: {error.strerror}", "free memory or processes"
            was_ready, self._was_ready_at = self._was_ready_at, None
            if was_ready is not None and loop.time() - was_ready >= STEADY_SECONDS:
                backoff.reset()
            told = f"its process {reason}"
            log.warning("a process has ended", whose=self._child.who, reason=reason)
            self._trouble = CannotAnswer(told, remedy)
            self._decided.set()
            self._child.ended(told)
            self._child.ailing(f"{self._child.who}: {told}; it is started again", remedy)
            pause = backoff.next()
            if was_ready is not None and pause < SHORT_PAUSE:  # it may well be again, in a moment
                self._trouble = None
                self._decided.clear()
            await asyncio.sleep(pause)

    async def _life(self) -> tuple[str, str]:
        """From its start to its end; why it ended, and what helps."""
        child = self._child
        self._verdict = ""
        process = self._process = await start(child.module, *child.words, longest=MOST_LINE, own_session=True)
        assert process.stdin is not None
        assert process.stderr is not None
        journal = asyncio.create_task(listen_to(process.stderr, self._journal()), name="journal")
        try:
            await self.tell(child.first())
            missing = await self._listen(process)
            await self._end_of(process)
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            await self._end_of(process)
            raise
        finally:
            self.kill("closed its end")
            await self._end_of(process)
            self._process = None
            await asyncio.wait({journal}, timeout=LAST_WORDS_SECONDS)
            await until_done([journal])
            process._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - others may hold its pipes
            status = process.returncode or 0
        if missing is not None:
            return f"says: {missing.reason}", missing.remedy or child.remedy
        return self._verdict_of(status), child.remedy

    async def _end_of(self, process: Process) -> None:
        """It has a moment to end by itself. Its ``wait`` would wait also for whoever else holds its pipes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                while process.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self, process: Process) -> Unfit | None:
        """What it says, until it ends, or has to."""
        try:
            async with asyncio.timeout(LOAD_SECONDS) as loading:
                while (said := await self._read(process)) is not None:
                    if isinstance(said, Unfit):
                        return said
                    if isinstance(said, Ready):
                        loading.reschedule(None)
                        self._is_ready()
                    else:
                        self._child.take(said)
                    await asyncio.sleep(0)  # it may say much: others have their turn in between
        except TimeoutError:
            self.kill(f"was not ready within {LOAD_SECONDS:g} s")
        except ValueError as error:  # what is no message, or has no end
            self.kill(f"talked garbage: {str(error)[:200]}")
        return None

    async def _read(self, process: Process) -> Any:
        assert process.stdout is not None
        data = await process.stdout.readline()
        if not data:
            return None
        try:
            return self._child.said.decode(data)
        except UNREADABLE as error:
            raise ValueError(str(error)) from error

    def _is_ready(self) -> None:
        self._trouble = None
        self._was_ready_at = asyncio.get_running_loop().time()
        self._decided.set()
        self._child.ailing("", "")

    def _journal(self) -> Callable[[str], None]:
        """What it prints goes to our log, as far as it does not flood it."""
        loop = asyncio.get_running_loop()
        allowance, left_out = Allowance(LINES, LINES_PER_SECOND, loop.time()), 0
        pid = self.pid

        def tell(text: str) -> None:
            nonlocal left_out
            if not allowance.take(loop.time()):
                left_out += 1
                return
            if left_out:
                log.warning("a process says too much", whose=self._child.who, pid=pid, left_out=left_out)
                left_out = 0
            log.info("a process says", whose=self._child.who, pid=pid, line=text)

        return tell

    def _verdict_of(self, status: int) -> str:
        if self._verdict and status == -signal.SIGKILL:
            return self._verdict
        if status == -signal.SIGKILL:
            return "was killed (SIGKILL), perhaps because memory ran out"
        if status < 0:
            return f"crashed ({signal.strsignal(-status)})"
        return f"ended with status {status}"
