"""The demo's house as a file of commands: it understands what the demo says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.agents.commands.agent import orchestrator
from gateway.agents.commands.reading import read_book
from gateway.orchestrator import Rehearsal
from gateway.settings.agents.commands import CommandsSettings
from gateway.settings.orchestrator import AgentSettings
from tests.gateway.agents.test_confirmation import said
from tests.gateway.orchestrators.test_builtin import demo_sentences

BOOK = CommandsSettings(file="demo")


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("Turn on the kitchen light.", "en", "Demo: The kitchen light is on."),
        ("switch the fan off please", "en", "Demo: The fan is off."),
        ("turn off all the lights", "en", "Demo: All the lights are off."),
        ("Schalte bitte das Küchenlicht ein!", "de", "Demo: Küchenlicht ist an."),
        ("set the hall light to green", "en", "Demo: The hall light is green now."),
        ("set the thermostat to twenty one degrees", "en", "Demo: The hall thermostat is set to 21 degrees."),
        ("Stelle die Temperatur im Büro auf 21,5 Grad", "de", "Demo: 21,5 Grad in Büro."),
        ("open the garage door", "en", "Demo: The garage door is open."),
        ("set a timer for sixty minutes", "en", "Demo: Timer set for 60 minutes."),
        ("engine number five status", "en", "Demo: Engine 5 is running normally."),
        ("go forward ten meters", "en", "Demo: Going forward 10 meters."),
        ("emergency stop", "en", "Demo: Emergency stop. Everything is off."),
        ("Danke!", "de", "Demo: Gern."),
    ],
)
async def test_what_it_answers(text: str, language: str, answer: str) -> None:
    agent = orchestrator("house", AgentSettings(kind="commands", commands=BOOK), "")
    async with Rehearsal(agent) as stage:
        assert (await stage.say(text, language=language)).text == answer


def test_it_understands_the_commands_of_the_demo() -> None:
    book = read_book(BOOK)
    sentences = [
        one
        for one in demo_sentences()
        if re.match(r"(turn|set|open|start|stop|engine|emergency|status report)\b", one)
    ]
    understood = [one for one in sentences if book.understand(said(one)) is not None]
    assert set(sentences) - set(understood) == set()
    assert len(understood) >= 12


def test_the_example_of_the_documentation_is_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "ready-made-agents.md").read_text(encoding="utf-8")
    file = tmp_path / "c.yaml"
    file.write_text(re.findall(r"```yaml\n(language: en.*?)```", page, re.DOTALL)[0])
    settings: dict[str, Any] = {
        "file": str(file),
        "mqtt": {"url": "mqtt://broker"},
        "token_for": ["http://heating.local"],
        "shell": {"unlock": ["/usr/local/bin/unlock", "--door={door}"]},
    }
    book = read_book(msgspec.convert(settings, CommandsSettings))
    for text, language, command in (
        ("Turn on the kitchen lights, please!", "en", "light"),
        ("Turn the hall light off", "en", "light"),
        ("Das Küchenlicht an!", "de", "light"),
        ("Set the heating to twenty one point five degrees", "en", "heating"),
        ("Add two eggs to the list", "en", "shopping"),
    ):
        meant = book.understand(msgspec.structs.replace(said(text, language=language), room="Kitchen"))
        assert meant is not None
        assert meant.command.name == command
    assert book.understand(msgspec.structs.replace(said("unlock the garage"), room="Kitchen")) is None
    assert book.understand(msgspec.structs.replace(said("unlock the garage"), room="Hall")) is not None
