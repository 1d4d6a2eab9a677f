"""``earshot user``: all that is kept of somebody, given to them as a file, and erased with a report."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from gateway.commands.asking import AskedGateway
from gateway.commands.options import Trouble, config_option, token_option
from gateway.contract.escaping import json_text, one_line
from gateway.contract.messages import encode

ERASING_SECONDS = 600.0
"""How long it may take to erase years of somebody's words."""
_COUNTED = {
    "utterances": "utterances, with their audio and answers",
    "unheard": "utterances without a text yet",
    "dead_letters": "dead letters",
    "requests": "open questions, and answers that nobody took",
    "messages": "messages on their way",
    "copies": "copies of the journal from before an upgrade, of everybody's words",
}


@click.group("user")
@config_option
@click.option("--url", default="", help="The gateway's page. Without it: that of the configuration, here.")
@token_option
@click.option("--ca-file", default="", metavar="FILE", help="https: who signs the gateway's certificate.")
@click.pass_context
def command(ctx: click.Context, config_path: Path | None, url: str, token: str, ca_file: str) -> None:
    """What a running gateway keeps of somebody: given to them, and erased. For operators.

    A user is who speaks at a device (devices.users, devices.default_user), by the name that the history shows.

    \b
    earshot user export ann ann.zip        # what ann said and was answered, and how it sounded
    earshot user erase ann                 # for good, with a report of what is left elsewhere
    """  # noqa: D301
    ctx.obj = AskedGateway(config_path, url, token, ca_file)


@command.command("export")
@click.argument("user_id", metavar="USER")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE, if there is one.")
@click.pass_obj
def export(asked: AskedGateway, user_id: str, file: Path, *, force: bool) -> None:
    """Write all that is kept of USER into FILE, a ZIP file.

    In it are JSON lines of utterances, conversations and what waits, the audio that is kept, and a report.

    \b
    earshot user export ann ann.zip
    """  # noqa: D301
    if file.exists() and not force:
        raise Trouble(f"{file} is there already\nremedy: another name, or --force")
    part = file.with_name(f"{file.name}.part")
    try:
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW
        with os.fdopen(os.open(part, flags, 0o600), "wb") as target:
            for some in asked.download("/users/{}/data", user_id):
                target.write(some)
        part.replace(file)
    except OSError as error:
        raise Trouble(one_line(f"{error.filename or file}: {error.strerror}")) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    click.echo(one_line(f"{file}: {file.stat().st_size / 1e6:.1f} MB"))


@command.command("erase")
@click.argument("user_id", metavar="USER")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON line.")
@click.option(
    "--report", "report_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the report there, as JSON."
)  # fmt: skip
@click.pass_obj
def erase(asked: AskedGateway, user_id: str, *, yes: bool, as_json: bool, report_file: Path | None) -> None:
    """Erase all that USER ever said, words and audio, for good.

    The report says what there was, when it went, and what is left where a gateway cannot erase it: backups, logs, what
    agents were told. Export it before, if it is to be kept.

    \b
    earshot user erase ann
    earshot user erase ann --yes --report erased-ann.json
    """  # noqa: D301
    if not yes:
        click.confirm(one_line(f"Erase all that {user_id} ever said, for good?"), abort=True, err=True)
    report = asked.ask(
        f"/utterances?user_id={quote(user_id, safe='')}", method="DELETE", seconds=ERASING_SECONDS
    )
    if report_file is not None:
        try:
            report_file.write_bytes(encode(report) + b"\n")
        except OSError as error:
            click.echo(json_text(encode(report)))
            raise Trouble(
                one_line(f"it is erased, but the report was not written: {report_file}: {error.strerror}")
            ) from error
    if as_json:
        click.echo(json_text(encode(report)))
        return
    for line in lines_of(report):
        click.echo(one_line(line))


def lines_of(report: dict[str, Any]) -> list[str]:
    """The report, for people."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(report["ended_at"]))
    counts = [f"  {report[key]} {what}" for key, what in _COUNTED.items() if report[key]]
    erased = counts or ["  nothing: there was nothing of this user"]
    kept = [f"  {one['what']}: {one['where']} ({one['remedy']})" for one in report["kept"]]
    return [f"{report['user_id']}, erased by {when}:", *erased, "may still be kept:", *kept]
