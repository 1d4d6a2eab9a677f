"""Speech made on the spot by espeak-ng: commands that are in none of the recordings, in several voices."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples

ESPEAK = "espeak-ng"
ESPEAK_RATE = 22_050
WAV_HEADER = 44  # bytes; the length in it is not known yet when it is written
VOICES = ("en-us-nyc", "en-gb-x-rp", "en-us+f3", "en-gb+m3")
"""None of them was heard in the bundled model's training (its MODEL_CARD.md)."""
WORDS_PER_MINUTE = (140, 180)
TEXTS = (
    "turn off the kitchen light", "set a timer for ten minutes", "what is the temperature outside",
    "close the garden door", "call the nurse", "go forward ten meters", "one two three four five",
    "open the garage door", "stop", "yes", "add milk to the list", "turn on the fan",
)  # fmt: skip


def synthesized() -> Iterator[tuple[str, Samples]]:
    """Texts and how they sound, each in every voice; nothing when espeak-ng is not installed."""
    if shutil.which(ESPEAK) is None:
        print(f"without synthesized speech: apt-get install {ESPEAK}")
        return
    for number, (text, voice) in enumerate(itertools.product(TEXTS, VOICES)):
        speed = WORDS_PER_MINUTE[number % len(WORDS_PER_MINUTE)]
        yield text, spoken(text, voice, speed)


def spoken(text: str, voice: str, words_per_minute: int) -> Samples:
    """A text as espeak-ng says it."""
    command = [ESPEAK, "-v", voice, "-s", str(words_per_minute), "--stdout", "--", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    return resampled(np.frombuffer(wav, np.int16, offset=WAV_HEADER))


def resampled(samples: Samples) -> Samples:
    """From espeak's rate to ours: what our rate cannot carry is left out."""
    length = len(samples) * SAMPLE_RATE // ESPEAK_RATE
    spectrum = np.fft.rfft(samples)[: length // 2 + 1]
    return np.clip(np.fft.irfft(spectrum, length) * length / len(samples), -32768, 32767).astype(np.int16)
