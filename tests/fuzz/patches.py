"""A merge patch of the configuration from the network: Problem or settings, and never a word of a password."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.config.checks import fit
from gateway.config.configuration import GatewayConfig
from gateway.config.reloading import plan
from gateway.settings.broker import BrokerSettings
from gateway.web.api import configuration
from gateway.web.entrance.problems import Problem

_SECRET = "p4ssw0rd"
_RUNNING = GatewayConfig(broker=BrokerSettings(url=f"amqp://ann:{_SECRET}@localhost/"))


def fuzz(data: bytes) -> None:
    try:
        patch: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    if not isinstance(patch, dict):
        return
    try:
        wanted = configuration._wanted(_RUNNING, patch)
    except Problem as problem:
        assert _SECRET not in str(problem.details("")) or _SECRET.encode() in data
        msgspec.json.encode(problem.details(""))
        return
    named = configuration._named(_RUNNING, wanted, patch)
    for change in configuration._changes(_RUNNING, named):
        assert _SECRET not in str(change) or _SECRET.encode() in data
    plan(_RUNNING, wanted)
    shown = configuration.masked(msgspec.to_builtins(wanted))
    assert _SECRET not in str(shown) or _SECRET.encode() in data
    # Who sends back what was shown changes nothing.
    again, mistakes = fit(configuration.merged(msgspec.to_builtins(wanted), shown))
    assert not mistakes
    assert again == wanted
