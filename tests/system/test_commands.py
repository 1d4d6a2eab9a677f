"""The commands as their users type them, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import Journal
from gateway.settings.journal import JournalSettings
from tests.record import PATIENCE, Record
from tests.servers.process import free_port
from tests.system.house import RECORDINGS, running, text
from tests.system.process import EARSHOT, run

ROOT = Path(__file__).parents[2]


async def earshot(*arguments: str, cwd: Path = ROOT, **environ: str) -> tuple[int | None, str, str]:
    """Exit status, standard output and standard error of one command."""
    process = await asyncio.create_subprocess_exec(
        *EARSHOT, *arguments, stdout=PIPE, stderr=PIPE, cwd=cwd, env={**os.environ, **environ}
    )
    output, errors = await asyncio.wait_for(process.communicate(), 2 * PATIENCE)
    return process.returncode, output.decode(), errors.decode()


async def test_the_configuration_that_comes_with_it_is_right() -> None:
    status, output, _ = await earshot("check-config", "config.yaml")
    assert (status, output) == (0, "config.yaml: all right\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("transcription: {modell: base}\n", "transcription.modell"),
        ("web: {port: 99999}\n", "web.port"),
        ("devices: {serial: {ports: [ttyUSB0]}}\n", "devices.serial.ports"),
        ("orchestrator: {app: not_there_at_all:house}\n", "not_there_at_all"),
    ],
)
async def test_a_wrong_configuration_is_status_2_and_names_the_key(
    tmp_path: Path, wrong: str, named: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(wrong)
    status, _, errors = await earshot("run", "--config", str(config), cwd=tmp_path)
    assert status == 2
    assert named in errors
    assert "Traceback" not in errors


@pytest.mark.slow
async def test_a_second_gateway_with_the_same_journal_says_so(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("journal: {path: journal.db}\nweb: {port: 0}\ndevices: {mqtt: {url: ''}}\n")
    async with Journal(JournalSettings(path=str(tmp_path / "journal.db"))):
        status, _, errors = await earshot("run", "--config", str(config), cwd=tmp_path)
    assert status == 2
    assert f"journal.db is in use by process {os.getpid()}" in errors
    assert "journal.path of its own" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
async def test_the_demo_runs_once_and_all_is_right() -> None:
    status, output, errors = await earshot("demo", "--once", "--json")
    assert (status, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    assert len(lines) == 8
    for line in lines:
        assert line["ok"], line["problems"]
        assert line["transcript"] == line["expected"]
        assert line["reply"]
        assert line["speech_to_reply_ms"] > line["speech_to_text_ms"] > 0
    assert {line["device_id"] for line in lines} == {"kitchen", "bedside"}
    assert len({line["correlation_id"] for line in lines}) == 8
    assert len({line["session_id"] for line in lines}) == 8


async def read_json(stream: asyncio.StreamReader, record: Record) -> None:
    async for line in stream:
        record(json.loads(line))


def said(events: Record, **facts: Any) -> list[dict[str, Any]]:
    return [event for event in events.items if facts.items() <= event.items()]


@pytest.mark.slow
async def test_three_processes_run_listen_and_simulate(tmp_path: Path) -> None:
    port = free_port()
    terminal = tmp_path / "usb-kitchen"
    async with run(tmp_path, web={"port": port}, devices={"users": {"kitchen": "alice"}}):
        listen = await asyncio.create_subprocess_exec(
            *EARSHOT, "listen", "--url", f"http://127.0.0.1:{port}", "--json", stdout=PIPE
        )
        events = Record()
        assert listen.stdout
        with running(read_json(listen.stdout, events)):
            await events.until(lambda: said(events, type="snapshot"))
            spoken = ["--wav", str(RECORDINGS["u05"].path), "--wav", str(RECORDINGS["u21"].path)]
            status, output, _ = await earshot(
                "simulate", "--pty", str(terminal), "--id", "kitchen", "--pause", "0", *spoken
            )
            await events.until(lambda: said(events, type="device", state="disconnected"))
        listen.terminate()
        await listen.wait()
    assert status == 0
    assert f'heard: "{text("u05")}"' in output
    assert 'reply: "Demo: The motor is running."' in output
    heard = said(events, type="transcription")
    assert [event["text"] for event in heard] == [text("u05"), text("u21")]
    for event in heard:
        (reply,) = said(events, type="reply", correlation_id=event["correlation_id"])
        assert event["seq"] < reply["seq"]
        assert event["user_id"] == reply["user_id"] == "alice"
        assert event["correlation_id"] in output
    for event in heard:
        (delivery,) = said(events, type="delivery", correlation_id=event["correlation_id"])
        assert delivery["speech_to_reply_ms"] > event["timings"]["text_ms"]
    sequence = [event["seq"] for event in events.items]
    assert sequence == sorted(set(sequence))
