"""Every route asks for a right, in the one table, and every right can be had."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from gateway.access.needed import Open
from gateway.access.principals import Principal, Right, Role
from gateway.settings.web import WebSettings
from gateway.web.operations.table import OPERATIONS, PREFIX
from gateway.web.rights import ROUTES, needed
from gateway.web.server import WebServer
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.house import House, bearer


@pytest.fixture
def settings() -> WebSettings:
    return WebSettings(port=0, require_token=True)


def routes(server: WebServer) -> list[tuple[str, str]]:
    assert server.application is not None
    return [
        (route.method, route.resource.canonical)
        for route in server.application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    ]


async def test_no_route_is_forgotten(house: House) -> None:
    there = routes(house.server)
    assert len(there) >= 8
    assert [route for route in there if needed(*route) is None] == []


async def test_everything_below_the_api_is_described(house: House, client: ClientSession) -> None:
    async with client.get(f"{house.url}api/v1/openapi.json") as answer:
        described = (await answer.json())["paths"]
    there = {(method, path) for method, path in routes(house.server) if path.startswith(PREFIX)}
    assert there == {(method.upper(), PREFIX + path) for path, item in described.items() for method in item}
    assert described["/session"]["post"]["security"] == []
    assert described["/session"]["get"]["x-right"] == "listen"


def test_what_is_open_is_little() -> None:
    assert {route for route, right in ROUTES.items() if right is Open.EVERYBODY} == {
        ("GET", "/static"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/recognition/audio/{secret}"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/events.schema.json"),
        ("GET", "/api/"),
        ("GET", "/api"),
        ("GET", "/api/v1/versions"),
    }


def test_a_route_that_is_not_listed_is_closed() -> None:
    assert needed("GET", "/api/v1/passwords") is None
    assert needed("PUT", "/livez") is None
    assert needed("HEAD", "/livez") is needed("GET", "/livez")


def test_what_an_operator_with_a_scope_may() -> None:
    """Of what only operators may: rows of the scope, and nothing that is one for the whole house."""
    rows = {
        "listDeadLetters", "showDeadLetter", "purgeDeadLetter", "replayDeadLetter", "forgetDevice", "showDeviceLog",
        "showDeviceLogin",
        "listLinks", "eraseUser", "eraseUtterance", "exportUser",
    }  # fmt: skip
    house = {
        "showConfiguration", "changeConfiguration", "listModels",
        "describeDevice", "approveDevice", "denyDevice", "revokeDevice", "makeDeviceKey", "unregisterDevice",
        "showFirmware", "addFirmware", "offerFirmware", "pauseFirmware", "resumeFirmware", "removeFirmware",
        "forgetAnswers", "tryFeature", "takeFeatureBack", "listAlerts",
    }  # fmt: skip
    assert {one.name for one in OPERATIONS if one.right is Right.OPERATE} == rows
    assert {one.name for one in OPERATIONS if one.right is Right.GOVERN} == house
    for scope in ({"users": frozenset({"ann"})}, {"devices": frozenset({"kitchen"})}):
        ann = Principal(name="ann", role=Role.OPERATOR, **scope)
        assert ann.may(Right.OPERATE)
        assert not ann.may(Right.GOVERN)
    assert Principal(name="all", role=Role.OPERATOR).may(Right.GOVERN)


async def test_nobody_gets_in_anywhere_without_a_token(house: House, client: ClientSession) -> None:
    for method, path in routes(house.server):
        if isinstance(needed(method, path), Open):
            continue
        url = house.url.rstrip("/") + path.replace("{", "").replace("}", "")
        async with client.request(method, url) as answer:
            assert answer.status == 401, (method, path)


@pytest.mark.parametrize("role", Role)
async def test_each_role_gets_in_where_its_rights_say_so(
    house: House, client: ClientSession, keyring: Keyring, role: Role
) -> None:
    headers = bearer(keyring.token("somebody", role, devices=("kitchen",)))
    somebody = Principal(name="somebody", role=role, devices=frozenset({"kitchen"}))
    for method, path in routes(house.server):
        right = needed(method, path)
        if isinstance(right, Open):
            continue
        rights = right if isinstance(right, tuple) else (right,)
        url = house.url.rstrip("/") + path.replace("{", "").replace("}", "")
        async with client.request(method, url, headers=headers) as answer:
            refused = not any(somebody.may(one) for one in rights if one is not None)
            assert (answer.status == 403) is refused, (method, path, answer.status)
            assert answer.status != 401
