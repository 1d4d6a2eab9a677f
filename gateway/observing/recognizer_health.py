"""How the recognizer's state shows in the gateway's health: on the page, in /readyz and in the log."""

from __future__ import annotations

from gateway.observing.health import Health, HealthState
from transcription.recognizing import Phase, RecognizerState
from transcription.settings import BUNDLED_MODEL

COMPONENT = "recognizer"
POOL = "recognizers"
STEPS = 10
"""A download shows in the log at each tenth; listeners see every change."""

_HEALTH = {
    Phase.OFF: HealthState.HEALTHY,
    Phase.LOADING: HealthState.UNHEALTHY,
    Phase.READY: HealthState.HEALTHY,
    Phase.DEGRADED: HealthState.DEGRADED,
    Phase.UNAVAILABLE: HealthState.UNHEALTHY,
    Phase.ASLEEP: HealthState.HEALTHY,
    Phase.WAKING: HealthState.HEALTHY,
}


BUNDLED_NOTICE = (
    "The bundled speech model knows 178 English words, for trying out. "
    "earshot doctor names a real one for this box."
)


class RecognizerHealth:
    """Called with each new state of the recognizer."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._step = -1
        self._model = ""

    def __call__(self, state: RecognizerState) -> None:
        """Tell the health."""
        step = -1 if state.progress is None else int(state.progress * STEPS)
        quiet = step >= 0 and step == self._step
        self._step = step
        self._model = "" if state.phase is Phase.OFF else state.model or self._model
        self._health.set(
            COMPONENT,
            _how(state),
            _reason(state),
            state.remedy,
            detail=", ".join(filter(None, (state.model, state.engine, state.where.gpu))),
            notice=" ".join(
                filter(None, (BUNDLED_NOTICE * (self._model == BUNDLED_MODEL), state.where.notice))
            ),
            quiet=quiet,
        )


class PoolHealth:
    """Called with who there is on other machines, and where none of them helps: why, and what does."""

    def __init__(self, health: Health, *, alone: bool) -> None:
        """``alone``: nobody else recognizes here."""
        self._health = health
        self._without = HealthState.UNHEALTHY if alone else HealthState.DEGRADED

    def __call__(self, there: str, reason: str, remedy: str) -> None:
        """Tell the health."""
        if reason:
            self._health.set(POOL, self._without, reason, remedy, works=False, detail=there)
        else:
            self._health.set(POOL, HealthState.HEALTHY, detail=there)


def _how(state: RecognizerState) -> HealthState:
    """Who falls asleep without the engine that is wanted is not well for that."""
    asleep = state.phase in {Phase.ASLEEP, Phase.WAKING}
    return HealthState.DEGRADED if asleep and state.remedy else _HEALTH[state.phase]


def _reason(state: RecognizerState) -> str:
    elsewhere = bool(state.model)  # one of our own is named once it is loaded
    if state.phase is not Phase.LOADING or state.progress is not None or elsewhere:
        return state.reason
    return f"{state.reason}; the model is being loaded" if state.reason else "the model is being loaded"
