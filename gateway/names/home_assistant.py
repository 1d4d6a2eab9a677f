"""Home Assistant asked for its names, over its WebSocket: ahead, and again while somebody speaks.

::

    NamesUnavailable    it cannot be had, why, and what to do: in words
      NamesForbidden    it refuses the token: asking again does not help until somebody changes something
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

import msgspec
from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    TraceConfig,
    TraceRequestRedirectParams,
    WSCloseCode,
    WSMsgType,
    WSServerHandshakeError,
)
from msgspec import Struct

from firmware_bridge.own_tokens import TokenUnread, own_token
from firmware_bridge.pacing import Backoff
from firmware_bridge.servers import in_words, tls_context
from gateway.names.exposed import ADevice, AFloor, AnArea, AnEntity, AssistHouse, AState, Exposed
from gateway.names.house import KnownNames
from gateway.settings.names import AssistNamesSettings

SOURCE = "Home Assistant"
VARIABLE = "EARSHOT_NAMES_HOME_ASSISTANT_TOKEN"
CREDENTIAL = "names-home-assistant-token"

ASK_SECONDS = 10.0
"""All questions together; a house of 3000 entities takes a second."""
MOST_BYTES = 16 * 1024 * 1024
"""Of one answer: all states of a very large house."""
RETRY_SECONDS = (1.0, 60.0)
REFUSED_SECONDS = 600.0
"""Home Assistant may lock out who comes again and again with a wrong token."""

_Answer = TypeVar("_Answer")
_START = "start Home Assistant, or correct names.home_assistant.url"
_LET_IN = (
    "make a long-lived access token in Home Assistant (profile, Security), and put it into a file of its own: "
    "names.home_assistant.token_file"
)
_CERTIFICATE = "name in names.home_assistant.ca_file who signed its certificate"
_ADMINISTRATOR = "let an administrator of Home Assistant make the token"


class NamesUnavailable(Exception):
    """It cannot be had (yet)."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class NamesForbidden(NamesUnavailable):
    """It refuses the token, or whoever the token is of."""


class _Told(Struct, frozen=True):
    """What comes over its WebSocket."""

    type: str
    id: int = 0
    success: bool = True
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] = {}


class AssistNames:
    """What Home Assistant knows, for as long as it runs."""

    def __init__(
        self,
        settings: AssistNamesSettings,
        known: KnownNames,
        refresh_seconds: float,
        *,
        retry_seconds: tuple[float, float] = RETRY_SECONDS,
    ) -> None:
        self._settings = settings
        self._known = known
        self._refresh_seconds = refresh_seconds
        self._backoff = Backoff(*retry_seconds)
        self._spoken = asyncio.Event()

    async def run(self) -> None:
        """Ask at once, and then whenever somebody speaks and what is known is not new any more."""
        self._known.wanted.append(self._spoken)
        try:
            while True:
                await self._ask_again()
        finally:
            self._known.wanted.remove(self._spoken)

    async def _ask_again(self) -> None:
        try:
            house = await ask(self._settings)
        except NamesUnavailable as error:
            self._known.lost(SOURCE, str(error), error.remedy)
            pause = self._backoff.next()
            await asyncio.sleep(REFUSED_SECONDS if isinstance(error, NamesForbidden) else pause)
            return
        self._known.found(SOURCE, house.names())
        self._backoff.reset()
        self._spoken.clear()
        await asyncio.sleep(self._refresh_seconds)
        await self._spoken.wait()


async def ask(settings: AssistNamesSettings) -> AssistHouse:
    """All that it knows of names, now. Raises NamesUnavailable."""
    try:
        token = await asyncio.to_thread(own_token, settings.token_file, VARIABLE, CREDENTIAL)
    except TokenUnread as error:
        raise NamesUnavailable(str(error), _LET_IN) from error
    if not token:
        raise NamesUnavailable(f"{settings.url}: there is no token to be let in with", _LET_IN)
    try:
        async with asyncio.timeout(ASK_SECONDS), _connected(settings.url, settings.ca_file) as wire:
            return await _Questions(wire, settings.url).all(token)
    except TimeoutError as error:
        raise NamesUnavailable(f"{settings.url} does not answer in {ASK_SECONDS:.0f} s", _START) from error
    except WSServerHandshakeError as error:
        raise NamesUnavailable(
            f"{settings.url} is no Home Assistant (status {error.status})", _START
        ) from error
    except (ClientError, OSError, ValueError) as error:
        raise _unreached(settings.url, error) from error


