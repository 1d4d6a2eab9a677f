"""Names that are known, and how their sources are, as tests look at them."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.names.house import KnownNames
from gateway.observing.health import ComponentHealth, Health, HealthState
from transcription.settings import TranscriptionSettings


class Known(KnownNames):
    """Of a house whose model can be told names."""

    def __init__(self, **transcription: Any) -> None:
        self.health = Health(lambda _event: None)
        super().__init__(self.health, settings(**transcription), clock=lambda: 0.0)

    def how(self, source: str) -> ComponentHealth:
        """That source, in health; unhealthy as long as it said nothing."""
        unheard = ComponentHealth(HealthState.UNHEALTHY)
        return self.health.report().components.get(f"names: {source}", unheard)


def settings(**transcription: Any) -> TranscriptionSettings:
    return msgspec.convert({"model": "base"} | transcription, TranscriptionSettings)
