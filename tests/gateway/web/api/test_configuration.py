"""The configuration over HTTP: shown without secrets, changed whole or not at all, and kept if that is wanted."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.loading import load_config
from gateway.config.reloading import REASONS
from gateway.contract.events import FORGOTTEN, DeviceEvent
from gateway.web.api.configuration import masked, merged
from tests.gateway.web.api.served import Served, open_served, served_parts
from tests.gateway.web.house import web_server
from tests.system.house import open_house
from transcription.models.models import BUNDLED

PATH = "/config"


async def change(served: Served, patch: Any, status: int = 200, query: str = "") -> Any:
    return await served.call("PATCH", PATH + query, status, json=patch)


async def test_it_is_shown_as_it_is_without_its_secrets(tmp_path: Path) -> None:
    async with open_served(tmp_path, broker={"url": "mqtt://me:hunter2@broker:1883"}, beside=None) as served:
        told = await served.get(PATH)
        assert told["settings"]["broker"]["url"] == "mqtt://me:***@broker:1883"
        assert told["settings"]["transcription"]["language"] == "en"
        assert "hunter2" not in str(told)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "x", "api_token": "x"}, {"password": "***", "api_token": "***"}),
        ({"client_secret": "x", "password": ""}, {"client_secret": "***", "password": ""}),
        ({"password_file": "/a", "require_token": True}, {"password_file": "/a", "require_token": True}),
        ({"urls": ["redis://:pw@host", "amqp://u:p@h/v"]}, {"urls": ["redis://:***@host", "amqp://u:***@h/v"]}),
    ],
)  # fmt: skip
def test_what_is_a_secret(value: Any, shown: Any) -> None:
    assert masked(value) == shown


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON)
def test_what_is_shown_and_sent_back_changes_nothing(value: Any) -> None:
    base = {"setting": value, "url": "mqtt://me:hunter2@broker"}
    kept = {key: one for key, one in base.items() if one is not None}
    back = masked(kept)
    if "None" not in repr(value):  # null means: the default
        assert merged(kept, back) == kept
    assert merged(kept, {"url": "mqtt://me:new@broker"})["url"] == "mqtt://me:new@broker"
    assert "setting" not in merged(kept, {"setting": None})


async def test_what_can_change_at_once_is_applied_and_the_rest_is_named(served: Served) -> None:
    patch = {
        "transcription": {"wait_seconds": 7.5}, "web": {"max_listeners": 5}, "sessions": {"max_sessions": 50}
    }  # fmt: skip
    told = await change(served, patch)
    reasons = told.pop("reasons")
    assert told == {
        "applied": ["transcription.wait_seconds", "web.max_listeners"], "need_restart": ["sessions.max_sessions"],
        "saved": False, "overridden": [], "pending": "",
    }  # fmt: skip
    assert reasons == {"sessions.max_sessions": REASONS["sessions"]}
    settings = (await served.get(PATH))["settings"]
    assert settings["transcription"]["wait_seconds"] == 7.5
    assert settings["web"]["max_listeners"] == 5
    assert settings["sessions"]["max_sessions"] != 50, "not before the next start"
    back = await change(served, {"transcription": {"wait_seconds": None}})
    assert back["applied"] == ["transcription.wait_seconds"]
    assert await change(served, {}) == {
        "applied": [], "need_restart": [], "saved": False, "overridden": [], "pending": "", "reasons": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("patch", "place", "says"),
    [
        ({"web": {"prot": 1}}, "web.prot", "unknown key; did you mean web.port?"),
        ({"web": {"port": "x"}}, "web.port", "expected a whole number from 0 to 65535, got 'x'"),
        ({"transcription": {"language": "de"}}, "transcription.language", "knows English only"),
        ({"transcription": 5}, "transcription", "expected settings"),
        ({"nonsense": {}}, "nonsense", "unknown key"),
    ],
)
async def test_what_is_wrong_is_told_as_check_config_tells_it(
    served: Served, patch: Any, place: str, says: str
) -> None:
    before = await served.get(PATH)
    told = await change(served, {**patch, "log": {"level": "debug"}}, 422)
    assert [error["place"] for error in told["errors"]] == [place]
    assert says in told["errors"][0]["message"]
    assert await served.get(PATH) == before


@pytest.mark.parametrize(("body", "status"), [(b"[]", 422), (b"7", 422), (b"{", 400), (b"[" * 9999, 400)])
async def test_what_is_no_patch_is_refused(served: Served, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    await served.call("PATCH", PATH, status, data=body, headers=headers)


# -- kept


async def with_file(served: Served, file: Path | None) -> Any:
    """The same gateway, started with a file."""
    works = served.works
    return web_server(
        works.hub, works.health, port=0, running=lambda: replace(served_parts(works), config_file=file)
    )


async def test_it_is_written_to_the_file_if_that_is_wanted(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("# Ours.\ntranscription:\n  wait_seconds: 30  # for long\n")
    monkeypatch.setenv("EARSHOT_SESSIONS__MAX_SESSIONS", "80")
    async with await with_file(served, file) as server:
        here = replace(served, url=server.url)
        patch = {"transcription": {"wait_seconds": 5}, "sessions": {"max_sessions": 90}}
        told = await change(here, patch, query="?save=true")
        assert (told["saved"], told["overridden"]) == (True, ["sessions.max_sessions"])
        assert told["need_restart"] == ["sessions.max_sessions"]
        assert (await here.get(PATH))["file"] == str(file)
    assert file.read_text() == (
        "# Ours.\ntranscription:\n  wait_seconds: 5.0  # for long\nsessions:\n  max_sessions: 90\n"
    )
    assert load_config(file, {}).sessions.max_sessions == 90
    health = served.works.health.report().components["configuration"]
    assert (health.state, health.remedy.split(" (")[0]) == ("degraded", "restart the gateway")


async def test_exactly_what_was_named_is_saved(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    before = "devices:\n  rooms:\n    # Downstairs.\n    kitchen: Kitchen  # west\n    hall: Hall\n"
    file.write_text(before)
    secret = {"url": "mqtt://me:hunter2@broker:1883"}
    async with (
        open_served(tmp_path, broker=secret, beside=None) as served,
        await with_file(served, file) as server,
    ):
        here = replace(served, url=server.url)

        async def save(**patch: Any) -> Any:
            return await change(here, patch, query="?save=true")

        await change(here, {"transcription": {"wait_seconds": 7.5}})
        assert file.read_text() == before
        await save(transcription={"wait_seconds": 7.5})
        assert "  wait_seconds: 7.5\n" in file.read_text(), "it runs already, and is kept only now"
        await save(sessions={"max_sessions": 9000})
        assert "sessions.max_sessions" in served.works.health.report().components["configuration"].reason
        await save(sessions={"max_sessions": (await here.get(PATH))["settings"]["sessions"]["max_sessions"]})
        assert "9000" not in file.read_text(), "as it runs, the file is to say again"
        assert "max_sessions" not in served.works.health.report().components["configuration"].reason
        rooms = {"kitchen": "Kitchen", "hall": "Entrance"}
        await save(devices={"rooms": rooms})
        await save(**(await here.get(PATH))["settings"])
        text = file.read_text()
    assert text.startswith(before.replace("hall: Hall", 'hall: "Entrance"'))
    assert "hunter2" not in text


async def test_a_file_that_cannot_be_changed_changes_nothing(served: Served, tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text("transcription: {wait_seconds: 30}\n")
    for file in (None, flow, tmp_path / "missing.yaml"):
        async with await with_file(served, file) as server:
            here = replace(served, url=server.url)
            told = await change(here, {"transcription": {"wait_seconds": 5}}, 409, "?save=true")
            assert told["remedy"]
            assert (await here.get(PATH))["settings"]["transcription"]["wait_seconds"] == 30
    assert flow.read_text() == "transcription: {wait_seconds: 30}\n"


async def test_a_file_that_cannot_be_written_takes_nobodys_device_away(
    served: Served, tmp_path: Path
) -> None:
    file = Path("/proc/meminfo")  # it reads as YAML, and nobody writes there
    patch = {"devices": {"users": {"kitchen": "ann"}}, "transcription": {"wait_seconds": 5}}
    async with await with_file(served, file) as server, served.works.board() as board:
        await board.connected()
        told = await change(replace(served, url=server.url), patch, 409, "?save=true")
        assert "cannot be written" in told["detail"]
        assert served.works.config.transcription.wait_seconds != 5
        assert served.works.events.of(DeviceEvent, state=FORGOTTEN) == []
        assert served.works.pipeline.user("kitchen") == "home"


# -- models, with the real engine


@pytest.mark.slow
async def test_a_model_is_changed_and_one_that_cannot_be_had_is_taken_back(tmp_path: Path) -> None:
    from aiohttp import ClientSession

    missing = str(tmp_path / "no-such-model")
    other = shutil.copytree(BUNDLED, tmp_path / "other-model")
    async with open_house(tmp_path) as house, ClientSession() as client:
        url = f"{house.gateway.url}api/v1/config"

        async def patch(model: str) -> tuple[int, Any]:
            async with client.patch(url, json={"transcription": {"model": model}}) as response:
                return response.status, await response.json()

        status, told = await patch(missing)
        assert status == 409
        assert f"there is no folder {missing}" in told["detail"]
        assert told["remedy"]
        assert house.gateway.config.transcription.model == "bundled"
        status, told = await patch(str(other))
        assert (status, told["applied"], told["pending"]) == (200, ["transcription.model"], "")
        assert house.gateway.recognizer.state.model == str(other)
        both = await asyncio.gather(patch("bundled"), patch(missing))
        assert [status for status, _ in both] == [200, 409]
        assert house.gateway.config.transcription.model == "bundled"
        assert house.gateway.health.report().components["recognizer"].state == "healthy"
