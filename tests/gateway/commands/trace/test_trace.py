"""`earshot trace`: the life of an utterance, beside a running gateway and without one, and why nothing is known."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.commands.cli import main
from gateway.contract.messages import AudioFacts, Timings
from gateway.journal import Journal
from gateway.journal.dead_letters import not_transcribed
from gateway.journal.effects import (
    AgentMoved,
    Answered,
    Asked,
    HandedOver,
    Heard,
    PublishedIn,
    Queued,
    Remembered,
)
from gateway.journal.records import HistoryReply, RequestState
from gateway.observing.log import configure
from gateway.settings.journal import JournalSettings
from gateway.settings.log import LogSettings
from tests.gateway.journal.rows import agent, letter, remembered, request, utterance
from tests.gateway.works import loud, open_works
from tests.record import passes

SPOKEN_AT = 1_796_132_731.0
WHOLE = remembered(
    "u_1",
    correlation_id="c_1",
    spoken_at=SPOKEN_AT,
    audio=AudioFacts(seconds=1.5, end_reason="silence"),
    timings=Timings(endpoint_ms=500.0, queue_ms=20.0, recognize_ms=80.0, text_ms=600.0),
    reply=HistoryReply(text="It is on.", agent="lights", text_to_reply_ms=250.0),
    publish_ms=10.0,
    speech_to_reply_ms=900.0,
    causation_id="r_1",
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def keep(journal: Path, *effects: Any) -> None:
    async with Journal(JournalSettings(path=str(journal))) as one:
        for effect in effects:
            await one.commit(effect)


def trace(journal: Path, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(main, ["trace", "--journal", str(journal), *arguments], **options)


def as_json(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


async def whole(journal: Path) -> None:
    """As the pipeline writes it: remembered, published, answered, delivered."""
    assert WHOLE.reply is not None
    await keep(
        journal, Remembered(WHOLE), PublishedIn("c_1", WHOLE.publish_ms), Answered("c_1", WHOLE.reply),
        HandedOver("c_1", WHOLE.speech_to_reply_ms),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["u_1", "c_1", "r_1"])
async def test_each_stage_is_there_with_when_it_was_and_how_long_it_took(journal: Path, name: str) -> None:
    await whole(journal)
    [told] = as_json(trace(journal, name, "--json"))["utterances"]
    assert (told["utterance_id"], told["correlation_id"], told["causation_id"]) == ("u_1", "c_1", "r_1")
    after = {step["stage"]: round(1000 * (step["at"] - SPOKEN_AT - 1.0)) for step in told["steps"]}
    assert after == {
        "heard": -1000, "endpoint": 0, "queue": 500, "recognizer": 520, "published": 600, "asked": 610,
        "answered": 850, "delivered": 900,
    }  # fmt: skip
    took = {step["stage"]: step.get("took_ms", 0) for step in told["steps"]}
    assert (took["endpoint"], took["queue"], took["recognizer"], took["published"]) == (
        500.0,
        20.0,
        80.0,
        10.0,
    )
    assert took["asked"] == 240.0


async def test_on_a_terminal_it_is_a_table_without_words_unless_they_are_asked_for(journal: Path) -> None:
    await whole(journal)
    plain = trace(journal, "c_1").output
    assert "turn on the light" not in plain
    assert "It is on." not in plain
    lines = plain.splitlines()
    assert lines[0].startswith("u_1 c_1  kitchen, user ann, s_1")
    assert [line.split()[3] for line in lines if " ms  " in line] == [
        "heard", "endpoint", "queue", "recognizer", "published", "asked", "answered", "delivered",
    ]  # fmt: skip
    shown = trace(journal, "c_1", "--words").output
    assert '"turn on the light"' in shown
    assert '"It is on."' in shown


async def test_what_is_on_its_way_says_where_it_is(journal: Path) -> None:
    asked = request("c_2", utterance_id="u_2", asked_at=SPOKEN_AT, deadline=SPOKEN_AT + 30)
    await keep(
        journal,
        Heard(utterance("u_1", correlation_id="c_1", audio=b"\1\2" * 160)),
        Asked(asked),
        Queued(letter(7, correlation_id="c_2", queued_at=SPOKEN_AT)),
        AgentMoved(agent(correlation_id="c_2", state="asked", attempt=2)),
    )
    for name in ("u_1", "c_1"):
        [waiting] = as_json(trace(journal, name, "--json"))["utterances"]
        assert [(step["stage"], step["says"]) for step in waiting["steps"]] == [
            ("queue", "it has no text yet")
        ]
        assert waiting["device_id"] == "kitchen"
    for name in ("u_2", "c_2"):
        [open_one] = as_json(trace(journal, name, "--json"))["utterances"]
        says = {step["stage"]: step["says"] for step in open_one["steps"]}
        assert says["asked"] == "an answer is awaited, for 30 s at most"
        assert says["outbox"] == "transcription.results waits for the broker"
        assert says["agent"] == "lights of house: asked, attempt 2"
    assert asked.state is RequestState.OPEN


async def test_what_was_put_away_says_why_and_where(journal: Path) -> None:
    row = utterance("u_1", correlation_id="c_1", audio=b"\1\2" * 160)
    await keep(journal, Heard(row), *not_transcribed(row, "the engine died 3 times"))
    output = trace(journal, "u_1").output
    assert "the engine died 3 times (earshot dlq show 1)" in output


async def test_one_recording_is_many_utterances(journal: Path) -> None:
    await keep(
        journal,
        *(Remembered(remembered(f"u_{number}", causation_id="r_9")) for number in range(3)),
        Remembered(remembered("u_other", causation_id="r_8")),
    )
    told = as_json(trace(journal, "r_9", "--json"))["utterances"]
    assert [one["utterance_id"] for one in told] == ["u_0", "u_1", "u_2"]


async def test_redacted_is_said_and_no_word_shown(journal: Path) -> None:
    await keep(journal, Remembered(remembered("u_1", text="", redacted=True)))
    output = trace(journal, "u_1", "--words").output
    assert "note: its words are not kept (privacy.redact)" in output


async def test_words_from_before_redaction_are_kept_back_too(journal: Path, tmp_path: Path) -> None:
    await keep(journal, Remembered(remembered("u_1")))
    config = tmp_path / "config.yaml"
    config.write_text("privacy: {redact: true}\n")
    output = trace(journal, "u_1", "--words", "--config", str(config)).output
    assert "turn on the light" not in output
    assert "privacy.redact" in output


async def test_nothing_known_says_why_it_may_be(journal: Path, tmp_path: Path) -> None:
    await keep(journal, Remembered(remembered("u_1")))
    done = trace(journal, "c_nobody")
    assert done.exit_code == 1
    assert "nothing is known of 'c_nobody'" in done.output
    assert "history.days" in done.output
    assert "--log" in done.output
    config = tmp_path / "config.yaml"
    config.write_text("history: {enabled: false}\n")
    off = trace(journal, "c_nobody", "--config", str(config))
    assert "the history is switched off (history.enabled)" in off.output


def test_no_journal_is_said(tmp_path: Path) -> None:
    done = trace(tmp_path / "none.db", "c_1")
    assert done.exit_code == 1
    assert "there is no journal at" in done.output


def test_an_id_that_steers_terminals_does_not(tmp_path: Path) -> None:
    done = trace(tmp_path / "none.db", "\x1b[2Jc_1\n")
    assert "\x1b" not in done.output


async def test_a_running_gateways_utterance_with_its_log_around_it(journal: Path, tmp_path: Path) -> None:
    """The whole way: a real gateway's works, its journal read beside it, its log as it writes it."""
    log = tmp_path / "log.jsonl"
    stream = io.StringIO()
    configure(LogSettings(format="json", level="debug"), stream, {})
    async with open_works(journal=journal) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        await works.reply(heard, "It is on.", agent="lights")
        await saying
        await passes(lambda: "reply delivered" in stream.getvalue())
        await works.settled()
        log.write_text(stream.getvalue())
        for name in (heard.correlation_id, heard.utterance_id):
            told = as_json(await asyncio.to_thread(trace, journal, name, "--json", "--log", str(log)))
            [one] = told["utterances"]
            assert one["utterance_id"] == heard.utterance_id
            stages = [step["stage"] for step in one["steps"]]
            assert set(stages) == {
                "heard", "endpoint", "queue", "recognizer", "published", "asked", "answered", "delivered",
            }  # fmt: skip
            assert {line["event"] for line in told["log"]} >= {"utterance", "reply delivered"}
    after = trace(journal, heard.correlation_id, "--log", "-", input=log.read_bytes())
    assert after.exit_code == 0
    assert "log" in after.output
    assert "reply delivered" in after.output


async def test_where_only_the_log_knows_it_that_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"event": "reply given up", "level": "warning", "correlation_id": "c_1", "told": true}\n')
    done = trace(tmp_path / "none.db", "c_1", "--log", str(log))
    assert done.exit_code == 0
    assert "warning: reply given up  told=True" in done.output
    assert "there is no journal at" in done.output
    missing = trace(tmp_path / "none.db", "c_1", "--log", str(tmp_path / "nowhere"))
    assert "cannot be read" in missing.output
