"""What adapters see of the gateway, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.bridge import Bridge
from gateway.config.configuration import GatewayConfig
from gateway.hub.hub import Hub
from gateway.observing.health import Health
from gateway.pipeline.pipeline import Pipeline
from gateway.registry.admission import Register
from transcription.recognizing import Recognizing


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterParts:
    """The parts of a gateway that is up. What goes wrong in an adapter's work is noted in ``health.mishaps``."""

    config: GatewayConfig
    pipeline: Pipeline
    recognizer: Recognizing
    bridge: Bridge
    hub: Hub
    register: Register
    health: Health
    folder: Path
    """Where the gateway keeps what is its own."""
