"""`earshot dlq`, beside a running gateway and without one."""

from __future__ import annotations

import asyncio
import json
import os
import wave
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.commands.cli import main
from gateway.config import places
from gateway.contract.messages import REPLIES_TOPIC
from gateway.journal import Journal, visiting
from gateway.journal.dead_letters import not_transcribed, refused
from gateway.journal.effects import Died, Heard, Queued
from gateway.journal.errands import run_errands
from gateway.journal.records import LetterKind, Verb
from gateway.process.mishaps import Mishaps
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import dead, letter, utterance
from tests.gateway.pipeline.test_recovery import StreamStopped, audio, connected, started
from tests.gateway.works import Engine, loud, open_works
from tests.system.house import passes


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
async def filled(journal: Path) -> Path:
    """A refused reply (1), an utterance nobody could transcribe (2), an answer whose device has gone (3)."""
    async with Journal(JournalSettings(path=str(journal))) as one:
        reply = letter(0, payload=b'{"text": "hm"', topic=REPLIES_TOPIC)
        await one.commit(refused(reply, "not an orchestrator reply"))
        await one.commit(Heard(utterance(audio=b"\1\2" * 160)))
        await one.commit(*not_transcribed(utterance(audio=b"\1\2" * 160), "the engine died 3 times"))
        await one.commit(Died(dead("c_9", kind=LetterKind.ANSWER)))
    return journal


def dlq(journal: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["dlq", "--journal", str(journal), *arguments])


async def left(journal: Path) -> tuple[list[int], list[bytes], list[str]]:
    """Dead letters, what is to be published, and what is to be transcribed."""
    async with Journal(JournalSettings(path=str(journal))) as one:
        return (
            [row.number async for row in one.dead_letters()],
            [row.payload for row in await one.letters(0, 100)],
            [row.utterance_id async for row in one.utterances()],
        )


async def test_the_list_has_a_line_for_each_with_its_reason(filled: Path) -> None:
    done = dlq(filled, "list")
    assert done.exit_code == 0
    first, second, third = done.output.splitlines()
    assert "incoming" in first
    assert "orchestrator.replies of kitchen: not an orchestrator reply" in first
    assert "the engine died 3 times" in second
    assert "answer" in third
    as_json = [json.loads(line) for line in dlq(filled, "list", "--json").output.splitlines()]
    assert [one["number"] for one in as_json] == [1, 2, 3]
    assert [one["kind"] for one in as_json] == ["incoming", "utterance", "answer"]


async def test_one_is_shown_whole_and_its_speech_saved(filled: Path, tmp_path: Path) -> None:
    shown = json.loads(dlq(filled, "show", "1").output)
    assert shown["contents"]["payload"] == '{"text": "hm"'
    wav = tmp_path / "said.wav"
    assert json.loads(dlq(filled, "show", "2", "--wav", str(wav)).output)["subject"] == "u_1"
    with wave.open(str(wav)) as file:
        assert file.readframes(1000) == b"\1\2" * 160
    nothing = dlq(filled, "show", "1", "--wav", str(wav))
    assert (nothing.exit_code, "nothing was said" in nothing.output) == (1, True)


async def test_without_a_gateway_it_is_done_at_once(filled: Path) -> None:
    done = await asyncio.to_thread(dlq, filled, "replay", "1", "2")
    assert done.exit_code == 0, done.output
    assert "2 published or transcribed when the gateway starts" in done.output
    assert await left(filled) == ([3], [b'{"text": "hm"'], ["u_1"])
    assert (await asyncio.to_thread(dlq, filled, "purge", "--all")).output == "1 forgotten\n"
    assert dlq(filled, "list").output == "no dead letters\n"
    written = [json.loads(line) for line in (filled.parent / "audit.log").read_text().splitlines()]
    assert [(line["event"], line["verb"], line["numbers"]) for line in written] == [
        ("dead letter touched", "replay", "1, 2"),
        ("dead letter touched", "purge", "3"),
    ]


async def test_what_cannot_come_back_stays(filled: Path) -> None:
    assert (await asyncio.to_thread(dlq, filled, "replay", "3")).exit_code == 0
    assert (await left(filled))[0] == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (["show", "99"], "there is no dead letter 99", 1),
        (["purge", "99"], "there is no dead letter 99", 1),
        (["replay"], "say which", 2),
    ],
)
async def test_what_is_not_there_is_said(filled: Path, arguments: list[str], words: str, status: int) -> None:
    done = dlq(filled, *arguments)
    assert (done.exit_code, words in done.output) == (status, True)


