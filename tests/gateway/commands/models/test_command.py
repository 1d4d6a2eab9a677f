"""``earshot models``: what a person sees of the models, and does with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.commands.cli import main
from gateway.config import loading as config_module
from tests.transcription.hub_server import LARGE, NAME, HubServer, model_folder, serve_hub


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for models, on a machine without a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_module, "SYSTEM_CONFIG", tmp_path / "none" / "config.yaml")
    monkeypatch.setenv("EARSHOT_TRANSCRIPTION__MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "models"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serve_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def earshot(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["models", *arguments])


def test_the_list_says_what_is_here_and_how_the_others_come() -> None:
    lines = earshot("list").output.splitlines()
    (bundled,) = [line for line in lines if " bundled " in line]
    assert bundled.startswith("*")
    assert "English" in bundled
    assert "3.0 s" in bundled
    assert any("on the hub: earshot models fetch large-v3-turbo" in line for line in lines)


def test_the_list_for_programs() -> None:
    models = json.loads(earshot("list", "--json").output)
    assert models[0]["name"] == "bundled"
    assert models[0]["configured"] is True
    assert {"name", "origin", "path", "size", "multilingual", "shortest_context", "configured"} == models[
        0
    ].keys()


def test_a_model_comes_and_goes(server: HubServer, cache: Path) -> None:
    said = earshot("fetch", NAME)
    assert said.exit_code == 0
    assert f"{NAME} is in {cache}" in said.output
    assert "every file has the hub's checksum" in said.output
    assert "transcription.model: tiny.en" in said.output
    assert "is here already" in earshot("fetch", NAME).output
    assert any(f" {NAME} " in line and "fetched" in line for line in earshot("list").output.splitlines())
    assert earshot("remove", NAME).output == f"{NAME} is removed: 4 MB are free again\n"
    assert not model_folder(cache).exists()


def test_a_fetch_that_fails_says_why_and_what_to_do(server: HubServer) -> None:
    server.tell = server.listing()
    server.files[LARGE] = b"x" * len(server.files[LARGE])
    said = earshot("fetch", NAME)
    assert said.exit_code == 1
    assert "model.bin has not the checksum" in said.output
    assert "remedy: fetch it again" in said.output


def test_offline_means_offline(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_TRANSCRIPTION__OFFLINE", "true")
    said = earshot("fetch", NAME)
    assert said.exit_code == 1
    assert "fetching is switched off" in said.output
    assert not server.asked


def test_an_unknown_name_gets_the_near_miss() -> None:
    said = earshot("fetch", "tiny-en")
    assert said.exit_code == 1
    assert "did you mean tiny.en?" in said.output


def test_what_must_not_go_stays(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "part of Earshot" in earshot("remove", "bundled").output
    assert earshot("fetch", NAME).exit_code == 0
    monkeypatch.setenv("EARSHOT_TRANSCRIPTION__MODEL", NAME)
    said = earshot("remove", NAME)
    assert said.exit_code == 1
    assert "configured model" in said.output
    assert earshot("remove", NAME, "--force").exit_code == 0
