"""What gives way first when memory or the processor is short, before the kernel decides: never what somebody says.

In this order: drafts of what is being spoken, then recordings that somebody puts, then what is kept for listeners who
come back. What was said is heard, answered and written down as long as the process lives. No I/O.
"""

from __future__ import annotations

import enum

from gateway.observing.machine.sampler import MachineSample

FREE = (0.10, 0.07, 0.04)
"""Of the memory that the machine has, or that its control group may use: less is free, and one more gives way."""
BACK = 0.03
"""So much more has to be free before it comes back."""
LOAD, LAG_SECONDS = 3.0, 0.25
"""So many processes want each core, and our timers come so late: from here on drafts are not worth it."""


class Relief(enum.IntEnum):
    """How much has given way; each includes those before it."""

    NONE = 0
    DRAFTS = 1
    RECORDINGS = 2
    HISTORY = 3


WORDS = {
    Relief.NONE: "",
    Relief.DRAFTS: "text is shown when it is whole, and not while it is spoken",
    Relief.RECORDINGS: "no recordings are taken, and text is shown when it is whole",
    Relief.HISTORY: "listeners who come back begin anew, no recordings are taken, and text is shown when it is whole",
}


def relief(before: Relief, sample: MachineSample) -> Relief:
    """How much is to give way now."""
    by_memory = _by_memory(before, sample)
    host = sample.host
    is_late = host.load > LOAD * host.cores and sample.lag.p99 > LAG_SECONDS
    return max(by_memory, Relief.DRAFTS if is_late else Relief.NONE)


def _by_memory(before: Relief, sample: MachineSample) -> Relief:
    host = sample.host
    if not host.memory_total:
        return Relief.NONE
    free = host.memory_available / host.memory_total
    wanted = Relief(sum(free < share for share in FREE))
    if wanted >= before:
        return wanted
    held = Relief(sum(free < share + BACK for share in FREE))
    return max(wanted, min(before, held))
