"""What docs/agents.md shows to people who write agents works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gateway.contract.intents import intents_of
from gateway.orchestrators.rehearsal import Rehearsal

PAGE = Path(__file__).parents[3] / "docs" / "agents.md"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def page() -> dict[str, Any]:
    """The names that all of the page's code defines; it is run as one module, but for what runs for ever."""
    names: dict[str, Any] = {}
    for block in PYTHON.findall(PAGE.read_text(encoding="utf-8")):
        if "run_forever" not in block:
            exec(compile(block, str(PAGE), "exec"), names)
    return names


async def test_the_code_of_the_page_runs_and_its_test_passes() -> None:
    names = page()
    await names["test_the_house"]()
    own = ("house", "home", "clock", "shop", "lamps")
    async with Rehearsal(*(names[name] for name in own)) as stage:
        assert (await stage.say("hello")).text == "You said: hello"
        unknown = await stage.say("what time is it in Atlantis", agent="clock")
        assert (unknown.text, unknown.end.understood) == ("I do not know that city.", False)
        for user, room, text in (
            ("ann", "Kitchen", "Hello Ann."),
            ("bob", "Hall", "I only know about lights."),
        ):
            assert (await stage.say("hello", agent="home", user_id=user, room=room)).text == text
        assert not (await stage.say("hello", agent="home", room="Office")).end.understood
        switched = await stage.say("switch on the lamp", agent="lamps")
        assert [one.name for one in intents_of(switched.end.data)] == ["HassTurnOn"]
        ordered = await stage.say("order milk", agent="shop")
        assert len(names["ordered"]) == 1
        await stage.undo(ordered)
        assert names["ordered"] == []


def test_it_names_each_tool() -> None:
    text = PAGE.read_text(encoding="utf-8")
    tools = ("say", "interim", "progress", "ask", "announce", "hints", "attach")
    assert [tool for tool in tools if f"await heard.{tool}(" not in text] == []
