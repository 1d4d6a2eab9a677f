"""[latency] From the end of speech to the final text, at the price of Whisper base.

Recordings are streamed in real time to whole gateways, over MQTT as from a push-to-talk device, and to the peers:
wyoming-faster-whisper over its own protocol, RealtimeSTT as a program drives it by hand, WhisperLive over its
WebSocket. All have the same model file (the bundled model, inflated to the size of base), the same number of
threads and greedy search in English. They take turns at each recording, so that whatever else the
machine does meets all of them; only WhisperLive, which goes on computing when its speaker has gone and
would slow the others, comes after them. Once more hands-free: from the decision that speech has ended to the text.
With OpenAI's own weights of base (``make real``) a person's sentences are said to a gateway whose context is the
default, and to Wyoming's server: short contexts as short as the bundled model's are not for them.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import TypeAlias

from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import Bar, Result, percentile
from benchmarks.instruments.words import spoken as words
from benchmarks.load.inflate import TOLERATED, inflated_model
from benchmarks.load.sayings import Saying, commands, sentences
from benchmarks.load.speaking import PATIENCE, Heard, device, say, settings, waits
from benchmarks.peers.environments import PEERS, WYOMING, Load, Speak, those_here, words_about
from gateway.client.listener import Listener
from gateway.contract.events import Subscribe, TranscriptionEvent
from tests.real.people import PROMPTS
from tests.real.weights import BASE
from transcription.models.models import STOCK_FLOOR

SIZE = "base"
THREADS = 2
SHORT = f"earshot, context from {TOLERATED}"
STOCK = f"earshot, context from {STOCK_FLOOR}"
PEER = WYOMING.name
REAL = "real base"
PEOPLE = 24
"""Sentences of a person."""

SHARES = ((SHORT, 50, 6), (SHORT, 95, 5), (STOCK, 50, 4), (STOCK, 95, 3))
"""Whose wait, at which percentile, may be which part of the peer's."""

Spoken: TypeAlias = dict[str, list[Heard]]


def run(*, quick: bool) -> Result:
    said = tuple(one for one in commands() if one.clear)[:4] if quick else commands()
    load = Load(inflated_model(SIZE), THREADS)
    metrics: dict[str, float | int | str] = {"utterances": len(said), "model_size": SIZE, "threads": THREADS}
    with ExitStack() as stack:
        gateways = {
            name: stack.enter_context(gateway_process(settings(load.model, threads=THREADS, context=context)))
            for name, context in ((SHORT, TOLERATED), (STOCK, STOCK_FLOOR))
        }
        quiet = tuple(peer for peer in PEERS if not peer.lingers)
        peers, missing = stack.enter_context(those_here(load, quiet))
        spoken = asyncio.run(_with_gateways(gateways, peers, said))
        endpoint_to_text = asyncio.run(_hands_free(gateways[SHORT], said))
    with those_here(load, tuple(peer for peer in PEERS if peer.lingers)) as (peers, also_missing):
        spoken |= asyncio.run(_take_turns(peers, said))
    metrics |= words_about(PEERS, missing | also_missing)
    for name, heard in spoken.items():
        metrics |= waits(name, heard)
        metrics[f"{name}, utterances understood"] = sum(map(Saying.is_right, said, heard))
        metrics[f"{name}, words wrong"] = sum(map(Saying.words_wrong, said, heard))
    metrics["hands-free, endpoint to text, p50_ms"] = percentile(endpoint_to_text, 50)
    metrics["hands-free, endpoint to text, p95_ms"] = percentile(endpoint_to_text, 95)
    bars = _endpoint_bars(endpoint_to_text)
    if PEER in spoken:
        bars = [*_shares(spoken), *_same_words(spoken, said), *bars]
    real = _with_real_weights(quick=quick)
    return Result(metrics | real.metrics, [*bars, *_ahead(spoken), *real.bars])


