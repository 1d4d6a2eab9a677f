"""What a real satellite runs in place of a microphone, a wake word engine and its lamps. ``python -m ... WHAT ...``."""

from __future__ import annotations

import sys
import time
import wave
from pathlib import Path

BYTES_A_SECOND = 32_000
CHUNK = 2_048


def microphone(recording: str) -> None:
    """Raw sound on standard output, at a microphone's pace: the recording each time its file ``speak`` appears."""
    with wave.open(recording) as file:
        speech = file.readframes(file.getnframes())
    speak = Path(sys.argv[3])
    began, sent, waiting = time.monotonic(), 0, b""
    while True:
        if not waiting and speak.exists():
            speak.unlink()
            waiting = speech
        chunk, waiting = waiting[:CHUNK].ljust(CHUNK, b"\0"), waiting[CHUNK:]
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        sent += len(chunk)
        time.sleep(max(0.0, began + sent / BYTES_A_SECOND - time.monotonic()))


def wake_word(name: str) -> None:
    """Raw sound on standard input; says the name on standard output when there is any sound in it."""
    while chunk := sys.stdin.buffer.read(CHUNK):
        if any(chunk):
            print(name, flush=True)


def note(place: str) -> None:
    """What is said on standard input, as a line of that file."""
    with Path(place).open("a") as file:
        file.write(sys.stdin.read().strip() + "\n")


if __name__ == "__main__":
    {"microphone": microphone, "wake_word": wake_word, "note": note}[sys.argv[1]](sys.argv[2])
