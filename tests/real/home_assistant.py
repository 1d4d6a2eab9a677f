"""A real Home Assistant as a child process, and its owner: what a person does in its pages, by the same requests."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import aiohttp
import yaml

from firmware_bridge.link.events import SAMPLE_RATE
from tests.real.things import HOME_ASSISTANT, interpreter
from tests.record import PATIENCE
from tests.servers.process import ServerProcess, free_port

CHUNK_BYTES = 2048
"""As microphones of satellites send it."""
SECRET = "owner's password"
CONFIGURATION: dict[str, Any] = {
    "homeassistant": {"name": "House", "time_zone": "UTC", "country": "GB", "language": "en"},
    "logger": {"default": "warning", "logs": {"homeassistant.bootstrap": "info"}},
    "api": None,
    "websocket_api": None,
    "auth": None,
    "config": None,
    "onboarding": None,
    "conversation": None,
    "assist_pipeline": None,
    "automation": [],
    "input_boolean": {"fan": {"name": "Living room fan"}},
}


class HomeAssistant(ServerProcess):
    """One that nobody owns yet, with a fan that can be switched; ``more`` is added to its configuration."""

    READY: ClassVar[bytes] = b"Home Assistant initialized"

    def __init__(self, folder: Path, **more: Any) -> None:
        super().__init__(folder / "home-assistant")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = ""
        """Its owner's, once there is one."""
        self._programs = self.folder / "bin"
        self._programs.mkdir(parents=True)
        ffmpeg = self._programs / "ffmpeg"  # asked for its version alone
        ffmpeg.write_text("#!/bin/sh\necho ffmpeg version 6.0\n")
        ffmpeg.chmod(0o755)
        http = {"server_host": "127.0.0.1", "server_port": self.port}
        written = yaml.safe_dump(CONFIGURATION | {"http": http} | more)
        (self.folder / "configuration.yaml").write_text(written)

    def integrate(self, name: str, program: str) -> None:
        """An integration of our own, which its configuration names; before it is started."""
        folder = self.folder / "custom_components" / name
        folder.mkdir(parents=True)
        about = {"domain": name, "name": name, "version": "1.0.0", "dependencies": ["conversation"]}
        about |= {"codeowners": [], "documentation": "", "iot_class": "calculated", "requirements": []}
        (folder / "manifest.json").write_text(json.dumps(about))
        (folder / "__init__.py").write_text(program)

    def command(self) -> list[str]:
        return [str(interpreter(HOME_ASSISTANT)), "-m", "homeassistant", "-c", str(self.folder), "--skip-pip"]

    def environment(self) -> dict[str, str]:
        # What it may find of ours in its environment is ours.
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
        return kept | {"PATH": f"{self._programs}:{os.environ['PATH']}"}

    def complaints(self) -> list[str]:
        """Warnings and errors in its log so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if " WARNING " in line or " ERROR " in line]


@dataclass
class Spoken:
    """What a voice assistant made of an utterance; ``ended_at``: when its last, or the byte that ends it, was sent."""

    ended_at: float = 0.0
    done_at: float = 0.0
    text: str = ""
    answer: str = ""
    error: str = ""

    @property
    def wait_ms(self) -> float:
        """From the end of what was said to the answer."""
        return 1000 * (self.done_at - self.ended_at)

    def note(self, event: dict[str, Any]) -> None:
        """What happens in the pipeline."""
        match event:
            case {"type": "stt-end", "data": {"stt_output": {"text": text}}}:
                self.text = text
            case {"type": "intent-end", "data": {"intent_output": {"response": {"speech": speech}}}}:
                self.answer = speech.get("plain", {}).get("speech", "")
                self.done_at = time.monotonic()
            case {"type": "error", "data": {"message": message}}:
                self.error = message


class Owner:
    """Whoever set a Home Assistant up, at its pages."""

    def __init__(self, http: aiohttp.ClientSession, wire: aiohttp.ClientWebSocketResponse) -> None:
        self._http = http
        self._wire = wire
        self._last = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, house: HomeAssistant) -> AsyncIterator[Self]:
        """The first user of one that was started."""
        async with aiohttp.ClientSession(house.url) as http:
            house.token = house.token or await onboarded(http)
            http.headers["Authorization"] = f"Bearer {house.token}"
            async with http.ws_connect("/api/websocket") as wire:
                await wire.receive_json()
                await wire.send_json({"type": "auth", "access_token": house.token})
                assert (await wire.receive_json())["type"] == "auth_ok"
                yield cls(http, wire)

    async def settle(self) -> None:
        """Answer all that a new house asks its first user, so that its pages open. Some of it goes to the network."""
        for step in ("core_config", "analytics"):
            await self.post(f"/api/onboarding/{step}")
        client = str(self._http._base_url)
        await self.post("/api/onboarding/integration", client_id=client, redirect_uri=client)

    async def get(self, path: str) -> Any:
        """What one of its addresses answers."""
        async with self._http.get(path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, path: str, **body: object) -> Any:
        """What one of its addresses answers."""
        async with self._http.post(path, json=body) as answer:
            assert answer.status in {200, 201}, await answer.text()
            return await answer.json()

    async def delete(self, path: str) -> None:
        """What one of its addresses stands for is gone."""
        async with self._http.delete(path) as answer:
            assert answer.status == 200, await answer.text()

    async def ask(self, kind: str, **fields: object) -> Any:
        """A command of its WebSocket; its result. Events on the way are passed over."""
        number = await self.send(kind, **fields)
        while True:
            told = await self._wire.receive_json()
            if told["id"] == number and told["type"] == "result":
                assert told["success"], told
                return told["result"]

    async def send(self, kind: str, **fields: object) -> int:
        """A command of its WebSocket; its number."""
        self._last += 1
        await self._wire.send_json({"id": self._last, "type": kind} | fields)
        return self._last

    async def events(self, number: int) -> AsyncIterator[dict[str, Any]]:
        """What comes of a command, for ever."""
        while True:
            told = await self._wire.receive_json()
            assert told.get("success", True), told
            if told["id"] == number and told["type"] == "event":
                yield told["event"]

    async def audio(self, handler: int, pcm: bytes) -> None:
        """Sound for a pipeline that listens; none is its end."""
        await self._wire.send_bytes(bytes([handler]) + pcm)

    async def add(self, integration: str, **answers: object) -> dict[str, Any]:
        """Add an integration, by the form that it shows first; the entry."""
        form = await self.post("/api/config/config_entries/flow", handler=integration)
        assert form["type"] == "form", form
        done = await self.post(f"/api/config/config_entries/flow/{form['flow_id']}", **answers)
        assert done["type"] == "create_entry", done
        return dict(done["result"])

    async def states(self) -> dict[str, dict[str, Any]]:
        """All entities, by their ids."""
        return {one["entity_id"]: one for one in await self.get("/api/states")}

    async def sees(self, entity: str, state: str) -> dict[str, Any]:
        """Wait until an entity has that state; the entity."""
        async with asyncio.timeout(PATIENCE):
            while (found := (await self.states()).get(entity, {})).get("state") != state:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return found

    async def loses(self, entity: str) -> None:
        """Wait until there is no such entity."""
        async with asyncio.timeout(PATIENCE):
            while entity in await self.states():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def state(self, entity: str) -> str:
        """Of an entity."""
        return str((await self.get(f"/api/states/{entity}"))["state"])

    async def expose(self, *entities: str) -> None:
        """Voice may command them from now on."""
        await self.ask(
            "homeassistant/expose_entity",
            assistants=["conversation"],
            entity_ids=list(entities),
            should_expose=True,
        )

    async def speak(self, pipeline: str, pcm: bytes, *, trailing: float = 0.0) -> Spoken:
        """Say that to a voice assistant, as fast as it is spoken; what came of it.

        ``trailing``: seconds of silence behind it, in which Home Assistant may find out by itself that it has ended.
        """
        number = await self.send(
            "assist_pipeline/run",
            start_stage="stt",
            end_stage="intent",
            input={"sample_rate": SAMPLE_RATE},
            pipeline=pipeline,
        )
        spoken, saying = Spoken(), None
        async for event in self.events(number):
            spoken.note(event)
            if event["type"] == "run-start":
                handler = event["data"]["runner_data"]["stt_binary_handler_id"]
                saying = asyncio.create_task(self._say(handler, pcm, trailing, spoken))
            elif event["type"] in {"run-end", "error"}:
                break
        if saying is not None:
            saying.cancel()
        return spoken

    async def _say(self, handler: int, pcm: bytes, trailing: float, spoken: Spoken) -> None:
        clock = asyncio.get_running_loop()
        began, sound = clock.time(), pcm + bytes(2 * int(trailing * SAMPLE_RATE))
        for at in range(0, len(sound), CHUNK_BYTES):
            await asyncio.sleep(began + at / 2 / SAMPLE_RATE - clock.time())
            if at < len(pcm):
                spoken.ended_at = time.monotonic()
            await self.audio(handler, sound[at : at + CHUNK_BYTES])
        if not trailing:
            spoken.ended_at = time.monotonic()
        await self.audio(handler, b"")

    async def pipeline(self, stt: str, agent: str = "conversation.home_assistant", name: str = "Ours") -> str:
        """A voice assistant of that speech recognition and that agent; its id."""
        made = await self.ask(
            "assist_pipeline/pipeline/create",
            name=name,
            language="en",
            conversation_engine=agent,
            conversation_language="en",
            stt_engine=stt,
            stt_language="en",
            tts_engine=None,
            tts_language=None,
            tts_voice=None,
            wake_word_entity=None,
            wake_word_id=None,
        )
        return str(made["id"])


async def onboarded(http: aiohttp.ClientSession) -> str:
    """Its first user is made; an access token."""
    client = f"{http._base_url}"
    user = {"client_id": client, "name": "Owner", "username": "owner", "password": SECRET, "language": "en"}
    async with http.post("/api/onboarding/users", json=user) as answer:
        code = (await answer.json())["auth_code"]
    grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
    async with http.post("/auth/token", data=grant) as answer:
        return str((await answer.json())["access_token"])
