"""[wake] Wake words: heard in noise, cut from what follows, and never heard in hours of speech and noise without one.

Hits: every wake word in every voice of espeak-ng at three speeds, and in one of Piper's where that can be had, in a
quiet room and in babble and pink noise at 20 and 10 dB. What follows it, in one breath and after a pause, goes
through the gate, Silero and the bundled model; its word errors are held against those of the same words alone. False
wakes: the project's own documents read aloud, the recordings that come with Earshot, white and pink noise, and babble
mixed of six voices; all four words listen. All of it is synthesized or recorded close to the microphone: no room, no
television, no children. EARSHOT_WAKE_HOURS names the hours of speech (noise: half as many).
"""

from __future__ import annotations

import itertools
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.instruments.report import Bar, Result
from benchmarks.instruments.words import word_errors, words
from benchmarks.load.synthesized import spoken
from benchmarks.peers.environments import PeerMissing
from benchmarks.peers.piper import VOICE, speaking
from firmware_bridge.speech_files import read_wav, recordings
from transcription.audio import SAMPLE_RATE, AudioChunk, Samples, from_pcm16
from transcription.settings import SegmenterSettings, TranscriptionSettings
from transcription.utterance.segmenter import EndReason, Utterance, UtteranceSegmenter
from transcription.utterance.vad import SileroModel
from transcription.wake.ear import Ear
from transcription.wake.gate import WakeGate, Woken
from transcription.wake.words import find_wake_word
from transcription.whisper.engine import WhisperTranscriber

WORDS = {"okay_nabu": "okay nabu", "hey_jarvis": "hey jarvis", "hey_mycroft": "hey mycroft", "alexa": "alexa"}
VOICES = (
    "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc", "en-029",
    "en-us+m3", "en-us+m7", "en-us+f2", "en-us+f3", "en-gb+f4", "en-gb+m3",
)  # fmt: skip
SPEEDS = (140, 160, 180)
LENGTHS = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)
"""How slowly Piper speaks; it never says a thing the same way twice."""
ROOMS = {"quiet room": 60.0, "20 dB": 20.0, "10 dB": 10.0}
"""What is around a wake word: how much louder it is than babble and pink noise together."""
COMMANDS = ("turn off the kitchen light", "set a timer for ten minutes", "stop", "open the garage door")
PAUSES = {"in one breath": None, "after 0.3 s": 0.3, "after 1 s": 1.0}
DOCUMENTS = Path(__file__).resolve().parent.parent
HOURS = float(os.environ.get("EARSHOT_WAKE_HOURS", "4"))
QUICK_HOURS = 0.02
CHUNK = 960
LOUD = 3000.0
"""Root mean square of noise, in steps of PCM16: as loud as speech."""

_Floats = npt.NDArray[np.float64]
_Case: TypeAlias = tuple[str, list[Samples], Samples]
"""A command, how it sounds behind a wake word, and how it sounds alone."""


def run(*, quick: bool) -> Result:
    hours = QUICK_HOURS if quick else HOURS
    voices = VOICES[:2] if quick else VOICES
    metrics: dict[str, float | int | str] = {}
    for room, decibels in ROOMS.items():
        for name in WORDS:
            metrics[f"{name}, {room}, heard_%"] = _hits(name, voices, decibels)
    for how, pause in PAUSES.items():
        metrics |= _following(how, _commands(pause, voices))
    metrics |= _piper(quick=quick)
    heard: Counter[str] = Counter()
    seconds = cpu = 0.0
    for kind, sounds, share in (("speech", _speech(), 1.0), ("noise", _noise(), 0.5)):
        falsely, listened, took = _listen(sounds, hours * share * 3600)
        metrics[f"{kind} without one, hours"] = listened / 3600
        for name in WORDS:
            metrics[f"{name}, false wakes a day of {kind}"] = falsely[name] * 86_400 / listened
        heard += falsely
        seconds, cpu = seconds + listened, cpu + took
    one = _cost(["okay_nabu"])
    metrics["cpu of four words, ms for a second"] = 1000 * cpu / seconds
    metrics["cpu of one word, ms for a second"] = one
    bars = [
        Bar("one word", one, 8.0, "at most", "ms for a second of audio"),
        Bar(
            "okay_nabu in a quiet room",
            float(metrics["okay_nabu, quiet room, heard_%"]),
            75.0,
            "at least",
            "%",
        ),
        Bar(
            "false wakes of okay_nabu",
            heard["okay_nabu"] * 86_400 / seconds,
            12.0,
            "at most",
            "a day of this",
        ),
    ]
    return Result(metrics=metrics, bars=bars)


