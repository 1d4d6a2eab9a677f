"""How long people wait, and how it ends: counted from the events that listeners are shown. No I/O.

Nothing of what is said is kept; of a reply that is on its way its id is, until its device has it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable

from gateway.contract.events import DeliveryEvent, HubEvent, ReplyEvent, TranscriptionEvent
from gateway.observing.metrics.family import Exemplar, Family, Histogram, by_label, counter

SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 30.0)
"""Bounds of what people notice."""
MOST_ON_THEIR_WAY = 1024
RECENT = 200
"""Utterances of which it is known how long the recognizer took for them."""


def no_trace(_correlation_id: str) -> str:
    """As long as nobody traces."""
    return ""


class Waits:
    """To be told of each event that is published."""

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter(dict.fromkeys(("heard", "nothing", "failed"), 0))
        """Utterances by what became of them: a text, none because nothing was said, none because it failed."""
        self.replies: Counter[str] = Counter(
            dict.fromkeys(("answered", "cached", "late", "failed", "unanswered"), 0)
        )
        """Questions by what became of them. ``unanswered``: people were told that nobody answers."""
        self.recognizing: deque[float] = deque(maxlen=RECENT)
        """Seconds that the recognizer took for the newest utterances."""
        self.speech_to_text = Histogram(
            "speech_to_text_seconds", "From the end of speech to its text.", SECONDS
        )
        self.endpoint = Histogram(
            "endpoint_seconds", "From the end of speech until it was taken for the end.", SECONDS
        )
        self.queue = Histogram(
            "recognizer_wait_seconds", "How long utterances waited for the recognizer.", SECONDS
        )
        self.recognize = Histogram(
            "recognize_seconds", "How long the recognizer took for an utterance.", SECONDS
        )
        self.publish = Histogram("text_to_question_seconds", "From a text until the broker had it.", SECONDS)
        self.answer = Histogram(
            "question_to_answer_seconds", "From when the broker had a text to the whole answer.", SECONDS
        )
        self.reply = Histogram(
            "speech_to_reply_seconds",
            "From the end of speech until the device had the whole answer.",
            SECONDS,
        )
        self.delivery = Histogram(
            "delivery_seconds", "From an answer until its device had acknowledged it.", SECONDS
        )
        self.trace_of: Callable[[str], str] = no_trace
        """The trace of a request, for exemplars; empty: there is none, as long as nobody traces."""
        self._on_their_way: OrderedDict[str, float] = OrderedDict()

    def note(self, event: HubEvent) -> None:
        """It is shown to listeners. What is announced answers nobody, and has no session."""
        if isinstance(event, TranscriptionEvent):
            self._heard(event)
        elif isinstance(event, ReplyEvent):
            if event.final and event.session_id:
                self._answered(event)
        elif isinstance(event, DeliveryEvent) and event.session_id:
            self._delivered(event)

    def families(self) -> list[Family]:
        """All of it now."""
        texts = counter("utterances", "Utterances by what became of them (heard, nothing, failed).")
        replies = counter(
            "replies", "Questions by how they ended (answered, cached, late, failed, unanswered)."
        )
        histograms = (
            self.endpoint, self.queue, self.recognize, self.speech_to_text, self.publish, self.answer, self.delivery,
            self.reply,
        )  # fmt: skip
        return [
            by_label(texts, "outcome", self.texts),
            by_label(replies, "outcome", self.replies),
            *(one.family() for one in histograms),
        ]

    def _heard(self, event: TranscriptionEvent) -> None:
        self.texts["failed" if not event.success else "heard" if event.text else "nothing"] += 1
        if not event.success:
            return
        times = event.timings
        self.recognizing.append(times.recognize_ms / 1000)
        for histogram, milliseconds in (
            (self.endpoint, times.endpoint_ms),
            (self.queue, times.queue_ms),
            (self.recognize, times.recognize_ms),
            (self.speech_to_text, times.text_ms),
        ):
            self._note(histogram, milliseconds, event.correlation_id, event.timestamp)

    def _answered(self, event: ReplyEvent) -> None:
        if event.echo_of:  # the same answer, for another device that heard the same voice
            return
        self.replies[_outcome(event)] += 1
        self._on_their_way[event.correlation_id] = event.timestamp
        if len(self._on_their_way) > MOST_ON_THEIR_WAY:
            self._on_their_way.popitem(last=False)
        if event.publish_ms:
            self._note(self.publish, event.publish_ms, event.correlation_id, event.timestamp)
        if event.text_to_reply_ms and not event.fallback:
            answered = max(0.0, event.text_to_reply_ms - event.publish_ms)
            self._note(self.answer, answered, event.correlation_id, event.timestamp)

    def _delivered(self, event: DeliveryEvent) -> None:
        told = self._on_their_way.pop(event.correlation_id, None)
        if told is not None:
            passed = 1000 * max(0.0, event.timestamp - told)
            self._note(self.delivery, passed, event.correlation_id, event.timestamp)
        if event.speech_to_reply_ms:
            self._note(self.reply, event.speech_to_reply_ms, event.correlation_id, event.timestamp)

    def _note(self, histogram: Histogram, milliseconds: float, correlation_id: str, at: float) -> None:
        trace = self.trace_of(correlation_id)
        seconds = milliseconds / 1000
        histogram.note(seconds, Exemplar(trace, seconds, at) if trace else None)


def _outcome(event: ReplyEvent) -> str:
    if event.fallback:
        return "unanswered"
    if event.error is not None:
        return "failed"
    if event.late:
        return "late"
    return "cached" if event.cached else "answered"
