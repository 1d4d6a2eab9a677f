"""The agent of kind commands, on a broker: what it says, what it does with real servers, and what it asks first."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_publication import Publication
from gateway.agents.commands import book_on_disk, http_servers, programs
from gateway.agents.ready_made import probed, ready_made
from gateway.contract.agents import AgentRequest, ConversationTurn
from gateway.contract.messages import OrchestratorReply
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.agents.commands import CommandsMqtt, CommandsSettings
from gateway.settings.orchestrator import AgentSettings
from tests.gateway.orchestrators.played import Gateway, running, soon, until
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import free_port
from tests.servers.unruly_http import Told, UnrulyServer, as_json, unruly

HOUSE = """
lists:
  light:
    - {value: light.kitchen, say: {en: "kitchen light[s]", de: Küchenlicht}}
    - {value: light/hall, say: {en: hall light, de: Flurlicht}}
  door: [front door]
texts: [what]
numbers: {level: {least: 0, most: 100}}
rooms: {Kitchen: {light: light.kitchen}}
not_understood: {en: "I do not know {text}.", de: "Unbekannt."}
"""


@pytest.fixture
async def server() -> AsyncIterator[UnrulyServer]:
    async with unruly() as one:
        yield one


class Played:
    """The agent, as a gateway asks it."""

    def __init__(self, gateway: Gateway, file: Path) -> None:
        self._gateway = gateway
        self.file = file

    async def put(self, text: str, **fields: Any) -> AgentRequest:
        """Said to it."""
        told = {"language": "en", "conversation_id": "v_1", **fields}
        return await self._gateway.ask("house", text, **told)

    async def stop(self, asked: AgentRequest) -> None:
        """Nobody waits for an answer any more."""
        await self._gateway.stop(asked)

    async def ask(self, text: str, **fields: Any) -> OrchestratorReply:
        """What it says to that."""
        await self.put(text, **fields)
        return await self._gateway.reply()

    async def said(self, text: str, **fields: Any) -> str | None:
        """The same, as a text; what it does not understand in brackets."""
        reply = await self.ask(text, **fields)
        return reply.error or (reply.text if reply.understood else f"({reply.text})")


@asynccontextmanager
async def house(folder: Path, commands: str, *, token: str = "", **settings: Any) -> AsyncIterator[Played]:
    """One with these commands."""
    file = folder / "commands.yaml"
    file.write_text(f"{HOUSE}\ncommands:\n{commands}")
    told = CommandsSettings(file=str(file), **settings)
    os.environ["EARSHOT_AGENT_HOUSE_TOKEN"] = token
    try:
        agent = ready_made("house", AgentSettings(kind="commands", commands=told))
    finally:
        del os.environ["EARSHOT_AGENT_HOUSE_TOKEN"]
    async with running(agent) as gateway:
        yield Played(gateway, file)


SWITCH = """
  light:
    say: {en: "turn on [the] (light|{light})", de: "[das|die] (Licht|{light}) an"}
    reply: {en: ["The {light} is on.", "On: {light}."], de: "{light} an."}
"""


async def test_it_answers_in_the_language_that_is_spoken(tmp_path: Path) -> None:
    async with house(tmp_path, SWITCH) as one:
        reply = await one.ask("Turn on the kitchen lights.")
        assert reply.text == "The kitchen light is on."
        assert reply.data == {"command": "light", "slots": {"light": "light.kitchen"}, "state": "done"}
        assert await one.said("turn on the hall light") == "On: hall light."
        assert await one.said("Das Küchenlicht an!", language="de") == "Küchenlicht an."
        assert await one.said("turn on the hall light", language="fr") == "On: hall light."
        assert await one.said("what is up?") == "(I do not know what is up?.)"
        assert await one.said("wie geht's", language="de") == "(Unbekannt.)"


async def test_what_was_not_said_is_known_of_the_room(tmp_path: Path) -> None:
    async with house(tmp_path, SWITCH) as one:
        assert await one.said("turn on the light", room="Kitchen") == "The kitchen light is on."
        assert await one.said("Licht an", room="Kitchen", language="de") == "Küchenlicht an."
        assert await one.said("turn on the hall light", room="Kitchen") == "The hall light is on."
        assert (await one.ask("turn on the light", room="Garage")).understood is False


async def test_what_lacks_a_slot_that_is_needed_does_not_fit(tmp_path: Path, server: UnrulyServer) -> None:
    commands = f"""
  light: {{say: "light [{{light}}]", do: [{{http: {{url: "{server.url}/{{light}}"}}}}], reply: Done.}}
  dim: {{say: "dim [{{level}}]", defaults: {{level: 5}}, do: [{{http: {{url: "{server.url}/{{level}}"}}}}]}}
