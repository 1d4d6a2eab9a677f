"""What tests of the links share: a recorder to wait on, and pseudo-terminals."""

from __future__ import annotations

import contextlib
import os
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.link.events import AudioReceived, DeviceStatus, StreamStopped
from firmware_bridge.settings import DeviceSettings, MqttSettings, SerialSettings
from tests.record import Record


@pytest.fixture
def heard() -> Record:
    """A recorder for one test."""
    return Record()


@pytest.fixture
def recorder() -> type[Record]:
    """More recorders for one test."""
    return Record


class Terminal:
    """A pseudo-terminal whose slave has a stable name; ``ours`` is the device's side."""

    def __init__(self, name: Path) -> None:
        self.name = name
        self.ours, self.theirs = os.openpty()
        tty.setraw(self.theirs)
        name.symlink_to(os.ttyname(self.theirs))

    def unplug(self) -> None:
        """Take it away: the name vanishes, whoever has it open sees a hangup. Idempotent."""
        self.name.unlink(missing_ok=True)
        for descriptor in (self.ours, self.theirs):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.ours = self.theirs = -1


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[str], Terminal]]:
    """Makes pseudo-terminals in the test's own folder."""
    made: list[Terminal] = []

    def make(name: str = "usb-earshot") -> Terminal:
        made.append(Terminal(tmp_path / name))
        return made[-1]

    yield make
    for one in made:
        one.unplug()


class Gateway:
    """A bridge and the least of a pipeline: keeps all audio, calls it durable, answers every stream."""

    def __init__(self, settings: DeviceSettings, *, settles: bool = True) -> None:
        self.is_fenced = False
        self.heard = Record()
        self.delivered = Record()
        self.audio: dict[tuple[str, int], bytearray] = {}
        self.lost_samples = 0
        self.settles = settles
        self.bridge = Bridge(
            settings,
            self._event,
            lambda *reply: self.delivered(reply),
            is_fenced=lambda: self.is_fenced,
        )

    def _event(self, event: Any) -> None:
        match event:
            case AudioReceived():
                audio = self.audio.setdefault((event.device_id, event.stream), bytearray())
                assert event.position == len(audio) // 2 + event.lost_samples
                audio.extend(bytes(2 * event.lost_samples) + event.pcm)
                self.lost_samples += event.lost_samples
                if self.settles:
                    self.bridge.settle(event.device_id, event.boot, event.stream, len(audio) // 2)
            case StreamStopped():
                self.lost_samples += event.lost_samples
                self._answer(event)
        self.heard(event)

    def _answer(self, event: StreamStopped) -> None:
        whom = (event.device_id, event.boot, event.stream)
        correlation_id = f"c_{event.device_id}_{event.stream}"
        assert self.bridge.send_status(*whom, DeviceStatus.TRANSCRIBING)
        assert self.bridge.send_transcript(*whom, correlation_id, f"text for {event.device_id}")
        assert self.bridge.send_reply(*whom, correlation_id, f"reply to {event.device_id}", final=True)


@pytest.fixture
def gateway() -> Callable[..., AbstractAsyncContextManager[Gateway]]:
    """Runs a gateway on serial ports and an MQTT broker."""

    @asynccontextmanager
    async def run(
        *ports: str | Path, mqtt: str | MqttSettings = "", settles: bool = True, **settings: Any
    ) -> AsyncIterator[Gateway]:
        one = Gateway(
            DeviceSettings(
                serial=SerialSettings(ports=tuple(map(str, ports)), scan_seconds=0.02),
                mqtt=mqtt if isinstance(mqtt, MqttSettings) else MqttSettings(url=mqtt, embedded_port=0),
                **settings,
            ),
            settles=settles,
        )
        async with one.bridge:
            yield one

    return run
