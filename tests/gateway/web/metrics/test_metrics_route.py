"""GET /metrics of a real gateway, as Prometheus' own client library reads it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from gateway.access.principals import Role
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
from gateway.observing.metrics.exposition import OPEN_TYPE, PLAIN_TYPE
from tests.gateway.access.keyring import Keyring
from tests.gateway.observing.test_orchestrator_health import configured

IDS = ("device_id", "session", "session_id", "user", "user_id", "correlation_id", "utterance_id")
"""What no label is."""


def served(folder: Path, url: str = "memory://", **orchestrator: Any) -> GatewayConfig:
    config = msgspec.to_builtins(configured(folder, url, **orchestrator))
    config["web"] = {"port": 0}
    return msgspec.convert(config, GatewayConfig)


async def scrape(gateway: Gateway, **headers: str) -> tuple[str, str]:
    """The text, and its media type."""
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{gateway.url}metrics", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.text(), answer.headers["Content-Type"]


async def test_a_scrape_is_read_by_prometheus_own_library(tmp_path: Path) -> None:
    agents = {"agents": {"cook": {}}}
    async with Gateway(served(tmp_path, **agents)) as gateway:
        await gateway.machine.look()
        plain, media_type = await scrape(gateway)
        assert media_type == PLAIN_TYPE
        opened, media_type = await scrape(gateway, Accept=OPEN_TYPE + ",text/plain;q=0.5")
        assert media_type == OPEN_TYPE
    there = {family.name: family for family in plain_families(plain)}
    assert {family.name for family in open_families(opened)} == {name.removesuffix("_info") for name in there}
    assert there["earshot_up"].samples[0].value == 1
    assert there["earshot_broker_connected"].samples[0].value == 1
    assert there["earshot_devices_connected"].samples[0].value == 0
    agents_there = there["earshot_agent_present"].samples
    assert [sample.labels for sample in agents_there] == [{"agent": "cook"}]
    processes = there["earshot_process_resident_memory_bytes"].samples
    assert {sample.labels["process"] for sample in processes} >= {"gateway"}


async def test_names_are_as_the_convention_has_them(tmp_path: Path) -> None:
    async with Gateway(served(tmp_path)) as gateway:
        await gateway.machine.look()
        text, _ = await scrape(gateway)
    names: set[str] = set()
    for family in plain_families(text):
        assert family.name.startswith("earshot_")
        assert family.documentation.endswith(".")
        assert family.name not in names
        names.add(family.name)
        assert not family.name.endswith(("_ms", "_seconds_seconds", "_count"))
        for sample in family.samples:
            assert not set(sample.labels) & set(IDS)
            assert "(" not in str(sample.labels)
    assert "earshot_speech_to_reply_seconds" in names
    assert "# TYPE earshot_utterances_total counter" in text


async def test_it_is_there_before_the_gateway_is_and_says_so(tmp_path: Path) -> None:
    async with Gateway(served(tmp_path)) as gateway:
        gateway._is_up = False
        text, _ = await scrape(gateway)
        gateway._is_up = True
    assert "earshot_up 0.0" in text
    assert "earshot_sessions " not in text


async def test_only_who_may_measure_is_told(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    texts = {
        role: keyring.token(role.value, role, devices=("kitchen",) if role is Role.DEVICE else ())
        for role in Role
    }
    config = msgspec.to_builtins(served(tmp_path))
    config["web"] |= {"require_token": True}
    async with Gateway(msgspec.convert(config, GatewayConfig)) as gateway:
        for role, text in texts.items():
            expected = 200 if role in {Role.SCRAPER, Role.OPERATOR, Role.LISTENER} else 403
            assert await status(gateway, "metrics", text) == expected, role
            assert await status(gateway, "api/v1/machine", text) == expected, role
        assert await status(gateway, "metrics", "nonsense") == 401
        assert await status(gateway, "api/v1/utterances", texts[Role.SCRAPER]) == 403


async def status(gateway: Gateway, path: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as client, client.get(gateway.url + path, headers=headers) as answer:
        return answer.status


async def test_many_scrapes_at_once_are_answered(tmp_path: Path) -> None:
    async with Gateway(served(tmp_path)) as gateway:
        texts = await asyncio.gather(*(scrape(gateway) for _ in range(20)))
    assert all("earshot_up 1.0" in text for text, _ in texts)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html", "application/openmetrics-text", "\xe9", "x" * 4000]
)
async def test_whatever_is_accepted_is_answered(tmp_path: Path, accept: str) -> None:
    async with Gateway(served(tmp_path)) as gateway:
        text, media_type = await scrape(gateway, **({"Accept": accept} if accept else {}))
    assert text.endswith("# EOF\n") == ("openmetrics" in accept)
    assert media_type in {PLAIN_TYPE, OPEN_TYPE}
