"""Settings that change while the gateway runs: which can, and which need a restart.

What concerns the recognizer changes at run time, and whose devices are, where, how urgent, by which word they wake,
which of them answers, and what some of the sessions try; the page, the broker and the wires stay as they are.
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


class Plan(Struct, frozen=True):
    """What a new configuration comes to: ``config`` is the old one with all that can change at once."""

    config: GatewayConfig
    applied: tuple[str, ...]
    need_restart: tuple[str, ...]


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
        features=wanted.features,
    )
    return Plan(config, tuple(_differences(running, config)), tuple(_differences(config, wanted)))


def _differences(one: GatewayConfig, other: GatewayConfig) -> list[str]:
    paths = outline.settings(GatewayConfig)
    return [".".join(path) for path in paths if _value(one, path) != _value(other, path)]


def _value(config: GatewayConfig, path: tuple[str, ...]) -> Any:
    return reduce(getattr, path, config)
