"""The rule of ``engine: auto``, on the real engines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.transcription.breakable import BreakableEngine
from tests.transcription.hub_server import NAME, HubServer, serve_hub
from transcription.errors import EngineDied, ModelUnavailable
from transcription.process.process import ProcessTranscriber
from transcription.scheduling import engines
from transcription.scheduling.engines import NotHereYet, OpenEngine, open_engine
from transcription.settings import TranscriptionSettings

NOT_HERE = {"model": "/no/such/model"}


def settings(**values: object) -> TranscriptionSettings:
    return TranscriptionSettings(**({"isolation": "inline"} | values))  # type: ignore[arg-type]


@contextmanager
def opened_in_a_process(**values: object) -> Iterator[OpenEngine]:
    opened = open_engine(settings(isolation="process", **values))
    yield opened
    opened.transcriber.close()


@pytest.mark.slow
def test_each_engine_may_have_a_process_of_its_own() -> None:
    with opened_in_a_process() as opened:
        assert isinstance(opened.transcriber, ProcessTranscriber)
        assert (opened.transcriber.engine, opened.transcriber.model) == ("faster-whisper", "bundled")
        assert opened.ended is opened.transcriber.ended
        assert not opened.ended.done()


@pytest.mark.slow
def test_the_rule_is_the_same_in_a_process() -> None:
    with opened_in_a_process(**NOT_HERE) as opened:
        assert (opened.transcriber.engine, opened.transcriber.model) == ("pocketsphinx", "en-us")
        assert str(opened.missing) == "there is no folder /no/such/model"
    with pytest.raises(ModelUnavailable, match="/no/such/model") as caught:
        open_engine(settings(isolation="process", engine="faster-whisper", **NOT_HERE))
    assert "put the model there" in caught.value.remedy


@pytest.mark.slow
def test_who_is_patient_hears_of_a_death_while_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "WhisperTranscriber", BreakableEngine)
    dies = settings(isolation="process", model="killed")
    with pytest.raises(EngineDied, match="was killed"):
        open_engine(dies, patient=True)
    opened = open_engine(dies)
    opened.transcriber.close()
    assert opened.transcriber.engine == "pocketsphinx"
    assert "loading the model: the recognizer's process was killed" in str(opened.missing)
    assert opened.missing is not None
    assert "smaller" in opened.missing.remedy


def test_auto_is_whisper_when_its_model_is_here() -> None:
    opened = open_engine(settings())
    assert (opened.transcriber.engine, opened.missing, opened.ended) == ("faster-whisper", None, None)


def test_auto_falls_back_and_says_what_is_missing() -> None:
    opened = open_engine(settings(**NOT_HERE))
    assert opened.transcriber.engine == "pocketsphinx"
    assert opened.missing is not None
    assert str(opened.missing) == "there is no folder /no/such/model"
    assert "transcription.model" in opened.missing.remedy


def test_a_caller_who_has_the_fallback_gets_no_second_one() -> None:
    with pytest.raises(ModelUnavailable, match="/no/such/model"):
        open_engine(settings(**NOT_HERE), fallback=False)


def test_who_asks_for_whisper_gets_no_other() -> None:
    with pytest.raises(ModelUnavailable, match="/no/such/model"):
        open_engine(settings(engine="faster-whisper", **NOT_HERE))


@pytest.mark.slow
def test_who_asks_for_pocketsphinx_gets_it_whole() -> None:
    opened = open_engine(settings(engine="pocketsphinx"))
    assert (opened.transcriber.engine, opened.missing) == ("pocketsphinx", None)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serve_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


@pytest.mark.slow
def test_nobody_waits_for_a_download_but_who_has_the_fallback(hub: HubServer, tmp_path: Path) -> None:
    on_the_hub = settings(model=NAME, models_dir=str(tmp_path))
    opened = open_engine(on_the_hub)
    assert (opened.transcriber.engine, hub.asked) == ("pocketsphinx", [])
    assert isinstance(opened.missing, NotHereYet)
    assert open_engine(on_the_hub, fallback=False).transcriber.engine == "faster-whisper"
    assert open_engine(on_the_hub).missing is None, "it is here now"


def test_who_wants_no_fallback_waits_for_the_download(hub: HubServer, tmp_path: Path) -> None:
    opened = open_engine(settings(engine="faster-whisper", model=NAME, models_dir=str(tmp_path)))
    assert (opened.transcriber.engine, opened.missing) == ("faster-whisper", None)


def test_without_a_fallback_the_download_is_waited_for(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    opened = open_engine(settings(model=NAME, models_dir=str(tmp_path)))
    assert (opened.transcriber.engine, opened.missing) == ("faster-whisper", None)


@pytest.mark.slow
def test_what_will_not_be_fetched_is_missing_for_good(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_engine(settings(model=NAME, models_dir=str(tmp_path), offline=True))
    assert not isinstance(opened.missing, NotHereYet)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    opened = open_engine(settings(model=NAME, models_dir=str(tmp_path)))
    assert "HF_HUB_OFFLINE is set" in str(opened.missing)
    assert hub.asked == []


def test_neither_tells_both_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ModelUnavailable, match=r"/no/such/model; pocketsphinx is not installed") as caught:
        open_engine(settings(**NOT_HERE))
    assert "put the model there" in caught.value.remedy
    assert "pip install 'earshot-gateway[pocketsphinx]'" in caught.value.remedy


def test_a_fallback_that_does_not_know_the_language_is_none() -> None:
    with pytest.raises(ModelUnavailable, match="knows only English"):
        open_engine(settings(language="de", **NOT_HERE))
