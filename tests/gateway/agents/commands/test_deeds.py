"""What a command does, with the worst that slots can be: each stays where it was written."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.agents.commands.deeds import BadDeed, read_deed
from gateway.agents.commands.filling import (
    BadHole,
    Filler,
    Hole,
    NothingThere,
    Values,
    fill_json,
    json_holes,
    read_json,
)
from gateway.agents.commands.form import DeedForm, HttpForm, MqttForm
from gateway.agents.commands.matching import SlotValue
from gateway.orchestrators.answer import CannotAnswer
from gateway.settings.agents.commands import CommandsMqtt, CommandsSettings

SETTINGS = CommandsSettings(
    shell={"run": ("/bin/run", "{what}", "--x={what}", "a{what}")}, mqtt=CommandsMqtt(url="mqtt://h")
)


class Kept:
    """Means that remember what they were to do."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def ask(self, origin: str, path: str, **how: Any) -> dict[str, int]:
        self.told.append((origin, path, how))
        return {"a": 1}

    async def publish(self, topic: str, payload: bytes, **how: Any) -> None:
        self.told.append((topic, payload, how))

    async def run(self, argv: tuple[str, ...], name: str) -> str:
        self.told.append(argv)
        return name


def slots(what: str | float) -> Values:
    return Values({"what": SlotValue(what, str(what))})


async def done(form: DeedForm, what: str | float) -> Any:
    means = Kept()
    await read_deed(form, SETTINGS).do(slots(what), means)
    return means.told[0]


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("a b", "/lamp/a%20b/on?q=a%20b"),
        ("a/../b?c#d", "/lamp/a%2F..%2Fb%3Fc%23d/on?q=a%2F..%2Fb%3Fc%23d"),
        ("%2e%2e", "/lamp/%252e%252e/on?q=%252e%252e"),
        ("&x=1", "/lamp/%26x%3D1/on?q=%26x%3D1"),
        ("ü\r\nHost: x", "/lamp/%C3%BC%0D%0AHost%3A%20x/on?q=%C3%BC%0D%0AHost%3A%20x"),
        (21.5, "/lamp/21.5/on?q=21.5"),
    ],
)
async def test_in_an_address(what: str | float, path: str) -> None:
    origin, found, how = await done(DeedForm(http=HttpForm(url="http://h:1/lamp/{what}/on?q={what}")), what)
    assert (origin, found) == ("http://h:1", path)
    assert how == {"method": "GET", "headers": {}, "body": None, "token": False}


@pytest.mark.parametrize(("url", "what"), [("/a/{what}", ".."), ("/{what}/b", "."), ("/{what}.?x", ".")])
async def test_no_step_to_another_folder(url: str, what: str) -> None:
    with pytest.raises(CannotAnswer, match="does not fit into an address"):
        await done(DeedForm(http=HttpForm(url=f"http://h{url}")), what)
    assert await done(DeedForm(http=HttpForm(url="http://h/?q={what}")), what)


@pytest.mark.parametrize("what", ["a/b", "+", "#", "a\x00b", "", "$SYS", "a\nb"])
async def test_no_other_topic(what: str) -> None:
    with pytest.raises(CannotAnswer, match="does not fit into a topic"):
        await done(DeedForm(mqtt=MqttForm(topic="{what}/set")), what)


async def test_a_topic_that_is_too_long() -> None:
    with pytest.raises(CannotAnswer, match="does not fit into a topic"):
        await done(DeedForm(mqtt=MqttForm(topic="{what}/set")), "ü" * 500)


async def test_in_a_message() -> None:
    form = MqttForm(topic="home/{what}", payload={"a": "{what}", "b": ["x{what}"], "c": True}, qos=0)
    assert await done(DeedForm(mqtt=form), 5) == (
        "home/5",
        b'{"a":5,"b":["x5"],"c":true}',
        {"qos": 0, "retain": False},
    )
    evil = '","c":false,"d":"'
    _, payload, _ = await done(DeedForm(mqtt=MqttForm(topic="home", payload={"a": "{what}"})), evil)
    assert payload == b'{"a":"\\",\\"c\\":false,\\"d\\":\\""}'
    assert (await done(DeedForm(mqtt=MqttForm(topic="home", payload="{what}")), 5))[1] == b"5"


@pytest.mark.parametrize(
    "payload", ['{{"text": "{what}"}}', ' {{"level": {what}, "on": true}}', '["{what}"]', "[{what}, 1]"]
)
def test_no_json_is_written_as_a_text_that_slots_could_leave(payload: str) -> None:
    with pytest.raises(BadDeed, match="write it as it is, and not as a text"):
        read_deed(DeedForm(mqtt=MqttForm(topic="home", payload=payload)), SETTINGS)


async def test_a_text_is_no_json_that_merely_begins_so() -> None:
    for payload in ("{what}", "[{what}] said", '{{"on": true}}'):
        await done(DeedForm(mqtt=MqttForm(topic="home", payload=payload)), "x")


async def test_in_arguments() -> None:
    assert await done(DeedForm(shell="run"), "x; y") == ("/bin/run", "x; y", "--x=x; y", "ax; y")
    for what in ("-x", "--help", "a\x00b"):
        with pytest.raises(CannotAnswer, match="does not fit into an argument"):
            await done(DeedForm(shell="run"), what)


def test_texts_with_holes() -> None:
    values = Values({"a": SlotValue("l.1", "lamp")}, {"x": [{"y": 1.5}, True, None], "": 1})
    assert Filler.read("{{{a}}} {reply.x.0.y} {reply.x.1}").fill(values.words) == "{lamp} 1.5 true"
    for text in (
        "{reply.x.2}",
        "{reply.x.9}",
        "{reply.z}",
        "{reply}",
        "{reply.x.-1}",
        "{b}",
        "{reply.x.0.y.z}",
    ):
        with pytest.raises(NothingThere):
            Filler.read(text).fill(values.words)
    for text in ("{", "}", "{A}", "{a.b}", "{a b}", "{}"):
        with pytest.raises(BadHole):
            Filler.read(text)


def test_json_with_holes() -> None:
    data = read_json({"{a}": ["{a}", 1, None, {"b": "-{reply.c}-"}]})
    assert json_holes(data) == {Hole("a"), Hole("reply", ("c",))}
    values = Values({"a": SlotValue(7, "seven")}, {"c": "d"})
    assert fill_json(data, values) == {"{a}": [7, 1, None, {"b": "-d-"}]}
