"""What a request says (path, query, body, and which answers it takes), checked against what an operation wants."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct
from multidict import MultiMapping

from gateway.web.api.operation import JSON
from gateway.web.entrance.problems import Problem, misfit

MAX_BODY_BYTES = 64 * 1024
"""Of a JSON body."""
BODY_SECONDS = 30.0
"""A JSON body that is not there by then is not waited for."""

_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`\Z")

_Wanted = TypeVar("_Wanted", bound=Struct)


def from_path(values: Mapping[str, str], wanted: type[_Wanted]) -> _Wanted:
    """The names in the path. Raises Problem."""
    found: _Wanted = _convert(dict(values), wanted)
    return found


def from_query(values: MultiMapping[str], wanted: type[_Wanted]) -> _Wanted:
    """The query's parameters, each at most once. Raises Problem."""
    known = {field.encode_name for field in msgspec.structs.fields(wanted)}
    found: dict[str, str] = {}
    for name, value in values.items():
        if name not in known:
            raise misfit(name[:64], f"no such parameter; there are {', '.join(sorted(known)) or 'none'}")
        if name in found:
            raise misfit(name, "stands there twice")
        found[name] = value
    query: _Wanted = _convert(found, wanted)
    return query


async def from_body(request: web.Request, wanted: Any) -> Any:
    """The body, which is JSON. Raises Problem."""
    if request.content_type not in (JSON, "application/merge-patch+json"):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body has to be {JSON}", headers={"Accept": JSON}
        )
    raw = await _whole_body(request)
    try:
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    return _convert(data, wanted, strict=True)


FORM_REMEDY = (
    "send the file itself as the body, and no form: curl -H 'Content-Type: audio/wav' -T said.wav -X POST"
)


def converted(raw: msgspec.Raw, wanted: Any) -> Any:
    """A body that came another way than in a request. Raises Problem."""
    try:
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    return _convert(data, wanted, strict=True)


def check_upload(request: web.Request, taken: Collection[str]) -> None:
    """Whether the body may be what it says it is. Raises Problem (415)."""
    if request.content_type not in taken:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body has to be one of {', '.join(taken)}",
            remedy=FORM_REMEDY if request.content_type.startswith("multipart/") else "",
            headers={"Accept": ", ".join(taken)},
        )


def check_accepted(accept: Iterable[str], produces: Iterable[str]) -> None:
    """Whether one of the media types may be answered. Raises Problem (406)."""
    ranges = [one for header in accept for one in header.split(",") if one.strip()]
    if not ranges:
        return
    allowed = [_media_type(one) for one in ranges if not _is_refused(one)]
    for media_type in produces:
        kind = media_type.partition("/")[0]
        if {media_type, f"{kind}/*", "*/*"} & set(allowed):
            return
    raise Problem(HTTPStatus.NOT_ACCEPTABLE, f"the answer is {' or '.join(produces)}")


async def _whole_body(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError as error:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time") from error
    return bytes(body)


def _too_large() -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {MAX_BODY_BYTES} bytes")


def _convert(data: object, wanted: Any, *, strict: bool = False) -> Any:
    try:
        return msgspec.convert(data, wanted, strict=strict)
    except msgspec.ValidationError as error:
        message = str(error)
        place = _PLACE.search(message)
        raise misfit(place[1] if place else "", _PLACE.sub("", message)) from error


def _media_type(one: str) -> str:
    return one.partition(";")[0].strip().lower()


def _is_refused(one: str) -> bool:
    """Whether it is named only to say that it is not wanted (``q=0``)."""
    parameters = [part.strip().lower() for part in one.split(";")[1:]]
    return any(re.fullmatch(r"q=0(\.0{0,3})?", part) for part in parameters)
