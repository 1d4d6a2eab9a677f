"""What the journal has of an utterance, as steps with their times. No I/O.

The journal remembers how long each stage took; when each was follows from when it was spoken.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gateway.contract.messages import AudioFacts
from gateway.journal.life import Life
from gateway.journal.records import HistoryReply, HistoryRow, RequestRow, RequestState


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``at``: when it began, in Unix seconds; ``took_ms``: how long it took; 0: that is not known, or nothing."""

    at: float
    stage: str
    says: str = ""
    took_ms: float = 0.0


def steps_of(life: Life, *, words: bool) -> list[Step]:
    """In order. ``words``: with what was said and answered, as far as it is kept."""
    found = [*_remembered(life.remembered, words=words), *_under_way(life)]
    return sorted(found, key=lambda step: step.at)


def speech_ended_at(life: Life) -> float:
    """From which on people wait, in Unix seconds; 0: that is not known."""
    row = life.remembered
    if row is None or row.is_announcement:
        return life.unheard.heard_at if life.unheard else 0.0
    return row.spoken_at + row.audio.seconds - row.timings.endpoint_ms / 1000


def _remembered(row: HistoryRow | None, *, words: bool) -> Iterator[Step]:
    if row is None:
        return
    if row.is_announcement:
        yield Step(
            at=row.spoken_at, stage="announced", says=_quoted(row.reply.text if row.reply else "", words)
        )
        if row.speech_to_reply_ms:
            yield Step(at=row.spoken_at + row.speech_to_reply_ms / 1000, stage="delivered")
        return
    times, ended = row.timings, row.spoken_at + row.audio.seconds - row.timings.endpoint_ms / 1000
    text = ended + times.text_ms / 1000
    began = text - times.recognize_ms / 1000
    if row.audio.seconds:
        yield Step(at=row.spoken_at, stage="heard", says=_speech(row.audio), took_ms=1000 * row.audio.seconds)
        yield Step(at=ended, stage="endpoint", says=row.audio.end_reason, took_ms=times.endpoint_ms)
        yield Step(at=began - times.queue_ms / 1000, stage="queue", took_ms=times.queue_ms)
        yield Step(at=began, stage="recognizer", says=_text(row, words), took_ms=times.recognize_ms)
    else:
        yield Step(at=row.spoken_at, stage="typed", says=_text(row, words))
    if row.publish_ms:
        yield Step(at=text, stage="published", took_ms=row.publish_ms)
    if (reply := row.reply) is not None:
        asked = text + row.publish_ms / 1000
        took = max(0.0, reply.text_to_reply_ms - row.publish_ms)
        yield Step(at=asked, stage="asked", says=reply.agent, took_ms=took)
        yield Step(at=text + reply.text_to_reply_ms / 1000, stage="answered", says=_answer(reply, words))
    if row.speech_to_reply_ms:
        yield Step(at=ended + row.speech_to_reply_ms / 1000, stage="delivered", says=f"to {row.device_id}")


def _under_way(life: Life) -> Iterator[Step]:
    """What the journal has for as long as it is not over."""
    if (speech := life.unheard) is not None:
        again = f", begun {speech.attempts} times" if speech.attempts else ""
        yield Step(at=speech.heard_at, stage="queue", says=f"it has no text yet{again}")
    for letter in life.letters:
        whom = f" for {letter.agent}" if letter.agent else ""
        yield Step(at=letter.queued_at, stage="outbox", says=f"{letter.topic}{whom} waits for the broker")
    request = life.request
    if request is not None and (life.remembered is None or request.state is RequestState.OPEN or request.due):
        yield Step(at=request.asked_at, stage="asked", says=_asked(request))
    for at, agent in life.agents:
        failed = f": {agent.error}" if agent.error else ""
        again = f", attempt {agent.attempt}" if agent.attempt > 1 else ""
        yield Step(at=at, stage="agent", says=f"{agent.agent} of {agent.team}: {agent.state}{again}{failed}")
    for dead in life.dead:
        says = f"{dead.reason} (earshot dlq show {dead.number})"
        yield Step(at=dead.died_at, stage="put away", says=says)


def _asked(request: RequestRow) -> str:
    if request.state is RequestState.OPEN:
        return f"an answer is awaited, for {request.deadline - request.asked_at:.0f} s at most"
    if request.due:
        return "answered; its device has yet to take it"
    return {RequestState.EXPIRED: "nobody answered in time", RequestState.CANCELLED: "withdrawn"}.get(
        request.state, "answered"
    )


def _speech(audio: AudioFacts) -> str:
    lost = f", {audio.lost_ms:.0f} ms lost in {audio.gaps} gaps" if audio.gaps else ""
    return f"{audio.seconds:.2f} s{lost}"


def _text(row: HistoryRow, words: bool) -> str:  # noqa: FBT001 - as the others here
    if not row.success:
        return f"no text: {row.error}"
    if not row.text and not row.redacted:
        return "nothing was said"
    about = f"{row.language}, {row.confidence:.0%} sure" if row.audio.seconds else row.language
    return " ".join(part for part in (about, _quoted(row.text, words)) if part)


def _answer(reply: HistoryReply, words: bool) -> str:  # noqa: FBT001
    if reply.fallback:
        return "by nobody in time: the fallback"
    if reply.error:
        return f"it failed: {reply.error}"
    cached = "as before" if reply.cached else ""
    by = f"by {reply.agent}" if reply.agent else ""
    return " ".join(part for part in (by, cached, _quoted(reply.text, words)) if part)


def _quoted(text: str, words: bool) -> str:  # noqa: FBT001
    return f'"{text}"' if words and text else ""
