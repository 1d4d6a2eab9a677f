"""The doctor's look at the names of the house."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gateway.commands.doctor.finding import ok, warn
from gateway.commands.doctor.names import names
from gateway.config.configuration import GatewayConfig


def config(model: str = "base", **sources: Any) -> GatewayConfig:
    return msgspec.convert({"names": sources, "transcription": {"model": model}}, GatewayConfig)


def test_what_is_not_configured_is_not_mentioned() -> None:
    assert list(names(config())) == []


def test_each_source_is_asked(tmp_path: Path, free_tcp_port: int) -> None:
    (tmp_path / "names.yaml").write_text("kitchen: [Vitamix]")
    (tmp_path / "token").write_text("secret")
    url = f"http://127.0.0.1:{free_tcp_port}"
    home_assistant = {"url": url, "token_file": str(tmp_path / "token")}
    found = {
        one.detail: one
        for one in names(config(file=str(tmp_path / "names.yaml"), home_assistant=home_assistant))
    }
    [known] = [one for detail, one in found.items() if detail.startswith("file: 2 names at ")]
    assert known == ok("names", known.detail)
    away = f"Home Assistant: {url} is not there: Connection refused"
    assert found[away] == warn("names", away, "start Home Assistant, or correct names.home_assistant.url")
    assert "secret" not in str(found)


def test_a_model_that_is_told_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("kitchen: [Vitamix]")
    said, *_ = [
        one
        for one in names(config("distil-small.en", file=str(tmp_path / "names.yaml")))
        if one.state != "ok"
    ]
    assert "distil-small.en is not told any" in said.detail
