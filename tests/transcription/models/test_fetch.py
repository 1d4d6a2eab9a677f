"""Fetching a model by its name, and what a person is told when that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transcription.hub_server import NAME, REPOSITORY, HubServer, serve_hub
from transcription.errors import ModelUnavailable
from transcription.models.models import BUNDLED, find_model, get_model
from transcription.process.process import ProcessTranscriber
from transcription.settings import TranscriptionSettings
from transcription.whisper.engine import WhisperTranscriber


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with serve_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield hub


def test_a_model_is_fetched_once_and_found_afterwards(server: HubServer, tmp_path: Path) -> None:
    folder = get_model(NAME, models_dir=str(tmp_path))
    assert (folder / "model.bin").read_bytes() == (BUNDLED / "model.bin").read_bytes()
    asked = len(server.asked)
    assert get_model(NAME, models_dir=str(tmp_path)) == folder == find_model(REPOSITORY, str(tmp_path))
    assert len(server.asked) == asked


def test_half_a_model_is_fetched_to_its_end(server: HubServer, tmp_path: Path) -> None:
    folder = get_model(NAME, models_dir=str(tmp_path))
    (folder / "model.bin").unlink()
    assert find_model(NAME, str(tmp_path)) is None
    assert get_model(NAME, models_dir=str(tmp_path)) == folder
    assert (folder / "model.bin").exists()
    assert len(server.ranges()) == 1, "its bytes were still here"


@pytest.mark.slow
def test_no_network_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        ModelUnavailable, match=f"cannot fetch {REPOSITORY}: the hub cannot be reached"
    ) as caught:
        get_model(NAME, models_dir=str(tmp_path))
    assert f"https://huggingface.co/{REPOSITORY} to {tmp_path}/{NAME}" in caught.value.remedy


def test_a_repository_that_is_not_there(server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(
        ModelUnavailable, match="cannot fetch nobody/nothing: the hub has no such model"
    ) as caught:
        get_model("nobody/nothing", models_dir=str(tmp_path))
    assert "check the name" in caught.value.remedy


def test_the_hubs_own_switch_is_respected(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE is set") as caught:
        get_model(NAME, models_dir=str(tmp_path))
    assert "unset it" in caught.value.remedy
    assert not server.asked


def test_a_token_of_the_environment_is_used(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get_model(NAME, models_dir=str(tmp_path))
    assert {token for _path, _range, token in server.asked} == {"Bearer hf_secret"}


@pytest.mark.slow
def test_a_recognizers_process_fetches_and_tells_how_far_it_is(server: HubServer, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    settings = TranscriptionSettings(model=NAME, models_dir=str(tmp_path), threads=1)
    engine = ProcessTranscriber(WhisperTranscriber, settings)
    try:
        engine.load(lambda what, share: told.append((what, share)))
        assert (engine.engine, engine.model) == ("faster-whisper", NAME)
    finally:
        engine.close()
    assert told[0] == (f"fetching {NAME}: 0 % of 4 MB", 0.0)
