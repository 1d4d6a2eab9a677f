"""The demo's table, as a terminal would show it."""

from __future__ import annotations

from rich.console import Console

from gateway.commands.demo.screen import Screen
from gateway.contract.events import ListenerEvent
from tests.gateway.events import delivery, partial, reply, status, transcription


def shown(*events: ListenerEvent) -> str:
    screen = Screen(quiet=True, once=False)
    screen.speaking("kitchen", "serial", "turn on the light")
    for event in events:
        screen.show(event)
    console = Console(width=140)
    with console.capture() as capture:
        console.print(screen._table())
    return capture.get()


def test_text_grows_while_it_is_being_spoken() -> None:
    assert "turn ..." in shown(status(), partial("turn"))
    assert "turn on the lie ..." in shown(
        status(), partial("turn"), partial("turn on the lie", stable="turn on")
    )


def test_the_transcript_replaces_it_and_stays() -> None:
    table = shown(partial("turn on the lie", stable="turn on"), transcription(), partial("too late"))
    assert "turn on the light" in table
    assert "..." not in table
    assert "410 ms" in table


def test_the_answer_and_its_time_follow() -> None:
    table = shown(partial("turn"), transcription(), reply(), delivery(), status("idle"))
    assert "The light is on." in table
    assert "480 ms" in table
    assert "done" in table


def test_what_is_not_the_demos_is_not_shown() -> None:
    assert "attic" not in shown(status(device="attic"))
