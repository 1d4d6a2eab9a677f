"""The process, its children and the machine, as families."""

from __future__ import annotations

import resource

from gateway.observing.machine.loop_lag import BUCKETS
from gateway.observing.machine.sampler import MachineSample, Sampler
from gateway.observing.metrics.family import Family, Histogram, by_label, counter, gauge


def machine_families(sampler: Sampler) -> list[Family]:
    """As they were at the newest look; none before the first one."""
    if (sample := sampler.latest) is None:
        return []
    return [*_processes(sample), *_host(sample), *_loop(sampler, sample)]


def _processes(sample: MachineSample) -> list[Family]:
    """Each by what it is called: ``gateway``, ``recognizer``, ``agent`` and so on."""
    used = sample.processes
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return [
        by_label(
            counter(
                "process_cpu_seconds", "Processor time, user and system; of children that are there now."
            ),
            "process",
            {name: one.cpu_seconds for name, one in used.items()},
        ),
        by_label(
            gauge("process_cpu_cores", "Cores it was busy on since the look before."), "process", sample.cpu
        ),
        by_label(
            gauge("process_resident_memory_bytes", "Resident memory."),
            "process",
            {name: one.resident_bytes for name, one in used.items()},
        ),
        by_label(
            gauge(
                "process_proportional_memory_bytes",
                "Resident memory, shared pages divided by who shares them.",
            ),
            "process",
            {name: one.pss_bytes for name, one in used.items() if one.pss_bytes},
        ),
        by_label(
            gauge("process_threads", "Threads."), "process", {name: one.threads for name, one in used.items()}
        ),
        by_label(
            gauge("process_open_fds", "Open files and sockets."),
            "process",
            {name: one.descriptors for name, one in used.items()},
        ),
        gauge("process_max_fds", "How many open files and sockets the gateway may have.", open_files),
    ]


def _host(sample: MachineSample) -> list[Family]:
    host = sample.host
    families = [
        gauge("host_load", "Processes that want a core, over one minute.", host.load),
        gauge("host_cores", "Cores that this process may use.", host.cores),
        gauge("host_memory_total_bytes", "Memory, as far as this process may use it.", host.memory_total),
        gauge("host_memory_available_bytes", "Of that, what may still be taken.", host.memory_available),
        gauge("disk_total_bytes", "The volume that the journal lies on.", host.disk_total),
        gauge("disk_free_bytes", "Of that, what is free.", host.disk_free),
        gauge(
            "host_throttled", "1: the machine goes slower than it could, for heat or voltage.", host.throttled
        ),
    ]
    if host.temperature is not None:
        families.append(gauge("host_temperature_celsius", "The hottest sensor.", host.temperature))
    return families


def _loop(sampler: Sampler, sample: MachineSample) -> list[Family]:
    lag = Histogram("event_loop_lag_seconds", "By how much timers of the event loop came too late.", BUCKETS)
    lag.counts, lag.sum = list(sampler.lag.counts), sampler.lag.sum
    return [lag.family(), gauge("event_loop_tasks", "Tasks of the event loop.", sample.tasks)]
