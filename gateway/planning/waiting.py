"""How long work waits where many come at random and some serve: Erlang's formula. No I/O."""

from __future__ import annotations

import math


def share_that_waits(load: float, servers: int) -> float:
    """Of what comes at random, the share that finds all servers busy (Erlang C). ``load``: arrivals times service time.

    1.0 where the servers are too few for ever.
    """
    if load <= 0:
        return 0.0
    if servers <= load:
        return 1.0
    blocked = 1.0  # Erlang B, one server more each time
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def wait_seconds(load: float, servers: int, service_seconds: float, share: float) -> float:
    """So long, or less, waits that ``share`` of all; infinite where the servers are too few."""
    waits = share_that_waits(load, servers)
    if waits >= 1.0:
        return math.inf
    if waits <= 1 - share:
        return 0.0
    return math.log(waits / (1 - share)) * service_seconds / (servers - load)


def servers_for(load: float, service_seconds: float, within_seconds: float, share: float) -> int:
    """The fewest servers with which that ``share`` waits no longer than ``within_seconds``."""
    servers = max(1, math.floor(load) + 1)
    step = max(1, servers // 100)  # of many, one more or less is nothing
    while wait_seconds(load, servers, service_seconds, share) > within_seconds:
        servers += step
    return servers