# -- hits


def _hits(name: str, voices: tuple[str, ...], decibels: float) -> float:
    """In how many of a hundred it is heard."""
    said = [spoken(WORDS[name], voice, speed) for voice, speed in itertools.product(voices, SPEEDS)]
    return _heard(name, said, decibels)


def _heard(name: str, said: list[Samples], decibels: float) -> float:
    found = 0
    for number, alone in enumerate(said):
        samples = np.concatenate([_silence(1.5), alone, _silence(1.0)])
        ear = Ear([find_wake_word(name)])
        found += ear.feed(_among(samples, decibels, number)) is not None
    return 100 * found / len(said)


def _piper(*, quick: bool) -> dict[str, float | int | str]:
    """The same in a voice that sounds like a person, alone and with something behind it in one breath."""
    found: dict[str, float | int | str] = {}
    lengths = LENGTHS[::4] if quick else LENGTHS
    try:
        with speaking() as say:
            for name, word in WORDS.items():
                alone = [say(word + ".", length) for length in lengths]
                ahead = [say(f"{word} {text}", length) for length in lengths for text in COMMANDS]
                for room, decibels in ROOMS.items():
                    found[f"{VOICE}: {name}, {room}, heard_%"] = _heard(name, alone, decibels)
                found[f"{VOICE}: {name}, in one breath, heard_%"] = _heard(name, ahead, ROOMS["quiet room"])
            word = WORDS["okay_nabu"]
            cases = [
                (text, [say(f"{word} {text}", length)], say(text, length))
                for length in lengths
                for text in COMMANDS
            ]
            found |= _following(f"{VOICE}, in one breath", cases)
    except PeerMissing as reason:
        found[f"{VOICE}, not measured"] = str(reason)
    return found


def _among(samples: Samples, decibels: float, seed: int) -> Samples:
    """Somebody who speaks, and noise that is so much quieter."""
    around = _mixture(len(samples), seed)
    loud = samples[np.abs(samples) > 200].astype(np.float64)
    level = float(np.sqrt(np.mean(np.square(loud)))) if len(loud) else LOUD
    return _samples(samples + around * level * 10 ** (-decibels / 20))


# -- what follows


def _commands(pause: float | None, voices: tuple[str, ...]) -> Iterator[_Case]:
    """Each command in each voice; None: in one breath with the wake word."""
    for text, voice in itertools.product(COMMANDS, voices):
        alone, word = spoken(text, voice, SPEEDS[1]), WORDS["okay_nabu"]
        if pause is None:
            yield text, [spoken(f"{word} {text}", voice, SPEEDS[1])], alone
        else:
            yield text, [spoken(word, voice, SPEEDS[1]), _silence(pause), alone], alone


def _following(how: str, cases: Iterable[_Case]) -> dict[str, float | int | str]:
    """What is heard of what follows a wake word, and of the same alone."""
    silero, engine = SileroModel(), WhisperTranscriber(TranscriptionSettings())
    engine.load()
    wake_word = find_wake_word("okay_nabu")
    errors = alone_errors = count = woken = total = 0
    for text, said, alone in cases:
        total += 1
        gate = WakeGate(lambda: Ear([wake_word]), lambda: _segmenter(silero), 6.0)
        heard = _texts(gate, engine, [_silence(1.5), *said])
        if heard is None:
            continue
        woken += 1
        unwoken = _texts(_segmenter(silero), engine, [_silence(1.5), alone])
        count += len(words(text))
        errors += word_errors(words(text), words(heard))
        alone_errors += word_errors(words(text), words(unwoken or ""))
    engine.close()
    return {
        f"okay_nabu, {how}: woken_%": 100 * woken / total,
        f"okay_nabu, {how}: errors of what follows_%": 100 * errors / max(count, 1),
        f"okay_nabu, {how}: errors of the same alone_%": 100 * alone_errors / max(count, 1),
    }


def _texts(
    hearing: WakeGate | UtteranceSegmenter, engine: WhisperTranscriber, parts: list[Samples]
) -> str | None:
    """What is heard; None: nobody was woken."""
    said = np.concatenate([*parts, _silence(1.5)])
    samples = _samples(said + 10 * _white(len(said), 1))
    events = [event for chunk in _chunks(samples) for event in hearing.feed(chunk)]
    events += hearing.finish(EndReason.STOP)
    if isinstance(hearing, WakeGate) and not any(isinstance(event, Woken) for event in events):
        return None
    return " ".join(engine.transcribe(event).text for event in events if isinstance(event, Utterance))


