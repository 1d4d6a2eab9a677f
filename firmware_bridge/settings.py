"""Settings of the device links, as they stand in ``config.yaml`` under ``devices:``."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

_Token = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
DeviceId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=64)]
"""As in HELLO (`link/frames.py`)."""
_Room = Annotated[str, Meta(min_length=1, max_length=64)]
_Name = Annotated[str, Meta(max_length=64)]
_WakeWord = Annotated[str, Meta(pattern=r"^([a-z0-9_]{1,64}|.{1,4090}\.json)$")]
_Class: TypeAlias = Literal["urgent", "normal", "background"]


class SerialSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Devices on UART or USB-CDC."""

    ports: Annotated[
        tuple[str, ...],
        Meta(
            description="Ports or shell patterns to watch; each match is opened when it appears. "
            "Stable names (/dev/serial/by-id) are preferred. Empty: no serial devices."
        ),
    ] = ("/dev/serial/by-id/*",)
    baudrate: Annotated[
        int, Meta(ge=9600, le=4_000_000, description="8N1. 921600 carries PCM16; 115200 needs IMA ADPCM.")
    ] = 921_600
    scan_seconds: Annotated[float, Meta(gt=0, le=60, description="How often new ports are looked for.")] = 1.0


class MqttSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Devices on MQTT, native topics."""

    url: Annotated[
        str,
        Meta(
            description="The broker devices connect to: mqtt[s]://[user:password@]host[:port]; 'embedded' starts "
            "one inside the gateway (loopback only, for trying out; each device has a password of its own there: "
            "earshot devices mqtt-password ID); empty: no MQTT devices."
        ),
    ] = "embedded"
    password_file: Annotated[
        str,
        Meta(
            description="A file whose first line is the password of the URL's user. A relative name is looked up "
            "among systemd's credentials (LoadCredential=), then in the folder that the gateway was started in."
        ),
    ] = ""
    ca_file: Annotated[
        str,
        Meta(
            description="mqtts: who signs the broker's certificate (PEM); a path or a systemd credential. "
            "Empty: whom this machine trusts."
        ),
    ] = ""
    cert_file: Annotated[
        str, Meta(description="mqtts: the gateway's own certificate (PEM), where the broker asks for one.")
    ] = ""
    key_file: Annotated[
        str, Meta(description="mqtts: its private key (PEM), unless that is in cert_file, too.")
    ] = ""
    embedded_port: Annotated[int, Meta(ge=0, le=65535, description="The embedded broker's port.")] = 1883
    prefix: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", description="First levels of the topics.")
    ] = "earshot/v1"


class MicrophoneSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One microphone of this machine."""

    name: Annotated[str, Meta(min_length=1, max_length=128)] = "default"
    """As `earshot microphones` shows it, or a shell pattern; the first that fits and is nobody else's."""
    channel: Annotated[int, Meta(ge=0, le=64)] = 1
    """Which of its channels; 0: all of them, mixed."""
    rate: Annotated[int, Meta(ge=0, le=192_000)] = 0
    """In Hz; 0: 16,000 where it has that, else the best that it has."""
    gate_db: Annotated[float, Meta(ge=0, le=40)] = 6.0
    """So far above the room's noise begins what is listened to; 0: all of it is."""


class PrioritySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who goes first where many wait: urgent, normal (the default) or background.

    A class below another that waits has at least one turn in ten.
    """

    devices: Annotated[
        dict[DeviceId, _Class], Meta(description="By device id; it wins over the device's room.")
    ] = {}
    rooms: Annotated[
        dict[_Room, _Class], Meta(description="By room (devices.rooms); it wins over the device's user.")
    ] = {}
    users: Annotated[dict[_Token, _Class], Meta(description="By the user whose device it is.")] = {}


class KnownDevice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is written down about one device; what is empty is said elsewhere, or nowhere."""

    name: Annotated[_Name, Meta(description="What people call it.")] = ""
    room: Annotated[_Name, Meta(description="As in devices.rooms.")] = ""
    user: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$", description="Whose it is, as in devices.users.")
    ] = ""
    priority: Annotated[
        Literal["", "urgent", "normal", "background"],
        Meta(description="How urgent what it says is, as in devices.priorities.devices."),
    ] = ""


class WakeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is listened to only after a wake word, heard by the gateway; nobody by default. Needs the extra ``wake``.

    Push-to-talk needs none. A wake word is one that comes with it (alexa, hey_jarvis, hey_mycroft, okay_nabu) or the
    manifest (.json) of a model for microWakeWord.
    """

    devices: Annotated[
        dict[DeviceId, tuple[_WakeWord, ...]],
        Meta(
            description="By device id; it wins over the device's room. Example: {kitchen: [okay_nabu], hall: []}."
        ),
    ] = {}
    rooms: Annotated[
        dict[_Room, tuple[_WakeWord, ...]],
        Meta(description="By room (devices.rooms). Example: {Office: [/etc/earshot/hey_house.json]}."),
    ] = {}
    seconds: Annotated[
        float,
        Meta(
            ge=1, le=60, description="After the wake word, when nothing is said for so long, it is in vain."
        ),
    ] = 6.0
    certainty: Annotated[
        dict[_WakeWord, Annotated[float, Meta(gt=0, lt=1)]],
        Meta(
            description="By wake word, how sure its model must be, where that is not to be what it says itself. More: "
            "fewer false wakes, and more that are missed."
        ),
    ] = {}


class ArbitrationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where several devices of one user and one room hear the same voice, the one that hears it best answers."""

    enabled: Annotated[
        bool, Meta(description="Whether only one answers. A device whose button is held always answers.")
    ] = False
    groups: Annotated[
        dict[DeviceId, _Name],
        Meta(
            description="By device id, which devices can hear the same voice, where that is not its room "
            "(devices.rooms); empty: none. Example: {kitchen: downstairs, hall: downstairs, shed: ''}."
        ),
    ] = {}
    window_ms: Annotated[
        int,
        Meta(
            ge=50,
            le=2_000,
            description="So far apart one voice may come from two devices: the difference of their links and ways.",
        ),
    ] = 500


class DeviceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about devices and their wires."""

    serial: Annotated[SerialSettings, Meta(description="Serial lines.")] = SerialSettings()
    mqtt: Annotated[MqttSettings, Meta(description="MQTT.")] = MqttSettings()
    microphones: Annotated[
        dict[DeviceId, MicrophoneSettings],
        Meta(
            description="Microphones of this machine, by the device id that each gets: name (as `earshot microphones` "
            "shows it, or a shell pattern), channel (1; 0 mixes all), rate (0: chosen), gate_db (6; how far above the "
            "room's noise it is listened to, 0: always). Example: {desk: {name: 'USB*'}}."
        ),
    ] = {}
    loudspeaker: Annotated[
        str,
        Meta(
            max_length=128,
            description="A loudspeaker of this machine, by its name or a shell pattern: checked, and a test tone is "
            "played on request (earshot microphones --tone); nothing else is played yet. Empty: none.",
        ),
    ] = ""
    priorities: Annotated[PrioritySettings, Meta(description="Who goes first.")] = PrioritySettings()
    unknown: Annotated[
        Literal["open", "approve", "deny"],
        Meta(
            description="Devices that nobody has named here or approved: welcome (open), waiting until somebody "
            "approves them (on the page, or earshot devices approve ID), or refused (deny)."
        ),
    ] = "open"
    known: Annotated[
        dict[DeviceId, KnownDevice],
        Meta(
            description="Devices of the house by id, each with its name, room, user and priority (all optional): what "
            "users, rooms and priorities.devices say, in one place. What is said here and there has to be the same."
        ),
    ] = {}
    wake: Annotated[WakeSettings, Meta(description="Wake words.")] = WakeSettings()
    arbitration: Annotated[ArbitrationSettings, Meta(description="Several devices that hear one voice.")] = (
        ArbitrationSettings()
    )
    users: Annotated[
        dict[DeviceId, _Token], Meta(description="Which user a device belongs to, by device id.")
    ] = {}
    rooms: Annotated[
        dict[DeviceId, _Room],
        Meta(description="Which room a device is in, by device id; the page shows it."),
    ] = {}
    default_user: Annotated[_Token, Meta(description="The user of every device not named above.")] = "home"
    max_devices: Annotated[int, Meta(ge=1, le=10_000, description="Further devices are refused.")] = 256
    silence_seconds: Annotated[
        float, Meta(gt=0, description="A device that says nothing for so long counts as disconnected.")
    ] = 15.0
    credit_frames: Annotated[
        int, Meta(ge=8, le=4096, description="Frames a device may send ahead of the acknowledgement.")
    ] = 256
