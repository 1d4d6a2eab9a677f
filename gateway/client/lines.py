"""How an event looks in a terminal: one line each.

What devices, people and orchestrators say is shown with control characters escaped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text

from gateway.contract.escaping import one_line
from gateway.contract.events import (
    ArbitrationEvent,
    CursorEvent,
    DeliveryEvent,
    DeviceEvent,
    ErrorEvent,
    FirmwareEvent,
    HealthEvent,
    HubEvent,
    ListenerEvent,
    PartialEvent,
    ReplyEvent,
    SaidEvent,
    SnapshotEvent,
    StatusEvent,
    TranscriptionEvent,
)

_WHO_COLUMNS = 16
_WHAT_COLUMNS = 10
_STATE_STYLES = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}


class EventLine(NamedTuple):
    """The parts of a line: who, what (in its style), what was said, and what follows it, dimmed."""

    who: str
    what: str
    style: str
    said: str
    after: str = ""
    correlation_id: str = ""


def lines(event: ListenerEvent) -> Iterator[Text]:
    """The lines of an event, a snapshot's being those of what is in it."""
    if isinstance(event, SnapshotEvent):
        for part in (*event.health, *event.devices, *event.sessions, *event.conversation):
            yield from lines(part)
        return
    if isinstance(event, CursorEvent):
        return
    line = _in_parts(event)
    text = Text(time.strftime("%H:%M:%S ", time.localtime(event.timestamp)), style="dim")
    text.append(f"{one_line(line.who):<{_WHO_COLUMNS}} ", style="not dim")
    text.append(f"{one_line(line.what):<{_WHAT_COLUMNS}} ", style=f"not dim {line.style}")
    text.append(one_line(line.said), style="not dim")
    text.append(f"{one_line(line.after)}  {one_line(line.correlation_id)}".rstrip())
    yield text


def _in_parts(event: HubEvent | SaidEvent | ErrorEvent) -> EventLine:  # noqa: C901, PLR0911 - one for each kind of event
    match event:
        case SaidEvent():
            return EventLine(event.device_id, "said", "dim", "", "", event.correlation_id)
        case ErrorEvent():
            return EventLine("gateway", "error", "red", event.reason)
        case HealthEvent():
            remedy = f" ({event.remedy})" if event.remedy else ""
            about = f"{event.about}: " if event.about else ""
            whose = f"{event.gateway} " if event.gateway else ""
            return EventLine(
                whose + event.component,
                event.state,
                _STATE_STYLES.get(event.state, ""),
                about + event.reason + remedy,
            )
        case DeviceEvent():
            return _device(event)
        case StatusEvent():
            what = ", ".join(filter(None, (event.status, event.detail)))
            return EventLine(event.device_id, "status", "dim", what)
        case PartialEvent():
            return EventLine(
                event.device_id, "hears", "dim", event.stable, event.text[len(event.stable) :] + " ..."
            )
        case TranscriptionEvent():
            return _transcription(event)
        case ReplyEvent():
            return _reply(event)
        case DeliveryEvent():
            return _delivery(event)
        case ArbitrationEvent():
            return EventLine(event.device_id, "not asked", "dim", event.reason, "", event.correlation_id)
        case FirmwareEvent():
            return _firmware(event)


def _delivery(event: DeliveryEvent) -> EventLine:
    said = f"the reply is there, {event.speech_to_reply_ms:.0f} ms after the end of speech"
    if not event.session_id:
        said = f"the announcement is there, after {event.speech_to_reply_ms:.0f} ms"
    return EventLine(event.device_id, "delivered", "dim", said, "", event.correlation_id)


def _firmware(event: FirmwareEvent) -> EventLine:
    said = ", ".join(filter(None, (f"firmware {event.version}", f"{event.percent} %", event.reason)))
    return EventLine(event.device_id, event.stage, "cyan", said)


def _device(event: DeviceEvent) -> EventLine:
    if event.notice:
        return EventLine(event.device_id, event.notice, "cyan", str(event.value))
    facts = [f"over {event.link}" if event.link else "", event.firmware, event.reason]
    facts += [f"{event.lost_frames} frames lost"] if event.lost_frames else []
    return EventLine(event.device_id, event.state, "cyan", ", ".join(fact for fact in facts if fact))


def _transcription(event: TranscriptionEvent) -> EventLine:
    if not event.success:
        return EventLine(event.device_id, "failed", "red", event.error or "", "", event.correlation_id)
    said = f'"{event.text}"' if event.text else "(no speech)"
    by = [f"by {event.worker}"] if event.worker else []
    after = ", ".join([f" {event.timings.text_ms:.0f} ms after the end of speech", *by, *event.flags])
    return EventLine(event.device_id, "heard", "bold green", said, after, event.correlation_id)


def _reply(event: ReplyEvent) -> EventLine:
    if event.error is not None:
        return EventLine(event.device_id, "no reply", "red", event.error, "", event.correlation_id)
    if not event.final:
        kind = "first" if event.interim else "replies"
        return EventLine(event.device_id, kind, "blue", f'"{event.text}"', "", event.correlation_id)
    if not event.session_id:
        after = ", ".join([f" by {event.agent}", *event.flags])
        return EventLine(
            event.device_id, "announced", "bold blue", f'"{event.text}"', after, event.correlation_id
        )
    marks = [f"by {' and '.join(event.agents)}"] if event.agents else []
    marks += [word for word, holds in (("late", event.late), ("nobody answered", event.fallback)) if holds]
    marks += [f"without {' and '.join(event.missing)}"] if event.partial else []
    marks += event.flags
    after = ", ".join([f" {event.text_to_reply_ms:.0f} ms after the text", *marks])
    return EventLine(event.device_id, "reply", "bold blue", f'"{event.text}"', after, event.correlation_id)
