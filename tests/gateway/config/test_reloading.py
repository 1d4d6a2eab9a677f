"""What a changed configuration comes to while the gateway runs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.config import outline
from gateway.config.configuration import GatewayConfig
from gateway.config.reloading import AT_ONCE, NEED_RESTART, REASONS, plan


def config(**parts: dict[str, Any]) -> GatewayConfig:
    return msgspec.convert(parts, GatewayConfig)


def test_the_same_comes_to_nothing() -> None:
    planned = plan(config(), config())
    assert (planned.config, planned.applied, planned.need_restart) == (config(), (), ())


def test_what_concerns_the_recognizer_is_applied() -> None:
    wanted = config(transcription={"model": "base", "language": "de", "segmenter": {"silence_ms": 300}})
    planned = plan(config(), wanted)
    assert planned.config == wanted
    assert set(planned.applied) == {
        "transcription.model", "transcription.language", "transcription.segmenter.silence_ms",
    }  # fmt: skip
    assert planned.need_restart == ()


def test_whose_devices_are_and_where_is_applied() -> None:
    devices = {
        "users": {"kitchen": "ann"},
        "rooms": {"kitchen": "Kitchen"},
        "default_user": "all",
        "priorities": {"rooms": {"Kitchen": "urgent"}},
    }
    planned = plan(config(), config(devices={**devices, "max_devices": 3}))
    assert planned.config == config(devices=devices)
    assert set(planned.applied) == {
        "devices.users", "devices.rooms", "devices.default_user", "devices.priorities.rooms",
    }  # fmt: skip
    assert planned.need_restart == ("devices.max_devices",)


def test_the_rest_is_named_and_left_as_it_was() -> None:
    wanted = config(
        transcription={"model": "base", "queue_utterances": 5, "partials": {"every_ms": 900}},
        web={"port": 9000},
        log={"level": "debug"},
        history={"days": 3},
    )
    planned = plan(config(), wanted)
    now = {"transcription": {"model": "base"}, "web": {"port": 9000}, "log": {"level": "debug"}}
    assert planned.config == config(**now)
    assert planned.applied == ("transcription.model", "web.port", "log.level")
    assert set(planned.need_restart) == {
        "transcription.queue_utterances", "transcription.partials.every_ms", "history.days",
    }  # fmt: skip
    assert planned.reasons.keys() == set(planned.need_restart)
    assert planned.remedy.startswith("restart the gateway (")
    assert planned.remedy.count("transcription:") == 1


def test_every_section_changes_at_once_or_says_why_it_does_not() -> None:
    sections = set(GatewayConfig.__struct_fields__)
    assert set(AT_ONCE) | REASONS.keys() == sections
    assert not set(AT_ONCE) & REASONS.keys()


def test_where_all_is_applied_nothing_is_to_be_done() -> None:
    planned = plan(config(), config(web={"port": 9000}))
    assert (planned.reasons, planned.remedy) == ({}, "")


@pytest.mark.parametrize(("before", "after"), [("off", "auto"), ("auto", "off")])
def test_switching_it_on_or_off_needs_a_restart(before: str, after: str) -> None:
    running = config(transcription={"engine": before})
    planned = plan(running, config(transcription={"engine": after, "model": "base"}))
    assert planned.config == running
    assert set(planned.need_restart) == {"transcription.engine", "transcription.model"}


@pytest.mark.parametrize(("use", "applied"), [("only", ("transcription.model",)), ("never", ())])
def test_where_others_recognize_what_they_are_to_have_changes_at_once(
    use: str, applied: tuple[str, ...]
) -> None:
    others = {"recognizers": {"use": use}, "broker": {"url": "redis://host"}}
    running = config(transcription={"engine": "off"}, **others)
    planned = plan(running, config(transcription={"engine": "off", "model": "base"}, **others))
    assert planned.applied == applied


def test_what_needs_a_restart_is_there() -> None:
    names = {path[1] for path in outline.settings(GatewayConfig) if path[0] == "transcription"}
    assert set(NEED_RESTART) <= names


def test_what_some_sessions_try_is_applied() -> None:
    wanted = config(features={"cheap": {"agents": {"big": "small"}}})
    planned = plan(config(), wanted)
    assert (planned.config, planned.applied, planned.need_restart) == (wanted, ("features",), ())