def _with_real_weights(*, quick: bool) -> Result:
    """Earshot and Wyoming's server with OpenAI's base, spoken to by a person: what people get who use stock weights."""
    said = sentences(4 if quick else PEOPLE)
    if not (said and BASE.here):
        return Result({"real weights, not measured": BASE.absence if said else PROMPTS.absence}, [])
    load = Load(BASE.place, THREADS)
    ours = f"{REAL}, earshot"
    with (
        gateway_process(settings(load.model, threads=THREADS, context="auto")) as gateway,
        those_here(load, (WYOMING,)) as (peers, missing),
    ):
        spoken = asyncio.run(_with_gateways({ours: gateway}, _renamed(peers), said))
    total = sum(len(words(one.text)) for one in said)
    metrics: dict[str, float | int | str] = {f"{REAL}, utterances": len(said), f"{REAL}, words": total}
    metrics |= words_about((WYOMING,), missing)
    wrong = {name: sum(map(Saying.words_wrong, said, heard)) for name, heard in spoken.items()}
    for name, heard in spoken.items():
        metrics |= waits(name, heard) | {f"{name}, words wrong": wrong[name]}
    theirs = f"{REAL}, {PEER}"
    if theirs not in spoken:
        return Result(metrics, [])
    shares = [
        Bar(
            f"{ours}: p{percent} as a share of {PEER}'s",
            _share(spoken, ours, theirs, percent),
            1 / part,
            "at most",
        )
        for percent, part in ((50, 4), (95, 3))
    ]
    above = 100 * (wrong[ours] - wrong[theirs]) / total
    return Result(
        metrics, [*shares, Bar(f"{ours}: words wrong above {PEER}'s", above, 0.5, "at most", "points")]
    )


def _renamed(peers: dict[str, Speak]) -> dict[str, Speak]:
    return {f"{REAL}, {name}": speak for name, speak in peers.items()}


def _ahead(spoken: Spoken) -> list[Bar]:
    """Of the others it is enough to be ahead."""
    return [
        Bar(
            f"{ours}: p{percent} as a share of {theirs}'s",
            _share(spoken, ours, theirs, percent),
            1,
            "at most",
        )
        for theirs in spoken
        if theirs not in {SHORT, STOCK, PEER}
        for ours in (SHORT, STOCK)
        for percent in (50, 95)
    ]


def _share(spoken: Spoken, ours: str, theirs: str, percent: float) -> float:
    our, their = (percentile([one.wait_ms for one in spoken[who]], percent) for who in (ours, theirs))
    return our / their


def _shares(spoken: Spoken) -> list[Bar]:
    return [
        Bar(
            f"{name}: p{percent} as a share of {PEER}'s",
            _share(spoken, name, PEER, percent),
            1 / part,
            "at most",
        )
        for name, percent, part in SHARES
    ]


def _same_words(spoken: Spoken, said: tuple[Saying, ...]) -> list[Bar]:
    """Where the model is sure, the same words; where it is not, and rounding decides, no fewer right ones."""
    bars = []
    for name in (SHORT, STOCK):
        triples = list(zip(said, spoken[name], spoken[PEER], strict=True))
        unlike = sum(one.clear and words(our.text) != words(their.text) for one, our, their in triples)
        worse = sum(one.is_right(their) - one.is_right(our) for one, our, their in triples)
        bars += [
            Bar(f"{name}: other words than {PEER}, of clear recordings", unlike, 0, "at most", "utterances"),
            Bar(f"{name}: misheard more than {PEER}", worse, 0, "at most", "utterances"),
        ]
    return bars


def _endpoint_bars(milliseconds: list[float]) -> list[Bar]:
    return [
        Bar(f"endpoint to text, p{percent}", percentile(milliseconds, percent), limit, "at most", "ms")
        for percent, limit in ((50, 20.0), (95, 150.0))
    ]


async def _with_gateways(
    gateways: dict[str, GatewayProcess], peers: dict[str, Speak], said: tuple[Saying, ...]
) -> Spoken:
    async with AsyncExitStack() as stack:
        speak: dict[str, Speak] = {}
        for number, (name, gateway) in enumerate(gateways.items()):
            speak[name] = partial(say, await stack.enter_async_context(device(gateway, f"button{number}")))
        return await _take_turns(speak | peers, said)


async def _take_turns(speak: dict[str, Speak], said: tuple[Saying, ...]) -> Spoken:
    for one in speak.values():
        await one(said[0].pcm)  # the first one warms up
    spoken: Spoken = {name: [] for name in speak}
    for recording in said:
        for name, one in speak.items():
            spoken[name].append(await one(recording.pcm))
    return spoken


async def _hands_free(gateway: GatewayProcess, said: tuple[Saying, ...]) -> list[float]:
    """Milliseconds from each endpoint to its text."""
    wanted = Subscribe(kinds=("transcription",))
    async with device(gateway, "hands-free") as speaker, Listener(gateway.url, wanted) as listener:
        times = []
        for recording in said:
            speaking = asyncio.create_task(speaker.say(recording.pcm, end_on_silence=True, patience=PATIENCE))
            async for event in listener:
                if isinstance(event, TranscriptionEvent) and event.device_id == speaker.device_id:
                    times.append(event.timings.text_ms - event.timings.endpoint_ms)
                    break
            await speaking
        return times