def test_no_journal_is_said(journal: Path) -> None:
    done = dlq(journal, "list")
    assert (done.exit_code, "there is no journal at" in done.output) == (1, True)
    journal.write_bytes(b"something else" * 100)
    assert dlq(journal, "list").exit_code == 1


@pytest.fixture
def service(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service's journal, on a machine of whose user no gateway ever ran."""
    monkeypatch.setattr(places, "SERVICE_FOLDER", filled.parent)
    monkeypatch.setenv("XDG_STATE_HOME", str(filled.parent / "mine"))
    monkeypatch.chdir(filled.parent)
    for name in ("STATE_DIRECTORY", "EARSHOT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return filled


async def test_the_services_journal_is_found_where_there_is_no_other(service: Path) -> None:
    done = CliRunner().invoke(main, ["dlq", "list"])
    assert (done.exit_code, done.stderr) == (0, f"the service's journal: {service}\n")
    assert len(done.stdout.splitlines()) == 3
    mine = service.parent / "mine" / "earshot" / "journal.db"
    mine.parent.mkdir(parents=True)
    async with Journal(JournalSettings(path=str(mine))):
        pass
    done = CliRunner().invoke(main, ["dlq", "list"])
    assert (done.stdout, done.stderr) == ("no dead letters\n", "")


def test_a_journal_that_is_configured_is_the_one(service: Path) -> None:
    service.with_name("config.yaml").write_text("journal: {path: elsewhere.db}\n")
    done = CliRunner().invoke(main, ["dlq", "list"])
    assert (done.exit_code, "no journal at elsewhere.db" in done.output) == (1, True)


def test_a_journal_of_somebody_elses_says_whose(service: Path) -> None:
    folder, me = service.parent, os.geteuid()
    folder.chmod(0o000)
    try:
        if me == 0:
            os.seteuid(65534)
        nowhere = {"EARSHOT_CONFIG": os.devnull, "XDG_STATE_HOME": "/nowhere"}
        done = CliRunner().invoke(main, ["dlq", "list"], env=nowhere)
    finally:
        os.seteuid(me)
        folder.chmod(0o700)
    assert done.exit_code == 1
    assert f"{service} is its owner's (the service's: `sudo -u earshot" in done.output


async def test_a_running_gateway_transcribes_and_publishes_what_is_replayed(journal: Path) -> None:
    engine = Engine()
    engine.poison.add(16_000)
    async with open_works(engine, journal=journal) as works:
        for event in (connected(), started(), audio(0, loud(1)), StreamStopped("kitchen", 1, 1)):
            works.pipeline.hear(event)
        failed = await works.result()
        await works.reply(failed, "to nobody", session_id="s_other")
        await works.journal.commit(
            *not_transcribed(utterance("u_old", audio=loud(2), facts=FACTS), "no engine")
        )
        done = await asyncio.to_thread(dlq, journal, "replay", "--all")
        assert "the running gateway does it within a second" in done.output, done.output
        again = await works.result(2)
        assert (again.text, again.utterance_id) == ("32000", "u_old")
        await passes(lambda: works.pipeline.stats().turns == 0)
    assert (await left(journal))[0] == []


FACTS = b'{"speech_end":32000,"has_speech":true,"end_reason":"stop"}'


async def test_an_errand_for_a_letter_that_is_gone_is_done(filled: Path) -> None:
    visiting.ask(filled, Verb.PURGE, [1, 1])
    async with Journal(JournalSettings(path=str(filled))) as one:
        assert await run_errands(one) == 2
        assert await one.errands() == []
        assert [row.number async for row in one.dead_letters()] == [2, 3]


async def test_one_errand_that_goes_wrong_leaves_the_others(filled: Path) -> None:
    visiting.ask(filled, Verb.REPLAY, [1, 2])
    mishaps, utterances = Mishaps(), []

    def stumble(_letter: object) -> None:
        raise RuntimeError

    async with Journal(JournalSettings(path=str(filled))) as one:
        assert await run_errands(one, stumble, utterances.append, mishaps) == 2
        assert await one.errands() == []
    assert len(utterances) == 1
    assert mishaps.counts == {"an errand": 1}


async def test_what_comes_back_is_told(filled: Path) -> None:
    visiting.ask(filled, Verb.REPLAY, [1, 2])
    letters: list[object] = []
    utterances: list[object] = []
    async with Journal(JournalSettings(path=str(filled))) as one:
        await one.commit(Queued(letter(one.next_number())))
        await run_errands(one, letters.append, utterances.append)
        assert [row.number for row in await one.letters(0, 10)] == [1, 2]
    assert len(letters) == len(utterances) == 1
