"""Wake words on this disk: those that come with the package, one's own, and files that are none."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.transcription.wake.spoken import word
from transcription.errors import ModelUnavailable
from transcription.models.cache_files import MOST_BYTES
from transcription.wake import words
from transcription.wake.ear import Ear, probe
from transcription.wake.words import find_wake_word


def own_model(folder: Path, **fields: Any) -> Path:
    """A model of one's own: the files of one that comes with the package."""
    network = word().network
    shutil.copy(network, folder / "hey_house.tflite")
    manifest = json.loads(network.with_suffix(".json").read_text())
    manifest |= {"wake_word": "Hey House", "model": "hey_house.tflite", **fields}
    path = folder / "hey_house.json"
    path.write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("okay_nabu", "Okay Nabu"),
        ("hey_jarvis", "Hey Jarvis"),
        ("hey_mycroft", "Hey Mycroft"),
        ("alexa", "Alexa"),
    ],
)
def test_those_that_come_with_the_package(name: str, phrase: str) -> None:
    found = find_wake_word(name)
    assert (found.name, found.phrase.casefold()) == (name, phrase.casefold())
    assert 0.5 < found.certainty < 1
    assert found.steps > 1
    Ear([found])


@pytest.mark.slow
def test_ones_own_by_its_file(tmp_path: Path) -> None:
    found = find_wake_word(str(own_model(tmp_path)), 0.7)
    assert (found.phrase, found.certainty) == ("Hey House", 0.7)
    probe(found)


def test_a_name_that_is_none_is_told_those_that_are() -> None:
    with pytest.raises(ModelUnavailable, match="there is no wake word hey_nobody") as caught:
        find_wake_word("hey_nobody")
    assert "alexa, hey_jarvis, hey_mycroft, okay_nabu" in caught.value.remedy


def test_without_the_package_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(ModelUnavailable, match="not installed") as caught:
        find_wake_word("okay_nabu")
    assert caught.value.remedy == f"{sys.executable} -m pip install 'earshot-gateway[wake]'"


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"wake_word": "x", "model": 7}', "\udcff", '{"x":' + "[" * 100_000,
     '{"wake_word": "x", "model": "x\\u0000", "micro": {"probability_cutoff": 0.9, "sliding_window_size": 5}}',
     '{"wake_word": "x", "model": "x.tflite", "micro": {"probability_cutoff": 7, "sliding_window_size": 5}}',
     '{"wake_word": "x", "model": "x.tflite", "micro": {"probability_cutoff": 0.9, "sliding_window_size": 0}}'],
    ids=["nothing", "no fields", "a list", "a number", "no text", "too deep", "no name", "no probability", "no steps"],
)  # fmt: skip
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ModelUnavailable, match=r"x\.json is no manifest"):
        find_wake_word(str(path))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be read: No such file"):
        find_wake_word(str(tmp_path / "gone.json"))
    path = own_model(tmp_path, model="gone.tflite")
    with pytest.raises(ModelUnavailable, match=r"gone\.tflite cannot be read: No such file"):
        find_wake_word(str(path))
    path = own_model(tmp_path, model=".")
    with pytest.raises(ModelUnavailable, match="cannot be read: Is a directory"):
        find_wake_word(str(path))


@pytest.mark.parametrize("name", ["hey_house.json", "hey_house.tflite"])
def test_nobody_waits_for_a_pipe_nor_reads_without_end(tmp_path: Path, name: str) -> None:
    path = own_model(tmp_path)
    file = tmp_path / name
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ModelUnavailable, match=f"{name} cannot be read: it is no file"):
        find_wake_word(str(path))
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(ModelUnavailable, match=f"{name} cannot be read: it is no file"):
        find_wake_word(str(path))
    file.unlink()
    file.write_bytes(bytes(4) + b"TFL3" + bytes(MOST_BYTES))
    with pytest.raises(ModelUnavailable, match=f"{name} cannot be read: larger than"):
        find_wake_word(str(path))


@pytest.mark.parametrize(
    "content",
    [b"", b"TFL3", b"x" * 5000],
    ids=["nothing", "too short", "something else"],
)
def test_a_network_that_is_none_is_not_opened(tmp_path: Path, content: bytes) -> None:
    path = own_model(tmp_path)
    (tmp_path / "hey_house.tflite").write_bytes(content)
    with pytest.raises(ModelUnavailable, match="is no TensorFlow Lite model"):
        find_wake_word(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("kept", [100, 5_000, 40_000])
def test_a_network_that_is_cut_off_ends_no_process_but_the_one_that_tries_it(
    tmp_path: Path, kept: int
) -> None:
    path = own_model(tmp_path)
    network = tmp_path / "hey_house.tflite"
    network.write_bytes(network.read_bytes()[:kept])
    found = find_wake_word(str(path))
    with pytest.raises(ModelUnavailable, match="does not work as a wake word"):
        probe(found)


@pytest.mark.parametrize("becomes", [b"", bytes(4) + b"TFL3" + bytes(1000)], ids=["empty", "another"])
def test_whatever_becomes_of_its_file_a_network_is_what_it_was(tmp_path: Path, becomes: bytes) -> None:
    found = find_wake_word(str(own_model(tmp_path)))
    found.network.write_bytes(becomes)
    Ear([found])
    found.network.unlink()
    Ear([found])
