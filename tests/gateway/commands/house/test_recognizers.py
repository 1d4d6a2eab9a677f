"""``earshot recognizers`` and the doctor's line: who is there, what they are at, and what to do where nobody is."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.broker.opening import open_broker
from gateway.commands.doctor.doctor import model as doctors_model
from gateway.commands.doctor.recognizers import recognizers
from gateway.commands.house.recognizers import command
from gateway.config.configuration import GatewayConfig
from gateway.settings.broker import BrokerSettings
from tests.gateway.recognizers.pool.workers import StandInWorker
from tests.servers.process import free_port
from tests.servers.redis import Redis

NAMESPACE = "nobodys"
HOSTILE = "cellar\x1b[31m\nbase"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever said in another test that it is there is not seen in this one."""
    monkeypatch.setitem(globals(), "NAMESPACE", f"house-{secrets.token_hex(4)}")


@contextmanager
def at_work(url: str, *workers: dict[str, Any]) -> Iterator[None]:
    """Recognizers on a loop of their own, for what looks has one of its own, too."""
    began, end = threading.Event(), threading.Event()

    async def work() -> None:
        broker = open_broker(url, BrokerSettings(client_id="elsewhere", namespace=NAMESPACE))
        tasks = [asyncio.create_task(StandInWorker(broker, **one).run()) for one in workers]
        began.set()
        while not end.is_set():  # noqa: ASYNC110 - set in another thread
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await broker.close(0.0)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    assert began.wait(10)
    try:
        yield
    finally:
        end.set()
        thread.join()


def config(url: str, use: str = "only", model: str = "base", **parts: Any) -> dict[str, Any]:
    return {
        "broker": {"url": url, "connect_seconds": 2.0, "namespace": NAMESPACE},
        "recognizers": {"use": use},
        "transcription": {"model": model},
        **parts,
    }


def shown(folder: Path, settings: dict[str, Any], *arguments: str) -> Result:
    (folder / "config.yaml").write_text(json.dumps(settings))
    return CliRunner().invoke(command, ["--config", str(folder / "config.yaml"), *arguments])


def doctor(settings: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = recognizers(msgspec.convert(settings, GatewayConfig))
    return [(one.state, one.detail, one.remedy) for one in found]


@pytest.mark.slow
def test_each_is_shown_with_its_model_and_what_it_is_at(tmp_path: Path, redis: Redis) -> None:
    there = (
        {"name": "cellar", "capacity": 2, "languages": ("de", "en", "fr", "nl"), "seconds_per_job": 0.41},
        {"name": "attic", "model": "small", "state": "loading"},
    )
    with at_work(redis.url, *there):
        done = shown(tmp_path, config(redis.url))
        as_json = shown(tmp_path, config("memory://", use="never"), "--broker", redis.url, "--json")
    assert done.exit_code == 0, done.output
    head, attic, cellar = done.stdout.splitlines()
    assert head.split()[:3] == ["NAME", "STATE", "MODEL"]
    assert attic.split()[:3] == ["attic", "loading", "small"]
    assert cellar.split()[:8] == ["cellar", "here", "base", "de", "en", "fr", "+1", "0/2"]
    assert "0.41 s" in cellar
    assert [one["worker"] for one in json.loads(as_json.stdout)] == ["attic", "cellar"]


@pytest.mark.slow
def test_where_nobody_has_the_model_it_says_what_there_is_and_what_to_do(
    tmp_path: Path, redis: Redis
) -> None:
    with at_work(redis.url, {"name": "attic", "model": "small"}):
        done = shown(tmp_path, config(redis.url))
        found = doctor(config(redis.url)), doctor(config(redis.url, "sooner"))
    assert done.exit_code == 1
    assert "attic" in done.stdout
    assert "no recognizer has base; there is small (1)\nremedy: start one: earshot recognizer" in done.stderr
    assert [one[0][0] for one in found] == ["fail", "warn"]
    assert "no recognizer has base; there is small (1)" in found[0][0][1]
    assert found[1][0][2] == "start one: earshot recognizer --broker URL --model base"


@pytest.mark.slow
def test_where_nobody_is_there_that_is_said(tmp_path: Path, redis: Redis) -> None:
    done = shown(tmp_path, config(redis.url))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no recognizer has answered on this broker" in done.stderr
    ((state, detail, _),) = doctor(config(redis.url))
    assert (state, detail) == (
        "fail", "no recognizer has answered on this broker, and this gateway has no model of its own"
    )  # fmt: skip
    ((state, detail, _),) = doctor(config(redis.url, "sooner"))
    assert (state, detail.partition(":")[0]) == ("warn", "no recognizer has answered on this broker")


@pytest.mark.slow
def test_the_doctor_counts_those_of_use(redis: Redis) -> None:
    there = ({"name": "cellar", "capacity": 2}, {"name": "attic", "model": "small"}, {"name": "loft"})
    with at_work(redis.url, *there):
        assert doctor(config(redis.url)) == [
            ("ok", "2 with base, at 0 of 3 utterances; 1 more are of no use here", "")
        ]


@pytest.mark.slow
def test_what_a_stranger_says_steers_no_terminal(tmp_path: Path, redis: Redis) -> None:
    with at_work(redis.url, {"name": "w1", "model": HOSTILE}):
        done = shown(tmp_path, config(redis.url))
    assert "\x1b" not in done.output
    assert len(done.stdout.splitlines()) == 2


def test_without_a_broker_there_is_nobody_to_look_for(tmp_path: Path) -> None:
    done = shown(tmp_path, {})
    assert done.exit_code == 2
    assert "--broker URL" in done.stderr
    assert shown(tmp_path, {}, "--broker", "carrier-pigeon://x").exit_code == 2


def test_a_client_library_that_is_missing_is_named_and_nothing_else_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gateway.broker.backends.redis", None)  # as where it is not installed
    done = shown(tmp_path, config(f"redis://127.0.0.1:{free_port()}"))
    assert done.exit_code == 1
    assert "pip install 'earshot-gateway[redis]'" in done.output
    assert "remedy" not in done.output


@pytest.mark.slow
def test_a_broker_that_is_away_is_trouble(tmp_path: Path) -> None:
    nowhere = config(f"redis://127.0.0.1:{free_port()}")
    done = shown(tmp_path, nowhere)
    assert done.exit_code == 1
    assert "remedy: start the broker, or correct broker.url" in done.output
    assert "earshot recognizer" not in done.output
    ((state, detail, remedy),) = doctor(nowhere)
    assert remedy == "start the broker, or correct broker.url"
    assert (state, detail.partition(":")[0]) == (
        "warn", "the broker could not be asked whether any are there"
    )  # fmt: skip


def test_the_doctor_says_nothing_where_none_are_wanted_and_misses_no_model() -> None:
    assert doctor({}) == []
    (found,) = doctors_model(msgspec.convert(config("redis://broker.home"), GatewayConfig))
    assert (found.state, found.detail) == ("ok", "none needed here: recognizers.use is only")
