"""[fuzz] The device's end in C against its reference, input by input, and under sanitizers; a line that flips bits.

An input of the first is one act (of the user, of the gateway, of time or of the carrier) that both are given, with all
that both say and tell compared after it, or one block, payload, proof or text for the parts without state. One of the
second is one run of a harness, which is many acts. On the flipping line frames of 20 to 660 bytes go to the library and
to the gateway's decoder, every bit of them wrong with a chance of one in a hundred; what either takes for a frame is
held against what was sent.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.instruments.report import Bar, Result
from firmware_bridge.link.framing import FrameRejected, Noise, SerialDecoder
from tests.firmware_bridge.esp32 import jig
from tests.firmware_bridge.esp32.twins import differ
from tests.fuzz.c.harnesses import HARNESSES, build, write_seeds

FLIPPED = 0.01
SIZES = (20, 24, 40, 84, 120, 184, 660)
"""Bytes of a frame: an ACK, speech in IMA ADPCM of 20 ms, in PCM16."""


def run(*, quick: bool) -> Result:
    inputs = 20_000 if quick else 1_000_000
    began = time.perf_counter()
    done, differences = _side_by_side(inputs)
    elapsed = time.perf_counter() - began
    runs, reports = _sanitized(1_000 if quick else 100_000)
    flips = _flipping(2_000 if quick else 200_000)
    return Result(
        metrics={
            "inputs given to both": done,
            "inputs_per_s": done / elapsed,
            "inputs under address and undefined-behaviour sanitizers": runs,
            **flips,
        },
        bars=[
            Bar("inputs given to the library in C and to the reference", done, inputs, "at least"),
            Bar("differences between them", differences, 0, "at most"),
            Bar("sanitizer reports", reports, 0, "at most"),
            Bar(
                "bad frames taken by the library at 1 % flipped bits",
                flips["bad frames taken, C"],
                0,
                "at most",
            ),
            Bar(
                "bad frames taken by the gateway at 1 % flipped bits",
                flips["bad frames taken, gateway"],
                0,
                "at most",
            ),
        ],
    )


def _side_by_side(inputs: int) -> tuple[int, int]:
    """How many inputs were the same to both, and how many were not: each of these ends its tenth."""
    done = differences = 0
    for part in range(10):
        try:
            done += differ(seed=1300 + part, inputs=inputs // 10)
        except AssertionError as difference:
            print(f"part {part}: {difference!r}", file=sys.stderr)
            differences += 1
    return done, differences


def _sanitized(runs: int) -> tuple[int, int]:
    """How many inputs all harnesses took together, and how many of these programs broke."""
    broken = 0
    with tempfile.TemporaryDirectory() as place:
        for name in HARNESSES:
            folder = Path(place) / name
            write_seeds(name, folder / "seeds")
            program = build(name, folder)
            if program is None:
                raise RuntimeError("there is no compiler with sanitizers")
            command = (
                program,
                f"-runs={runs}",
                "-seed=13",
                "-max_len=4096",
                "-verbosity=0",
                folder / "seeds",
            )
            broken += subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0
    return runs * len(HARNESSES), broken


def _flipping(frames: int) -> dict[str, float]:
    chance = np.random.default_rng(13)
    taken = dict.fromkeys(("C", "gateway"), 0)
    bad = dict.fromkeys(("C", "gateway"), 0)
    for number in range(frames):
        frame = chance.bytes(SIZES[number % len(SIZES)])
        sent = np.frombuffer(jig.stuff(frame), np.uint8)
        wrong = np.packbits(chance.random(8 * sent.size) < FLIPPED)
        arrived = (sent ^ wrong).tobytes()
        for block in filter(None, arrived.split(b"\0")):
            found = jig.unstuff(block)
            taken["C"] += found is not None
            bad["C"] += found is not None and found != frame
        for one in SerialDecoder().feed(arrived + b"\0"):
            if not isinstance(one, Noise) and not (isinstance(one, FrameRejected) and one.code is None):
                taken["gateway"] += 1
                bad["gateway"] += not np.array_equal(wrong, np.zeros_like(wrong))
    return {
        "frames on a line with 1 % flipped bits": frames,
        **{f"taken for whole, {end}": count for end, count in taken.items()},
        **{f"bad frames taken, {end}": count for end, count in bad.items()},
    }
