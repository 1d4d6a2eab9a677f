"""``orchestrator.agents.NAME.commands``: an agent of kind commands."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class CommandsMqtt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The MQTT broker that commands publish to."""

    url: Annotated[
        str,
        Meta(
            description="mqtt[s]://[user:password@]host[:port]; empty: that of the devices (devices.mqtt), unless it "
            "is embedded."
        ),
    ] = ""
    password_file: Annotated[
        str, Meta(description="A file whose first line is the password of the URL's user.")
    ] = ""
    ca_file: Annotated[
        str, Meta(description="mqtts: who signed its certificate (PEM). Empty: whom this machine trusts.")
    ] = ""
    cert_file: Annotated[
        str, Meta(description="mqtts: our own certificate (PEM), where the broker asks for one.")
    ] = ""
    key_file: Annotated[
        str, Meta(description="mqtts: its private key (PEM), unless that is in cert_file.")
    ] = ""


class CommandsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Patterns with slots, and what is said and done where one fits."""

    file: Annotated[
        str,
        Meta(
            description="The file with the commands (YAML, docs/ready-made-agents.md), read again when it changes; "
            "'demo': those of the demo's house."
        ),
    ] = ""
    mqtt: Annotated[CommandsMqtt, Meta(description="Where messages are published.")] = CommandsMqtt()
    token_for: Annotated[
        tuple[Annotated[str, Meta(max_length=300)], ...],
        Meta(
            max_length=100,
            description="The servers (http[s]://host[:port]) that commands may send the agent's token to.",
        ),
    ] = ()
    shell: Annotated[
        dict[
            Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$")],
            Annotated[tuple[Annotated[str, Meta(max_length=2_000)], ...], Meta(min_length=1, max_length=64)],
        ],
        Meta(
            max_length=100,
            description="Programs that commands may run, by name: the program's path and its arguments, of which "
            "each may have slots ({name}). No shell reads them; 10 s and 64 KiB each. Not to be set over the network.",
        ),
    ] = {}
