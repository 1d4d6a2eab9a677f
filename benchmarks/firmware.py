"""[firmware] A real firmware on an emulated board: its size, and fifty faults in a row that cost no sample.

The serial example runs in qemu's riscv32 machine on a cable to ``earshot run``, and says one sentence after the other.
In the middle of each, in turn: the gateway is killed and another one started; the cable is pulled and plugged in; the
line flips bits until the sentence is over. What the gateway says of each utterance (its text, its length, what was
lost of it) is held against the recording that is compiled in, and what was lost against what the firmware counted as
overrun. The sizes are those of rv32imac at -Os.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.instruments.report import Bar, Result
from firmware_bridge.link.events import SAMPLE_RATE
from gateway.observing.log import UTTERANCE
from tests.firmware_bridge.esp32.emulated.cable import Cable
from tests.firmware_bridge.esp32.emulated.image import RAM, device_bytes, firmware, library_sizes, sizes
from tests.firmware_bridge.esp32.emulated.machine import Machine, on_a_cable
from tests.record import passes
from tests.system.house import RECORDINGS, text
from tests.system.process import Running
from tests.system.process import run as gateway_process

SENTENCE = "u00"
SECONDS = RECORDINGS[SENTENCE].seconds
FAULTS = 50
QUICK_FAULTS = 3
KINDS = ("gateway killed", "cable pulled", "bits flipped")
FLIP = 2e-3
"""Of the bytes on a disturbed line: every third frame is broken."""
BYTES_A_SECOND = 9_000
"""Of speech in IMA ADPCM, headers and all."""
PULLED_SECONDS = 1.0
PATIENCE = 60.0
LINK = ("earshot", "earshot_framing", "earshot_adpcm")
"""The source files that every device on a line needs; the others are for those who use them."""
IDLE_SECONDS = 5.0


def run(*, quick: bool) -> Result:
    row = asyncio.run(_faults_in_a_row(QUICK_FAULTS if quick else FAULTS))
    code = {Path(name).stem: size.text + size.data for name, size in library_sizes().items()}
    link = sum(code[name] for name in LINK)
    program = firmware(SENTENCE, "TALK_ADPCM=1")
    whole = sizes(program)[program.name]
    ram = device_bytes()
    return Result(
        metrics={
            **row.metrics(),
            **{f"code_bytes, {name}": size for name, size in code.items()},
            "code_bytes, the link (earshot, framing, adpcm)": link,
            "ram_bytes, a device besides its ring": ram,
            "ram_bytes, the firmware without its stack": whole.data + whole.bss,
            "ram_bytes, the board": RAM,
        },
        bars=[
            Bar("code of the link, rv32imac at -Os", link, 8 * 1024, "at most", "bytes"),
            Bar("RAM besides the ring", ram, 4 * 1024, "at most", "bytes"),
            Bar("faults in a row", row.faults, QUICK_FAULTS if quick else FAULTS, "at least", "faults"),
            Bar("samples lost that the ring held", row.lost_samples, 0, "at most", "samples"),
            Bar("transcripts wrong", row.wrong, 0, "at most", "utterances"),
            Bar("utterances without a reply", row.unanswered, 0, "at most", "utterances"),
        ],
    )


class _Row:
    """What became of the faults."""

    def __init__(self, spoken: int) -> None:
        self.spoken = spoken
        self.faults = 0
        self.counts = dict.fromkeys(KINDS, 0)
        self.wrong = 0
        self.unanswered = 0
        self.lost_samples = 0
        self.figures: dict[str, float] = {}

    def judge(self, board: Machine, told: list[dict[str, Any]]) -> None:
        """Hold what was heard and printed against what was said."""
        heard = board.said("heard")
        self.wrong = abs(self.spoken - len(heard)) + sum(one != text(SENTENCE) for one in heard)
        self.unanswered = self.spoken - len(board.said("reply"))
        overrun = int(board.said("lost so far, in samples")[-1])
        lost = sum(round(line["lost_ms"] * SAMPLE_RATE / 1000) for line in told)
        # What is missing without having been told would be worse: the log says lengths to a hundredth of a second.
        lost += sum(round(abs(SECONDS - line["seconds"]) * SAMPLE_RATE) for line in told if _differs(line))
        self.lost_samples = lost - overrun
        self.figures["overrun_samples"] = overrun

    def metrics(self) -> dict[str, float | int | str]:
        return {
            "utterances": self.spoken,
            "faults": self.faults,
            **{f"faults, {kind}": count for kind, count in self.counts.items()},
            **self.figures,
        }


def _differs(line: dict[str, Any]) -> bool:
    return bool(abs(SECONDS - line["seconds"]) > 0.011)


class _Gateways:
    """One gateway after the other on one journal; what each said of utterances is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: list[dict[str, Any]] = []
        self._stack = AsyncExitStack()
        self._gateway: Running | None = None

    def told(self) -> list[dict[str, Any]]:
        """Of every utterance that is over."""
        return self._before + (self._gateway.logged(UTTERANCE) if self._gateway else [])

    async def start(self) -> None:
        self._gateway = await self._stack.enter_async_context(gateway_process(self._folder))

    async def kill(self) -> None:
        if self._gateway:
            await self._gateway.kill()
            self._before, self._gateway = self.told(), None
            await self._stack.aclose()


@asynccontextmanager
async def _scene() -> AsyncIterator[tuple[Machine, Cable, _Gateways]]:
    image = firmware(SENTENCE, "TALK_ADPCM=1")
    with tempfile.TemporaryDirectory() as folder:
        gateways = _Gateways(Path(folder))
        async with on_a_cable(image, Path(folder), seed=5) as (board, cable):
            await gateways.start()
            try:
                await board.told("linked")
                yield board, cable, gateways
            finally:
                await gateways.kill()


async def _faults_in_a_row(count: int) -> _Row:
    """One sentence with each fault in its middle, and a last one without."""
    row = _Row(count + 1)
    chance = random.Random(6)
    async with _scene() as (board, cable, gateways):
        row.figures["emulator_idle, core_%"] = await _idle(board)
        began = time.perf_counter()
        for number in range(row.spoken):
            board.press()
            await cable.carries(round(BYTES_A_SECOND * SECONDS * chance.uniform(0.1, 0.8)))
            if number < count:
                await _fault(KINDS[number % len(KINDS)], cable, gateways)
                row.faults += 1
                row.counts[KINDS[number % len(KINDS)]] += 1
            await board.told("reply", number + 1, PATIENCE)
            cable.flip = 0.0
            await passes(lambda done=number + 1: len(gateways.told()) >= done)  # type: ignore[misc]
        row.figures["seconds"] = time.perf_counter() - began
        row.figures["bits_flipped"] = cable.flipped
        row.judge(board, gateways.told())
    return row


async def _idle(board: Machine) -> float:
    """Percent of a core that the emulated board takes while it is linked and nobody speaks."""
    before = board.processor_seconds()
    await asyncio.sleep(IDLE_SECONDS)
    return 100 * (board.processor_seconds() - before) / IDLE_SECONDS


async def _fault(kind: str, cable: Cable, gateways: _Gateways) -> None:
    match kind:
        case "gateway killed":
            await gateways.kill()
            await gateways.start()
        case "cable pulled":
            cable.pull()
            await asyncio.sleep(PULLED_SECONDS)
            cable.plug()
        case _:
            cable.flip = FLIP
