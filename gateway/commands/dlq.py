"""``earshot dlq``: what could not be done, and what is to become of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from firmware_bridge.speech_files import wav_file
from gateway.access.audit import Audit, What
from gateway.access.private_files import as_owner_of
from gateway.commands.options import Misplaced, Trouble, config_option, read_config
from gateway.config import places
from gateway.contract.escaping import json_text, one_line
from gateway.journal import Journal, JournalError, visiting
from gateway.journal.dead_letters import contents, summary, whole
from gateway.journal.errands import run_errands
from gateway.journal.errors import NoHome
from gateway.journal.records import DeadLetterRow, UtteranceRow, Verb
from gateway.observing import log as logging
from gateway.settings.journal import JournalSettings
from gateway.settings.log import LogSettings


@click.group("dlq")
@config_option
@click.option(
    "--journal",
    "named",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The journal. Without it: the configured one; where there is none, the service's in /var/lib/earshot.",
)
@click.pass_context
def command(ctx: click.Context, config_path: Path | None, named: Path | None) -> None:
    """Dead letters: what could not be published, taken or transcribed, each with its reason.

    All of it may be done while the gateway runs, which then carries it out within a second.

    \b
    earshot dlq list
    earshot dlq show 7                    # all of it; --wav FILE saves what was said
    earshot dlq replay 7 9                # publish again, transcribe again
    earshot dlq purge --all
    """  # noqa: D301
    config = read_config(config_path)
    try:
        ctx.obj = named or places.journal_file(config, config_path, os.environ)
    except NoHome as error:
        raise Misplaced(str(error)) from error
    if ctx.obj.parent == places.SERVICE_FOLDER and named is None:
        click.echo(one_line(f"the service's journal: {ctx.obj}"), err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Each as one JSON line.")
@click.pass_obj
def list_letters(journal: Path, *, as_json: bool) -> None:
    """What there is, oldest first."""
    letters = _letters(journal)
    if as_json:
        for letter in letters:
            click.echo(json_text(msgspec.json.encode(summary(letter))))
        return
    if not letters:
        click.echo("no dead letters")
    for letter in letters:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter.died_at))
        about = f"{letter.topic or letter.subject} of {letter.device_id or 'nobody'}"
        click.echo(one_line(f"{letter.number:>6}  {when}  {letter.kind.value:<9}  {about}: {letter.reason}"))


@command.command("show")
@click.argument("number", type=int)
@click.option("--wav", type=click.Path(path_type=Path), metavar="FILE", help="Save what was said there.")
@click.pass_obj
def show(journal: Path, number: int, wav: Path | None) -> None:
    """All of one dead letter, with the words in it, as JSON."""
    letter = next((one for one in _letters(journal) if one.number == number), None)
    if letter is None:
        raise Trouble(f"there is no dead letter {number}; `earshot dlq list` shows them")
    told = msgspec.json.encode({**summary(letter), "contents": whole(letter)})
    click.echo(json_text(msgspec.json.format(told)))
    if wav is not None:
        inside = contents(letter)
        if not isinstance(inside, UtteranceRow):
            raise Trouble("nothing was said in it")
        _save(wav, inside.audio)


@command.command("replay")
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="Every one there is now.")
@click.pass_obj
def replay(journal: Path, numbers: tuple[int, ...], *, everything: bool) -> None:
    """Bring dead letters back to life: messages are published, speech is transcribed again."""
    _ask(journal, Verb.REPLAY, numbers, everything=everything)


@command.command("purge")
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="Every one there is now.")
@click.pass_obj
def purge(journal: Path, numbers: tuple[int, ...], *, everything: bool) -> None:
    """Forget dead letters for good."""
    _ask(journal, Verb.PURGE, numbers, everything=everything)


def _letters(journal: Path) -> list[DeadLetterRow]:
    try:
        with _as_owner(journal):
            return list(visiting.dead_letters(journal))
    except JournalError as error:
        raise Trouble(f"{error}; --journal names another") from error


def _ask(journal: Path, verb: Verb, numbers: Iterable[int], *, everything: bool) -> None:
    there = {letter.number for letter in _letters(journal)}
    wanted = sorted(there if everything else set(numbers))
    if not wanted and not everything:
        raise click.UsageError("say which: their numbers, or --all")
    if missing := set(wanted) - there:
        raise Trouble(f"there is no dead letter {min(missing)}; `earshot dlq list` shows them")
    try:
        with _as_owner(journal):
            visiting.ask(journal, verb, wanted)
            Audit(journal.parent).note(
                What.DEAD_LETTER,
                verb=verb.value,
                numbers=", ".join(map(str, wanted)),
                by=f"uid {os.getuid()}",
            )
            if visiting.has_owner(journal):
                click.echo(f"{len(wanted)} asked for; the running gateway does it within a second")
                return
            asyncio.run(_carry_out(journal))
    except JournalError as error:
        raise Trouble(str(error)) from error
    what = "published or transcribed when the gateway starts" if verb is Verb.REPLAY else "forgotten"
    click.echo(f"{len(wanted)} {what}")


@contextmanager
def _as_owner(journal: Path) -> Iterator[None]:
    """Root opens a journal as whoever owns it, who may have planted anything beside it."""
    try:
        with as_owner_of(journal.parent):
            yield
    except OSError as error:
        raise JournalError(f"{error.filename or journal}: {error.strerror}") from error


async def _carry_out(journal: Path) -> None:
    logging.configure(LogSettings(level="warning", format="text"))
    async with Journal(JournalSettings(path=str(journal))) as owned:
        await run_errands(owned)


def _save(path: Path, audio: bytes) -> None:
    try:
        # For nobody else to hear, and not into what somebody else has put there.
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(wav_file(audio))
    except OSError as error:
        raise Trouble(f"{path}: {error.strerror}") from error
