"""What the figures mean, in words: what is short here, and what to do about it. No I/O.

Each sentence has the figure that it comes from. Of models that were measured (``earshot plan``), it is reckoned how
long another one would take here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.observing.machine.sampler import MachineSample

if TYPE_CHECKING:
    from gateway.planning.costs import ModelCost

SLOW_SECONDS = 0.7
"""A recognizer that takes longer for an utterance is noticed."""
QUICK_SECONDS = 0.5
"""A better model that would take no longer is worth a try."""
FEWEST = 5
"""Utterances from which on the recognizer is judged."""
FEWEST_QUESTIONS = 20
UTTERANCE_SECONDS = 3.0
"""How long one is that models are compared with."""
MEMORY_SHARE, DISK_SHARE, DISK_BYTES, FILES_SHARE = 0.1, 0.05, 500e6, 0.8
LAG_SECONDS = 0.05
HOT_CELSIUS = 80.0
NOT_ANSWERED_SHARE = 0.05
_MB, _GB = 1e6, 1e9


class Advice(Struct, frozen=True, kw_only=True):
    """``about``: ``model``, ``memory``, ``disk``, ``load``, ``heat``, ``event loop``, ``files`` or ``answers``."""

    about: str
    urgent: bool
    text: str
    remedy: str = ""


class Findings(Struct, frozen=True, kw_only=True):
    """What advice is given on. ``recognizing``: seconds of the newest utterances; ``costs``: of the models measured.

    ``replies``: how often questions ended how, since the start. ``most_files``: how many may be open.
    """

    sample: MachineSample
    model: str
    recognizing: list[float]
    replies: Mapping[str, int]
    costs: Mapping[str, ModelCost]
    most_files: int


def advice(figures: Findings) -> list[Advice]:
    """What is urgent first; empty: there is nothing to say."""
    found = [*_machine(figures.sample), *_files(figures), *_answers(figures.replies), *_model(figures)]
    return sorted(found, key=lambda one: not one.urgent)


def _machine(sample: MachineSample) -> Iterator[Advice]:
    host = sample.host
    if host.memory_total and host.memory_available < MEMORY_SHARE * host.memory_total:
        free = f"{host.memory_available / _MB:.0f} of {host.memory_total / _MB:.0f} MB are free"
        holds = (
            ""
            if sample.recognizer is None
            else f"; the recognizer holds {sample.recognizer.resident_bytes / _MB:.0f}"
        )
        yield Advice(
            about="memory", urgent=True, text=f"Memory is nearly full: {free}{holds} MB.",
            remedy="Take a smaller model (transcription.model), or end other programs here.",
        )  # fmt: skip
    if host.disk_total and (host.disk_free < DISK_SHARE * host.disk_total or host.disk_free < DISK_BYTES):
        yield Advice(
            about="disk", urgent=True, text=f"The journal's disk is nearly full, {host.disk_free / _GB:.1f} GB free.",
            remedy="Free some, or keep less: history.days and journal.audio_mb.",
        )  # fmt: skip
    if host.load > 1.5 * host.cores:
        yield Advice(
            about="load", urgent=True,
            text=f"More is to be done than there are cores: a load of {host.load:.1f} on {host.cores:g}.",
            remedy="Take a smaller model, or let another machine recognize (earshot recognizer).",
        )  # fmt: skip
    yield from _heat(sample)
    if sample.lag.p99 > LAG_SECONDS:
        yield Advice(
            about="event loop", urgent=False,
            text=f"The gateway's event loop is late by {1000 * sample.lag.p99:.0f} ms at times.",
            remedy="Fewer devices that speak at once, or another gateway beside (earshot plan).",
        )  # fmt: skip


def _heat(sample: MachineSample) -> Iterator[Advice]:
    host = sample.host
    degrees = "" if host.temperature is None else f" at {host.temperature:.0f} °C"
    if host.throttled:
        yield Advice(
            about="heat", urgent=True, text=f"The machine goes slower than it could{degrees}.",
            remedy="It wants a better power supply, or to be cooled.",
        )  # fmt: skip
    elif host.temperature is not None and host.temperature >= HOT_CELSIUS:
        yield Advice(
            about="heat", urgent=False, text=f"The machine is hot:{degrees.removeprefix(' at')}.",
            remedy="A Raspberry Pi goes slower from 80 °C on: give it air.",
        )  # fmt: skip


def _files(figures: Findings) -> Iterator[Advice]:
    gateway = figures.sample.gateway
    if gateway is not None and 0 < figures.most_files < gateway.descriptors / FILES_SHARE:
        yield Advice(
            about="files", urgent=True,
            text=f"{gateway.descriptors} of {figures.most_files} open files and sockets are in use.",
            remedy="Raise the limit of open files (systemd: LimitNOFILE=).",
        )  # fmt: skip


def _answers(replies: Mapping[str, int]) -> Iterator[Advice]:
    questions, without = sum(replies.values()), replies.get("unanswered", 0)
    if questions >= FEWEST_QUESTIONS and without > NOT_ANSWERED_SHARE * questions:
        yield Advice(
            about="answers", urgent=False, text=f"{without} of {questions} questions had no answer in time.",
            remedy="Look at the agents (Health), or give them longer: orchestrator.timeout_seconds.",
        )  # fmt: skip


def _model(figures: Findings) -> Iterator[Advice]:
    """How long it takes here, and how long another one would."""
    if len(figures.recognizing) < FEWEST:
        return
    takes = sorted(figures.recognizing)[len(figures.recognizing) // 2]
    ours = _cost(figures.model, figures.costs)
    if takes > SLOW_SECONDS:
        smaller = _other("tiny", figures, ours, takes, most=0.8 * takes)
        would = f": {smaller}" if smaller else ""
        yield Advice(
            about="model", urgent=False, text=f"{figures.model} takes {takes:.1f} s here{would}.",
            remedy="earshot models bench measures them all on this machine.",
        )  # fmt: skip
    elif "tiny" in figures.model and (better := _other("base", figures, ours, takes, most=QUICK_SECONDS)):
        yield Advice(
            about="model", urgent=False,
            text=f"There is room for a better model: {figures.model} takes {takes:.2f} s here, {better}.",
            remedy="earshot models bench says which mishears less.",
        )  # fmt: skip


def _other(name: str, figures: Findings, ours: ModelCost | None, takes: float, most: float) -> str:
    """How long it would take, reckoned by what both were measured to cost elsewhere; empty: nobody knows."""
    theirs = _cost(name, figures.costs)
    if ours is None or theirs is None or theirs is ours:
        return ""
    would = takes * theirs.seconds(UTTERANCE_SECONDS) / ours.seconds(UTTERANCE_SECONDS)
    english = ".en" if figures.model.endswith(".en") else ""
    return f"{name}{english} would take about {would:.1f} s" if would <= most else ""


def _cost(model: str, costs: Mapping[str, ModelCost]) -> ModelCost | None:
    """An English model costs what the one for all languages does."""
    plain = model.removesuffix(".en")
    return costs.get(model) or costs.get(plain) or costs.get(f"{plain}.en")
