"""docs/events.md says what gateway/contract/messages.py does: every kind, every field, every example."""

from __future__ import annotations

import asyncio
import re
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from gateway.contract.events import (
    Authenticate,
    ErrorEvent,
    HubEventBase,
    ListenerEvent,
    Say,
    Subscribe,
    decode_event,
    decode_first,
    decode_say,
    decode_subscribe,
)
from gateway.contract.messages import BadMessage, encode
from gateway.pipeline.asking.typed_text import MAX_CHARACTERS
from tests.gateway.events import reply
from tests.gateway.web.house import PATIENCE, House

PAGE = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL))
KINDS = {str(kind.__struct_config__.tag): kind for kind in get_args(ListenerEvent)}
BASE = set(HubEventBase.__struct_fields__)


def table(text: str) -> dict[str, str]:
    """Field to type, as the first table of ``text`` has them."""
    return dict(re.findall(r"^ *\| `(\w+)` \| ([^|]+?) \|", text, re.MULTILINE))


def words(annotation: Any) -> str:
    """A Python type as the page calls it."""
    if get_origin(annotation) is tuple:
        return "array of strings" if get_args(annotation)[0] is str else "array of objects"
    if get_origin(annotation) in {types.UnionType, Union}:
        return " or ".join(words(part) for part in get_args(annotation))
    names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return names.get(annotation, "object")


def fields(struct: type[msgspec.Struct]) -> dict[str, str]:
    hints = get_type_hints(struct)
    return {name: words(hints[name]) for name in struct.__struct_fields__}


def test_every_kind_has_its_section_in_order() -> None:
    assert list(SECTIONS) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_the_struct(kind: str) -> None:
    own = {name: word for name, word in fields(KINDS[kind]).items() if name not in BASE}
    assert table(SECTIONS[kind]) == own


def test_the_fields_of_every_event() -> None:
    chapter = PAGE.split("## Fields of every event")[1].split("## The events")[0]
    assert table(chapter) == {"type": "string", **fields(HubEventBase)}


def test_the_subscribe_message() -> None:
    chapter = PAGE.split("## The conversation on the wire")[1].split("## Fields of every event")[0]
    assert table(chapter) == fields(Subscribe)
    subscribe, say, authenticate = re.findall(r"```json\n\s*(.*?)\n\s*```", chapter)
    assert decode_subscribe(subscribe).devices == ("kitchen",)
    assert decode_say(say).text == "turn on the light"
    assert isinstance(decode_first(authenticate), Authenticate)


def test_the_bounds_of_say_are_as_written() -> None:
    assert f"at most {MAX_CHARACTERS:,} characters" in PAGE
    assert "`ref` (at most 64)" in PAGE
    decode_say(encode(Say(text="x", ref="r" * 64)))
    with pytest.raises(BadMessage):
        decode_say(encode(Say(text="x", ref="r" * 65)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_is_a_whole_event(kind: str) -> None:
    (example,) = re.findall(r"```json\n(.*?)\n```", SECTIONS[kind])
    event = decode_event(example)
    assert isinstance(event, KINDS[kind])
    assert msgspec.json.decode(example) == msgspec.json.decode(encode(event))


@pytest.mark.parametrize("kind", set(KINDS) - {ErrorEvent.__struct_config__.tag})
def test_droppable_kinds_are_marked(kind: str) -> None:
    event = decode_event(re.findall(r"```json\n(.*?)\n```", SECTIONS[kind])[0])
    assert event.droppable == ("Droppable.\n" in SECTIONS[kind])


async def test_the_python_listener_runs_as_written(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program = program.replace("http://127.0.0.1:8080/", house.url).replace("asyncio.run(main())", "")
    assert len(program.splitlines()) <= 11
    names: dict[str, Any] = {}
    exec(compile(program, "docs/events.md", "exec"), names)
    listening = asyncio.ensure_future(names["main"]())
    said = ""
    async with asyncio.timeout(PATIENCE):
        while "kitchen The light is on." not in said:
            house.publish(reply())
            await asyncio.sleep(0.01)
            said += capsys.readouterr().out
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
