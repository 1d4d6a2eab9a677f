"""A name that no device of a running gateway has: told, with what was perhaps meant. What is done for it stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from gateway.commands.asking import AskedGateway
from gateway.contract.escaping import one_line

MOST_NAMED = 5


def tell_strangers(asked: AskedGateway, devices: Sequence[str] = (), rooms: Sequence[str] = ()) -> None:
    """A line for each that is nobody's there; nothing, where the gateway cannot be asked.

    Before it is done: who waited does not any more once it is approved.
    """
    if not (devices or rooms):
        return
    try:
        told = asked.ask("/devices")
    except click.ClickException:
        return
    for line in strangers(told, devices, rooms):
        click.echo(one_line(line), err=True)


def strangers(told: dict[str, Any], devices: Sequence[str], rooms: Sequence[str]) -> Iterator[str]:
    """``told``: what the gateway told of its devices."""
    waiting = [one["device_id"] for one in told["waiting"]]
    came = {one["device_id"] for group in ("devices", "waiting", "refused") for one in told[group]} - {""}
    for device in devices:
        if device not in came:
            waits = f"; waiting for approval: {', '.join(waiting[:MOST_NAMED])}" if waiting else ""
            yield f"note: {device} has not come since the gateway started{_near(device, came) or waits}"
    there = dict.fromkeys(one["room"] for one in told["devices"] if one["room"])
    for room in rooms:
        if room not in there:
            named = f"; there are {', '.join([*there][:MOST_NAMED])}" if there else ""
            yield f"note: no device of {room} has come since the gateway started{_near(room, there) or named}"


def _near(name: str, known: Iterable[str]) -> str:
    lowered = {one.lower(): one for one in known}
    meant = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f"; did you mean {lowered[meant[0]]}?" if meant else ""
