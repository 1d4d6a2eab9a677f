"""``earshot simulate``: a device that speaks recordings to a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials
from firmware_bridge.link.frames import Codec
from firmware_bridge.simulator.flash import SimulatedFlash
from firmware_bridge.simulator.simulator import SimulateOptions, WireRefused, simulate
from firmware_bridge.simulator.user import (
    FaultShown,
    Linked,
    PartialShown,
    ReplyShown,
    Report,
    SpeechEnded,
    StatusShown,
    StreamBegan,
    TranscriptShown,
    WireChanged,
    WireMissing,
)
from firmware_bridge.simulator.wires import Mischief
from gateway.access.loopback import is_loopback
from gateway.access.mqtt_secret import read_passwords
from gateway.client.credentials import Introduction
from gateway.client.device_socket import WebSocketWire
from gateway.commands.options import (
    as_long_as_somebody_reads,
    config_option,
    own_folder,
    own_page,
    read_config,
    token_option,
)
from gateway.contract.escaping import one_line

CODECS = {"pcm16": Codec.PCM16, "adpcm": Codec.IMA_ADPCM}
_CHANCE = click.FloatRange(0, 1)
_SECONDS = click.FloatRange(0)


@click.command("simulate")
@click.option("--serial", default="", metavar="PORT", help="Speak on this serial port.")
@click.option(
    "--baudrate",
    type=click.IntRange(9600, 4_000_000),
    default=921_600,
    show_default=True,
    help="Of --serial.",
)
@click.option(
    "--pty", default="", metavar="PATH", help="Make a pseudo-terminal appear there, as a plugged-in board."
)
@click.option("--mqtt", default="", metavar="URL", help="Speak over this MQTT broker: mqtt[s]://host[:port].")
@click.option(
    "--ws",
    default="",
    metavar="URL",
    help="Speak over a WebSocket to this gateway, as a browser does: its page's. Without any of these: to the gateway "
    "of this machine.",
)
@config_option
@token_option
@click.option(
    "--ca-file",
    default="",
    metavar="FILE",
    help="mqtts, https: who signs the broker's or gateway's certificate.",
)
@click.option("--cert-file", default="", metavar="FILE", help="mqtts: the device's own certificate.")
@click.option("--key-file", default="", metavar="FILE", help="mqtts: its private key.")
@click.option("--prefix", default="earshot/v1", show_default=True, help="First levels of the MQTT topics.")
@click.option("--id", "device_id", default="simulated", show_default=True, help="The device's id.")
@click.option(
    "--wav",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What to say: 16 kHz, mono, 16 bit; may be repeated. Without it: three commands that come with Earshot.",
)
@click.option(
    "--once/--loop", default=True, help="Say everything once and end (the default), or until Ctrl-C."
)
@click.option(
    "--pause",
    "pause_seconds",
    type=_SECONDS,
    default=0.5,
    show_default=True,
    help="Seconds between two utterances.",
)
@click.option(
    "--end-on-silence", is_flag=True, help="Let the gateway find the end of speech; else push-to-talk."
)
@click.option(
    "--codec",
    type=click.Choice(list(CODECS)),
    default="pcm16",
    show_default=True,
    help="How the audio travels; adpcm needs a quarter of the wire.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Times real time.",
)
@click.option(
    "--ring",
    "ring_frames",
    type=click.IntRange(0, 65535),
    default=1500,
    show_default=True,
    help="Frames the device can keep.",
)
@click.option(
    "--key",
    envvar="EARSHOT_DEVICE_KEY",
    default="",
    metavar="HEX",
    help="What it proves who it is with (earshot devices key); better in $EARSHOT_DEVICE_KEY.",
)
@click.option(
    "--image-key",
    default="",
    metavar="HEX",
    help="Take firmware over the air that is signed by this key (earshot firmware keygen prints it).",
)
@click.option("--kind", default="simulator", show_default=True, help="Which images are for it.")
@click.option(
    "--patience", type=_SECONDS, default=30.0, show_default=True, help="Seconds to wait for a reply."
)
@click.option(
    "--corrupt", type=_CHANCE, default=0.0, metavar="RATE", help="Share of frames to corrupt, 0 to 1."
)
@click.option("--drop", type=_CHANCE, default=0.0, metavar="RATE", help="Share of frames to lose.")
@click.option("--duplicate", type=_CHANCE, default=0.0, metavar="RATE", help="Share of frames to send twice.")
@click.option(
    "--delay", type=_CHANCE, default=0.0, metavar="RATE", help="Share of frames to send late, out of order."
)
@click.option(
    "--unplug",
    "unplug_seconds",
    type=_SECONDS,
    default=0.0,
    metavar="SECONDS",
    help="Break the wire this often.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed does the same mischief.")
def command(*, codec: str, once: bool, config_path: Path | None, **options: Any) -> None:
    """Be an ESP32 that speaks recordings to a gateway, on a serial line, over MQTT or on a WebSocket.

    It speaks the real protocol (docs/protocol.md) in real time, and can misbehave. Exit status 0 when every
    utterance got its transcript and its orchestrator's reply.

    \b
    earshot simulate                            # to the gateway of ./config.yaml, or with the defaults
    earshot simulate --mqtt mqtt://127.0.0.1:1883 --id kitchen
    earshot simulate --ws http://127.0.0.1:8080/
    earshot simulate --pty /tmp/esp32           # with devices.serial.ports: [/tmp/esp32]
    earshot simulate --serial /dev/ttyUSB1 --wav hello.wav --end-on-silence
    earshot simulate --mqtt mqtt://127.0.0.1 --loop --drop 0.05 --corrupt 0.05 --unplug 10
    """  # noqa: D301
    mischief = Mischief(
        **{
            name: options.pop(name)
            for name in ("seed", "corrupt", "drop", "duplicate", "delay", "unplug_seconds")
        }
    )
    options["mqtt"] = _with_login(options["mqtt"], options["device_id"], config_path)
    options["key"] = _key(options["key"], "--key")
    image_key = _key(options.pop("image_key"), "--image-key")
    options["flash"] = SimulatedFlash(image_key) if image_key else None
    files = Credentials(**{name: options.pop(name) for name in ("ca_file", "cert_file", "key_file")})
    url = options.pop("ws")
    if not url and not any(options[carrier] for carrier in ("serial", "pty", "mqtt")):
        url, own_certificate = own_page(config_path)
        files = replace(files, ca_file=files.ca_file or own_certificate)
    introduction = Introduction(options.pop("token"), files.ca_file if url else "")
    other = partial(WebSocketWire, url, introduction) if url else None
    files = Credentials() if url else files
    said = SimulateOptions(other=other, codec=CODECS[codec], mischief=mischief, credentials=files, **options)
    status = 1 if once else 0  # when it is ended before everything was said
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError), as_long_as_somebody_reads():
        try:
            status = asyncio.run(_simulate(said, once=once))
        except WireRefused as error:
            raise click.ClickException(f"{one_line(str(error))}\nremedy: {error.remedy}") from error
        except ValueError as error:  # options that make no sense, or a bad recording
            raise click.UsageError(str(error)) from error
    sys.exit(status)


def _key(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise click.BadParameter("expected hexadecimal digits", param_hint=option) from error


def _with_login(url: str, device_id: str, config_path: Path | None) -> str:
    """The URL as it is said; of this machine's own embedded broker, with what the device logs in with, if we may."""
    if not url or "@" in url:
        return url
    config = read_config(config_path)
    mqtt = config.devices.mqtt
    try:
        address = BrokerAddress.parse(url)
    except ValueError:  # told by whoever uses it
        return url
    if mqtt.url != "embedded" or address.tls or not is_loopback(address.host):
        return url
    if mqtt.embedded_port not in (0, address.port):
        return url
    with contextlib.suppress(OSError):
        return read_passwords(own_folder(config, config_path)).url(url, device_id)
    return url


