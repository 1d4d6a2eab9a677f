"""The section `adapters.home_assistant:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class HomeAssistantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Devices as Home Assistant sees them, by its MQTT discovery."""

    url: Annotated[
        str,
        Meta(
            description="The MQTT broker that Home Assistant is at: mqtt[s]://[user:password@]host[:port]; empty: none."
        ),
    ] = ""
    password_file: Annotated[
        str,
        Meta(
            description="A file whose first line is the password of the URL's user. A relative name is looked up "
            "among systemd's credentials (LoadCredential=), then in the folder that the gateway was started in."
        ),
    ] = ""
    prefix: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", description="Its discovery prefix.")
    ] = "homeassistant"
