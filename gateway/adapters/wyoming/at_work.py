"""Wyoming at work: all that the gateway does for whoever speaks it, on every place where they may come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from types import ModuleType

from gateway.access.loopback import is_loopback
from gateway.adapters.asking import ProgramQuestions, longest_answer
from gateway.adapters.doors import AdapterDoor
from gateway.adapters.parts import AdapterParts
from gateway.adapters.wyoming.conversation import ConversationAgent
from gateway.adapters.wyoming.conversations import ConversationService
from gateway.adapters.wyoming.places import ListeningPlace
from gateway.adapters.wyoming.respondents import Service
from gateway.adapters.wyoming.server import WyomingServer
from gateway.adapters.wyoming.speech_to_text import SpeechToText
from gateway.observing.health import Health, HealthState
from gateway.process.ending import until_done

ADAPTER = "wyoming"
DISCOVERY = "wyoming discovery"


def serving(parts: AdapterParts) -> Callable[[], Awaitable[None]]:
    """The work: whoever comes is served, until it is cancelled."""
    return partial(_serve, parts)


async def _serve(parts: AdapterParts) -> None:
    settings = parts.config.adapters.wyoming
    door = AdapterDoor(ADAPTER, parts.health, allow=settings.allow, connections=settings.connections)

    def while_open(places: Sequence[ListeningPlace]) -> AbstractAsyncContextManager[None]:
        return announced(places, parts.health) if settings.zeroconf else nullcontext()

    made = await asyncio.to_thread(version, "earshot-gateway")
    server = WyomingServer(
        settings.listen, services(parts, made), door, parts.health.mishaps, while_open=while_open
    )
    await server.run()


def services(parts: AdapterParts, made: str) -> list[Service]:
    """What is done here. ``made``: the gateway's version."""
    config, pipeline = parts.config, parts.pipeline
    settings = config.adapters.wyoming
    ears = SpeechToText(pipeline.dictations, parts.recognizer, version=made, partial_ms=settings.partial_ms)
    if not settings.conversation:
        return [ears]
    questions = ProgramQuestions(pipeline.ask, lambda: longest_answer(config.orchestrator))
    return [ears, ConversationService(ConversationAgent(questions), parts.health.mishaps, version=made)]


@asynccontextmanager
async def announced(places: Sequence[ListeningPlace], health: Health) -> AsyncIterator[None]:
    """Found by others, meanwhile, where others can come."""
    tasks = [
        asyncio.create_task(
            health.mishaps.keep_up(DISCOVERY, partial(_announce, place, health)), name=DISCOVERY
        )
        for place in places
        if place.port and not is_loopback(place.host)
    ]
    try:
        yield
    finally:
        await until_done(tasks)  # they say that it is gone


async def _announce(place: ListeningPlace, health: Health) -> None:
    try:
        discovery = await asyncio.to_thread(_discovery)
    except ModuleNotFoundError:
        _tell(health, "the extra zeroconf is not installed", "pip install 'earshot-gateway[zeroconf]'")
        return
    find = partial(discovery.addresses_for, place.host)
    await discovery.Announcement(place.port, find, on_state=partial(_tell, health)).run()


def _discovery() -> ModuleType:
    """An extra, which takes its time. Raises ModuleNotFoundError."""
    from gateway.adapters.wyoming import discovery  # noqa: PLC0415

    return discovery


def _tell(health: Health, why: str, remedy: str = "") -> None:
    """It is a comfort, and nobody's gateway is worse without."""
    notice = f"Home Assistant does not find the gateway by itself: {why}" if why else ""
    remedy = remedy or "add the integration Wyoming Protocol in Home Assistant by host and port"
    health.set(DISCOVERY, HealthState.HEALTHY, remedy=remedy if why else "", notice=notice)
