"""Home Assistant asked for its names: what it answers, how it fails, and when it is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.names import home_assistant
from gateway.names.home_assistant import AssistNames, NamesForbidden, NamesUnavailable, ask
from gateway.settings.names import AssistNamesSettings
from tests.gateway.names.assist_server import NAMES, TOKEN, AssistServer, Wire, serving, silent
from tests.gateway.names.found import Known
from tests.record import PATIENCE


@pytest.fixture
async def server() -> AsyncIterator[AssistServer]:
    async with serving() as one:
        yield one


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


def settings(url: str, **more: str) -> AssistNamesSettings:
    return msgspec.convert({"url": url} | more, AssistNamesSettings)


async def test_what_is_exposed_and_rooms_and_floors_are_told(server: AssistServer, token_file: str) -> None:
    known = Known()
    known.found("Home Assistant", (await ask(settings(server.url, token_file=token_file))).names())
    told = known.told("study")
    assert set(told) == set(NAMES)
    assert set(told[:4]) == {"Study", "office", "Artemide", "Tolomeo"} | set(told[:4]) - {"Cellar"}
    assert told[-1] == "Viessmann heat"
    assert known.told("cellar")[:2] == ("Cellar", "Viessmann heat")


async def test_the_token_may_stand_in_the_environment(server: AssistServer, monkeypatch: Any) -> None:
    monkeypatch.setenv("EARSHOT_NAMES_HOME_ASSISTANT_TOKEN", TOKEN)
    assert (await ask(settings(server.url))).areas[0].name == "Study"


async def garbage(wire: Wire, asked: dict[str, Any]) -> bool:
    if asked["type"] == "get_states":
        await wire.send_str("<html>")
    return asked["type"] == "get_states"


async def hangs_up(_wire: Wire, asked: dict[str, Any]) -> bool:
    return bool(asked["type"] == "get_states")


async def too_much(wire: Wire, asked: dict[str, Any]) -> bool:
    if asked["type"] == "get_states":
        await wire.send_str("[" + " " * 60 * 1024 * 1024)
    return asked["type"] == "get_states"


async def refuses(wire: Wire, asked: dict[str, Any]) -> bool:
    if asked["type"].endswith("expose_entity/list"):
        error = {"code": "unauthorized", "message": "Unauthorized"}
        await wire.send_json({"id": asked["id"], "type": "result", "success": False, "error": error})
    return False


async def another(wire: Wire, asked: dict[str, Any]) -> bool:
    if asked["type"] == "get_states":
        await wire.send_json({"id": asked["id"], "type": "result", "success": True, "result": {"a": 1}})
    return asked["type"] == "get_states"


async def nobody_else(wire: Wire, asked: dict[str, Any]) -> bool:
    if not asked["type"]:
        await wire.send_json({"type": "hello"})
    return not asked["type"]


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (garbage, "no message of its"),
        (hangs_up, "hangs up"),
        pytest.param(too_much, "says too much at once", marks=pytest.mark.slow),
        (refuses, "may not ask for homeassistant/expose_entity/list"),
        (another, "answers get_states as no version that we know"),
        (nobody_else, "begins with 'hello'"),
        (silent, "does not answer in 0 s"),
    ],
)
async def test_whatever_it_does_is_said_in_words(
    server: AssistServer, token_file: str, behave: Any, reason: str, monkeypatch: Any
) -> None:
    server.behave = behave
    if behave is silent:
        monkeypatch.setattr(home_assistant, "ASK_SECONDS", 0.1)
    with pytest.raises(NamesUnavailable, match=reason) as caught:
        await ask(settings(server.url, token_file=token_file))
    assert TOKEN not in f"{caught.value}{caught.value.remedy}"
    assert isinstance(caught.value, NamesForbidden) is (behave is refuses)


async def test_a_token_that_is_refused_or_not_there_is_told_apart(
    server: AssistServer, tmp_path: Path
) -> None:
    with pytest.raises(NamesUnavailable, match="there is no token"):
        await ask(settings(server.url))
    with pytest.raises(NamesUnavailable, match="cannot be read: No such file"):
        await ask(settings(server.url, token_file=str(tmp_path / "none")))
    (tmp_path / "wrong").write_text("another")
    with pytest.raises(NamesForbidden, match="refuses the token") as caught:
        await ask(settings(server.url, token_file=str(tmp_path / "wrong")))
    assert "long-lived" in caught.value.remedy


@pytest.mark.parametrize(
    ("path", "reason"),
    [("", "is not there: Connection refused"), ("/elsewhere", "is no Home Assistant .status 404")],
)
async def test_where_it_is_not(
    server: AssistServer, token_file: str, path: str, reason: str, free_tcp_port: int
) -> None:
    url = f"{server.url}{path}" if path else f"http://127.0.0.1:{free_tcp_port}"
    with pytest.raises(NamesUnavailable, match=reason) as caught:
        await ask(settings(url, token_file=token_file))
    assert "names.home_assistant.url" in caught.value.remedy


async def test_the_token_goes_to_no_other_host(server: AssistServer, token_file: str) -> None:
    async with serving() as other:
        server.sends_to = f"{other.url}/api/websocket"
        with pytest.raises(NamesUnavailable, match=r"is no Home Assistant \(status 307\)"):
            await ask(settings(server.url, token_file=token_file))
        assert other.visits == 0


@asynccontextmanager
async def running(source: AssistNames) -> AsyncIterator[None]:
    work = asyncio.create_task(source.run())
    try:
        yield
    finally:
        work.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.005)


async def test_it_is_asked_at_once_and_again_when_somebody_speaks(
    server: AssistServer, token_file: str
) -> None:
    known = Known()
    async with running(AssistNames(settings(server.url, token_file=token_file), known, 0.01)):
        await until(lambda: server.visits == 1 and known.how("Home Assistant").state == "healthy")
        server.house["config/area_registry/list"] = [{"area_id": "a1", "name": "Den"}]
        await asyncio.sleep(0.05)
        assert server.visits == 1, "as long as nobody speaks nobody is asked"
        assert "Study" in known.told("den"), "nobody waits for it"
        await until(lambda: server.visits == 2 and "Den" in known.told("hall"))


async def test_what_it_told_is_kept_while_it_is_away_and_it_is_asked_until_it_is_back(
    server: AssistServer, token_file: str
) -> None:
    known = Known()
    source = AssistNames(settings(server.url, token_file=token_file), known, 0.01, retry_seconds=(0.01, 0.02))
    async with running(source):
        await until(lambda: known.told("study") != ())
        server.behave = hangs_up
        await until(lambda: known.told("study") != () and known.how("Home Assistant").state == "degraded")
        assert set(known.told("study")) == set(NAMES)
        assert known.how("Home Assistant").works is not False
        server.behave = AssistServer().behave
        await until(lambda: known.how("Home Assistant").state == "healthy")


async def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, token_file: str) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(NamesUnavailable, match=r"ca\.pem cannot be used") as caught:
        await ask(settings("https://127.0.0.1:1", token_file=token_file, ca_file=str(tmp_path / "ca.pem")))
    assert "names.home_assistant.ca_file" in caught.value.remedy
