"""Recordings decoded in a process of their own: the same samples, and only words when it dies."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.transcription.recordings import recording, tone
from transcription.sound_files import decoding
from transcription.sound_files.decoder_process import TooCostly, decoded
from transcription.sound_files.lookahead import BadSound

pytestmark = pytest.mark.slow

HOSTILE = "tests.transcription.hostile_worker"


class GoneError(Exception):
    pass


@pytest.mark.parametrize("name", ["wav", "webm", "m4a of a phone"])
def test_it_is_what_it_would_be_here(name: str) -> None:
    data = recording(tone(3.0), name)
    there = [one for one in decoded(io.BytesIO(data), 60) if not isinstance(one, decoding.LostSound)]
    here = [one for one in decoding.decoded(io.BytesIO(data)) if not isinstance(one, decoding.LostSound)]
    assert np.array_equal(np.concatenate(there), np.concatenate(here))


def test_what_is_missing_and_why_it_is_none_come_over() -> None:
    data = recording(tone(1.0)) + b"fLaC\0\0\0\x22" * 5_000
    told = [one.reason for one in decoded(io.BytesIO(data), 60) if isinstance(one, decoding.LostSound)]
    assert "too much" in told[-1]
    with pytest.raises(BadSound, match="it is empty"):
        list(decoded(io.BytesIO(b""), 60))


def test_it_is_decoded_while_it_comes_and_is_gone_when_nobody_wants_it() -> None:
    source = io.BytesIO(recording(tone(60.0)))
    pieces = decoded(source, 60)
    assert len(next(pieces))
    assert source.tell() < 600_000
    assert _children()
    pieces.close()
    assert not _children()


def test_what_the_source_raises_goes_through_and_ends_it() -> None:
    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 100_000:
                raise GoneError
            return super().read(size)

    with pytest.raises(GoneError):
        list(decoded(Breaking(recording(tone(9.0))), 60))
    assert not _children()


@pytest.mark.parametrize(
    ("does", "raised"),
    [
        ("SIGSEGV", BadSound), ("SIGABRT", BadSound), ("SIGKILL", TooCostly), ("SIGXCPU", TooCostly),
        ("SIGPROF", TooCostly), ("ends", BadSound), ("garbage", BadSound), ("half a sample", BadSound),
        ("more than fits", BadSound), ("a mistake", BadSound), ("time", TooCostly),
    ],
)  # fmt: skip
def test_however_it_ends_the_recording_is_refused_in_words(does: str, raised: type[Exception]) -> None:
    with pytest.raises(raised, match=r"it cannot be decoded|its decoder broke|more memory or time"):
        list(decoded(io.BytesIO(does.encode()), 60, worker=HOSTILE))
    assert not _children()


def test_one_that_stops_listening_can_be_given_up() -> None:
    def check() -> None:
        raise GoneError

    with pytest.raises(GoneError):
        list(decoded(io.BytesIO(b"SIGSTOP"), 60, check, worker=HOSTILE))
    assert not _children()


def test_it_knows_none_of_our_secrets_and_writes_no_files(tmp_path: Path) -> None:
    source = io.BytesIO(recording(tone(60.0)))
    os.environ["EARSHOT_SECRET"] = "do not tell"
    pieces = decoded(source, 60)
    try:
        next(pieces)
        (child,) = _children()
        assert b"EARSHOT_SECRET" not in Path(f"/proc/{child}/environ").read_bytes()
        limits = Path(f"/proc/{child}/limits").read_text()
        rows = {line[:25].strip(): line.split()[-3] for line in limits.splitlines()[1:]}
        assert int(rows["Max address space"]) <= 400 << 20
        assert rows["Max core file size"] == "0"
    finally:
        del os.environ["EARSHOT_SECRET"]
        pieces.close()


def test_the_gateways_side_loads_no_decoder() -> None:
    code = "import sys, gateway.pipeline.recordings.transcribing; sys.exit('av' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


_OTHERS: set[int] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """What tests before this one have left running in the same worker is none of ours."""
    _OTHERS.clear()
    _OTHERS.update(_children())


def _children() -> list[int]:
    """Those that a test here has started, and that are still there."""
    there = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(one) for one in there if int(one) not in _OTHERS]
