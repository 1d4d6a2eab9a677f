"""The section `adapters:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.settings.home_assistant import HomeAssistantSettings
from gateway.settings.openai import OpenAISettings
from gateway.settings.wyoming import WyomingSettings


class AdapterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other people's programs. What is not configured here is not there, and costs nothing."""

    wyoming: Annotated[WyomingSettings, Meta(description="Home Assistant's voice protocol.")] = (
        WyomingSettings()
    )
    openai: Annotated[OpenAISettings, Meta(description="OpenAI's audio interface.")] = OpenAISettings()
    home_assistant: Annotated[HomeAssistantSettings, Meta(description="Home Assistant's MQTT discovery.")] = (
        HomeAssistantSettings()
    )
