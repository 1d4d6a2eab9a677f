"""How the named agents are, as the gateway's health shows it: here, missed, or left alone for failing.

A few have a component each; where there are many, one tells of all of them. What an agent says about its failures is
about what somebody said, and health is for everybody who may look: it is not in here.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.observing.health import Health, HealthState
from gateway.pipeline.agents.breaker import BreakerState
from gateway.pipeline.agents.roster import AgentRoster, AgentStanding

ALL = "agents"
"""The one component of many agents."""
MOST_COMPONENTS = 8
MOST_NAMES = 5
"""In one sentence."""
LOOK_SECONDS = 1.0
BLAME_SECONDS = 600.0
"""So long after it last kept everybody waiting, an agent is well again."""

START = (
    "start it under this name, with the gateway's broker (broker.url), or take it out of orchestrator.agents"
)
NAME_ONE = (
    "with memory:// nobody else can come: name its app in orchestrator.agents, or a broker in broker.url"
)
UNBLOCK = "await what takes long there (asyncio.to_thread), or run it as a program of its own over a broker"


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What is wrong with an agent, and what to do about it."""

    reason: str
    remedy: str
    works: bool = False


def component(agent: str) -> str:
    """The component of an agent, where it has one."""
    return f"agent {agent}"


class AgentsHealth:
    """Watches the roster, as long as ``watch`` runs."""

    def __init__(
        self,
        health: Health,
        roster: AgentRoster,
        inside: Iterable[str],
        *,
        shared: bool = True,
        outside: Mapping[str, str] | None = None,
        connected: Callable[[], bool],
        now: Callable[[], float],
    ) -> None:
        """``inside``: the agents that run in the gateway. ``shared``: others can come to the broker.

        ``outside``: the hosts that what is said leaves this machine for, by the agents that ask them.
        ``connected``: whether the broker is there. ``now``: the roster's clock.
        """
        self._health = health
        self._roster = roster
        self._inside = frozenset(inside)
        self._outside = outside or {}
        self._start = START if shared else NAME_ONE
        self._connected = connected
        self._now = now
        self._was_connected = True
        self._blamed: dict[str, tuple[float, _Trouble]] = {}
        self._unusable: dict[str, _Trouble] = {}
        self._ailing: dict[str, _Trouble] = {}

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def blocked(self, name: str, seconds: float) -> None:
        """An agent inside kept the event loop for itself."""
        reason = f"{name} kept everything else waiting for {seconds:.1f} s: no device was heard or answered meanwhile"
        self._blamed[name] = self._now() + BLAME_SECONDS, _Trouble(reason, UNBLOCK, works=True)
        self.look()

    def ailing(self, name: str, reason: str, remedy: str) -> None:
        """An agent inside cannot answer for now, or (no reason) can again."""
        self._ailing.pop(name, None)
        if reason:
            self._ailing[name] = _Trouble(reason, remedy)
        self.look()

    def unusable(self, name: str, reason: str) -> None:
        """An agent inside cannot be run at all."""
        self._unusable[name] = _Trouble(reason, f"correct orchestrator.agents.{name}.app")
        self.look()

    def look(self) -> None:
        """Tell how they are now. Who had no time to show itself yet is not told of.

        While the broker is away, which its own health says, nobody knows how they are.
        """
        now, was_connected = self._now(), self._was_connected
        self._was_connected = self._connected()
        if not self._was_connected:
            return
        if not was_connected:
            self._roster.be_patient(now)
        standings = [one for one in self._roster.standings(now) if one.is_known or one.name in self._ill()]
        if len(self._roster) <= MOST_COMPONENTS:
            for one in standings:
                self._tell(
                    component(one.name),
                    self._trouble(one, now),
                    self._detail(one),
                    quiet=one.cache is not None,
                )
        elif standings:
            self._tell_of_all(standings, now)

    def _tell_of_all(self, standings: Sequence[AgentStanding], now: float) -> None:
        troubles = {one.name: self._trouble(one, now) for one in standings}
        found = [(name, trouble) for name, trouble in troubles.items() if trouble is not None]
        if not found:
            hosts = ", ".join(dict.fromkeys(self._outside.values()))
            gone = f"; what is said goes to {hosts}" if hosts else ""
            self._tell(ALL, None, f"{len(standings)} of them{gone}")
            return
        shown = "; ".join(trouble.reason for _, trouble in found[:MOST_NAMES])
        rest = f"; and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
        reason = f"{len(found)} of {len(standings)}: {shown}{rest}"
        works = any(trouble is None or trouble.works for trouble in troubles.values())
        self._tell(ALL, _Trouble(reason, found[0][1].remedy, works), f"{len(standings)} of them")

    def _tell(self, name: str, trouble: _Trouble | None, detail: str, *, quiet: bool = False) -> None:
        """``quiet``: its detail changes all the time, which is no news for the log."""
        if trouble is None:
            self._health.set(name, HealthState.HEALTHY, detail=detail, quiet=quiet)
        else:
            self._health.set(
                name,
                HealthState.DEGRADED,
                trouble.reason,
                trouble.remedy,
                works=trouble.works,
                detail=detail,
            )

    def _trouble(self, one: AgentStanding, now: float) -> _Trouble | None:
        if ill := self._ill().get(one.name):
            return ill
        if not one.is_present:
            return self._missed(one, now)
        if one.breaker is not BreakerState.CLOSED:
            return _Trouble(
                f"{one.name} failed too often, and is left alone for a while",
                "see its last error (the page's agents, or GET /api/v1/agents); it is asked again by itself",
            )
        until, blame = self._blamed.get(one.name, (now, None))
        return blame if now < until else None

    def _ill(self) -> dict[str, _Trouble]:
        return self._ailing | self._unusable

    def _missed(self, one: AgentStanding, now: float) -> _Trouble:
        if one.unreadable:
            return _Trouble(
                f"what {one.name} says of itself cannot be read: {one.unreadable}",
                "let it publish the ten fields of docs/messages.md (AgentPresence)",
            )
        if one.name in self._inside:
            return _Trouble(f"{one.name} is not there, though it runs inside the gateway", UNBLOCK)
        meant = difflib.get_close_matches(one.name, self._roster.strangers(now), n=1)
        but = f"; there is {meant[0]}, whom no setting names" if meant else ""
        return _Trouble(f"{one.name} is not there{but}", self._start)

    def _detail(self, one: AgentStanding) -> str:
        where = "inside the gateway" if one.name in self._inside else ""
        asks = f"what is said goes to {self._outside[one.name]}" if one.name in self._outside else ""
        copies = f"{len(one.copies)} copies" if len(one.copies) > 1 else ""
        version = next((copy.presence.version for copy in reversed(one.copies) if copy.presence.version), "")
        cache = one.cache
        asked = cache.hits + cache.misses if cache is not None else 0
        given = f"{100 * cache.hits // asked} % from its cache" if cache is not None and asked else ""
        return ", ".join(filter(None, (version, where, asks, copies, given)))