"""
    async with house(tmp_path, commands) as one:
        assert await one.said("light", room="Garage") == "(I do not know light.)"
        assert await one.said("light", room="Kitchen") == "Done."
        assert await one.said("dim") == ""
        assert await one.said("dim nine") == ""
        assert [asked.path for asked in server.asked] == ["/light.kitchen", "/5", "/9"]


async def test_a_command_may_be_for_some_rooms_and_users_only(tmp_path: Path) -> None:
    commands = """
  cellar: {say: open it, rooms: [Cellar], reply: The cellar is open.}
  ben: {say: open it, users: [ben], reply: Ben.}
  anybody: {say: open it, reply: "{user} in {room}"}
"""
    async with house(tmp_path, commands) as one:
        assert await one.said("open it", room="Cellar") == "The cellar is open."
        assert await one.said("open it", room="Hall") == "ann in Hall"


async def test_a_server_is_asked_and_what_it_answers_is_told(tmp_path: Path, server: UnrulyServer) -> None:
    commands = f"""
  dim:
    say: "dim [the] {{light}} to {{level}} [percent] and say {{what}}"
    do:
      - http:
          url: "{server.url}/api/{{light}}/set?text={{what}}&a=b"
          method: PUT
          headers: {{X-House: "ours"}}
          json: {{level: "{{level}}", words: "say: {{what}}", list: [1, true, null, "{{{{}}}}"]}}
          token: true
    reply: "It is {{reply.state.0.name}} at {{reply.level}}."
  ask:
    say: "ask [about {{what}}]"
    do: [{{http: {{url: "{server.url}/ask"}}}}]
    reply: "{{reply}}"
"""
    async with house(tmp_path, commands, token="s3cret", token_for=(f"{server.url}/",)) as one:
        server.usual = as_json({"state": [{"name": "dim"}], "level": 5})
        evil = 'dim the hall light to fifty and say "quotes" & a/b?c=d #1 ü'
        assert await one.said(evil) == "It is dim at 5."
        asked = server.asked[0]
        assert (asked.method, asked.headers["X-House"]) == ("PUT", "ours")
        assert asked.headers["Authorization"] == "Bearer s3cret"
        words = 'quotes" & a/b?c=d #1 ü'
        path, _, query = asked.path.partition("?")
        assert (path, parse_qs(query)) == ("/api/light%2Fhall/set", {"text": [words], "a": ["b"]})
        assert asked.json == {"level": 50, "words": f"say: {words}", "list": [1, True, None, "{}"]}

        server.usual = Told([b"Plain words.\n"], content_type="text/plain")
        assert await one.said("ask") == "Plain words."
        assert "Authorization" not in server.asked[1].headers
        server.usual = as_json({"no": "text"})
        assert await one.said("ask") == "house: ask: there is no reply in the answer"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (as_json({"message": "broken"}, 500), "house: ask: {host} answers with status 500: broken"),
        (as_json({}, 401), "house: ask: {host} does not let us in"),
        (Told([b"{"], cut=True), "house: ask: the answer of {host} was cut off"),
        (Told(silent=True), "house: ask: {host} took longer than 0.2 s"),
        (Told([b"{"], hangs=True), "house: ask: {host} took longer than 0.2 s"),
        (Told([b"<html>"], content_type="text/html"), "house: ask: there is no reply in the answer"),
        (Told(status=302, headers={"Location": "http://x"}), "house: ask: {host} sends us elsewhere (status 302)"),
    ],
)  # fmt: skip
async def test_what_a_server_does_not_do_is_told_with_the_command(
    tmp_path: Path, server: UnrulyServer, monkeypatch: pytest.MonkeyPatch, told: Told, reason: str
) -> None:
    monkeypatch.setattr(http_servers, "DEED_SECONDS", 0.2)
    server.usual = told
    commands = f'  ask: {{say: ask, do: [{{http: {{url: "{server.url}"}}}}], reply: "{{reply}}"}}\n'
    async with house(tmp_path, commands) as one:
        assert await one.said("ask") == reason.format(host=server.url.partition("//")[2])


async def test_nobody_is_there(tmp_path: Path) -> None:
    port = free_port()
    commands = f'  ask: {{say: ask, do: [{{http: {{url: "http://127.0.0.1:{port}/"}}}}], reply: Done.}}\n'
    async with house(tmp_path, commands) as one:
        assert await one.said("ask") == f"house: ask: 127.0.0.1:{port} is not there: Connection refused"


MQTT = """
  light:
    say: "turn on [the] {light}"
    do: [{mqtt: {topic: "home/{light}/set", payload: {state: "on", who: "{user}"}, retain: true}}]
    reply: "Done."
  say:
    say: "say {what}"
    do: [{mqtt: {topic: "home/{what}/said", payload: "{what}", qos: 0}}]
