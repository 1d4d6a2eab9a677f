"""What people ask at a hub, or at a gateway that has not the device: done by the one that has."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
import structlog
from aiohttp import ClientSession
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import Response
from structlog.testing import capture_logs

from firmware_bridge.simulator.user import ReplyShown
from gateway.access.principals import LOCAL, Right, Role
from gateway.client.listener import Listener
from gateway.contract.events import ErrorEvent, ReplyEvent, SaidEvent
from gateway.contract.house import GatewayPresence, HouseCommand, HouseDone, WhoAsks
from gateway.house.commands import command
from gateway.house.neighbours import Neighbour
from gateway.hub.hub import Hub
from gateway.observing.health import Health
from gateway.pipeline.asking.typed_text import CannotSay
from gateway.process.mishaps import Mishaps
from gateway.settings.web import WebSettings
from gateway.web.api.devices import DeviceName
from gateway.web.api.operation import Call, Operation
from gateway.web.elsewhere.carrying import HouseApi
from gateway.web.elsewhere.doing import done_here
from gateway.web.entrance.problems import Problem
from gateway.web.operations.table import OPERATIONS
from gateway.web.parts import Parts
from tests.record import Record, passes
from tests.servers.redis import Redis
from tests.system.house import running
from tests.system.test_hub import open_all, open_hub, watch

pytestmark = pytest.mark.slow


async def ask(
    session: ClientSession, method: str, url: str, path: str, **options: object
) -> tuple[int, dict]:  # type: ignore[type-arg]
    async with session.request(method, f"{url}api/v1{path}", **options) as answer:  # type: ignore[arg-type]
        text = await answer.read()
        return answer.status, msgspec.json.decode(text) if text else {}


async def test_a_device_is_told_something_from_a_hub_and_from_the_other_gateway(
    tmp_path: Path, redis: Redis
) -> None:
    async with (
        open_all(tmp_path, redis.url) as (hall, attic, hub),
        ClientSession() as session,
        hall.board("kitchen") as board,
    ):
        await board.connected()
        for one in (hub.sharing, attic.gateway.sharing):
            assert one is not None
            await passes(lambda one=one: one.at("kitchen") is not None)
        for place in (hub.url, attic.gateway.url, hall.gateway.url):
            status, told = await ask(
                session, "POST", place, "/devices/kitchen/announcements", json={"text": f"from {place}"}
            )
            assert status == 202, told
            await board.told.first(ReplyShown, text=f"from {place}")
        assert len(board.told.of(ReplyShown)) == 3
        status, device = await ask(session, "GET", hub.url, "/devices/kitchen")
        assert (status, device["state"]) == (200, "connected")
        status, log = await ask(session, "GET", attic.gateway.url, "/devices/kitchen/log?after=3")
        assert (status, log) == (200, {"lines": [], "dropped": 0})
        status, refused = await ask(session, "DELETE", hub.url, "/devices/kitchen")
        assert (status, refused["detail"]) == (409, "the device is here")


async def test_lists_are_those_of_all_gateways(tmp_path: Path, redis: Redis) -> None:
    async with (
        open_all(tmp_path, redis.url) as (hall, attic, hub),
        hall.board("kitchen") as one,
        attic.board("ward") as two,
        ClientSession() as session,
    ):
        await one.connected()
        await two.connected()
        for place in (hub.url, attic.gateway.url):
            status, told = await ask(session, "GET", place, "/devices")
            assert status == 200
            assert [device["device_id"] for device in told["devices"]] == ["kitchen", "ward"]
            assert {device["state"] for device in told["devices"]} == {"connected"}
        status, told = await ask(session, "GET", hub.url, "/sessions")
        assert (status, told) == (200, {"sessions": []})


async def test_somebody_speaks_and_is_answered_at_a_hub(tmp_path: Path, redis: Redis) -> None:
    async with open_all(tmp_path, redis.url) as (_, _, hub), ClientSession() as session:
        events = Record()
        async with Listener(hub.url) as listener:
            with running(watch(listener, events)):
                await listener.say("what time is it?")
                said = await events.first(SaidEvent)
                await events.first(ReplyEvent, correlation_id=said.correlation_id, final=True)
                status, told = await ask(session, "POST", hub.url, "/say", json={"text": "again"})
                assert status == 202
                await events.first(ReplyEvent, correlation_id=told["correlation_id"], final=True)
                await listener.say(" ")
                assert (await events.first(ErrorEvent)).reason.endswith("there is nothing to say")
        status, told = await ask(session, "POST", hub.url, "/say", json={"text": ""})
        assert status == 422


async def test_what_nobody_has_is_not_found_and_bad_bodies_are_refused(tmp_path: Path, redis: Redis) -> None:
    async with open_all(tmp_path, redis.url) as (_, _, hub), ClientSession() as session:
        status, told = await ask(
            session, "POST", hub.url, "/devices/nobody/announcements", json={"text": "hello"}
        )
        assert (status, told["status"]) == (404, 404)
        assert told["remedy"]
        status, told = await ask(session, "POST", hub.url, "/devices/nobody/announcements", json={"words": 1})
        assert status == 422
        reply = {"correlation_id": "c_none", "session_id": "s_none", "text": "x"}
        status, told = await ask(session, "POST", hub.url, "/replies", json=reply)
        assert status == 404
        status, told = await ask(session, "PUT", hub.url, "/config", json={})
        assert status in (404, 405, 503)


async def test_a_hub_without_gateways_says_so(tmp_path: Path, redis: Redis) -> None:
    async with open_hub(tmp_path / "hub", redis.url, "hub") as hub, ClientSession() as session:
        for method, path, body in (
            ("GET", "/devices", None),
            ("POST", "/say", {"text": "hello"}),
            ("POST", "/devices/kitchen/announcements", {"text": "hello"}),
        ):
            status, told = await ask(session, method, hub.url, path, **({"json": body} if body else {}))
            assert (status, told["detail"]) == (503, "no gateway of the house is there")


async def test_the_device_of_a_gateway_that_has_gone_is_not_there_for_commands(
    tmp_path: Path, redis: Redis
) -> None:
    async with open_hub(tmp_path / "hub-0", redis.url, "hub-0") as hub, ClientSession() as session:
        async with open_all(tmp_path, redis.url) as (hall, _, _), hall.board("kitchen") as board:
            await board.connected()
            await passes(lambda: hub.sharing.at("kitchen") is not None)
        await passes(lambda: hub.sharing.gateways() == [])
        status, told = await ask(
            session, "POST", hub.url, "/devices/kitchen/announcements", json={"text": "hello"}
        )
        assert (status, told["detail"]) == (503, "the gateway hall has it, and is not there: it was stopped")


async def done(told: HouseCommand, parts: Parts) -> tuple[int, dict]:  # type: ignore[type-arg]
    answer: HouseDone = await done_here(parts, told)
    return answer.status, msgspec.json.decode(answer.body) or {}


async def test_who_asks_may_do_here_what_their_role_may_and_nothing_else(
    tmp_path: Path, redis: Redis
) -> None:
    """The gateway looks itself at what the asking hub has let in."""
    async with open_all(tmp_path, redis.url) as (hall, _, _):
        parts = hall.gateway._parts(hall.gateway.config.web)
        body = msgspec.Raw(b'{"text":"hello"}')
        path = {"device_id": "kitchen"}
        for role, status in (("listener", 403), ("device", 403), ("king", 403), ("orchestrator", 404)):
            asker = WhoAsks(name="anna", role=role)
            told = HouseCommand(
                ask="a", gateway="hub", to="i", operation="announce", asker=asker, path=path, body=body
            )
            assert (await done(told, parts))[0] == status, role
        listener = WhoAsks(name="anna", role=Role.LISTENER.value)
        for operation in ("changeConfiguration", "makeDeviceKey", "showDeviceLogin", "nothing"):
            told = HouseCommand(
                ask="a", gateway="hub", to="i", operation=operation, asker=listener, path=path
            )
            assert (await done(told, parts))[0] == 404, operation
        scoped = HouseCommand(
            ask="a",
            gateway="hub",
            to="i",
            operation="listDevices",
            asker=WhoAsks(name="anna", role="listener", devices=("ward",)),
        )
        async with hall.board("kitchen") as board:
            await board.connected()
            assert (await done(scoped, parts))[1]["devices"] == []


async def test_what_is_no_request_is_refused_as_in_one(tmp_path: Path, redis: Redis) -> None:
    async with open_all(tmp_path, redis.url) as (hall, _, _):
        parts = hall.gateway._parts(hall.gateway.config.web)
        from gateway.access.principals import LOCAL

        for wrong, status in (
            ({"path": {"device_id": "kitchen"}, "body": msgspec.Raw(b"{")}, 400),
            ({"path": {"device_id": "kitchen"}, "body": msgspec.Raw(b'{"text":5}')}, 422),
            ({"path": {"device_id": "a b"}, "body": msgspec.Raw(b'{"text":"x"}')}, 422),
            ({"path": {}, "body": msgspec.Raw(b'{"text":"x"}')}, 422),
        ):
            told = command("announce", LOCAL, **wrong)
            assert (await done(told, parts))[0] == status, wrong
        told = command("showDeviceLog", LOCAL, path={"device_id": "kitchen"}, query={"before": "1"})
        assert (await done(told, parts))[0] == 422


class Lists:
    """Other gateways that answer with what the test says."""

    def __init__(self, *answers: HouseDone) -> None:
        self.answers = {f"g{number}": answer for number, answer in enumerate(answers)}
        self.carried = Record()

    def at(self, device_id: str) -> Neighbour | None:
        return next((one for one in self.gateways() if one.name == device_id), None)

    def gateways(self) -> list[Neighbour]:
        return [Neighbour(GatewayPresence(gateway=name, instance=name), 0) for name in self.answers]

    async def carry(self, to: Neighbour, told: HouseCommand) -> HouseDone:
        self.carried(told)
        return self.answers[to.name]


def answer(told: object, status: int = 200) -> HouseDone:
    return HouseDone(ask="a", gateway="g", status=status, body=msgspec.Raw(msgspec.json.encode(told)))


def known(device_id: str, state: str, since: float, link: str) -> dict[str, object]:
    return {"device_id": device_id, "state": state, "since": since, "link": link}


def called(operation: Operation, path: object = None, **query: str) -> Call[object, None, None]:
    """A request as it comes to a hub, which has nothing running."""
    request = make_mocked_request("GET", f"/?{urlencode(query)}", match_info={})
    parts = Parts(WebSettings(), Hub(WebSettings()), Health(lambda _event: None, Mishaps()))
    return Call(request, parts, LOCAL, path, None, None, "r_1")


def operation(name: str) -> Operation:
    return next(one for one in OPERATIONS if one.name == name)


async def together(*answers: HouseDone) -> dict[str, list[dict[str, object]]]:
    listed = operation("listDevices")
    response = await HouseApi(Lists(*answers)).answered(listed, called(listed))
    assert isinstance(response, Response)
    assert isinstance(response.body, bytes)
    told: dict[str, list[dict[str, object]]] = msgspec.json.decode(response.body)
    return told


async def test_a_device_that_several_know_is_listed_where_it_is_or_was_last() -> None:
    told = await together(
        answer(
            {
                "devices": [known("a", "connected", 1, "here"), known("b", "disconnected", 9, "here")],
                "refused": [1],
            }
        ),
        answer(
            {
                "devices": [known("a", "disconnected", 5, "there"), known("b", "disconnected", 3, "there")],
                "refused": [2],
            }
        ),
    )
    assert [(one["device_id"], one["link"]) for one in told["devices"]] == [("a", "here"), ("b", "here")]
    assert told["refused"] == [1, 2]


async def test_of_those_that_do_not_answer_nothing_is_listed() -> None:
    late = answer({"detail": "the gateway g1 does not answer"}, 503)
    told = await together(answer({"devices": [known("a", "connected", 1, "here")]}), late)
    assert len(told["devices"]) == 1
    assert (await together(late))["detail"] == "the gateway g1 does not answer"


async def test_whoever_knows_is_asked_until_one_does() -> None:
    asked = operation("reply")
    unknown = answer({"detail": "no"}, 404)
    others = Lists(unknown, answer({"message_id": "m"}, 202), answer({}, 500))
    response = await HouseApi(others).answered(asked, called(asked))
    assert isinstance(response, Response)
    assert response.status == 202
    assert len(others.carried.items) == 2
    nobody = Lists(unknown, unknown)
    response = await HouseApi(nobody).answered(asked, called(asked))
    assert isinstance(response, Response)
    assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_an_empty_answer_stays_empty_and_a_query_goes_along() -> None:
    shown = operation("showDeviceLog")
    others = Lists(HouseDone(ask="a", gateway="g", status=204))
    response = await HouseApi(others).answered(shown, called(shown, DeviceName("g0"), after="7"))
    assert isinstance(response, Response)
    assert (response.status, response.body) == (204, None)
    assert others.carried.items[0].query == {"after": "7"}


def test_only_what_needs_no_request_and_governs_nothing_is_carried() -> None:
    carried = {one.name for one in OPERATIONS if one.carry is not None}
    assert carried == {
        "listDevices",
        "showDevice",
        "forgetDevice",
        "showDeviceLog",
        "listSessions",
        "say",
        "reply",
        "replyLater",
        "announce",
        "listUtterances",
        "showUtterance",
        "eraseUtterance",
        "eraseUser",
    }
    for one in OPERATIONS:
        if one.carry is not None:
            assert not one.uploads
            assert one.right is not Right.GOVERN


async def test_who_speaks_where_nobody_can_answer_is_told_why() -> None:
    with pytest.raises(CannotSay, match="no gateway of the house is there"):
        await HouseApi(Lists()).say("hello", LOCAL)
    late = Lists(answer({"detail": "the gateway g0 does not answer"}, 503))
    with pytest.raises(CannotSay, match="the gateway g0 does not answer"):
        await HouseApi(late).say("hello", LOCAL)
    said = Lists(answer({"session_id": "s", "device_id": "web-local", "correlation_id": "c"}, 202))
    told = await HouseApi(said).say("hello", LOCAL)
    assert (told.session_id, told.device_id, told.correlation_id) == ("s", "web-local", "c")
    assert msgspec.json.decode(said.carried.items[0].body) == {"text": "hello"}


async def test_a_device_that_was_last_at_a_gateway_that_has_gone_is_not_asked_of_others() -> None:
    shown = operation("showDevice")
    others = Lists(answer({}))

    def gone(device_id: str) -> Neighbour:
        return Neighbour(GatewayPresence(gateway="attic", instance="i"), 0, "nothing is heard of it")

    others.at = gone  # type: ignore[method-assign,assignment]
    with pytest.raises(Problem) as refused:
        await HouseApi(others).answered(shown, called(shown, DeviceName("ward")))
    assert refused.value.status == 503
    assert refused.value.detail == "the gateway attic has it, and is not there: nothing is heard of it"
    assert others.carried.items == []


async def test_a_device_of_which_nobody_knows_where_it_is_is_asked_of_all() -> None:
    shown = operation("showDevice")
    others = Lists(answer({}, 404), answer(known("ward", "connected", 1, "there")))
    response = await HouseApi(others).answered(shown, called(shown, DeviceName("ward")))
    assert isinstance(response, Response)
    assert response.status == 200
    assert [one.operation for one in others.carried.items] == ["showDevice", "showDevice"]
    assert [one.asker.name for one in others.carried.items] == ["local", "local"]


async def test_what_was_asked_at_a_hub_is_in_the_log_of_who_did_it_under_the_same_id(
    tmp_path: Path, redis: Redis
) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        async with open_all(tmp_path, redis.url) as (_, _, hub), ClientSession() as session:
            headers = {"X-Correlation-ID": "mine-7"}
            status, told = await ask(
                session, "POST", hub.url, "/say", json={"text": "what time is it?"}, headers=headers
            )
            assert status == 202, told
            correlation_id = told["correlation_id"]
            await passes(lambda: any(line.get("causation_id") == "mine-7" for line in logged))
            await passes(
                lambda: any(
                    line["event"] == "utterance" and line["correlation_id"] == correlation_id
                    for line in logged
                )
            )
    causes = {line.get("causation_id") for line in logged if line.get("correlation_id") == correlation_id}
    assert "mine-7" in causes
