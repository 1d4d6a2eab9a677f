"""The locked door of a real server: where a token may stand, what it opens, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import Morsel

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from gateway.access.principals import Role
from gateway.contract.events import ErrorEvent, ReplyEvent, SnapshotEvent, StatusEvent
from gateway.hub.hub import Hub
from gateway.settings.web import WebSettings
from tests.gateway.access.keyring import Keyring
from tests.gateway.events import reply, status
from tests.gateway.web.house import PATIENCE, House, bearer, got, until, web_server
from tests.gateway.web.listeners.test_sockets import closed, receive

SESSION = "api/v1/session"


@pytest.fixture
def settings() -> WebSettings:
    return WebSettings(port=0, require_token=True)


def audit(keyring: Keyring) -> list[dict[str, object]]:
    return [json.loads(line) for line in (keyring.folder / "audit.log").read_text().splitlines()]


def events(keyring: Keyring) -> list[object]:
    return [line["event"] for line in audit(keyring)]


async def sign_in(client: ClientSession, house: House, token: str) -> Morsel[str]:
    async with client.post(house.url + SESSION, json={"token": token}) as answer:
        assert answer.status == 200, await answer.text()
        return answer.cookies["earshot"]


@asynccontextmanager
async def listening(
    client: ClientSession, house: House, token: str
) -> AsyncIterator[ClientWebSocketResponse]:
    async with client.ws_connect(house.url + "ws", headers=bearer(token)) as ws:
        await ws.send_str('{"type":"subscribe"}')
        assert isinstance(await receive(ws), SnapshotEvent)
        yield ws


class TestNothingShown:
    async def test_the_page_is_the_form_for_signing_in(self, house: House, client: ClientSession) -> None:
        async with client.get(house.url) as answer:
            assert answer.status == 401
            assert 'id="sign-in"' in await answer.text()

    async def test_what_is_open(self, house: House, client: ClientSession) -> None:
        assert await got(client, house, "livez") == 200
        assert await got(client, house, "static/style.css") == 200
        async with client.get(house.url + "readyz") as answer:
            assert (answer.status, await answer.json()) == (200, {"state": "healthy"})

    async def test_what_is_not_there_is_not_there(self, house: House, client: ClientSession) -> None:
        assert await got(client, house, "nothing") == 404

    async def test_the_rest_asks_for_a_token(self, house: House, client: ClientSession) -> None:
        async with client.get(house.url + SESSION) as answer:
            assert answer.status == 401
            assert answer.content_type == "application/problem+json"
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert (await answer.json())["status"] == 401

    async def test_a_listener_that_does_not_say_who_it_is(self, house: House, client: ClientSession) -> None:
        async with client.ws_connect(house.url + "ws") as ws:
            await ws.send_str('{"type":"subscribe"}')
            event = await receive(ws)
            assert isinstance(event, ErrorEvent)
            assert (event.code, (await closed(ws))[0]) == ("not_admitted", 1008)
        assert house.hub.stats().listeners == 0


class TestWhereATokenStands:
    async def test_in_the_header(self, house: House, client: ClientSession, keyring: Keyring) -> None:
        token = keyring.token("ann", devices=("kitchen",))
        async with client.get(house.url + SESSION, headers=bearer(token)) as answer:
            assert answer.status == 200
            told = await answer.json()
        assert (told["name"], told["role"], told["devices"], told["users"]) == (
            "ann",
            "listener",
            ["kitchen"],
            [],
        )
        async with client.get(house.url + "readyz", headers=bearer(token)) as answer:
            assert "components" in await answer.json()

    async def test_in_the_first_message(self, house: House, client: ClientSession, keyring: Keyring) -> None:
        async with client.ws_connect(house.url + "ws") as ws:
            await ws.send_json({"type": "authenticate", "token": keyring.token()})
            await ws.send_json({"type": "subscribe", "kinds": ["reply"]})
            assert isinstance(await receive(ws), SnapshotEvent)
            house.publish(reply("for those who belong"))
            assert isinstance(await receive(ws), ReplyEvent)

    @pytest.mark.slow
    async def test_in_the_first_message_and_nothing_after_it(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        async with client.ws_connect(house.url + "ws") as ws:
            await ws.send_json({"type": "authenticate", "token": keyring.token()})
            assert isinstance(await receive(ws), SnapshotEvent)

    async def test_in_a_subprotocol(self, house: House, client: ClientSession, keyring: Keyring) -> None:
        offered = ("earshot", f"earshot.token.{keyring.token()}")
        async with client.ws_connect(house.url + "ws", protocols=offered) as ws:
            assert ws.protocol == "earshot"
            await ws.send_str('{"type":"subscribe"}')
            assert isinstance(await receive(ws), SnapshotEvent)

    async def test_in_a_subprotocol_alone_a_browser_would_give_up(
        self, house: House, client: ClientSession, keyring: Keyring, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = keyring.token()
        with pytest.raises(WSServerHandshakeError, match="400"):
            await client.ws_connect(house.url + "ws", protocols=(f"earshot.token.{token}",))
        assert token not in caplog.text

    async def test_in_a_cookie(self, house: House, client: ClientSession, keyring: Keyring) -> None:
        token = keyring.token("ann")
        cookie = await sign_in(client, house, token)
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
        assert cookie.value not in token
        async with client.get(house.url) as answer:
            assert answer.status == 200
            assert "/static/app.js" in await answer.text()
        async with client.ws_connect(house.url + "ws", origin=house.url.rstrip("/")) as ws:
            await ws.send_str('{"type":"subscribe"}')
            assert isinstance(await receive(ws), SnapshotEvent)

    @pytest.mark.parametrize("name", ["token", "access_token", "TOKEN", "jwt"])
    async def test_never_in_a_url(
        self, house: House, client: ClientSession, keyring: Keyring, name: str
    ) -> None:
        token = keyring.token()
        async with client.get(house.url + f"{SESSION}?{name}={token}", headers=bearer(token)) as answer:
            assert answer.status == 400
            assert "never stands in a URL" in await answer.text()
        assert events(keyring) == ["token in a url"]
        assert token not in (keyring.folder / "audit.log").read_text()


class TestTokensThatWillNotDo:
    @pytest.mark.parametrize(
        "token", ["x", "a.b.c", "é" * 20, "x" * 9_000, "..", "\x7f", "earshot_", "earshot_" + "A" * 48]
    )
    async def test_rubbish(self, house: House, client: ClientSession, keyring: Keyring, token: str) -> None:
        keyring.token()
        async with client.post(house.url + SESSION, json={"token": token}) as answer:
            assert answer.status == 401, await answer.text()
        assert events(keyring) == ["not admitted"]

    async def test_one_of_another_gateway(
        self, house: House, client: ClientSession, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        keyring.token()
        foreign = Keyring(tmp_path_factory.mktemp("elsewhere")).token()
        async with client.get(house.url + SESSION, headers=bearer(foreign)) as answer:
            assert answer.status == 401
            assert "unknown" in await answer.text()

    async def test_an_expired_one(self, house: House, client: ClientSession, keyring: Keyring) -> None:
        _, text = keyring.make(days=1e-9)
        async with client.get(house.url + SESSION, headers=bearer(text)) as answer:
            assert answer.status == 401
            assert "expired" in await answer.text()

    async def test_a_revoked_one(self, house: House, client: ClientSession, keyring: Keyring) -> None:
        token, text = keyring.make()
        assert await got(client, house, SESSION, **bearer(text)) == 200
        keyring.file.revoke(token.token_id)
        assert await got(client, house, SESSION, **bearer(text)) == 401

    async def test_one_that_is_not_for_that(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        text = keyring.token("board", Role.DEVICE, devices=("kitchen",))
        assert await got(client, house, SESSION, **bearer(text)) == 403
        assert await got(client, house, "ws", **bearer(text)) == 403
        async with client.ws_connect(house.url + "ws") as ws:
            await ws.send_json({"type": "authenticate", "token": text})
            event = await receive(ws)
            assert isinstance(event, ErrorEvent)
            assert event.reason == "this token does not let you listen"

    async def test_a_wrong_one_after_many(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        good = keyring.token()
        statuses = [await got(client, house, SESSION, **bearer("x.y.z")) for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert await got(client, house, SESSION, **bearer(good)) == 200


@pytest.mark.slow
class TestTheEnd:
    async def test_a_revoked_token_ends_open_connections(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        token, text = keyring.make("ann")
        other = keyring.token("bob")
        async with listening(client, house, text) as ann, listening(client, house, other) as bob:
            keyring.file.revoke(token.token_id)
            event = await receive(ann)
            assert isinstance(event, ErrorEvent)
            assert event.reason == "revoked"
            assert (await closed(ann))[0] == 1008
            house.publish(reply("the others hear on"))
            assert isinstance(await receive(bob), ReplyEvent)
        assert "connection ended with its token" in events(keyring)

    async def test_a_token_that_expires_ends_open_connections(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        _, text = keyring.make(days=1.5 / 86_400)
        async with listening(client, house, text) as ann:
            event = await receive(ann)
            assert isinstance(event, ErrorEvent)
            assert event.reason == "expired"

    async def test_a_rotated_token_is_good_for_a_while(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        _, old = keyring.make("ann")
        _, new = keyring.file.rotate("ann", days=1, overlap=3600)
        assert [await got(client, house, SESSION, **bearer(text)) for text in (old, new)] == [200, 200]
        _, newer = keyring.file.rotate("ann", days=1, overlap=0)
        assert [await got(client, house, SESSION, **bearer(text)) for text in (old, new, newer)] == [
            401,
            401,
            200,
        ]

    async def test_all_at_once(self, house: House, client: ClientSession, keyring: Keyring) -> None:
        old, new = keyring.make_old("ann")[1], keyring.token("bob")
        assert [await got(client, house, SESSION, **bearer(text)) for text in (old, new)] == [200, 200]
        keyring.file.revoke_all()
        assert [await got(client, house, SESSION, **bearer(text)) for text in (old, new)] == [401, 401]

    async def test_a_signed_one_ends_with_its_key(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        old, new = keyring.make_old("ann")[1], keyring.token("bob")
        assert [await got(client, house, SESSION, **bearer(text)) for text in (old, new)] == [200, 200]
        keyring.key.write_text(f"{'5a' * 32}\n")
        assert [await got(client, house, SESSION, **bearer(text)) for text in (old, new)] == [401, 200]

    async def test_signing_out_makes_the_cookie_worthless(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        cookie = await sign_in(client, house, keyring.token())
        origin = house.url.rstrip("/")
        async with client.delete(house.url + SESSION, headers={"Origin": origin}) as answer:
            assert answer.status == 204
        async with ClientSession() as thief:
            assert await got(thief, house, SESSION, Cookie=f"earshot={cookie.value}") == 401

    async def test_a_cookie_ends_with_its_token(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        token, text = keyring.make()
        await sign_in(client, house, text)
        keyring.file.revoke(token.token_id)
        assert await got(client, house, SESSION) == 401
        assert await got(client, house, "") == 401, "the form again"

    async def test_tokens_that_cannot_be_read_let_nobody_in(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        token = keyring.token()
        good = keyring.file.path.read_bytes()
        keyring.file.path.write_bytes(b"[{")
        assert await got(client, house, SESSION, **bearer(token)) == 401
        keyring.file.path.write_bytes(good)
        assert await got(client, house, SESSION, **bearer(token)) == 200


class TestForeignPages:
    """A browser sends its cookie whoever made it send the request."""

    @pytest.mark.parametrize(
        "headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
    )
    async def test_a_cookie_without_an_origin_changes_nothing(
        self, house: House, client: ClientSession, keyring: Keyring, headers: dict[str, str]
    ) -> None:
        await sign_in(client, house, keyring.token())
        async with client.delete(house.url + SESSION, headers=headers) as answer:
            assert answer.status == 403
        with pytest.raises(WSServerHandshakeError, match="403"):
            await client.ws_connect(house.url + "ws", headers=headers)
        assert await got(client, house, SESSION) == 200

    async def test_a_foreign_origin(self, house: House, client: ClientSession, keyring: Keyring) -> None:
        await sign_in(client, house, keyring.token())
        assert await got(client, house, SESSION, Origin="https://evil.example") == 403
        assert "foreign page or name" in events(keyring)


class TestScope:
    async def test_nobody_gets_more_than_their_scope(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        token = keyring.token("panel", devices=("study",))
        async with client.ws_connect(house.url + "ws", headers=bearer(token)) as ws:
            await ws.send_json({"type": "subscribe", "sessions": ["s-kitchen", "s-study"]})
            await receive(ws)
            house.publish(status(device="kitchen"), status(device="study"))
            event = await receive(ws)
            assert isinstance(event, StatusEvent)
            assert event.device_id == "study"


class TestOptional:
    """On this machine, where nobody asked for tokens."""

    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0)

    async def test_nobody_needs_one_but_a_wrong_one_is_wrong(
        self, house: House, client: ClientSession, keyring: Keyring
    ) -> None:
        assert await got(client, house, SESSION) == 200
        assert await got(client, house, SESSION, **bearer("x.y.z")) == 401
        async with client.get(house.url + SESSION, headers=bearer(keyring.token("ann"))) as answer:
            assert (await answer.json())["name"] == "ann"


async def test_a_port_others_can_reach(keyring: Keyring, client: ClientSession) -> None:
    settings = WebSettings(host="0.0.0.0", port=0)
    token = keyring.token()
    async with web_server(Hub(settings), folder=keyring.folder) as server:
        url = f"http://127.0.0.1:{server.url.rsplit(':', 1)[1]}"
        async with client.get(url + SESSION) as answer:
            assert answer.status == 401
        async with client.get(url + SESSION, headers=bearer(token)) as answer:
            assert answer.status == 200
        async with client.get(url + SESSION, headers={**bearer(token), "Host": "evil.example"}) as answer:
            assert answer.status == 403


async def test_what_is_seldom_done_is_told_once(
    house: House, client: ClientSession, keyring: Keyring
) -> None:
    token = keyring.token("ann")
    for _ in range(3):
        await got(client, house, SESSION, **bearer(token))
    assert events(keyring) == ["token used for the first time since the start"]
    assert audit(keyring)[0]["name"] == "ann"
    assert token not in (keyring.folder / "audit.log").read_text()
    assert (keyring.folder / "audit.log").stat().st_mode & 0o777 == 0o600


async def test_many_at_once_and_all_are_told_apart(house: House, keyring: Keyring) -> None:
    tokens = [keyring.token(f"n{number}") for number in range(8)]
    async with ClientSession() as client:

        async def name(token: str) -> str:
            async with client.get(house.url + SESSION, headers=bearer(token)) as answer:
                return str((await answer.json())["name"])

        names = await asyncio.wait_for(asyncio.gather(*map(name, tokens * 4)), PATIENCE)
    assert names == [f"n{number}" for number in range(8)] * 4
    await until(lambda: house.hub.stats().listeners == 0)
