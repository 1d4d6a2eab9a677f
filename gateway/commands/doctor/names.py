"""The doctor's look at the names of the house: whether each source can be had, and whether the model is told any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.commands.doctor.finding import Finding, ok, warn
from gateway.config.configuration import GatewayConfig
from gateway.names.house import COMPONENT
from gateway.names.looking import look
from gateway.settings.names import NamesSettings


def names(config: GatewayConfig) -> Iterator[Finding]:
    """Nothing, where no source is configured."""
    if config.names == NamesSettings():
        return
    _, sources = asyncio.run(look(config.names, config.transcription))
    for source, how in sources.items():
        if how.reason:
            said = how.reason if source == COMPONENT else f"{source}: {how.reason}"
            yield warn("names", said, how.remedy)
        elif source != COMPONENT:
            yield ok("names", f"{source}: {how.detail}")
