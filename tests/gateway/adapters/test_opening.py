"""Adapters are there where they are configured, and nothing of them is loaded anywhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = """
import asyncio, sys, tempfile
import msgspec
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig

async def main(folder):
    config = msgspec.convert({
        "devices": {"serial": {"ports": []}, "mqtt": {"url": ""}}, "transcription": {"engine": "off"},
        "journal": {"path": f"{folder}/j.db"}, "web": {"enabled": False}, "orchestrator": {"app": ""},
        "adapters": ADAPTERS,
    }, GatewayConfig)
    async with Gateway(config) as gateway:
        while config.adapters.wyoming.listen and "wyoming" not in gateway.health.report().components:
            await asyncio.sleep(0.01)

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(folder))
print("\\nLOADED", *sorted(sys.modules))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adapters", "there"), [("{}", False), ("{'wyoming': {'listen': ['tcp://127.0.0.1:0']}}", True)]
)
def test_what_is_not_configured_is_not_loaded(adapters: str, there: bool) -> None:  # noqa: FBT001
    code = LOADED.replace("ADAPTERS", adapters)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert ("gateway.adapters.wyoming.wire" in loaded) is there
    ours = {name for name in loaded if name.startswith("gateway.adapters") or name in {"zeroconf", "wyoming"}}
    assert "zeroconf" not in ours  # nobody else can come there
    if not there:
        assert ours <= {"gateway.adapters", "gateway.adapters.doors"}
