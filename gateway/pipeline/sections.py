"""The sections of the configuration that the way is led by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from firmware_bridge.settings import DeviceSettings
from gateway.settings.broker import BrokerSettings
from gateway.settings.features import FeatureSettings
from gateway.settings.history import HistorySettings
from gateway.settings.orchestrator import OrchestratorSettings
from gateway.settings.privacy import PrivacySettings
from gateway.settings.sessions import SessionSettings
from gateway.settings.web import WebSettings
from transcription.settings import TranscriptionSettings


class Sections(Protocol):
    """As in config.yaml; the configuration has these and others."""

    @property
    def devices(self) -> DeviceSettings:
        """How many there may be, and whose they are."""

    @property
    def transcription(self) -> TranscriptionSettings:
        """How speech is cut, and heard."""

    @property
    def broker(self) -> BrokerSettings:
        """Who reads replies, and how many at once."""

    @property
    def orchestrator(self) -> OrchestratorSettings:
        """How long answers are waited for, and what is said without one."""

    @property
    def features(self) -> Mapping[str, FeatureSettings]:
        """What some of the sessions try."""

    @property
    def sessions(self) -> SessionSettings:
        """How many there may be, and what outlives them."""

    @property
    def history(self) -> HistorySettings:
        """Whether it is remembered what was said."""

    @property
    def privacy(self) -> PrivacySettings:
        """Whether words are kept anywhere."""

    @property
    def web(self) -> WebSettings:
        """Recordings that are sent."""
