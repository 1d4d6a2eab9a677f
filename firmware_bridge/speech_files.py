"""Recordings of speech: those that come with Earshot, and WAV files of one's own."""

from __future__ import annotations

import csv
import io
import wave
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.link.events import SAMPLE_RATE
from firmware_bridge.named_files import read_named

SPEECH = Path(__file__).parent / "speech"
MOST_BYTES = 64 * 1024 * 1024
"""Half an hour of speech; nobody says more at once."""


class BadRecording(ValueError):
    """A file that is not speech as devices send it; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class SpeechFile:
    """One recording that comes with Earshot. ``demo``: the bundled model is known to get it right."""

    path: Path
    text: str
    seconds: float
    demo: bool


def recordings() -> tuple[SpeechFile, ...]:
    """All recordings that come with Earshot, synthetic voices saying commands."""
    with (SPEECH / "transcripts.tsv").open(encoding="utf-8", newline="") as table:
        return tuple(
            SpeechFile(SPEECH / row["file"], row["text"], float(row["seconds"]), row["demo"] == "yes")
            for row in csv.DictReader(table, delimiter="\t")
        )


def wav_file(pcm: bytes) -> bytes:
    """PCM16 mono at 16 kHz as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(pcm)
    return file.getvalue()


def read_wav(path: Path) -> bytes:
    """The PCM16 samples of a WAV file, which must be mono, 16 bit, 16 kHz. Raises BadRecording."""
    try:
        with wave.open(io.BytesIO(read_named(path, MOST_BYTES)), "rb") as file:
            found = (file.getframerate(), file.getnchannels(), file.getsampwidth() * 8)
            pcm = file.readframes(file.getnframes())
    except OSError as error:
        raise BadRecording(f"{path}: {error.strerror or error}") from error
    except (EOFError, wave.Error) as error:
        raise BadRecording(f"{path} is no WAV file: {str(error) or 'it ends too early'}") from error
    if found != (SAMPLE_RATE, 1, 16):
        rate, channels, bits = found
        raise BadRecording(
            f"{path}: {rate} Hz, {channels} channels, {bits} bit; needed are {SAMPLE_RATE} Hz, 1 channel, 16 bit "
            f"(ffmpeg -i {path.name} -ar {SAMPLE_RATE} -ac 1 -c:a pcm_s16le out.wav)"
        )
    return pcm
