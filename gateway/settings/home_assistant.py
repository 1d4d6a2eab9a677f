"""The section `adapters.home_assistant:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.settings.mqtt_login import CaFile, CertFile, KeyFile, PasswordFile


class HomeAssistantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Devices as Home Assistant sees them, by its MQTT discovery."""

    url: Annotated[
        str,
        Meta(
            description="The MQTT broker that Home Assistant is at: mqtt[s]://[user:password@]host[:port]; empty: none."
        ),
    ] = ""
    enabled: Annotated[
        bool,
        Meta(
            description="false, with the url still there: what Home Assistant was told of is taken away again when the "
            "gateway starts."
        ),
    ] = True
    password_file: PasswordFile = ""
    ca_file: CaFile = ""
    cert_file: CertFile = ""
    key_file: KeyFile = ""
    prefix: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", description="Its discovery prefix.")
    ] = "homeassistant"
    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,64}$",
            description="What this gateway is called there; each gateway at one broker wants a name of its own. "
            "Its topics begin with earshot-ha/<name>/.",
        ),
    ] = "earshot"
    seconds: Annotated[
        float,
        Meta(ge=0.1, le=3_600, description="A device's state is told no more often than once in so many."),
    ] = 1.0