@asynccontextmanager
async def _connected(url: str, ca_file: str) -> AsyncIterator[ClientWebSocketResponse]:
    async def refuse(_session: object, _context: object, sent: TraceRequestRedirectParams) -> None:
        """The token is for the host that the settings name."""
        raise NamesUnavailable(f"{url} is no Home Assistant (status {sent.response.status})", _START)

    tls = await asyncio.to_thread(_trusted, ca_file) if ca_file else True
    trace = TraceConfig()
    trace.on_request_redirect.append(refuse)
    patience = ClientTimeout(total=None, sock_connect=ASK_SECONDS)
    async with (
        ClientSession(timeout=patience, trace_configs=[trace]) as session,
        session.ws_connect(f"{url.rstrip('/')}/api/websocket", ssl=tls, max_msg_size=MOST_BYTES) as wire,
    ):
        yield wire


def _trusted(ca_file: str) -> ssl.SSLContext:
    try:
        return tls_context(ca_file, "", "")
    except (OSError, ValueError) as error:
        reason = f"the certificate {ca_file} cannot be used: {in_words(error)}"
        raise NamesUnavailable(reason, _CERTIFICATE) from error


class _Questions:
    """One connection, from its login to the last answer."""

    def __init__(self, wire: ClientWebSocketResponse, url: str) -> None:
        self._wire = wire
        self._url = url
        self._numbers = count(1)

    async def all(self, token: str) -> AssistHouse:
        """Raises NamesUnavailable."""
        await self._log_in(token)
        exposed = await self._ask(Exposed, "homeassistant/expose_entity/list")
        entities = dict[str, AnEntity | None]()
        if exposed.entities:
            entities = await self._ask(
                dict[str, AnEntity | None], "config/entity_registry/get_entries", entity_ids=exposed.entities
            )
        return AssistHouse(
            exposed=exposed,
            entities=entities,
            states=await self._ask(tuple[AState, ...], "get_states"),
            devices=await self._ask(tuple[ADevice, ...], "config/device_registry/list"),
            areas=await self._ask(tuple[AnArea, ...], "config/area_registry/list"),
            floors=await self._ask(tuple[AFloor, ...], "config/floor_registry/list"),
        )

    async def _log_in(self, token: str) -> None:
        told = await self._told()
        if told.type != "auth_required":
            raise NamesUnavailable(
                f"{self._url} is no Home Assistant: it begins with {told.type[:40]!r}", _START
            )
        await self._wire.send_json({"type": "auth", "access_token": token})
        told = await self._told()
        if told.type != "auth_ok":
            raise NamesForbidden(f"{self._url} refuses the token", _LET_IN)

    async def _ask(self, answer: type[_Answer], question: str, **fields: object) -> _Answer:
        number = next(self._numbers)
        await self._wire.send_json({"id": number, "type": question} | fields)
        while (told := await self._told()).id != number or told.type != "result":
            pass  # the whole conversation has its time
        if told.success:
            try:
                return msgspec.json.decode(told.result, type=answer)
            except msgspec.DecodeError as error:
                raise NamesUnavailable(
                    f"{self._url} answers {question} as no version that we know"
                ) from error
        if told.error.get("code") == "unauthorized":
            raise NamesForbidden(f"{self._url}: the token's user may not ask for {question}", _ADMINISTRATOR)
        raise NamesUnavailable(
            f"{self._url} does not answer {question}: {str(told.error.get('message', ''))[:200]}"
        )

    async def _told(self) -> _Told:
        message = await self._wire.receive()
        if message.type is not WSMsgType.TEXT:
            why = (
                "says too much at once"
                if self._wire.close_code == WSCloseCode.MESSAGE_TOO_BIG
                else "hangs up"
            )
            raise NamesUnavailable(f"{self._url} {why}", _START)
        try:
            return msgspec.json.decode(message.data, type=_Told)
        except msgspec.DecodeError as error:
            raise NamesUnavailable(
                f"{self._url} is no Home Assistant: what it says is no message of its", _START
            ) from error


def _unreached(url: str, error: Exception) -> NamesUnavailable:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLError):
        why = getattr(cause, "verify_message", "") or cause.reason or "no TLS"
        return NamesUnavailable(
            f"{url} cannot be trusted: {why}", "name who signed its certificate: names.home_assistant.ca_file"
        )
    return NamesUnavailable(f"{url} is not there: {in_words(cause)}", _START)
