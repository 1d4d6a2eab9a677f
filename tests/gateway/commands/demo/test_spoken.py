"""The demo that listens to a visitor: what they say is understood and answered, and without a microphone it is said."""

from __future__ import annotations

import asyncio
import json

import pytest

from firmware_bridge.speech_files import recordings
from gateway.commands.demo import demo, spoken
from gateway.commands.demo.screen import Screen
from gateway.commands.demo.spoken import run_spoken_demo
from tests.servers.pulseaudio import PulseAudio

pytestmark = pytest.mark.slow

DESK = "Desk USB Mic"


async def test_what_a_visitor_says_is_understood_and_answered(
    pulseaudio: PulseAudio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pulseaudio.plug(DESK)
    monkeypatch.setattr(demo, "PAGE_PORT", 0)
    recording = next(one for one in recordings() if one.path.stem == "u05")
    invited = asyncio.Event()
    monkeypatch.setattr(spoken, "_invite", lambda _screen: invited.set())
    running = asyncio.create_task(run_spoken_demo("desk*", once=True, json_lines=True))
    async with asyncio.timeout(40):
        await invited.wait()
        await asyncio.to_thread(pulseaudio.play, DESK, recording.path)
        assert await running == 0
    told = json.loads(capsys.readouterr().out)
    assert told["transcript"] == recording.text
    assert told["reply"]


async def test_without_a_microphone_it_is_said_before_anything_starts(
    pulseaudio: PulseAudio, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run_spoken_demo("blue*", once=True, json_lines=False) == 1
    said = capsys.readouterr()
    assert "there is no microphone blue*" in said.err
    assert "remedy: " in said.err
    assert not said.out


async def test_one_that_does_not_open_is_what_is_missing(
    pulseaudio: PulseAudio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "PAGE_PORT", 0)
    monkeypatch.setattr(spoken, "START_SECONDS", 2.0)
    assert await run_spoken_demo(DESK, once=True, json_lines=True) == 1
    assert "microphone visitor: Desk USB Mic: Input/output error" in capsys.readouterr().err


def test_it_invites_with_sentences_that_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(quiet=False, once=True) as screen:
        spoken._invite(screen)
    said = capsys.readouterr().out
    assert said.startswith("Speak.")
    assert len(said.splitlines()) == 1 + spoken.SUGGESTED
