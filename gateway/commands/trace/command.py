"""``earshot trace``: one utterance's whole life, from the journal and the log."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
from msgspec import Struct, structs

from gateway.access.private_files import as_owner_of
from gateway.commands.options import Misplaced, Trouble, config_option, read_config
from gateway.commands.trace.log_lines import IDS, LoggedLine, about
from gateway.commands.trace.steps import Step, speech_ended_at, steps_of
from gateway.config import places
from gateway.config.configuration import GatewayConfig
from gateway.contract.escaping import json_text, one_line
from gateway.journal import JournalError
from gateway.journal.errors import NoHome
from gateway.journal.life import Life
from gateway.journal.visiting import lives_of

_OFF = "the history is switched off (history.enabled): the journal knows only what is on its way"
_REDACTED = "its words are not kept (privacy.redact)"


class TracedLife(Struct, kw_only=True):
    """One utterance. ``log``: lines about it, as far as a log was given."""

    utterance_id: str
    correlation_id: str
    causation_id: str = ""
    device_id: str = ""
    user_id: str = ""
    session_id: str = ""
    steps: list[Step]
    notes: list[str]


@click.command("trace")
@click.argument("name", metavar="ID")
@config_option
@click.option(
    "--journal",
    "named",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The journal. Without it: the configured one; where there is none, the service's in /var/lib/earshot.",
)
@click.option(
    "--log",
    "log_file",
    metavar="FILE",
    help="A log, too; - is standard input. JSON lines, journald's, or text.",
)
@click.option("--words", is_flag=True, help="With what was said and answered, as far as it is kept.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON line.")
def command(
    name: str,
    config_path: Path | None,
    named: Path | None,
    log_file: str | None,
    *,
    words: bool,
    as_json: bool,
) -> None:
    """The life of an utterance: heard, recognized, published, answered, delivered, with its times.

    ID is its utterance id or its correlation id, or the X-Correlation-ID of the HTTP request that it came by. The
    journal is read beside a running gateway, or without one.

    \b
    earshot trace c_yY3LGgocU76dBkxG67FzFw
    journalctl -u earshot -o json | earshot trace --log - u_WHMGs4k7PZnwsfomLrbnAQ
    """  # noqa: D301
    config = read_config(config_path)
    log, known = _log(log_file, name)
    lives, notes = _lives(config, config_path, named, known)
    told = [_told(life, config, words=words) for life in lives]
    if not told and not log:
        raise Trouble(
            "\n".join(
                [one_line(f"nothing is known of {name!r}"), *map(one_line, notes), *_why(config, log_file)]
            )
        )
    if as_json:
        _show_json(name, told, log, notes)
    else:
        _show(name, told, lives, log, notes)


def _log(file: str | None, name: str) -> tuple[list[LoggedLine], set[str]]:
    """Lines that are about it, and all ids under which it is known."""
    if file is None:
        return [], {name}
    try:
        with _opened(file) as lines:
            return about(lines, {name})
    except OSError as error:
        raise Trouble(one_line(f"the log {file} cannot be read: {error.strerror or error}")) from error


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """What comes but once is kept beside, so that it can be read twice."""
    with ExitStack() as stack:
        lines: BinaryIO = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
        if not lines.seekable():
            kept = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(lines, kept)
            kept.seek(0)
            yield kept
        else:
            yield lines


def _lives(
    config: GatewayConfig, path: Path | None, named: Path | None, known: set[str]
) -> tuple[list[Life], list[str]]:
    """And why there are none, where the journal cannot be read."""
    try:
        journal = named or places.journal_file(config, path, os.environ)
    except NoHome as error:
        raise Misplaced(str(error)) from error
    if not config.journal.enabled and named is None:
        return [], ["there is no journal (journal.enabled)"]
    try:
        with as_owner_of(journal.parent):
            found = {
                (life.utterance_id, life.correlation_id): life
                for one in sorted(known)
                for life in lives_of(journal, one)
            }
    except (JournalError, OSError) as error:
        return [], [f"the journal tells nothing: {error}"]
    return list(found.values()), []


def _why(config: GatewayConfig, log_file: str | None) -> list[str]:
    if not config.history.enabled:
        return [_OFF]
    reasons = [
        f"what was said is remembered for {config.history.days:g} days (history.days), unless somebody erases it",
        "remedy: look how it is spelled; in a house of several gateways, ask the one that heard it",
    ]
    if log_file is None:
        reasons.append(
            "remedy: give it the log, too: journalctl -u earshot -o json | earshot trace --log - ID"
        )
    return reasons


def _told(life: Life, config: GatewayConfig, *, words: bool) -> TracedLife:
    row: Any = life.remembered or life.request or life.unheard or next(iter(life.letters), None)
    notes = [] if config.history.enabled or life.remembered else [_OFF]
    if life.remembered is not None and (life.remembered.redacted or config.privacy.redact):
        notes.append(_REDACTED)
        words = False
    return TracedLife(
        utterance_id=life.utterance_id or getattr(row, "utterance_id", ""),
        correlation_id=life.correlation_id,
        causation_id=life.remembered.causation_id if life.remembered else "",
        device_id=getattr(row, "device_id", ""),
        user_id=getattr(row, "user_id", ""),
        session_id=getattr(row, "session_id", ""),
        steps=steps_of(life, words=words),
        notes=notes,
    )


def _show_json(name: str, told: list[TracedLife], log: list[LoggedLine], notes: list[str]) -> None:
    lines = [
        {
            "at": line.at,
            "level": line.level,
            "event": line.event,
            **{k: v for k, v in line.facts.items() if k not in structs.asdict(line)},
        }
        for line in log
    ]
    document = {"id": name, "utterances": told, "log": lines, "notes": notes}
    click.echo(json_text(msgspec.json.encode(document)))


def _show(
    name: str, told: list[TracedLife], lives: list[Life], log: list[LoggedLine], notes: list[str]
) -> None:
    for one, life in zip(told, lives, strict=True):
        facts = (one.device_id, one.user_id and f"user {one.user_id}", one.session_id)
        click.echo(
            one_line(f"{one.utterance_id or '?'} {one.correlation_id}  {', '.join(filter(None, facts))}")
        )
        if one.causation_id:
            click.echo(one_line(f"  came by the request {one.causation_id}"))
        own = {one.utterance_id, one.correlation_id} - {""}
        mine = log if len(told) == 1 else [line for line in log if line.ids() & own]
        _show_rows([*one.steps, *map(_as_step, mine)], speech_ended_at(life))
        for note in one.notes:
            click.echo(one_line(f"  note: {note}"))
    if not told:
        click.echo(one_line(f"of {name} there is only what the log says"))
        _show_rows([*map(_as_step, log)], 0.0)
    for note in notes:
        click.echo(one_line(f"note: {note}"))


def _show_rows(steps: list[Step], zero: float) -> None:
    day = ""
    for step in sorted(steps, key=lambda one: one.at):
        at = round(step.at, 3)
        if (its_day := time.strftime("%Y-%m-%d", time.localtime(at))) != day and at:
            day = its_day
            click.echo(f"  {day}{'':>17}after the end of speech" if zero else f"  {day}")
        clock = time.strftime("%H:%M:%S", time.localtime(at)) if at else ""
        after = f"{1000 * (step.at - zero):+.0f} ms" if zero and step.at else ""
        took = f"{step.took_ms:.0f} ms" if step.took_ms else ""
        thousandth = f"{at % 1:.3f}"[1:] if at else ""
        click.echo(
            one_line(
                f"  {clock}{thousandth:<4} {after:>12}  {step.stage:<10} {took:>9}  {step.says}"
            ).rstrip()
        )


def _as_step(line: LoggedLine) -> Step:
    facts = (f"{name}={value}" for name, value in line.facts.items() if name not in {*IDS, "logger"})
    return Step(at=line.at, stage="log", says=f"{line.level}: {line.event}  {' '.join(facts)}".strip())
