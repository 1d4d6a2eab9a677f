"""The demo where something is missing; where all is there, tests/system runs it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from msgspec import structs

from gateway.commands.demo import demo
from gateway.config.configuration import GatewayConfig
from transcription.settings import TranscriptionSettings

pytestmark = pytest.mark.slow

CONFIG = demo._config


@pytest.fixture
def model_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TranscriptionSettings(engine="faster-whisper", model="/no/such/model")

    def config(terminal: Path) -> GatewayConfig:
        return structs.replace(CONFIG(terminal), transcription=settings)

    monkeypatch.setattr(demo, "_config", config)
    monkeypatch.setattr(demo, "START_SECONDS", 3)


@pytest.mark.usefixtures("model_is_missing")
async def test_what_is_missing_is_said_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert await demo.run_demo(once=True, json_lines=True) == 1
    said = capsys.readouterr().err
    assert said.startswith("Not ready after 3 s:\n")
    assert "recognizer: there is no folder /no/such/model -> put the model there" in said
    assert "Traceback" not in said


def test_the_page_goes_elsewhere_when_its_port_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(demo, "PAGE_PORT", other.getsockname()[1])
        assert CONFIG(tmp_path).web.port == 0
