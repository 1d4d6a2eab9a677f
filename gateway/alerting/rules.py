"""What is amiss, by the figures that are kept anyway, and by what was written down of the door. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from msgspec import Struct

from gateway.alerting.alerts import Amiss
from gateway.observing.health import HealthReport, HealthState
from gateway.observing.machine.sampler import MachineSample
from gateway.observing.metrics.waits import Waits
from gateway.settings.observing.alerts import AlertSettings

FEWEST = 10
"""Utterances, or questions, in the window: fewer say nothing of a share."""
P95 = 0.95
OWN = "alert: "
"""What the components of health are called by which alerts are shown: they raise none themselves."""
LAST_PART = 0.1
_DAY = 86_400.0


class Expiry(Struct, frozen=True):
    """Something that lets somebody in, from when until when (Unix seconds)."""

    what: str
    begins_at: float
    ends_at: float
    remedy: str

    def is_soon(self, now: float, days: float) -> bool:
        """Within so many days; for what does not last long, when a tenth of its time is left."""
        return self.ends_at - now < min(days * _DAY, LAST_PART * (self.ends_at - self.begins_at))


class _Counted(Struct, frozen=True):
    """The counters at one moment."""

    at: float
    text: tuple[int, ...]
    reply: tuple[int, ...]
    texts: Mapping[str, int]
    replies: Mapping[str, int]


class Window:
    """What of the counters, which only grow, was in the last so many seconds."""

    def __init__(self) -> None:
        self._kept: deque[_Counted] = deque()

    def note(self, waits: Waits, now: float, seconds: float) -> None:
        """As they are now."""
        self._kept.append(
            _Counted(
                now, tuple(waits.speech_to_text.counts), tuple(waits.reply.counts), dict(waits.texts),
                dict(waits.replies),
            )
        )  # fmt: skip
        while len(self._kept) > 2 and self._kept[1].at <= now - seconds:
            self._kept.popleft()

    def text(self) -> list[int]:
        """Utterances by how long they waited for their text."""
        return [b - a for a, b in zip(self._kept[0].text, self._kept[-1].text, strict=True)]

    def reply(self) -> list[int]:
        """Answers by how long people waited for them."""
        return [b - a for a, b in zip(self._kept[0].reply, self._kept[-1].reply, strict=True)]

    def share(self, of: str, *outcomes: str) -> tuple[float, int]:
        """Which part of ``texts`` or ``replies`` ended so, and of how many."""
        first, last = getattr(self._kept[0], of), getattr(self._kept[-1], of)
        grown = {name: count - first.get(name, 0) for name, count in last.items()}
        whole = sum(grown.values())
        return (sum(grown.get(name, 0) for name in outcomes) / whole if whole else 0.0), whole


def quantile(bounds: tuple[float, ...], counts: list[int], share: float) -> float | None:
    """The upper bound of the bucket in which it is; None: too few. Above the last bound: infinity."""
    whole = sum(counts)
    if whole < FEWEST:
        return None
    so_far = 0
    for number, count in enumerate(counts):
        so_far += count
        if so_far >= share * whole:
            return bounds[number] if number < len(bounds) else float("inf")
    return None


def amiss(
    settings: AlertSettings, window: Window, bounds: tuple[float, ...], sample: MachineSample | None
) -> Iterator[Amiss]:
    """By the figures."""
    yield from _waits(settings, window, bounds)
    failed, of = window.share("texts", "failed")
    if settings.failed_share and of >= FEWEST and failed > settings.failed_share:
        yield Amiss(
            name="texts fail", urgent=True,
            text=f"{failed:.0%} of {of} utterances were not understood, for a fault of ours",
            remedy="the page's Health says what is wrong with the recognizer",
        )  # fmt: skip
    unanswered, of = window.share("replies", "unanswered", "failed")
    if settings.unanswered_share and of >= FEWEST and unanswered > settings.unanswered_share:
        yield Amiss(
            name="no answers", urgent=True, text=f"{unanswered:.0%} of {of} questions had no answer",
            remedy="look at who answers: the page's Agents, and the orchestrator's own log",
        )  # fmt: skip
    if sample is not None:
        yield from _machine(settings, sample)


def _waits(settings: AlertSettings, window: Window, bounds: tuple[float, ...]) -> Iterator[Amiss]:
    text = quantile(bounds, window.text(), P95)
    if settings.speech_to_text_seconds and text is not None and text > settings.speech_to_text_seconds:
        yield Amiss(
            name="slow texts", text=f"one utterance in twenty waits {_upto(text, bounds)} for its text",
            remedy="a smaller model (transcription.model), or a recognizer on another machine; the page's Machine says "
            "what would help",
        )  # fmt: skip
    reply = quantile(bounds, window.reply(), P95)
    if settings.speech_to_reply_seconds and reply is not None and reply > settings.speech_to_reply_seconds:
        yield Amiss(
            name="slow answers", text=f"one in twenty waits {_upto(reply, bounds)} for the answer",
            remedy="the page's Latency shows which stage it is",
        )  # fmt: skip


def _upto(seconds: float, bounds: tuple[float, ...]) -> str:
    return f"more than {bounds[-1]:g} s" if seconds > bounds[-1] else f"up to {seconds:g} s"


def _machine(settings: AlertSettings, sample: MachineSample) -> Iterator[Amiss]:
    host = sample.host
    if host.memory_total and host.memory_available < settings.memory_free_share * host.memory_total:
        yield Amiss(
            name="memory", urgent=True,
            text=f"{host.memory_available / 1e6:.0f} of {host.memory_total / 1e6:.0f} MB of memory are free",
            remedy="a smaller model, or fewer other programs here; the page's Machine says who holds how much",
        )  # fmt: skip
    if host.disk_total and host.disk_free < settings.disk_free_share * host.disk_total:
        yield Amiss(
            name="disk", urgent=True, text=f"{host.disk_free / 1e9:.1f} GB of the journal's disk are free",
            remedy="make room, or keep less: history.days and journal.audio_mb",
        )  # fmt: skip
    if settings.event_loop_lag_seconds and sample.lag.p99 > settings.event_loop_lag_seconds:
        yield Amiss(
            name="event loop", text=f"one timer in a hundred comes {1000 * sample.lag.p99:.0f} ms late",
            remedy="fewer devices at this gateway: earshot plan",
        )  # fmt: skip


def ending(settings: AlertSettings, things: list[Expiry], now: float) -> Iterator[Amiss]:
    """What lets somebody in, and soon does not."""
    soon = sorted(
        (one for one in things if one.is_soon(now, settings.ends_days)), key=lambda one: one.ends_at
    )
    if not soon or not settings.ends_days:
        return
    first, others = soon[0], len(soon) - 1
    left = first.ends_at - now
    when = (
        "has ended"
        if left <= 0
        else f"ends in {left / _DAY:.0f} days"
        if left > _DAY
        else "ends within a day"
    )
    more = f", and {others} more soon" if others else ""
    yield Amiss(
        name="ends soon", at_once=True, shown="a token or a certificate ends soon", text=f"{first.what} {when}{more}",
        remedy=first.remedy,
    )  # fmt: skip


def unwell(report: HealthReport) -> Iterator[Amiss]:
    """Components that are not healthy; what is about devices is one alert, however many there are."""
    about: list[tuple[str, str, str]] = []
    for name, one in report.components.items():
        if one.state is HealthState.HEALTHY or name.startswith(OWN):
            continue
        if one.about:
            about.append((str(one.about), one.reason, one.remedy))
            continue
        yield Amiss(
            name=name,
            urgent=one.state is HealthState.UNHEALTHY,
            text=one.reason or one.state,
            remedy=one.remedy,
        )
    if about:
        first = about[0]
        more = f", and {len(about) - 1} more" if len(about) > 1 else ""
        yield Amiss(name="devices gone", text=f"{first[0]}: {first[1]}{more}", remedy=first[2])