"""


@pytest.mark.slow
async def test_a_message_is_published_and_nothing_leaves_its_place_in_the_topic(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    told: list[Publication] = []
    session = MqttSession(client_id="listener", wants_kept=True)
    listener = await MqttConnection.open(BrokerAddress.parse(mosquitto.url), session, told.append)
    await listener.subscribe("home/#")
    async with house(tmp_path, MQTT, mqtt=CommandsMqtt(url=mosquitto.url)) as one:
        assert await one.said("turn on the kitchen light") == "Done."
        assert await one.said("say hello there") == ""
        await until(lambda: len(told) == 2)
        assert [(item.topic, item.payload) for item in told] == [
            ("home/light.kitchen/set", b'{"state":"on","who":"ann"}'),
            ("home/hello there/said", b"hello there"),
        ]
        reason = "house: light: what was said does not fit into a topic"
        assert await one.said("turn on the hall light") == reason
        for text in ("a+b", "a/b", "a#b"):
            assert await one.said(f"say {text}") == reason.replace("light", "say")
    await listener.close()
    later: list[Publication] = []
    again = await MqttConnection.open(BrokerAddress.parse(mosquitto.url), session, later.append)
    await again.subscribe("home/#")
    await until(lambda: len(later) == 1)
    assert later[0].topic == "home/light.kitchen/set"
    await again.close()


async def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    async with house(tmp_path, MQTT, mqtt=CommandsMqtt(url=url)) as one:
        assert await one.said("turn on the kitchen light") == f"house: light: {url}: Connection refused"


SHELL = """
  say:
    say: "say {what}"
    do: [{shell: echo}]
    reply: "{reply}"
"""


async def test_a_program_gets_each_slot_within_one_argument(tmp_path: Path) -> None:
    shell = {"echo": ("/bin/echo", "-n", "it is", "{what}", "x={what}")}
    async with house(tmp_path, SHELL, shell=shell) as one:
        evil = "say $(id) ; rm -rf / `id` {x} | cat"
        assert await one.said(evil) == "it is id) ; rm -rf / `id` {x} | cat x=id) ; rm -rf / `id` {x} | cat"
        assert (
            await one.said("say -5") == "house: say: what was said does not fit into an argument of a program"
        )


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("/bin/false",), "the program echo ended with status 1"),
        (("/no/such/program",), "the program echo cannot be run: No such file or directory"),
        (("/bin/sleep", "60"), "the program echo took longer than 0.2 s"),
        (("/bin/cat", "/dev/zero"), "the program echo writes more than 64 KiB"),
        (("/bin/sh", "-c", "kill -9 $$"), "the program echo ended by signal 9"),
    ],
)
async def test_a_program_that_fails_is_told_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], reason: str
) -> None:
    if argv[0].endswith("sleep"):
        monkeypatch.setattr(programs, "PROGRAM_SECONDS", 0.2)
    async with house(tmp_path, SHELL, shell={"echo": argv}) as one:
        assert await one.said("say it") == f"house: say: {reason}"


async def test_a_program_for_which_nobody_waits_any_more_is_ended(tmp_path: Path) -> None:
    """With what it has started: all that hold the pipe are gone when it has an end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    shell = {"echo": ("/bin/sh", "-c", f"exec 9>{pipe}; sleep 300 & echo begun >&9; wait")}
    async with house(tmp_path, SHELL, shell=shell) as one:
        asked = await one.put("say it")
        with await soon(asyncio.to_thread(pipe.open)) as reader:
            assert await soon(asyncio.to_thread(reader.readline)) == "begun\n"
            await one.stop(asked)
            assert await soon(asyncio.to_thread(reader.read)) == ""


async def test_a_program_has_none_of_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_SECRET", "s3cret")
    async with house(tmp_path, SHELL, shell={"echo": ("/usr/bin/env",)}) as one:
        said = await one.said("say it")
        assert said is not None
        assert "s3cret" not in said
        assert "PATH=" in said


UNLOCK = """
  unlock:
    say: {en: "unlock [the] {door}", de: "entriegle die Tür"}
    confirm: {en: "Unlock the {door}?"}
    do: [{shell: unlock}]
    reply: {en: "Unlocked.", de: "Offen."}
  sure: {say: "do {what}", confirm: true, reply: "Did {what}."}
"""


