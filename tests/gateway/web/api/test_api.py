"""The API as a whole: its description, its errors, and who may do what."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.link.framing import Noise
from firmware_bridge.link.wires import Line
from gateway.access.needed import Open
from gateway.access.principals import Right
from gateway.observing.health import HealthState
from gateway.web.api.reading import check_accepted
from gateway.web.entrance.problems import Problem
from gateway.web.operations.table import OPERATIONS, PREFIX
from gateway.web.rights import needed
from tests.gateway.web.api.served import Served, open_served, problem
from tests.gateway.web.house import House


async def test_the_description_names_every_operation_and_all_it_refers_to(served: Served) -> None:
    api = await served.get("/openapi.json")
    assert api["openapi"] == "3.1.0"
    told = {(method.upper(), path) for path, methods in api["paths"].items() for method in methods}
    assert told == {(one.method, one.path) for one in OPERATIONS}
    for one in OPERATIONS:
        described = api["paths"][one.path][one.method.lower()]
        assert described["operationId"] == one.name
        rights = one.right if isinstance(one.right, tuple) else (one.right,)
        assert described.get("x-right") == (None if isinstance(one.right, Open) else " or ".join(rights))
        in_path = {p["name"] for p in described.get("parameters", ()) if p["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", one.path))
    references = set(re.findall(r'"#/components/schemas/(\w+)"', str(api).replace("'", '"')))
    assert references <= set(api["components"]["schemas"])
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)


async def test_answers_are_what_the_description_says(served: Served) -> None:
    api = await served.get("/openapi.json")
    async with served.works.board():
        await served.works.ready()
        for one in OPERATIONS:
            if one.method != "GET" or "{" in one.path or one.answer in (None, dict):
                continue
            schema = api["paths"][one.path]["get"]["responses"]["200"]["content"]["application/json"][
                "schema"
            ]
            answer = await served.get(one.path)
            jsonschema.validate(answer, {**schema, "components": api["components"]})


async def test_everybody_may_read_the_versions_and_the_description_and_nothing_else() -> None:
    open_to = {one: [it.name for it in OPERATIONS if it.right is one] for one in Open}
    assert open_to == {
        Open.EVERYBODY: ["showVersions", "describe", "describeEvents"],
        Open.TICKETED: ["replyLater"],
        Open.INTRODUCES: ["signIn", "signOut"],
    }
    assert {
        one.name
        for one in OPERATIONS
        if one.method == "DELETE" and one.right not in (Right.OPERATE, Right.GOVERN)
    } == {"signOut"}


async def test_the_description_is_shown_by_a_page_of_our_own(served: Served) -> None:
    async with served.raw("GET", "api/") as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        text = await response.text()
    assert "://" not in text
    for path in re.findall(r'(?:src|href)="(/static/[^"]*)"', text):
        async with served.raw("GET", path[1:]) as response:
            assert response.status == 200


async def test_health_is_told_with_its_remedies(served: Served) -> None:
    served.works.health.set("broker", HealthState.DEGRADED, "slow", "hurry")
    told = await served.get("/health")
    assert told["components"]["broker"] == {
        "state": "degraded",
        "reason": "slow",
        "remedy": "hurry",
    }
    assert told["epoch"] == served.works.hub.epoch
    assert told["uptime_seconds"] > 0
    assert told["version"]


async def test_devices_and_sessions_are_listed(tmp_path: Path) -> None:
    devices = {
        "users": {"kitchen": "ann"},
        "rooms": {"kitchen": "Kitchen"},
        "priorities": {"users": {"ann": "background"}},
    }
    async with open_served(tmp_path, devices=devices) as served, served.works.board() as kitchen:
        stream = kitchen.end.start_stream(end_on_silence=True)
        kitchen._pump()
        await kitchen.statuses(stream, "listening")
        (device,) = (await served.get("/devices"))["devices"]
        assert await served.get("/devices/kitchen") == device
        counters = device.pop("counters")
        assert counters["received"] > 0
        assert counters["lost_frames"] == 0
        assert device == {
            "device_id": "kitchen", "user_id": "ann", "room": "Kitchen", "priority": "background", "state": "connected",
            "link": device["link"], "firmware": device["firmware"], "since": device["since"], "reason": "",
            "name": "", "has_key": False, "drift_ppm": None, "level": None,
        }  # fmt: skip
        (session,) = (await served.get("/sessions"))["sessions"]
        assert (session["device_id"], session["user_id"], session["state"]) == ("kitchen", "ann", "open")
        await served.get("/devices/attic", 404)


async def test_a_device_that_is_away_is_listed_until_it_is_forgotten(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        async with served.works.board():
            await served.call("DELETE", "/devices/kitchen", 409)
        (device,) = (await served.get("/devices"))["devices"]
        assert (device["state"], device["reason"]) == ("disconnected", "out of reach")
        await served.call("DELETE", "/devices/kitchen", 204)
        assert (await served.get("/devices"))["devices"] == []
        await served.call("DELETE", "/devices/kitchen", 404)
        assert served.works.bridge.devices() == ()


async def test_what_devices_print_and_what_lines_carry_can_be_read(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served, served.works.board():
        bridge, line = served.works.bridge, Line("air-kitchen")
        bridge.carrier_up("air-kitchen")
        bridge.carrier_weak("air-kitchen", "noise", "another cable")
        bridge.receive(line, [Noise(b"free heap 31 k\nwifi: on\n")])
        bridge.receive(Line("/dev/cellar"), [Noise(b"rst:0x1\n")])
        bridge.carrier_up("/dev/cellar")
        log = await served.get("/devices/kitchen/log")
        assert [one["text"] for one in log["lines"]] == ["free heap 31 k", "wifi: on"]
        assert log["dropped"] == 0
        first = log["lines"][0]["number"]
        assert (await served.get(f"/devices/kitchen/log?after={first}"))["lines"] == log["lines"][1:]
        await served.get("/devices/attic/log", 404)
        await served.get("/devices/kitchen/log?after=x", 422)
        air, cellar = (await served.get("/links"))["links"]
        assert (air["link"], air["up"], air["reason"], air["remedy"]) == (
            "air-kitchen",
            True,
            "noise",
            "another cable",
        )
        assert air["devices"] == ["kitchen"]
        assert (cellar["devices"], [one["text"] for one in cellar["lines"]]) == ([], ["rst:0x1"])


async def test_what_devices_print_is_not_kept_where_words_are_not(tmp_path: Path) -> None:
    async with open_served(tmp_path, privacy={"redact": True}) as served, served.works.board():
        served.works.bridge.receive(Line("air-kitchen"), [Noise(b"heard: the secret\n")])
        refused = await served.get("/devices/kitchen/log", 409)
        assert "privacy.redact" in refused["detail"]


async def test_who_says_hello_in_vain_is_listed(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        hello = Hello(Header(), "kitchen", 5, "", 0, 0, 0, 0)
        served.works.bridge.receive(Line("mqtt", "bath"), [hello])
        (refused,) = (await served.get("/devices"))["refused"]
        since = refused.pop("since")
        assert since > 0
        assert refused == {
            "device_id": "kitchen", "link": "mqtt", "fault": "BAD_ID", "reason": "this topic is bath's", "times": 1,
        }  # fmt: skip
        assert (
            "kitchen on mqtt is refused" in (await served.get("/health"))["components"]["devices"]["reason"]
        )


async def test_a_room_that_is_changed_is_changed_at_once(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served, served.works.board():
        patch = {"devices": {"rooms": {"kitchen": "Kitchen"}, "users": {"kitchen": "ann"}}}
        change = await served.call(
            "PATCH", "/config", json=patch, headers={"Content-Type": "application/merge-patch+json"}
        )
        assert set(change["applied"]) == {"devices.rooms", "devices.users"}
        (device,) = (await served.get("/devices"))["devices"]
        assert (device["room"], device["user_id"]) == ("Kitchen", "ann")


# -- errors


async def test_while_the_gateway_starts_it_says_so(house: House, client: object) -> None:
    from aiohttp import ClientSession

    assert isinstance(client, ClientSession)
    async with client.get(house.url + "api/v1/devices") as response:
        told = await problem(response)
        assert response.status == 503
        assert response.headers["Retry-After"] == "2"
        assert "starting" in told["detail"]
        assert told["remedy"]
    async with client.get(house.url + "api/v1/health") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/devices/", 404),
        ("GET", "/devices/a/b/c", 404),
        ("POST", "/devices", 405),
        ("DELETE", "/health", 405),
        ("TRACE", "/health", 405),
    ],
)
async def test_what_is_not_there_is_a_problem(served: Served, method: str, path: str, status: int) -> None:
    told = await served.call(method, path, status)
    assert told["detail"]


async def test_a_wrong_method_is_told_the_right_ones(served: Served) -> None:
    async with served.raw("PUT", "api/v1/utterances/u_1") as response:
        assert response.status == 405
        assert set(response.headers["Allow"].split(",")) == {"DELETE", "GET", "HEAD"}
        assert (await response.json())["detail"] == f"only {response.headers['Allow']} is possible here"


async def test_a_correlation_id_is_taken_or_made(served: Served) -> None:
    for given_id, taken in (("abc-1_Z", True), ("x" * 65, False), ("a b", False), ("", False)):
        async with served.raw(
            "GET", "api/v1/nothing", headers={"X-Correlation-ID": given_id} if given_id else {}
        ) as response:
            answered = response.headers["X-Correlation-ID"]
            assert (answered == given_id) is taken
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", answered)
            assert (await problem(response))["correlation_id"] == answered


async def test_the_door_s_refusals_are_problems_here_too(served: Served) -> None:
    async with served.raw("GET", "api/v1/health", headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403
        await problem(response)
    async with served.raw("GET", "livez", headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403
        assert response.headers["X-Correlation-ID"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200), ("*/*", 200), ("application/*;q=0.1", 200), ("text/html, */*;q=0.1", 200),
        ("text/html", 406), ("application/json;q=0", 406), ("image/png, audio/wav", 406), (",", 200),
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_wanted_is_not_given(served: Served, accept: str, status: int) -> None:
    await served.get("/health", status, headers={"Accept": accept})


@given(st.text(max_size=50))
def test_whatever_is_said_to_be_accepted_does_no_harm(header: str) -> None:
    with suppress(Problem):
        check_accepted([header], ["application/json"])


async def test_an_error_of_ours_tells_nothing_of_the_inside(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(served.works.health, "report", broken)
    told = await served.get("/health", 500)
    assert "secret" not in str(told)
    assert "log" in told["remedy"]


async def test_requests_beside_each_other_have_ids_of_their_own(served: Served) -> None:
    async def correlation() -> str:
        async with served.raw("GET", "api/v1/health") as response:
            return str(response.headers["X-Correlation-ID"])

    ids = await asyncio.gather(*(correlation() for _ in range(20)))
    assert len(set(ids)) == 20


async def test_the_door_asks_for_what_the_table_says() -> None:
    for one in OPERATIONS:
        assert needed(one.method, PREFIX + one.path) == one.right
