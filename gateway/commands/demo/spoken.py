"""The demo with a visitor in it: a gateway with its defaults and a microphone of this machine, and nobody simulated."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

import msgspec

from firmware_bridge.microphones.names import inputs
from firmware_bridge.microphones.records import GaveUp
from firmware_bridge.microphones.sound_process import look
from firmware_bridge.settings import DeviceSettings, MicrophoneSettings, MqttSettings, SerialSettings
from firmware_bridge.speech_files import recordings
from gateway.app import Gateway
from gateway.client.listener import Listener
from gateway.commands.demo.demo import (
    SERIAL_SPEECH,
    START_SECONDS,
    page_port,
    ready,
    temporary_folder,
    what_is_missing,
)
from gateway.commands.demo.screen import Screen
from gateway.config.configuration import GatewayConfig
from gateway.contract.escaping import in_lines, json_text
from gateway.contract.events import DeliveryEvent, ListenerEvent, PartialEvent, ReplyEvent, TranscriptionEvent
from gateway.observing import log as logging
from gateway.settings.journal import JournalSettings
from gateway.settings.log import LogSettings
from gateway.settings.web import WebSettings

VISITOR = "visitor"
"""The microphone's id as a device."""
SUGGESTED = 3
"""Sentences that a visitor is offered: the bundled model knows few words."""


async def run_spoken_demo(microphone: str, *, once: bool, json_lines: bool) -> int:
    """Run it; with ``once`` until something was said and answered, else until Ctrl-C. Returns the exit status."""
    logging.configure(LogSettings(level="error", format="text"))
    if problem := await _problem(microphone):
        _complain(f"{problem.reason}\nremedy: {problem.remedy}")
        return 1
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(temporary_folder())
        screen = stack.enter_context(Screen(quiet=json_lines, once=once))
        screen.say("Starting the gateway: memory broker, bundled model, your microphone ...")
        async with Gateway(_config(microphone, folder)) as gateway:
            try:
                await ready(gateway)
                await _opened(gateway)
            except TimeoutError:
                _complain("\n".join(what_is_missing(gateway.health.report())))
                return 1
            screen.say(f"The page is at {gateway.url}")
            async with Listener(gateway.url) as listener:
                _invite(screen)
                return await _converse(listener, screen, once=once, json_lines=json_lines)


async def _problem(microphone: str) -> GaveUp | None:
    """Why nobody can speak here; None: there is a microphone."""
    found = await look()
    if isinstance(found, GaveUp):
        return found
    if inputs(microphone, found):
        return None
    there = ", ".join(one.name for one in found if one.inputs > 0) or "none at all"
    return GaveUp(
        f"there is no microphone {microphone} (there is: {there})",
        "plug one in, or run the demo without: make demo",
    )


def _config(microphone: str, folder: str) -> GatewayConfig:
    return GatewayConfig(
        devices=DeviceSettings(
            serial=SerialSettings(ports=()),
            mqtt=MqttSettings(url=""),
            microphones={VISITOR: MicrophoneSettings(name=microphone)},
        ),
        journal=JournalSettings(path=f"{folder}/journal.db"),
        web=WebSettings(port=page_port()),
    )


async def _opened(gateway: Gateway) -> None:
    """Wait until the microphone is a device that is here."""
    async with asyncio.timeout(START_SECONDS):
        while not any(one.connected for one in gateway.bridge.devices()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _converse(listener: Listener, screen: Screen, *, once: bool, json_lines: bool) -> int:
    """Show what is said and answered, until nobody listens any more."""
    said: dict[str, TranscriptionEvent] = {}
    async for event in listener:
        _show(screen, event)
        if isinstance(event, TranscriptionEvent):
            said[event.correlation_id] = event
        if isinstance(event, ReplyEvent) and event.final:
            heard = said.pop(event.correlation_id, None)
            if heard is not None and json_lines:
                print(_line(heard, event), flush=True)  # noqa: T201
        if once and isinstance(event, DeliveryEvent):
            return 0
    return 1


def _invite(screen: Screen) -> None:
    texts = {one.path.stem: one.text for one in recordings()}
    screen.say("Speak. The bundled model knows 178 words; it understands, for example:")
    for name in SERIAL_SPEECH[:SUGGESTED]:
        screen.say(f"    {texts[name]}")


def _show(screen: Screen, event: ListenerEvent) -> None:
    """A row begins with the first word: of a slammed door there is none."""
    if isinstance(event, PartialEvent | TranscriptionEvent) and not screen.is_open(event.device_id):
        screen.speaking(event.device_id, "microphone", "")
    screen.show(event)


def _line(heard: TranscriptionEvent, reply: ReplyEvent) -> str:
    """One line for machines."""
    told = {"device_id": heard.device_id, "correlation_id": heard.correlation_id, "transcript": heard.text,
            "reply": reply.text, "speech_to_text_ms": heard.timings.text_ms}  # fmt: skip
    return json_text(msgspec.json.encode(told).decode())


def _complain(text: str) -> None:
    print(in_lines(text), file=sys.stderr)  # noqa: T201
