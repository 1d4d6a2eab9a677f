"""``earshot token``: who may talk to the gateway."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import click
import msgspec

from gateway.access.audit import Audit, What
from gateway.access.principals import Role
from gateway.access.tokens import Token, TokenError, TokenFile, TokensUnwritable, Wish
from gateway.commands.options import Trouble, config_option, own_folder, read_config
from gateway.contract.escaping import json_text, one_line
from gateway.process.clock import SET_SINCE
from gateway.settings.house import HouseSettings

MAX_DAYS = 3_650
_STILL_GOOD = (
    "remedy: the token is still good; until this can be written, stop the gateway (systemctl stop earshot), which lets "
    "nobody in then"
)
_KNOWN_HERE = "this is what is known here"
_TOLD_LATER = "the other gateways learn of it when the gateway here, running, reaches the store"


class Desk:
    """Where tokens are made: the files in one folder, and the audit log beside them."""

    def __init__(self, folder: Path, house: HouseSettings) -> None:
        self.file = TokenFile(folder)
        self.audit = Audit(folder)
        self._folder = folder
        self._house = house
        self._has_changed = False

    def learn(self) -> None:
        """What the whole house knows is known here, where it has a store."""
        self._agree(_KNOWN_HERE)

    def tell(self) -> None:
        """What was changed here the whole house knows."""
        if self._has_changed:
            self._agree(_TOLD_LATER)

    def _agree(self, otherwise: str) -> None:
        if not self._house.store:
            return
        from gateway.shared_store.exchange import exchange_tokens  # noqa: PLC0415 - where there is one
        from gateway.shared_store.port import StoreError  # noqa: PLC0415

        try:
            asyncio.run(exchange_tokens(self._house, self._folder))
        except StoreError as error:
            click.echo(one_line(f"warning: {error}; {otherwise}"), err=True)
        except TokenError:
            return  # the command itself says so

    def note(self, what: What, token: Token) -> None:
        """Write down who did it, as the system knows them."""
        self._has_changed = True
        self.audit.note(
            what, token_id=token.token_id, name=token.name, role=token.role.value, by=f"uid {os.getuid()}"
        )
        if self.audit.lost:
            click.echo("warning: the audit log beside the tokens cannot be written", err=True)


@click.group("token")
@config_option
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where tokens lie. Without it: beside the journal (/var/lib/earshot with /etc/earshot/config.yaml).",
)
@click.pass_context
def command(ctx: click.Context, config_path: Path | None, folder: Path | None) -> None:
    """Tokens: who may talk to the gateway, see what, and until when.

    All of it may be done while the gateway runs: a new token is good at once, and a revoked one ends its open
    connections within a second. Only a digest of a token is kept; it is shown once, when it is made.

    \b
    earshot token create --role operator --days 90 me
    earshot token create --role listener --device kitchen --days 365 kitchen-panel
    earshot token list
    earshot token rotate kitchen-panel --overlap-hours 24
    earshot token revoke me
    earshot token revoke --all
    """  # noqa: D301
    config = read_config(config_path)
    ctx.obj = desk = Desk(folder or own_folder(config, config_path), config.house)
    ctx.call_on_close(desk.tell)


@command.command("create")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), required=True, help="What it is for."
)
@click.option("--device", "devices", multiple=True, metavar="ID", help="Only this device; may be repeated.")
@click.option("--user", "users", multiple=True, metavar="ID", help="Only this user; may be repeated.")
@click.option("--days", type=click.FloatRange(0, MAX_DAYS, min_open=True), default=90.0, show_default=True)
@click.pass_obj
def create(
    desk: Desk, *, name: str, role: str, devices: tuple[str, ...], users: tuple[str, ...], days: float
) -> None:
    """Make a token and print it, this once."""
    wish = Wish(name=name, role=Role(role), days=days, users=users, devices=devices)
    desk.learn()
    try:
        wish.check()
        _check_clock()
        token, text = desk.file.create(wish)
    except TokenError as error:
        raise Trouble(str(error)) from error
    desk.note(What.MADE, token)
    _hand_over(token, text)


@command.command("rotate")
@click.argument("which", metavar="ID|NAME")
@click.option("--days", type=click.FloatRange(0, MAX_DAYS, min_open=True), default=90.0, show_default=True)
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 24 * MAX_DAYS),
    default=24.0,
    show_default=True,
    help="So long the old one is still good.",
)
@click.pass_obj
def rotate(desk: Desk, *, which: str, days: float, overlap_hours: float) -> None:
    """Make a new token in place of another, for the same role and scope, and print it."""
    desk.learn()
    try:
        _check_clock()
        token, text = desk.file.rotate(which, days=days, overlap=overlap_hours * 3_600)
    except TokenError as error:
        raise Trouble(str(error)) from error
    desk.note(What.ROTATED, token)
    _hand_over(token, text)


@command.command("revoke")
@click.argument("which", metavar="ID|NAME", required=False)
@click.option("--all", "everybody", is_flag=True, help="Every token there is.")
@click.pass_obj
def revoke(desk: Desk, *, which: str | None, everybody: bool) -> None:
    """End a token, all of one name, or all there are, at once; open connections too."""
    if (which is None) != everybody:
        raise click.UsageError("name a token, or --all of them")
    _revoke(desk, which)


def _revoke(desk: Desk, which: str | None) -> None:
    """None: all of them."""
    desk.learn()
    try:
        ended = desk.file.revoke_all() if which is None else desk.file.revoke(which)
    except TokensUnwritable as error:
        raise Trouble(f"{error}\n{_STILL_GOOD}") from error
    except TokenError as error:
        raise Trouble(str(error)) from error
    for token in ended:
        desk.note(What.REVOKED, token)
        click.echo(one_line(f"{token.token_id} ({token.name}) is revoked"))
    if not ended:
        click.echo("there is none that is not revoked" if which is None else "it was revoked already")


_UNTOLD = ("digest", "key")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Each as one JSON line.")
@click.pass_obj
def list_tokens(desk: Desk, *, as_json: bool) -> None:
    """What there is, and what ended lately."""
    desk.learn()
    try:
        tokens = sorted(desk.file.read().tokens.values(), key=lambda token: token.made_at)
    except TokenError as error:
        raise Trouble(str(error)) from error
    if not tokens and not as_json:
        click.echo("no tokens")
    now = time.time()
    for token in tokens:
        if as_json:
            facts = {name: getattr(token, name) for name in token.__struct_fields__ if name not in _UNTOLD}
            told = msgspec.json.encode({**facts, "state": token.problem(now) or "good"})
            click.echo(json_text(told))
        else:
            click.echo(one_line(_line(token, now)))


@command.command("new-key", hidden=True)
@click.option("--keep-old/--drop-old", default=True)
@click.pass_obj
def new_key(desk: Desk, *, keep_old: bool) -> None:
    """As long as tokens were signed: a new key; --drop-old ends every token there is, as it did."""
    click.echo("tokens are not signed any more, and need no key", err=True)
    if not keep_old:
        _revoke(desk, None)


def _check_clock() -> None:
    """Raises TokenError before the clock was set: what is made then has ended as soon as it is."""
    if (now := time.time()) < SET_SINCE:
        raise TokenError(
            f"this machine's clock says {time.strftime('%Y-%m-%d', time.gmtime(now))}, and a token made now would "
            "end as soon as it is right\nremedy: set it (timedatectl), then make the token"
        )


def _hand_over(token: Token, text: str) -> None:
    click.echo(text)
    until = time.strftime("%Y-%m-%d", time.localtime(token.expires_at))
    click.echo(
        one_line(
            f"{token.token_id} ({token.name}, {token.role}) is good until {until}; it is not shown again"
        ),
        err=True,
    )


def _line(token: Token, now: float) -> str:
    scope = [*(f"device {one}" for one in token.devices), *(f"user {one}" for one in token.users)]
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(token.expires_at))
    state = token.problem(now) or f"until {until}"
    return f"{token.token_id}  {token.name:<20}  {token.role:<12}  {state:<22}  {', '.join(scope) or 'everything'}"
