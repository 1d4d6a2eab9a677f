"""One operation of the API: everything that its route, its right and its description are made of."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from aiohttp import web
from msgspec import Meta, Struct

from gateway.access.needed import Needed
from gateway.access.principals import Principal
from gateway.web.parts import Parts

JSON = "application/json"

Token = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]

Path = TypeVar("Path")
Query = TypeVar("Query")
Body = TypeVar("Body")


@dataclass(frozen=True, slots=True)
class Call(Generic[Path, Query, Body]):
    """One request to an operation, checked. What an operation has not is None."""

    request: web.Request
    parts: Parts
    principal: Principal
    path: Path
    query: Query
    body: Body
    correlation_id: str


AnyCall: TypeAlias = Call[Any, Any, Any]


class Carry(enum.Enum):
    """By which gateway of a house of several an operation is done."""

    TO_ITS_GATEWAY = "its gateway"
    """The one that has the device of its path."""
    TO_WHOEVER_KNOWS = "whoever knows"
    """The first that has what it is about."""
    TO_ANYBODY = "anybody"
    BY_THE_STORE = "by the store"
    """Any of them, where they share a store; else only the one that is asked."""
    TO_ALL = "all"
    """Its answer is lists, of which there is one of each gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What can be done at ``path`` (below /api/v1) by whoever has ``right``, or one of several.

    ``path_type``, ``query`` and ``body`` are decoded from the request; ``uploads`` are the media types of a body
    that ``run`` reads itself. ``run`` returns what ``answer`` says, None when that is None, or a response that is
    answered as it is, in one of the media types ``produces``. ``unfinished``: the status of the same answer while
    something is still under way. ``problems``: statuses that it is known for. ``carry``: None: it is done where it is
    asked for. What is carried looks at no request.
    """

    name: str
    method: str
    path: str
    right: Needed
    summary: str
    run: Callable[[AnyCall], Awaitable[object]]
    path_type: type[Struct] | None = None
    query: type[Struct] | None = None
    body: Any = None
    uploads: tuple[str, ...] = ()
    answer: Any = None
    status: HTTPStatus = HTTPStatus.OK
    unfinished: HTTPStatus | None = None
    produces: tuple[str, ...] = (JSON,)
    problems: tuple[HTTPStatus, ...] = ()
    carry: Carry | None = None
