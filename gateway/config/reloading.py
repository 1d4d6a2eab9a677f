"""Settings that change while the gateway runs: which can, and which need a restart.

What concerns the recognizer changes at run time, and whose devices are, where, how urgent, by which word they wake,
which of them answers, what some of the sessions try, the page with its door, the log and the traces. The broker, the
wires, and who answers stay as they are: each has its reason.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from msgspec import Struct, structs

from gateway.config import outline
from gateway.config.configuration import GatewayConfig

NEED_RESTART: tuple[str, ...] = ("queue_utterances", "partials")
"""Of the section's settings those that are built into the running parts."""


DEVICES: tuple[str, ...] = (
    "unknown",
    "known",
    "users",
    "rooms",
    "default_user",
    "priorities",
    "wake",
    "arbitration",
)
"""Of the section ``devices`` those that change at run time."""


AT_ONCE: tuple[str, ...] = ("features", "web", "log", "tracing", "alerts", "shutdown")
"""Sections that change at run time as a whole; in those not named here, nothing does."""

REASONS: dict[str, str] = {
    "transcription": "the queue and the drafts are built into the parts that run",
    "devices": "ports, brokers and microphones of devices are opened once, at the start",
    "names": "its sources are opened once, at the start",
    "recognizers": "what is on its way there would be nobody's",
    "broker": "every part has its subscriptions there, and what waits for it is in the journal",
    "orchestrator": "open questions belong to the agents that they were put to",
    "content": "what was looked at by one filter is not looked at by another half-way",
    "sessions": "sessions that are open go on by the rules they began with",
    "journal": "the file is opened once, at the start",
    "history": "how long rows are kept is the journal's, which is opened once",
    "privacy": "what was written down under one rule would be shown under another",
    "house": "the other gateways know this one by it",
    "adapters": "what other programs are connected to would go",
}
"""Why the rest of a section waits for the next start."""


class Plan(Struct, frozen=True):
    """What a new configuration comes to: ``config`` is the old one with all that can change at once."""

    config: GatewayConfig
    applied: tuple[str, ...]
    need_restart: tuple[str, ...]

    @property
    def reasons(self) -> dict[str, str]:
        """Why each of those needs one."""
        return {name: REASONS[name.split(".")[0]] for name in self.need_restart}

    @property
    def remedy(self) -> str:
        """What to do about them; "" where there is nothing to do."""
        sections = dict.fromkeys(name.split(".")[0] for name in self.need_restart)
        told = "; ".join(f"{section}: {REASONS[section]}" for section in sections)
        return f"restart the gateway ({told})" if told else ""


def plan(running: GatewayConfig, wanted: GatewayConfig) -> Plan:
    """Compare them, setting by setting."""
    kept = NEED_RESTART
    engines = {running.transcription.engine, wanted.transcription.engine}
    if "off" in engines and (len(engines) > 1 or running.recognizers.use == "never"):
        kept = tuple(running.transcription.__struct_fields__)  # nothing listens then, or nothing would
    same = {name: getattr(running.transcription, name) for name in kept}
    whose = {name: getattr(wanted.devices, name) for name in DEVICES}
    config = structs.replace(
        running,
        transcription=structs.replace(wanted.transcription, **same),
        devices=structs.replace(running.devices, **whose),
        **{name: getattr(wanted, name) for name in AT_ONCE},
    )
    return Plan(config, tuple(_differences(running, config)), tuple(_differences(config, wanted)))


def _differences(one: GatewayConfig, other: GatewayConfig) -> list[str]:
    paths = outline.settings(GatewayConfig)
    return [".".join(path) for path in paths if _value(one, path) != _value(other, path)]


def _value(config: GatewayConfig, path: tuple[str, ...]) -> Any:
    return reduce(getattr, path, config)
