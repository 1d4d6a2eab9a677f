"""How the gateway is: named components, each with a state, a reason and a remedy.

A missing device, broker, model or disk is a state here, never an exit. Whoever notices a change
calls :meth:`Health.set`; /readyz, the page and the log show it. Component names come from the
gateway and its configuration, never from a device or a listener, so their number is bounded.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import structlog
from msgspec import UNSET, Struct, UnsetType

from gateway.access.principals import Principal
from gateway.contract.events import FORGOTTEN, HealthEvent
from gateway.process.mishaps import Mishaps

log = structlog.get_logger(__name__)


class HealthState(enum.StrEnum):
    """From best to worst. A degraded gateway still does its job, but less well or for fewer devices."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_BADNESS = {state: badness for badness, state in enumerate(HealthState)}


# How much each matters to people, the lower the more: that nobody is heard or answered stands before one device, and
# that before a setting.
_OTHER_RANK = 10
_LINE_RANK = 20
_RANKS = {
    "recognizer": 0,
    "recognizers": 1,
    "voice activity": 1,
    "wake word": 1,
    "broker": 2,
    "orchestrator": 3,
    "agents": 3,
    "mqtt": 4,
    "journal": 5,
    "recording": 20,
    "devices": 21,
    "page": 30,
    "configuration": 31,
}


class ComponentHealth(Struct, frozen=True):
    """One component: ``reason`` says why it is not healthy and ``remedy`` what to do about it.

    ``works`` is false for one that does not work at all, though the gateway does its job without it.
    ``detail`` is what it is, however it is; ``notice`` is what people are to know of it though it works. ``about``
    names the device that it is about, where it is about one. All four are left out where they would say nothing.
    """

    state: HealthState
    reason: str = ""
    remedy: str = ""
    works: bool | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    notice: str | UnsetType = UNSET
    about: str | UnsetType = UNSET


class HealthReport(Struct, frozen=True):
    """The whole gateway: as well as its worst component, unhealthy as long as none has reported.

    The worst component stands first, among equals the one that matters most.
    """

    state: HealthState
    components: dict[str, ComponentHealth]

    @property
    def ready(self) -> bool:
        """Whether the gateway can do its job, if only just."""
        return self.state is not HealthState.UNHEALTHY


class Health:
    """Who is how. Each change is logged and handed to ``on_change`` once."""

    def __init__(self, on_change: Callable[[HealthEvent], None], mishaps: Mishaps | None = None) -> None:
        """``mishaps``: those of the gateway's own, which are a component, too."""
        self._on_change = on_change
        self._components: dict[str, ComponentHealth] = {}
        self.mishaps = Mishaps() if mishaps is None else mishaps
        self.mishaps.on_change = self._show_mishaps

    def set(
        self,
        component: str,
        state: HealthState,
        reason: str = "",
        remedy: str = "",
        *,
        works: bool = True,
        detail: str = "",
        notice: str = "",
        about: str = "",
        quiet: bool = False,
    ) -> bool:
        """Note how ``component`` is now; true when that is news. ``quiet``: none for the log, unless it works again."""
        now = ComponentHealth(
            state, reason, remedy, UNSET if works else False, detail or UNSET, notice or UNSET, about or UNSET
        )
        before = self._components.get(component)
        if before == now:
            return False
        self._components[component] = now
        works_again = state is HealthState.HEALTHY and (before is None or before.state is not state)
        if works_again or not quiet:
            _log(component, now, first=before is None)
        self._on_change(
            HealthEvent(
                component=component,
                state=state,
                reason=reason,
                remedy=remedy,
                works=works,
                detail=detail,
                notice=notice,
                about=about,
                rank=_rank(component),
            )
        )
        return True

    def forget(self, component: str) -> None:
        """It is not there any more, and nobody misses it. Idempotent."""
        if self._components.pop(component, None) is not None:
            log.info("nobody misses it any more", component=component)
            self._on_change(HealthEvent(component=component, state=FORGOTTEN))

    def _show_mishaps(self) -> None:
        """The log has them already."""
        if not self.mishaps.latest:
            self.set("gateway", HealthState.HEALTHY)
            return
        so_far = f"{self.mishaps.counts.total()} since the start, the last one: {self.mishaps.latest}"
        reason = f"something went wrong inside, and that piece of work was given up ({so_far})"
        remedy = "this is a mistake in Earshot: report it with the traceback in the log"
        self.set("gateway", HealthState.DEGRADED, reason, remedy, quiet=True)

    def report(self) -> HealthReport:
        """How everything is right now."""
        states = [health.state for health in self._components.values()]
        worst = max(states, key=_BADNESS.__getitem__, default=HealthState.UNHEALTHY)
        order = sorted(self._components.items(), key=_weight)
        return HealthReport(worst, dict(order))


def seen_by(principal: Principal, report: HealthReport) -> HealthReport:
    """The report without what is about devices that somebody may not know of."""
    seen = {
        name: health
        for name, health in report.components.items()
        if not health.about or principal.sees(user_id=None, device_id=health.about)
    }
    return HealthReport(report.state, seen)


def _weight(item: tuple[str, ComponentHealth]) -> tuple[int, bool, int, str]:
    """The worst first: what does not work at all before what works badly, then by what matters most."""
    name, health = item
    return -_BADNESS[health.state], health.works is not False, _rank(name), name


def _rank(component: str) -> int:
    if component.startswith("agent "):
        return _RANKS["agents"]
    of_a_device = component.startswith("/")  # a serial port's path
    return _RANKS.get(component, _LINE_RANK if of_a_device else _OTHER_RANK)


def _log(component: str, now: ComponentHealth, *, first: bool) -> None:
    # At first, without anything to be done, it is on its way: no reason to warn anybody.
    fine = now.state is HealthState.HEALTHY or (first and not now.remedy)
    why = {
        "about": now.about,
        "reason": now.reason,
        "remedy": now.remedy,
        "detail": now.detail,
        "notice": now.notice,
    }
    announce = log.info if fine else log.warning
    announce(f"{component} is {now.state}", **{key: text for key, text in why.items() if text})
