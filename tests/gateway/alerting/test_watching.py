"""A whole gateway that looks what is amiss, and tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec import structs

from gateway.access.principals import Role
from gateway.alerting import rules, watching
from gateway.alerting.intruders import TRIES
from gateway.alerting.relief import Relief
from gateway.app import Gateway
from gateway.config.configuration import GatewayConfig
from tests.gateway.access.keyring import Keyring
from tests.gateway.alerting.receiver import receiving
from tests.record import passes
from tests.system.house import settings

ALWAYS = {"after_seconds": 0.0, "memory_free_share": 1.0}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)


def config(folder: Path, **parts: Any) -> GatewayConfig:
    return msgspec.convert(settings(folder, **parts), GatewayConfig)


async def get(gateway: Gateway, path: str, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{gateway.url}{path}", headers=headers) as answer,
    ):
        return await answer.json()


async def test_it_is_on_the_page_and_at_the_webhook_and_over_once(tmp_path: Path) -> None:
    async with receiving() as receiver:
        alerts = {**ALWAYS, "webhook": receiver.url}
        async with Gateway(config(tmp_path, alerts=alerts)) as gateway:
            await gateway.machine.look()
            components = gateway.health.report
            await passes(lambda: "alert: memory" in components().components)
            shown = components().components["alert: memory"]
            assert "of memory are free" in shown.reason
            assert shown.remedy
            await passes(lambda: any(one["name"] == "memory" for one in receiver.alerts))
            told = await get(gateway, "api/v1/alerts")
            assert "memory" in {one["name"] for one in told["alerts"]}
            quiet = structs.replace(gateway.config.alerts, memory_free_share=0.0)
            gateway.reconfigure(structs.replace(gateway.config, alerts=quiet))
            await passes(lambda: "alert: memory" not in components().components)
            await passes(
                lambda: (
                    [one["state"] for one in receiver.alerts if one["name"] == "memory"] == ["raised", "over"]
                )
            )


async def test_what_was_raised_is_not_raised_again_by_the_next(tmp_path: Path) -> None:
    async with receiving() as receiver:
        alerts = {**ALWAYS, "webhook": receiver.url}
        for _ in range(2):
            async with Gateway(config(tmp_path, alerts=alerts)) as gateway:
                await gateway.machine.look()
                await passes(lambda: "alert: memory" in gateway.health.report().components)
        assert [one["name"] for one in receiver.alerts].count("memory") == 1
    assert (tmp_path / "alerts.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [b"", b"{", b'[{"name": 5}]', b"\xff" * 100])
async def test_a_file_that_is_none_is_in_nobody_s_way(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "alerts.json").write_bytes(text)
    (tmp_path / "alerts.json").chmod(0o600)
    async with Gateway(config(tmp_path, alerts=ALWAYS)) as gateway:
        await gateway.machine.look()
        await passes(lambda: "alert: memory" in gateway.health.report().components)


async def test_somebody_who_tries_tokens_is_told_to_operators_alone(tmp_path: Path) -> None:
    token = Keyring(tmp_path).token("me", Role.OPERATOR)
    async with Gateway(config(tmp_path, web={"require_token": True})) as gateway:
        for number in range(TRIES + 2):
            await get(gateway, "readyz", f"nonsense-{number}")
        await passes(lambda: "alert: door" in gateway.health.report().components)
        assert "127.0.0.1" not in gateway.health.report().components["alert: door"].reason
        told = await get(gateway, "api/v1/alerts", token)
        assert any("127.0.0.1" in one["text"] for one in told["alerts"])


async def test_a_token_that_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Keyring(tmp_path).token("soon", Role.LISTENER)
    monkeypatch.setattr(rules, "LAST_PART", 2.0)
    async with Gateway(config(tmp_path, alerts={"ends_days": 3_650.0})) as gateway:
        await passes(lambda: "alert: ends soon" in gateway.health.report().components)
        (one,) = [one for one in gateway.alerting.alerts.current if one.name == "ends soon"]
        assert one.text.startswith("the token soon ends ")


async def test_what_gives_way_does_and_comes_back(tmp_path: Path) -> None:
    async with Gateway(config(tmp_path)) as gateway:
        gateway.alerting._sample = lambda: None  # nobody but this test says how much is free
        pipeline, kept = gateway.pipeline, gateway.config.web.history_events
        for level, drafts, recordings, events in (
            (Relief.DRAFTS, True, False, kept), (Relief.RECORDINGS, True, True, kept), (Relief.HISTORY, True, True, 0),
            (Relief.NONE, False, False, kept),
        ):  # fmt: skip
            gateway.alerting._give_way(level)
            assert (pipeline._announce.gives_way, pipeline.transcribing.gives_way) == (drafts, recordings)
            assert gateway.hub.history._most == events
            assert ("relief" in gateway.health.report().components) == (level is not Relief.NONE)
        gateway.alerting._give_way(Relief.RECORDINGS)
        url, headers = f"{gateway.url}api/v1/transcriptions", {"Content-Type": "audio/wav"}
        async with (
            aiohttp.ClientSession() as client,
            client.post(url, data=b"RIFF", headers=headers) as answer,
        ):
            told = await answer.json()
            assert answer.status == 503, told
            assert "recordings are taken again" in told["detail"]


async def test_its_figures_are_among_the_others(tmp_path: Path) -> None:
    async with Gateway(config(tmp_path, alerts=ALWAYS)) as gateway:
        await gateway.machine.look()
        await passes(lambda: bool(gateway.alerting.alerts.current))
        async with aiohttp.ClientSession() as client, client.get(f"{gateway.url}metrics") as answer:
            text = await answer.text()
    assert 'earshot_alerts{kind="urgent"}' in text
    assert "earshot_alerts_raised_total" in text
    assert "earshot_relief 0" in text
