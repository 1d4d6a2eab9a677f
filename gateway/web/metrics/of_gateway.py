"""What the gateway does, as families: each part keeps plain counters, and here they get their names.

No label is an id of a device, a session or a user: what labels hold are words of the gateway's own, and names that the
configuration gives.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Iterable

from gateway.journal import Journal
from gateway.observing.health import HealthState
from gateway.observing.metrics.family import Family, Kind, by_label, counter, gauge
from gateway.web.metrics.of_machine import machine_families
from gateway.web.parts import Parts, RunningParts
from transcription.recognizing import Phase

BEGAN = time.time()
_CARRIERS = {"mqtt", "web", "microphone"}
_BADNESS = {HealthState.HEALTHY: 0, HealthState.DEGRADED: 1, HealthState.UNHEALTHY: 2}


def families(parts: Parts, version: str) -> list[Family]:
    """All of them, as they are now; while the gateway starts, those that are there."""
    running = parts.find_running()
    info = Family(name="build", kind=Kind.INFO, says="The version that runs.")
    info.add(1, version=version)
    found = [
        info,
        gauge("start_time_seconds", "When this process began, in Unix seconds.", BEGAN),
        gauge("up", "1: the gateway is up, and not only its page.", running is not None),
        *_health(parts),
        *_hub(parts),
        *parts.hub.waits.families(),
        *parts.requests.families(),
        *_alerts(parts),
        *_house(parts),
    ]
    if parts.machine is not None:
        found += machine_families(parts.machine)
    if running is not None:
        for part in (_devices, _links, _way, _questions, _recognizer, _broker, _journal, _agents, _content):
            found += part(running)
    return found


def _health(parts: Parts) -> Iterable[Family]:
    report = parts.health.report()
    yield gauge("health", "0: healthy, 1: degraded, 2: unhealthy.", _BADNESS[report.state])
    components = Counter(component.state.value for component in report.components.values())
    states = {state.value: components[state.value] for state in HealthState}
    yield by_label(gauge("health_components", "Components by their state."), "state", states)
    kept = (
        "recognizer",
        "broker",
        "orchestrator",
        "journal",
        "page",
        "voice activity",
        "mqtt",
        "configuration",
    )
    named = {name: _BADNESS[component.state] for name, component in report.components.items() if name in kept}
    yield by_label(gauge("component_health", "0: healthy, 1: degraded, 2: unhealthy."), "component", named)
    yield by_label(
        counter("mishaps", "Pieces of work that a mistake of the gateway's own ended."),
        "work",
        parts.health.mishaps.counts,
    )


def _alerts(parts: Parts) -> Iterable[Family]:
    if parts.alerting is not None:
        alerts = parts.alerting.alerts
        urgent = sum(one.urgent for one in alerts.current)
        counts = {"urgent": urgent, "other": len(alerts.current) - urgent}
        yield by_label(gauge("alerts", "Alerts that are not over (urgent, other)."), "kind", counts)
        yield counter("alerts_raised", "Alerts that were raised since the start.", alerts.raised)
        says = (
            "What gives way for want of memory or time: 0 nothing, 1 drafts, 2 recordings too, 3 history too."
        )
        yield gauge("relief", says, int(parts.alerting.relief))


def _hub(parts: Parts) -> Iterable[Family]:
    stats = parts.hub.stats()
    yield gauge("listeners", "Pages and programs that are shown events.", stats.listeners)
    yield gauge("listeners_limit", "How many there may be.", parts.settings.max_listeners)
    yield counter("events_published", "Events for listeners.", stats.published)
    yield counter("events_delivered", "Events that listeners were given.", stats.delivered)
    yield counter("events_dropped", "Events that a listener was too slow for.", stats.dropped)
    yield counter("listeners_slow", "How often a listener was found to be too slow.", stats.slow_consumers)
    yield counter("listeners_refused", "Events refused for a listener whose queue was full.", stats.refused)
    yield counter("listeners_evicted", "Listeners that were sent away.", stats.evicted)


def _house(parts: Parts) -> Iterable[Family]:
    """Where there is one: what this gateway, or hub, has told the others and heard of them."""
    if figures := parts.house_figures():
        yield by_label(
            counter("house_work", "Events, commands, asks and moves in the house, by what became of them."),
            "what",
            figures,
        )


def _devices(running: RunningParts) -> Iterable[Family]:
    devices = running.bridge.devices()
    yield gauge("devices_connected", "Devices that are here.", sum(one.connected for one in devices))
    yield gauge("devices_known", "Devices that are here, or may come back.", len(devices))
    yield gauge("devices_limit", "How many there may be.", running.config.devices.max_devices)
    yield by_label(
        counter("devices_refused", "What the links refused or dropped, by why."),
        "reason",
        dataclasses.asdict(running.bridge.counters),
    )
    yield by_label(
        counter("link_frames", "Frames of devices, by what became of them."),
        "outcome",
        dataclasses.asdict(running.bridge.link_counters()),
    )


def _links(running: RunningParts) -> Iterable[Family]:
    """Serial lines may be many: by their kind."""
    up: Counter[str] = Counter()
    down: Counter[str] = Counter()
    for link in running.bridge.links():
        kind = _kind(link.name)
        (up if link.up else down)[kind] += 1
    family = gauge("links", "Lines to devices, by their kind and whether they work.")
    for kind in sorted({*up, *down}):
        family.add(up[kind], kind=kind, state="up")
        family.add(down[kind], kind=kind, state="down")
    yield family


def _way(running: RunningParts) -> Iterable[Family]:
    stats = running.pipeline.stats()
    yield gauge("sessions", "Streams of devices from their start to their last answer.", stats.sessions)
    yield gauge("sessions_limit", "How many there may be.", running.config.sessions.max_sessions)
    yield gauge("streams", "Streams that are heard.", stats.streams)
    stages = {
        "transcribing": stats.turns,
        "recognizer": running.recognizer.waiting,
        "unpublished": stats.unpublished,
        "asked": stats.asked,
        "undelivered": stats.undelivered,
    }
    yield by_label(gauge("in_flight", "What is on its way, by the stage it is in."), "stage", stages)
    yield by_label(
        counter("lost", "What was given up because too much of it waited."),
        "what",
        {"answers": stats.dropped_answers, "messages": stats.lost_messages},
    )
    yield by_label(
        counter("outbox_attempts", "Attempts to publish a message, by how they ended."),
        "outcome",
        running.pipeline.publications,
    )
    yield gauge("programs_waiting", "Programs that wait for an answer.", running.pipeline.askers)


def _questions(running: RunningParts) -> Iterable[Family]:
    yield by_label(
        counter("requests", "What became of questions and of replies to them."),
        "outcome",
        dataclasses.asdict(running.pipeline.correlations()),
    )


def _recognizer(running: RunningParts) -> Iterable[Family]:
    recognizer = running.recognizer
    state = Family(name="recognizer", kind=Kind.INFO, says="Which engine and model recognize.")
    state.add(1, engine=recognizer.state.engine, model=running.config.transcription.model)
    yield state
    phases = {phase.value: float(phase is recognizer.state.phase) for phase in Phase}
    yield by_label(gauge("recognizer_phase", "1: it is in that phase."), "phase", phases)
    yield gauge("recognizer_load_ratio", "How much of the room for utterances is taken.", recognizer.load())
    yield by_label(
        counter("recognizers_elsewhere", "What became of what recognizers on other machines were asked for."),
        "outcome",
        recognizer.counts,
    )
    if (drafts := getattr(recognizer, "drafts", None)) is not None:
        yield by_label(
            counter("partials", "Looks at utterances that go on, by what became of them."),
            "outcome",
            dataclasses.asdict(drafts),
        )


def _broker(running: RunningParts) -> Iterable[Family]:
    yield gauge("broker_connected", "1: the broker is there.", running.broker_status.connected)
    yield gauge(
        "broker_dead_letters",
        "Rejected messages that are kept in memory.",
        len(running.broker.dead_letters()),
    )
    messages = counter("broker_messages", "Messages by topic and by what became of them.")
    buffered = gauge(
        "broker_buffered_messages", "Messages in this process' buffers, undelivered or unsettled."
    )
    in_bytes = gauge("broker_buffered_bytes", "Their bytes.")
    subscriptions = gauge("broker_subscriptions", "Subscriptions of this process.")
    for topic in running.broker.stats():
        for outcome in ("published", "delivered", "acknowledged", "rejected", "dropped"):
            messages.add(getattr(topic, outcome), topic=topic.topic, outcome=outcome)
        buffered.add(topic.buffered_messages, topic=topic.topic)
        in_bytes.add(topic.buffered_bytes, topic=topic.topic)
        subscriptions.add(topic.subscriptions, topic=topic.topic)
    yield from (messages, buffered, in_bytes, subscriptions)


def _journal(running: RunningParts) -> Iterable[Family]:
    if not isinstance(running.journal, Journal):
        return
    stats = running.journal.stats()
    yield gauge("journal_durable", "1: what is committed is safe.", stats.state.durable)
    rows = {room.value: float(usage.rows) for room, usage in stats.rooms.items()}
    in_bytes = {room.value: float(usage.bytes) for room, usage in stats.rooms.items()}
    evicted = {room.value: float(usage.evicted) for room, usage in stats.rooms.items()}
    yield by_label(gauge("journal_rows", "Rows of each class."), "room", rows)
    yield by_label(gauge("journal_bytes", "Their bytes."), "room", in_bytes)
    yield by_label(counter("journal_evicted", "Rows that gave way to newer ones."), "room", evicted)
    counters = dataclasses.asdict(stats.counters)
    plain = {name: value for name, value in counters.items() if isinstance(value, int | float)}
    yield by_label(counter("journal_work", "What the journal's thread did."), "what", plain)


def _agents(running: RunningParts) -> Iterable[Family]:
    roster = running.pipeline.agents
    if roster is None:
        return
    from gateway.pipeline.agents.breaker import BreakerState  # noqa: PLC0415 - where agents are named

    present = gauge("agent_present", "1: it is there.")
    breaker = gauge("agent_breaker_open", "1: it failed too often and is left alone.")
    requests = counter("agent_requests", "What an agent was asked, by what became of it.")
    seconds = gauge("agent_answer_seconds", "How long its last answers took.")
    for one in roster.standings(asyncio.get_running_loop().time()):
        present.add(one.is_present, agent=one.name)
        breaker.add(one.breaker is not BreakerState.CLOSED, agent=one.name)
        figures = one.figures
        for outcome in ("asked", "answered", "failed", "timed_out"):
            requests.add(getattr(figures, outcome), agent=one.name, outcome=outcome)
        seconds.add(figures.p50_seconds, agent=one.name, quantile="0.5")
        seconds.add(figures.p95_seconds, agent=one.name, quantile="0.95")
    yield from (present, breaker, requests, seconds)


def _content(running: RunningParts) -> Iterable[Family]:
    yield by_label(
        counter("content", "Texts by what the content filter made of them."),
        "outcome",
        running.pipeline.content.counts,
    )


def _kind(link: str) -> str:
    """``link``: a serial port's path, or a carrier's name and what it is called."""
    kind = link.split(" ", 1)[0]
    return "serial" if link.startswith("/") else kind if kind in _CARRIERS else "other"