def _segmenter(silero: SileroModel) -> UtteranceSegmenter:
    return UtteranceSegmenter(silero.stream(), SegmenterSettings(), end_on_silence=True)


def _chunks(samples: Samples) -> Iterator[AudioChunk]:
    for start in range(0, len(samples), CHUNK):
        yield AudioChunk(start, samples[start : start + CHUNK])


# -- where there is none


def _listen(sounds: Iterator[Samples], seconds: float) -> tuple[Counter[str], float, float]:
    """How often each word was heard where none was said; the seconds of sound, and of CPU time."""
    ear = Ear([find_wake_word(name) for name in WORDS])
    falsely: Counter[str] = Counter()
    cpu = 0.0
    while ear.heard < seconds * SAMPLE_RATE:
        samples = next(sounds)
        began = time.process_time()
        for start in range(0, len(samples), CHUNK):
            spotted = ear.feed(samples[start : start + CHUNK])
            if spotted is not None:
                falsely[spotted.word.name] += 1
        cpu += time.process_time() - began
    return falsely, ear.heard / SAMPLE_RATE, cpu


def _speech() -> Iterator[Samples]:
    """Sentences of the documents, each in another voice; and a recording now and then. The same each time."""
    chance = random.Random(1)
    own = [from_pcm16(read_wav(recording.path)) for recording in recordings()]
    sentences = _sentences()
    while True:
        chance.shuffle(sentences)
        for number, sentence in enumerate(sentences):
            yield spoken(sentence, chance.choice(VOICES), chance.choice(SPEEDS))
            yield _silence(chance.uniform(0.1, 1.0))
            if number % 10 == 0:
                yield chance.choice(own)


def _sentences() -> list[str]:
    prose = "\n".join(path.read_text(encoding="utf-8") for path in sorted(DOCUMENTS.glob("docs/**/*.md")))
    prose = re.sub(r"```.*?```|\|.*\||\]\([^)]*\)|[`*#_>\[]", " ", prose, flags=re.DOTALL)
    found = [" ".join(sentence.split()) for sentence in re.split(r"[.;:!?]\s", prose)]
    named = re.compile("nabu|jarvis|mycroft|alexa", re.IGNORECASE)
    return [one for one in dict.fromkeys(found) if 20 < len(one) < 300 and not named.search(one)]


def _noise() -> Iterator[Samples]:
    """White, pink, and babble, a minute each, louder and quieter."""
    minute = 60 * SAMPLE_RATE
    for seed in itertools.count():
        level = LOUD * 10 ** (-(seed % 4) * 10 / 20)
        for noise in (_white(minute, seed), _pink(minute, seed), _babble(minute, seed)):
            yield _samples(noise * level)


def _mixture(length: int, seed: int) -> _Floats:
    both: _Floats = _pink(length, seed) + _babble(length, seed)
    return _level(both)


def _level(noise: _Floats) -> _Floats:
    """As loud as 1."""
    levelled: _Floats = noise / np.sqrt(np.mean(np.square(noise)))
    return levelled


def _white(length: int, seed: int) -> _Floats:
    return np.random.default_rng(seed).normal(0, 1, length)


def _pink(length: int, seed: int) -> _Floats:
    spectrum = np.fft.rfft(_white(length, seed))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))
    noise: _Floats = np.fft.irfft(spectrum, length)
    return _level(noise)


_BABBLE: list[_Floats] = []


def _babble(length: int, seed: int) -> _Floats:
    """Six at once, none of whom is to be understood."""
    if not _BABBLE:
        chance = random.Random(2)
        for voice in VOICES[:6]:
            said = [spoken(text, voice, 160) for text in chance.sample(_sentences(), 12)]
            _BABBLE.append(np.concatenate(said).astype(np.float64))
    chance = random.Random(seed)
    voices = [np.resize(np.roll(one, chance.randrange(len(one))), length) for one in _BABBLE]
    noise: _Floats = np.sum(voices, axis=0)
    return _level(noise)


def _cost(names: list[str]) -> float:
    """Milliseconds of CPU for a second of audio."""
    ear = Ear([find_wake_word(name) for name in names])
    samples = _samples(_babble(30 * SAMPLE_RATE, 7) * LOUD)
    began = time.process_time()
    for start in range(0, len(samples), CHUNK):
        ear.feed(samples[start : start + CHUNK])
    return 1000 * (time.process_time() - began) * SAMPLE_RATE / len(samples)


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * SAMPLE_RATE), np.int16)


def _samples(values: npt.NDArray[Any]) -> Samples:
    samples: Samples = np.clip(np.rint(values), -32768, 32767).astype(np.int16)
    return samples
