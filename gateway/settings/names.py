"""The section `names:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.settings.mqtt_login import CaFile, CertFile, KeyFile, PasswordFile


class AssistNamesSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Home Assistant lets its voice assistants see: exposed entities, their aliases, areas and floors."""

    url: Annotated[
        str,
        Meta(
            description="Its address, as http[s]://host:port; empty: it is not asked. It wants a long-lived access "
            "token (in its profile, Security)."
        ),
    ] = ""
    token_file: Annotated[
        str,
        Meta(
            description="A file whose first line is that token; a relative name is looked up among systemd's "
            "credentials (LoadCredential=). Empty: $EARSHOT_NAMES_HOME_ASSISTANT_TOKEN, or the credential "
            "names-home-assistant-token."
        ),
    ] = ""
    ca_file: Annotated[
        str, Meta(description="https: who signed its certificate (PEM). Empty: whom this machine trusts.")
    ] = ""


class DiscoveredNamesSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What devices tell of themselves by Home Assistant's MQTT discovery."""

    url: Annotated[
        str,
        Meta(
            description="The MQTT broker they are told at: mqtt[s]://[user:password@]host[:port]; empty: none is read."
        ),
    ] = ""
    password_file: PasswordFile = ""
    ca_file: CaFile = ""
    cert_file: CertFile = ""
    key_file: KeyFile = ""
    prefix: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", description="The discovery prefix.")
    ] = "homeassistant"


class NamesSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of the house, which the recognizer is told so that it spells them right (docs/names.md).

    Each source that is configured is asked.
    """

    file: Annotated[
        str,
        Meta(
            description="A YAML file with names by room, watched for changes. Example of what stands in it: "
            "{kitchen: [Vitamix, Ecobee], '*': [Siobhan]}. Empty: none."
        ),
    ] = ""
    home_assistant: Annotated[
        AssistNamesSettings, Meta(description="Home Assistant's exposed entities, areas, floors and aliases.")
    ] = AssistNamesSettings()
    mqtt: Annotated[
        DiscoveredNamesSettings, Meta(description="Names in Home Assistant's MQTT discovery.")
    ] = DiscoveredNamesSettings()
    refresh_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="Home Assistant is asked again when somebody speaks and what is known is older than this. "
            "Nobody waits for it: what is known is taken.",
        ),
    ] = 30.0
