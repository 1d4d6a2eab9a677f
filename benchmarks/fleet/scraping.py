"""What /metrics says, each second, as plain figures by name."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Iterable
from typing import NamedTuple

import psutil
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

PERIOD_SECONDS = 1.0
SCRAPE_SECONDS = 10.0
Labels = frozenset[tuple[str, str]]


class Look(Struct, frozen=True, kw_only=True):
    """One scrape. ``at``: Unix seconds. ``took_ms``: until it was answered. ``busy``: cores of the machine, of all."""

    at: float
    took_ms: float
    busy: float
    figures: dict[str, float]


class Read(NamedTuple):
    """A family's sample: its sum over all labels but ``by``."""

    name: str
    family: str
    by: str = ""


WANTED = (
    Read("queue", "earshot_in_flight", "stage"),
    Read("at the broker's server", "earshot_broker_queue_messages"),
    Read("in the broker's buffers", "earshot_broker_buffered_messages"),
    Read("memory", "earshot_process_resident_memory_bytes", "process"),
    Read("proportional", "earshot_process_proportional_memory_bytes", "process"),
    Read("cpu", "earshot_process_cpu_seconds_total", "process"),
    Read("descriptors", "earshot_process_open_fds", "process"),
    Read("threads", "earshot_process_threads", "process"),
    Read("tasks", "earshot_event_loop_tasks"),
    Read("lag", "earshot_event_loop_lag_seconds_bucket", "le"),
    Read("text", "earshot_speech_to_text_seconds_bucket", "le"),
    Read("reply", "earshot_speech_to_reply_seconds_bucket", "le"),
    Read("wait", "earshot_recognizer_wait_seconds_bucket", "le"),
    Read("utterances", "earshot_utterances_total", "outcome"),
    Read("replies", "earshot_replies_total", "outcome"),
    Read("lost", "earshot_lost_total", "what"),
    Read("mishaps", "earshot_mishaps_total"),
    Read("events dropped", "earshot_events_dropped_total"),
    Read("listeners evicted", "earshot_listeners_evicted_total"),
    Read("listeners", "earshot_listeners"),
    Read("devices", "earshot_devices_connected"),
    Read("dead letters", "earshot_broker_dead_letters"),
    Read("sessions", "earshot_sessions"),
    Read("events delivered", "earshot_events_delivered_total"),
)


def figures(text: str, wanted: Iterable[Read] = WANTED) -> dict[str, float]:
    """Of an exposition: ``name`` or ``name label``, each the sum of what has that label."""
    found: dict[str, float] = {}
    by_family: dict[str, Read] = {one.family: one for one in wanted}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            read = by_family.get(sample.name)
            if read is None:
                continue
            name = f"{read.name} {sample.labels[read.by]}" if read.by else read.name
            found[name] = found.get(name, 0.0) + sample.value
    return found


class Scraper:
    """Looks each second until it is cancelled; what it saw is in ``looks``."""

    def __init__(self, url: str) -> None:
        self.looks: list[Look] = []
        self.failures = 0
        """Scrapes that were not answered."""
        self._url = f"{url}/metrics"
        psutil.cpu_percent()  # from now on

    async def run(self) -> None:
        """Late ones are left out."""
        due = time.monotonic()
        while True:
            await self.look()
            due = max(due + PERIOD_SECONDS, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def look(self) -> None:
        """Now."""
        try:
            text, took = await asyncio.to_thread(self._scrape)
        except OSError:
            self.failures += 1
            return
        busy = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        self.looks.append(Look(at=time.time(), took_ms=1000 * took, busy=busy, figures=figures(text)))

    def _scrape(self) -> tuple[str, float]:
        began = time.perf_counter()
        with urllib.request.urlopen(self._url, timeout=SCRAPE_SECONDS) as answer:
            text = answer.read().decode()
        return text, time.perf_counter() - began
