"""[works-with] What other people's programs gain by one line: host and port, with real weights and human speech.

Whisper base's own weights, English, and the prompts of a telephone exchange: those from n to z, on which nothing was
chosen, as far as no pause of 0.7 s in them ends an utterance here. The same client speaks Wyoming to Earshot and to
wyoming-faster-whisper, once with our greedy search and once as it comes, and they take turns at each prompt; the same
client posts recordings to OpenAI's interface, Earshot's and faster-whisper's behind plain aiohttp. All have the same
model file, number format and threads. Hands-free nobody says when the speech is over: timed from its end and our
silence. Eight at once say the next prompt as soon as they have a text, in rounds by turns, of which the median counts.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeAlias

import numpy as np

from benchmarks.instruments.processes import gateway_process
from benchmarks.instruments.report import Bar, Result, percentile
from benchmarks.instruments.words import spoken as words
from benchmarks.instruments.words import word_errors
from benchmarks.load.clips import Cutter, in_room
from benchmarks.load.speakers import Crowd, spoken_to
from benchmarks.load.speaking import Heard, waits
from benchmarks.peers import openai_audio, wyoming
from benchmarks.peers.environments import (
    PLAIN,
    PLAIN_AS_IT_COMES,
    WYOMING,
    WYOMING_AS_IT_COMES,
    Load,
    Speak,
    those_here,
    words_about,
)
from tests.real.people import PROMPTS, Prompt, prompts, read
from tests.real.weights import BASE
from tests.servers.process import free_port
from transcription.audio import SAMPLE_RATE
from transcription.settings import SegmenterSettings

THREADS = 2
DEVICES = 8
ROUNDS = 3
OURS = "earshot"
WAITED, HANDS_FREE, UPLOADED, AT_ONCE = "audio-stop", "hands-free", "upload", "eight at once"
SHARE, UPLOAD_SHARE, TIMES, POINTS, HANDS_FREE_MS = 1 / 4, 1 / 3, 5, 0.5, 120

Spoken: TypeAlias = dict[str, list[Heard]]
"""What each was told, prompt by prompt."""


def run(*, quick: bool) -> Result:
    PROMPTS.fetch()
    load = Load(BASE.fetch(), THREADS, DEVICES)
    said = [one for one in prompts() if not one.is_for_choosing and _is_one(one)]
    some = said[:: len(said) // (6 if quick else 16)]
    metrics: dict[str, float | int | str] = {
        "prompts": len(said),
        "prompts spoken one by one": len(some),
        "model": BASE.name,
        "threads": THREADS,
    }
    with ExitStack() as stack:
        port = free_port()
        gateway = stack.enter_context(gateway_process(_settings(load, port)))
        peers, missing = stack.enter_context(
            those_here(load, (WYOMING, WYOMING_AS_IT_COMES, PLAIN, PLAIN_AS_IT_COMES))
        )
        talk: dict[str, Speak] = {OURS: partial(wyoming.say, port)}
        talk |= _of(peers, WYOMING.name, WYOMING_AS_IT_COMES.name)
        post: dict[str, Speak] = {OURS: partial(openai_audio.post, gateway.url)}
        post |= _of(peers, PLAIN.name, PLAIN_AS_IT_COMES.name)
        waited = asyncio.run(_take_turns(talk, some))
        uploaded = asyncio.run(_take_turns(post, some))
        free = asyncio.run(_hands_free(port, some))
        crowds = asyncio.run(_by_turns(talk, said[: 2 * DEVICES] if quick else said))
    metrics |= words_about((WYOMING, WYOMING_AS_IT_COMES, PLAIN, PLAIN_AS_IT_COMES), missing)
    for where, spoken in ((WAITED, waited), (UPLOADED, uploaded), (HANDS_FREE, {OURS: free})):
        for who, heard in spoken.items():
            metrics |= waits(f"{where}, {who}", heard)
            if where != HANDS_FREE:
                metrics[f"{where}, {who}, words wrong of {_count(some)}"] = _wrong(some, heard)
    for who, rounds in crowds.items():
        metrics[f"{AT_ONCE}, {who}, utterances_per_s"] = statistics.median(one.per_second for one in rounds)
        of = sum(one.words_said for one in rounds)
        metrics[f"{AT_ONCE}, {who}, words wrong of {of}"] = sum(one.words_wrong for one in rounds)
    return Result(metrics, list(_bars(waited, uploaded, free, crowds)))


def _bars(
    waited: Spoken, uploaded: Spoken, free: Sequence[Heard], crowds: Mapping[str, list[Crowd]]
) -> Iterator[Bar]:
    if WYOMING.name in waited:
        theirs = WYOMING.name
        share = _p(waited[OURS], 50) / _p(waited[theirs], 50)
        yield Bar(f"{WAITED}: p50 as a share of {theirs}'s", share, SHARE, "at most")
        times = statistics.median(
            ours.per_second / other.per_second
            for ours, other in zip(crowds[OURS], crowds[theirs], strict=True)
        )
        yield Bar(f"{AT_ONCE}: utterances/s, times {theirs}'s", times, TIMES, "at least")
        worse = _error_rate(crowds[OURS]) - _error_rate(crowds[theirs])
        yield Bar(f"words wrong, above {theirs}'s", worse, POINTS, "at most", "points")
    for percent in (50, 95):
        what = f"{HANDS_FREE}: from our silence to the text, p{percent}"
        yield Bar(what, _p(free, percent), HANDS_FREE_MS, "at most", "ms")
    if PLAIN.name in uploaded:
        share = _p(uploaded[OURS], 50) / _p(uploaded[PLAIN.name], 50)
        yield Bar(f"{UPLOADED}: p50 as a share of {PLAIN.name}'s", share, UPLOAD_SHARE, "at most")


def _p(heard: Sequence[Heard], percent: float) -> float:
    return percentile([one.wait_ms for one in heard], percent)


def _error_rate(rounds: Sequence[Crowd]) -> float:
    """In percent."""
    return 100 * sum(one.words_wrong for one in rounds) / sum(one.words_said for one in rounds)


def _settings(load: Load, port: int) -> str:
    return (
        f"transcription: {{engine: faster-whisper, model: {load.model}, threads: {load.threads}, language: en}}\n"
        "devices: {mqtt: {embedded_port: 0}}\n"
        f"adapters: {{wyoming: {{listen: ['tcp://127.0.0.1:{port}'], zeroconf: false}}, openai: {{enabled: true}}}}"
    )


def _of(peers: Mapping[str, Speak], *names: str) -> dict[str, Speak]:
    return {name: peers[name] for name in names if name in peers}


def _is_one(prompt: Prompt) -> bool:
    return len(Cutter().free(prompt.text, read(prompt.path)).utterances) == 1


def _pcm(prompt: Prompt) -> bytes:
    return bytes(read(prompt.path).astype("<i2").tobytes())


def _count(said: Sequence[Prompt]) -> int:
    return sum(len(words(one.text)) for one in said)


def _wrong(said: Sequence[Prompt], heard: Sequence[Heard]) -> int:
    pairs = zip(said, heard, strict=True)
    return sum(word_errors(words(one.text), words(told.text)) for one, told in pairs)


async def _take_turns(speak: Mapping[str, Speak], said: Sequence[Prompt]) -> Spoken:
    """Who is first at a prompt changes from one to the next."""
    for one in speak.values():
        await one(_pcm(said[0]))  # the first one warms up
    spoken: Spoken = {name: [] for name in speak}
    order = list(speak)
    for prompt in said:
        for name in order:
            spoken[name].append(await speak[name](_pcm(prompt)))
        order.append(order.pop(0))
    return spoken


async def _hands_free(port: int, said: Sequence[Prompt]) -> list[Heard]:
    """In a quiet room, those that are one utterance there: its end is where the gateway's own segmenter sees it."""
    rng = np.random.default_rng(14)
    heard = []
    for prompt in said:
        samples = in_room(read(prompt.path), rng)
        cut = Cutter().free(prompt.text, samples).utterances
        if len(cut) == 1:
            silence = SegmenterSettings().silence_ms / 1000
            end = cut[0].speech_end / SAMPLE_RATE + silence
            heard.append(await wyoming.say_on(port, samples.astype("<i2").tobytes(), end=end))
    return heard


async def _by_turns(speak: Mapping[str, Speak], said: Sequence[Prompt]) -> dict[str, list[Crowd]]:
    """Each prompt once by each, as fast as the audio is taken; those that lose by it (their beams) are left out."""
    pairs = [(words(one.text), _pcm(one)) for one in said]
    crowds: dict[str, list[Crowd]] = {name: [] for name in (OURS, WYOMING.name) if name in speak}
    size = math.ceil(len(pairs) / ROUNDS)
    for start in range(0, len(pairs), size):
        for name, rounds in crowds.items():
            each = partial(speak[name], speed=math.inf)
            rounds.append(await spoken_to([each] * DEVICES, pairs[start : start + size]))
    return crowds