async def test_what_is_to_be_confirmed_is_done_after_a_yes_only(tmp_path: Path) -> None:
    done = tmp_path / "done"
    async with house(tmp_path, UNLOCK, shell={"unlock": ("/bin/touch", str(done))}) as one:
        asked = await one.ask("Unlock the front door.")
        assert (asked.text, asked.understood, asked.acted) == ("Unlock the front door?", True, True)
        assert asked.data == {"command": "unlock", "slots": {"door": "front door"}, "state": "asked"}
        assert await one.said("No!") == "All right, I will not."
        assert await one.said("yes") == "(I do not know yes.)"
        await one.said("unlock the front door")
        assert await one.said("yes", conversation_id="v_2") == "(I do not know yes.)"
        assert await one.said("do something else") == "do something else?"
        assert not done.exists()
        await one.said("unlock the front door")
        assert await one.said("Yes, please.") == "Unlocked."
        assert done.exists()
        assert await one.said("Do the dishes!") == "Do the dishes?"
        assert await one.said("OK.") == "Did the dishes."


async def test_another_agent_neither_has_confirmed_nor_says_yes(tmp_path: Path) -> None:
    """A language model that has commands as its tool would only have to ask twice."""
    done = tmp_path / "done"
    of_brain = {"request": {"path": ("brain",)}}
    async with house(tmp_path, UNLOCK, shell={"unlock": ("/bin/touch", str(done))}) as one:
        refused = await one.said("unlock the front door", **of_brain)
        assert refused is not None
        assert "unlock: whoever speaks has to confirm it" in refused
        assert await one.said("yes", **of_brain) == "(I do not know yes.)"
        assert await one.said("unlock the front door") == "Unlock the front door?"
        assert await one.said("yes", **of_brain) == "(I do not know yes.)"
        assert not done.exists()
        assert await one.said("yes") == "Unlocked."
        assert done.exists()


async def test_a_question_that_another_answer_was_given_in_place_of(tmp_path: Path) -> None:
    """In a team, whose answers are compared: nobody has heard the question."""
    done = tmp_path / "done"
    before = ConversationTurn(text="unlock the front door", reply="Which?", agent="b", correlation_id="c_1")
    async with house(tmp_path, UNLOCK, shell={"unlock": ("/bin/touch", str(done))}) as one:
        assert await one.said("unlock the front door") == "Unlock the front door?"
        assert await one.said("yes", request={"conversation": (before,)}) == "(I do not know yes.)"
        assert await one.said("yes") == "(I do not know yes.)"
        assert not done.exists()


async def test_the_file_is_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_on_disk, "LOOK_SECONDS", 0.001)
    async with house(tmp_path, "  a: {say: hello, reply: One.}\n") as one:
        assert await one.said("hello") == "One."
        new = tmp_path / "new"
        for text in ("commands: {a: {say: [hello, reply: Broken", "commands: {a: {say: hello, reply: Two.}}"):
            new.write_text(text)
            new.replace(one.file)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while await one.said("hello") != "Two.":
                pass
        one.file.unlink()
        assert await one.said("hello") == "Two."


def test_an_agent_without_a_file() -> None:
    with pytest.raises(BadOrchestrator, match="name its file"):
        ready_made("house", AgentSettings(kind="commands"))


async def test_a_wrong_file_at_the_start_is_told_and_mended_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_on_disk, "LOOK_SECONDS", 0.001)
    file = tmp_path / "house.yaml"
    told: list[tuple[str, str, str]] = []
    agent = ready_made("house", AgentSettings(kind="commands", commands=CommandsSettings(file=str(file))))
    agent.on_ailing = lambda *news: told.append(news)
    async with running(agent) as gateway:
        one = Played(gateway, file)
        reason = f"its commands are wrong ({file}: No such file or directory"
        assert str(await one.said("hello")).startswith(f"house: {reason}")
        assert told[0][:2] == ("house", told[0][1])
        assert told[0][1].startswith(reason)
        file.write_text("commands: {a: {say: hello, reply: One.}}")
        async with asyncio.timeout(10):
            while await one.said("hello") != "One.":
                pass
        assert told[-1] == ("house", "", "")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"file": "/no/such/commands.yaml"}, "/no/such/commands.yaml: No such file or directory"),
        ({"file": "~nobody_at_all/x"}, "~nobody_at_all/x: No such file or directory"),
    ],
)
async def test_a_look_at_an_agent_without_its_file(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadOrchestrator) as wrong:
        await probed("house", AgentSettings(kind="commands", commands=CommandsSettings(**settings)))
    assert complaint in str(wrong.value)
    assert "file of commands" in str(wrong.value)
    assert "check-config" not in str(wrong.value)  # which prints a config.yaml


async def test_the_recognizer_is_told_the_words_of_the_house(tmp_path: Path) -> None:
    commands = """
  a: {say: hello, reply: One., hotwords: [Zumtobel, Küchenlicht]}
  b: {say: b, hotwords: [Zumtobel]}
"""
    async with house(tmp_path, commands) as one:
        reply = await one.ask("hello")
        assert reply.hints is not None
        assert reply.hints.hotwords == "Zumtobel, Küchenlicht"
