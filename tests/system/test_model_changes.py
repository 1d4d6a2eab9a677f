"""The speech model changes while devices speak, sleeps and wakes, and each device hears its own text once."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import signal
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from gateway.config.configuration import GatewayConfig
from gateway.config.reloading import REASONS
from tests.system.house import RECORDINGS, board, passes, settings, text
from tests.system.process import EARSHOT, Running, run
from tests.system.test_recognizer_killed import recognizers
from transcription.models.models import BUNDLED
from transcription.whisper.computing import gpus

pytestmark = pytest.mark.slow

NAMES = list(RECORDINGS)[:6]
MODEL_MB = 60.0
"""Less than the smallest model and what computes it need."""
CREEP_MB = 8.0
"""What a gateway may have grown by while its recognizer came and went twice."""
MODEL = {"isolation": "process", "threads": 1}


def changed(config: GatewayConfig, **parts: dict[str, Any]) -> GatewayConfig:
    plain = msgspec.to_builtins(config)
    for section, values in parts.items():
        plain[section] |= values
    return msgspec.convert(plain, GatewayConfig)


async def speak(house: Any, stack: AsyncExitStack, names: list[str]) -> list[asyncio.Task[Any]]:
    boards = [house.board(f"board-{name}", "serial") for name in names]
    saying = []
    for one, name in zip(boards, names, strict=True):
        await stack.enter_async_context(one)
        await one.connected()
        saying.append(asyncio.create_task(one.say(RECORDINGS[name].path)))
    return saying


async def test_the_model_changes_while_six_devices_speak(house: Any, tmp_path: Path) -> None:
    other = shutil.copytree(BUNDLED, tmp_path / "other-model")
    async with house(transcription=MODEL) as one, AsyncExitStack() as stack:
        saying = await speak(one, stack, NAMES)
        first = recognizers()
        one.gateway.reconfigure(changed(one.gateway.config, transcription={"model": str(other)}))
        said = await asyncio.gather(*saying)
        assert [s.transcript for s in said] == [text(name) for name in NAMES]
        await passes(lambda: one.gateway.recognizer.state.model == str(other))
        again = await asyncio.gather(*await speak(one, stack, list(RECORDINGS)[6:8]))
        assert [s.transcript for s in again] == [text(name) for name in list(RECORDINGS)[6:8]]
        assert one.results.items[-1].recognizer.model == str(other)
        assert sorted(r.text for r in one.results.items[:6]) == sorted(text(name) for name in NAMES)
        assert not (first & recognizers()), "the old one's process has ended"


async def test_a_model_that_cannot_be_had_leaves_the_old_one_at_work(house: Any) -> None:
    async with house(transcription=MODEL) as one, AsyncExitStack() as stack:
        one.gateway.reconfigure(changed(one.gateway.config, transcription={"model": "/no/such/model"}))
        await passes(lambda: one.gateway.health.report().components["recognizer"].state == "degraded")
        shown = one.gateway.health.report().components["recognizer"]
        assert shown.reason == "there is no folder /no/such/model; bundled goes on meanwhile"
        assert "transcription.model" in shown.remedy
        (said,) = await asyncio.gather(*await speak(one, stack, NAMES[:1]))
        assert said.transcript == text(NAMES[0])
        assert one.results.items[-1].recognizer.engine == "faster-whisper"


@pytest.mark.skipif(gpus() > 0, reason="there is a GPU here")
async def test_without_a_gpu_auto_goes_on_on_the_cpu_and_cuda_leaves_it_there(house: Any) -> None:
    async with house(transcription=MODEL) as one, AsyncExitStack() as stack:
        first = recognizers()
        one.gateway.reconfigure(changed(one.gateway.config, transcription={"device": "auto"}))
        await passes(lambda: "on the CPU" in one.gateway.health.report().components["recognizer"].notice)
        assert one.gateway.health.report().components["recognizer"].state == "healthy"
        await passes(lambda: not (first & recognizers()))  # another device is another process
        one.gateway.reconfigure(changed(one.gateway.config, transcription={"device": "cuda"}))
        await passes(lambda: one.gateway.health.report().components["recognizer"].state == "degraded")
        shown = one.gateway.health.report().components["recognizer"]
        assert shown.reason.startswith("transcription.device is cuda: ")
        assert shown.reason.endswith("; bundled goes on meanwhile")
        assert shown.remedy
        (said,) = await asyncio.gather(*await speak(one, stack, NAMES[:1]))
        assert said.transcript == text(NAMES[0])


async def test_asleep_the_process_is_gone_and_speech_brings_it_back(house: Any) -> None:
    async with house(transcription=MODEL | {"idle_unload_seconds": 0.5}) as one, AsyncExitStack() as stack:
        for name in NAMES[:2]:
            await passes(lambda: not recognizers())
            shown = one.gateway.health.report().components["recognizer"]
            assert shown.state == "healthy"
            assert shown.reason == "asleep: nothing was said for 0.5 s; speech wakes it"
            (said,) = await asyncio.gather(*await speak(one, stack, [name]))
            assert said.transcript == text(name)


# -- by SIGHUP


def rewrite(folder: Path, **parts: Any) -> None:
    path = folder / "config.yaml"
    config = json.loads(path.read_text())
    for section, values in parts.items():
        config[section] = config.get(section, {}) | values
    path.write_text(json.dumps(config))


async def reload(gateway: Running, count: int) -> None:
    gateway.stop(signal.SIGHUP)
    await gateway.systemd.until(
        lambda: len([line for line in gateway.systemd.items if line == "READY=1"]) == count
    )


async def test_sighup_reads_the_configuration_again(tmp_path: Path) -> None:
    other = shutil.copytree(BUNDLED, tmp_path / "other-model")
    async with run(tmp_path) as gateway, board(tmp_path, "kitchen") as kitchen:
        await kitchen.connected()
        said = await kitchen.say(RECORDINGS[NAMES[0]].path)
        assert said.transcript == text(NAMES[0])
        rewrite(
            tmp_path,
            transcription={"model": str(other)},
            web={"max_listeners": 5},
            sessions={"max_sessions": 50},
        )
        await reload(gateway, 2)
        assert "RELOADING=1" in gateway.systemd.items
        (line,) = gateway.logged("configuration reloaded")
        assert line["applied"] == ["transcription.model", "web.max_listeners"]
        assert line["need_restart"] == {"sessions.max_sessions": REASONS["sessions"]}
        await passes(
            lambda: any(e["model"] == str(other) for e in gateway.logged("recognizer has its engine"))
        )
        said = await kitchen.say(RECORDINGS[NAMES[1]].path)
        assert said.transcript == text(NAMES[1])

        rewrite(tmp_path, transcription={"model": "bundled", "beam_size": 99}, web={"prot": 1})
        await reload(gateway, 3)
        problems = [line["problem"] for line in gateway.logged("the configuration is wrong")]
        assert len(problems) == 2
        assert any("beam_size" in problem for problem in problems)
        said = await kitchen.say(RECORDINGS[NAMES[2]].path)
        assert said.transcript == text(NAMES[2])
        assert len(gateway.logged("recognizer has its engine")) == 2
        assert await gateway.terminate() == 0


def resident_mb(pid: int) -> float:
    """Of a process and all that it has started, their shared pages counted once in each."""
    gateway = psutil.Process(pid)
    processes = [gateway, *gateway.children(recursive=True)]
    return float(sum(process.memory_info().rss for process in processes)) / 1e6


async def test_asleep_all_of_the_models_memory_is_given_back(tmp_path: Path) -> None:
    rooms = []
    async with run(tmp_path) as gateway, board(tmp_path, "kitchen") as kitchen:
        await kitchen.connected()
        for count, name in enumerate(NAMES[:3]):
            said = await kitchen.say(RECORDINGS[name].path)
            assert said.transcript == text(name)
            awake = resident_mb(gateway.pid)
            rewrite(tmp_path, transcription={"idle_unload_seconds": 0.1})
            await reload(gateway, 2 * count + 2)
            await passes(lambda: not psutil.Process(gateway.pid).children(recursive=True))
            rooms.append((awake, resident_mb(gateway.pid)))
            rewrite(tmp_path, transcription={"idle_unload_seconds": 0})
            await reload(gateway, 2 * count + 3)
    print(rooms)
    assert all(awake - asleep > MODEL_MB for awake, asleep in rooms), rooms
    assert abs(rooms[-1][1] - rooms[0][1]) < CREEP_MB, rooms


def test_a_gateway_ends_with_its_terminal(tmp_path: Path) -> None:
    """Who closes the window means that; the same signal without that is a reload."""
    (tmp_path / "config.yaml").write_text(json.dumps(settings(tmp_path)))
    screen, terminal = pty.openpty()
    command = [*EARSHOT, "run", "--config", str(tmp_path / "config.yaml")]
    with subprocess.Popen(command, preexec_fn=lambda: os.login_tty(terminal)) as process:  # noqa: PLW1509
        os.close(terminal)
        shown = b""
        while b"page is healthy" not in shown or b"recognizer is healthy" not in shown:
            shown += os.read(screen, 4096)
        process.send_signal(signal.SIGHUP)
        while b"configuration reloaded" not in shown:
            shown += os.read(screen, 4096)
        os.close(screen)
        assert process.wait(20) == 0
