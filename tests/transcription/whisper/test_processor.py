"""Which processors compute in AVX-512, and that CTranslate2 does so there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from transcription.whisper import processor
from transcription.whisper.processor import WIDEST, gains_by_widest

ICE_LAKE = "fpu sse2 avx2 avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni amx_tile"
SKYLAKE = ICE_LAKE.replace("avx512_vnni", "")

LOAD = """
from transcription.settings import TranscriptionSettings
from transcription.whisper.engine import WhisperTranscriber
WhisperTranscriber(TranscriptionSettings(threads=1)).load()
"""


def described(*flags: str) -> str:
    """As /proc/cpuinfo has it, a core each."""
    return "\n\n".join(f"processor\t: {core}\nflags\t\t: {one}\nbugs\t\t:" for core, one in enumerate(flags))


@pytest.mark.parametrize(
    ("cpuinfo", "gains"),
    [
        (described(ICE_LAKE, ICE_LAKE), True),
        (described(SKYLAKE), False),
        (described(ICE_LAKE, SKYLAKE), False),
        (described("fpu avx2"), False),
        ("processor\t: 0\nFeatures\t: fp asimd\n", False),
        ("flags\t\t:", False),
        ("", False),
    ],
)
def test_who_becomes_slower_as_a_whole_is_left_alone(cpuinfo: str, *, gains: bool) -> None:
    assert gains_by_widest(cpuinfo) is gains


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["", "AVX2"])
def test_the_engine_computes_in_it_unless_the_environment_says_otherwise(wanted: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != WIDEST[0]}
    environment = inherited | {"CT2_VERBOSE": "1"} | ({WIDEST[0]: wanted} if wanted else {})
    done = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, timeout=110, check=True, env=environment
    )
    if not wanted and gains_by_widest(processor._described()):
        wanted = WIDEST[1]
    assert "Selected ISA: " in done.stderr
    assert f"Selected ISA: {wanted}" in done.stderr
