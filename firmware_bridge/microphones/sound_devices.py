"""The sound devices of this machine: the only file that knows sounddevice, and PortAudio behind it.

Only a process of its own asks this (``capture.py``): PortAudio lists the devices once, when it is first used, and what
is plugged in later shows in a new process alone. Every error of its is a :class:`SoundUnavailable`.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from firmware_bridge.link.events import SAMPLE_RATE
from firmware_bridge.microphones.records import PERIOD_SECONDS, Listen, SoundDevice

RATES: Final = (SAMPLE_RATE, 48_000, 32_000, 44_100, 24_000, 96_000, 22_050, 192_000, 11_025, 8_000)
"""Which are tried, in this order."""
BUFFER_PERIODS: Final = 16
"""Room for what was not read in time. PortAudio has four, and makes them longer where there is to be more room."""
REST_SECONDS: Final = 0.2
"""As long may nobody look, at most, while it is quiet; half of the room there is, where that is less."""
MOST_CHANNELS: Final = 16
"""A device that claims more is no hardware; of such a one two are mixed."""
_BUSY: Final = -9985
_BAD_RATE: Final = -9997
_BAD_CHANNELS: Final = -9998


class SoundUnavailable(Exception):
    """A device, or all of sound, cannot be used (now): ``reason`` and ``remedy`` in words."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


BY_ITSELF: Final = "plug it in; it is found by itself"


def sound_devices() -> tuple[SoundDevice, ...]:
    """Those that can be opened now. Raises SoundUnavailable."""
    library = _library()
    with _in_words("the sound devices"):
        first_input, first_output = _first(library)
        return tuple(
            SoundDevice(
                name=device["name"],
                inputs=device["max_input_channels"],
                outputs=device["max_output_channels"],
                rate=int(device["default_samplerate"]),
                first_input=device["index"] == first_input,
                first_output=device["index"] == first_output,
            )
            for device in library.query_devices()
        )


class OpenMicrophone:
    """A microphone that is open: ``with OpenMicrophone(...) as microphone``. Raises SoundUnavailable."""

    def __init__(self, wanted: Listen) -> None:
        library = _library()
        _allow_periods(library)
        device = _find(library, wanted.name, "max_input_channels")
        self.rate, self.channels = _format(library, device, wanted)
        self.period: int = round(self.rate * PERIOD_SECONDS)
        """Samples of each channel in 20 ms."""
        with _in_words(wanted.name):
            self._stream = library.RawInputStream(
                samplerate=self.rate,
                device=device["index"],
                channels=self.channels,
                dtype="int16",
                blocksize=self.period,
                latency=BUFFER_PERIODS * PERIOD_SECONDS,
            )
        self._rest: float = min(REST_SECONDS, self._stream.latency / 2)
        self._name = wanted.name

    def __enter__(self) -> Self:
        with _in_words(self._name):
            self._stream.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.close(ignore_errors=True)

    def read(self, periods: int) -> tuple[Any, bool]:
        """So many periods of PCM16, channels interleaved, and whether something was lost before. Waits for them."""
        with _in_words(self._name):
            data, overflowed = self._stream.read(periods * self.period)
        return data, bool(overflowed)

    def rest(self) -> int:
        """Let some sound gather, and how many periods that is: each waking costs more than all that is done with it."""
        time.sleep(self._rest)
        with _in_words(self._name):
            there: int = self._stream.read_available
        return max(1, there // self.period)


def play(name: str, pcm: bytes, rate: int) -> None:
    """PCM16, mono, to a loudspeaker, and wait until it was heard. Raises SoundUnavailable."""
    library = _library()
    device = _find(library, name, "max_output_channels")
    with (
        _in_words(name),
        library.RawOutputStream(
            samplerate=rate, device=device["index"], channels=1, dtype="int16", latency="high"
        ) as stream,
    ):
        stream.write(pcm)


def _library() -> Any:
    try:
        import sounddevice  # noqa: PLC0415 - an optional stack, and only in a process of its own
    except ModuleNotFoundError as error:
        raise SoundUnavailable(
            "sounddevice is not installed", f"{sys.executable} -m pip install 'earshot-gateway[microphone]'"
        ) from error
    except OSError as error:  # the package is there, the system's library is not
        raise SoundUnavailable("PortAudio is not installed", "sudo apt install libportaudio2") from error
    return sounddevice


def _allow_periods(library: Any) -> None:
    """So that a large buffer has short periods; sounddevice does not pass this on."""
    with suppress(AttributeError, OSError):  # a PortAudio without ALSA
        ctypes.CDLL(library._libname).PaAlsa_SetNumPeriods(BUFFER_PERIODS)  # noqa: SLF001


def _first(library: Any) -> tuple[int, int]:
    apis = library.query_hostapis()
    return (apis[0]["default_input_device"], apis[0]["default_output_device"]) if apis else (-1, -1)


def _find(library: Any, name: str, channels: str) -> Any:
    with _in_words(name):
        for device in library.query_devices():
            if device["name"] == name and device[channels] > 0:
                return device
    raise SoundUnavailable(f"{name}: not there", BY_ITSELF)


def _format(library: Any, device: Any, wanted: Listen) -> tuple[int, int]:
    """Rate and channels with which it opens: as few channels as are wanted, or all that it has."""
    has: int = device["max_input_channels"]
    if wanted.channel > has:
        raise SoundUnavailable(
            f"{wanted.name} has {has} channels and no channel {wanted.channel}", "correct its channel"
        )
    most = has if has <= MOST_CHANNELS else max(2, wanted.channel)
    few = wanted.channel or most
    own = int(device["default_samplerate"])
    formats = itertools.product(
        (wanted.rate,) if wanted.rate else dict.fromkeys((RATES[0], own, *RATES)), dict.fromkeys((few, most))
    )
    for rate, channels in formats:
        with _in_words(wanted.name, but=(_BAD_RATE, _BAD_CHANNELS)):
            library.check_input_settings(
                device=device["index"], channels=channels, dtype="int16", samplerate=rate
            )
            return rate, channels
    return wanted.rate or own, few  # what is wrong with that says whoever opens it


@contextmanager
def _in_words(name: str, but: Collection[int] = ()) -> Iterator[None]:
    """Around what sounddevice does: its errors as ours. ``but``: codes that are passed over."""
    try:
        yield
    except SoundUnavailable:
        raise
    except Exception as error:
        if _code(error) not in but:
            raise _problem(name, error) from error


def _code(error: Exception) -> int | None:
    return error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else None


def _problem(name: str, error: Exception) -> SoundUnavailable:
    code = _code(error)
    if code == _BUSY:
        return SoundUnavailable(
            f"{name}: in use by another program", "close it; `fuser -v /dev/snd/*` names its process"
        )
    if code == _BAD_RATE:
        return SoundUnavailable(f"{name} does not have this rate", "leave its rate out: one is chosen")
    if code == _BAD_CHANNELS:
        return SoundUnavailable(f"{name} does not have this channel", "correct its channel")
    return SoundUnavailable(f"{name}: {_said(error)}", BY_ITSELF)


def _said(error: Exception) -> str:
    """What PortAudio says, or, where it says nothing, what is below it."""
    words = [part for part in error.args if isinstance(part, str)]
    if len(error.args) > 2 and error.args[2]:
        words = [str(error.args[2][-1]), *words]
    return words[0].splitlines()[0] if words and words[0] else type(error).__name__
