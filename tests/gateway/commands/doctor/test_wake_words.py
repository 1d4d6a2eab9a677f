"""What the doctor says of wake words."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.settings import WakeSettings
from gateway.commands.doctor.wake_words import wake_words
from tests.transcription.wake.test_words import own_model
from transcription.wake import words
from transcription.wake.words import INSTALL


def test_where_none_is_wanted_nothing_is_said() -> None:
    assert list(wake_words(WakeSettings(devices={"hall": ()}))) == []


@pytest.mark.slow
def test_those_that_can_be_heard_and_for_whom(tmp_path: Path) -> None:
    own = str(own_model(tmp_path))
    found = list(wake_words(WakeSettings(devices={"kitchen": ("alexa", own)}, rooms={"Hall": ("alexa",)})))
    assert [(one.state, one.detail) for one in found] == [
        ("ok", "alexa (Alexa) for kitchen, Hall"),
        ("ok", f"{own} (Hey House) for kitchen"),
    ]


@pytest.mark.slow
def test_one_that_cannot_and_what_to_do(tmp_path: Path) -> None:
    network = own_model(tmp_path).with_suffix(".tflite")
    network.write_bytes(network.read_bytes()[:20_000])
    (found,) = wake_words(WakeSettings(rooms={"Hall": (str(network.with_suffix(".json")),)}))
    assert found.state == "fail"
    assert "does not work as a wake word" in found.detail
    assert "the trainer of microWakeWord" in found.remedy


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "PACKAGE", "no_such_package_anywhere")
    (found,) = wake_words(WakeSettings(devices={"kitchen": ("okay_nabu",)}))
    assert (found.state, found.remedy) == ("fail", INSTALL)
    assert "pymicro-wakeword, which hears wake words, is not installed" in found.detail