async def _simulate(options: SimulateOptions, *, once: bool) -> int:
    # A supervisor's end is Ctrl-C's: the board is unplugged, its port does not stay behind.
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    status = await simulate(options, _show)
    while not once:
        status |= await simulate(options, _show)
    return status


def _show(report: Report) -> None:
    click.echo(f"{one_line(report.device_id):<16} {one_line(words(report))}")


def words(report: Report) -> str:  # noqa: C901, PLR0911 - one for each kind of report
    """A report in words."""
    match report:
        case WireChanged():
            return "wire up, waits for a gateway" if report.up else "wire down"
        case WireMissing():
            return f"no wire: {report.reason}" + (f" ({report.remedy})" if report.remedy else "")
        case Linked():
            return "welcomed by the gateway"
        case StreamBegan():
            return f"speaking (stream {report.stream})"
        case SpeechEnded():
            return f"spoke for {report.seconds:.1f} s"
        case StatusShown():
            return f"status: {report.status.name.lower()}"
        case PartialShown():
            return f"hears: {report.stable} [{report.text[len(report.stable) :].strip()}] ..."
        case TranscriptShown():
            return f'heard: "{report.text}"  {report.correlation_id}'
        case ReplyShown():
            kind = "error" if report.error else "fallback reply" if report.fallback else "reply"
            return f'{kind}: "{report.text}"{"" if report.final else " ..."}  {report.correlation_id}'
        case FaultShown():
            return f"refused: {report.code.name.lower()} {report.message}"
