"""Adapters are there where they are configured, and nothing of them is loaded anywhere else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

LOADED = """
import asyncio, sys, tempfile
import msgspec
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig

async def main(folder):
    config = msgspec.convert({
        "devices": {"serial": {"ports": []}, "mqtt": {"url": ""}}, "transcription": {"engine": "off"},
        "journal": {"path": f"{folder}/j.db"}, "web": {"port": 0}, "orchestrator": {"app": ""},
        "adapters": ADAPTERS,
    }, GatewayConfig)
    async with Gateway(config) as gateway:
        while not {WANTED} <= set(sys.modules):
            await asyncio.sleep(0.01)

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(folder))
print("\\nLOADED", *sorted(sys.modules))
"""
WIRE, ROUTES, HOME = (
    "gateway.adapters.wyoming.wire",
    "gateway.web.openai.routes",
    "gateway.adapters.home_assistant.adapter",
)
THEIRS = ("gateway.adapters", "gateway.web.openai")
FOREIGN = {"zeroconf", "wyoming", "openai", "paho", "av", "soxr"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adapters", "there"),
    [
        ({}, ""),
        ({"wyoming": {"listen": ["tcp://127.0.0.1:0"]}}, WIRE),
        ({"openai": {"enabled": True}}, ROUTES),
        ({"home_assistant": {"url": "mqtt://127.0.0.1:1"}}, HOME),
    ],
    ids=["none", "wyoming", "openai", "home_assistant"],
)
def test_what_is_not_configured_is_not_loaded(adapters: dict[str, Any], there: str) -> None:
    code = LOADED.replace("ADAPTERS", repr(adapters)).replace("WANTED", f"*{[there] if there else []}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert loaded & {WIRE, ROUTES, HOME} == ({there} if there else set())
    if there != HOME:
        assert not loaded & {"paho"}
    assert not loaded & (FOREIGN - {"paho"})  # zeroconf: nobody else can come there
    if not there:
        assert {name for name in loaded if name.startswith(THEIRS)} <= {
            "gateway.adapters",
            "gateway.adapters.doors",
        }
