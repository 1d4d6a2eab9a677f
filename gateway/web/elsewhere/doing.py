"""What somebody asked of the API at another hub of the house, done by this gateway."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

import msgspec
import structlog
from aiohttp import web
from msgspec import Raw
from multidict import MultiDict

from gateway.access.needed import Open
from gateway.access.principals import Principal, Role
from gateway.contract.house import HouseCommand, HouseDone
from gateway.journal import JournalError
from gateway.observing.requests.following import request_id
from gateway.web.api import reading
from gateway.web.api.operation import Call
from gateway.web.entrance.problems import Problem, not_found, unavailable
from gateway.web.operations.table import OPERATIONS
from gateway.web.parts import NotRunning, Parts

log = structlog.get_logger(__name__)

_CARRIED = {one.name: one for one in OPERATIONS if one.carry is not None}


async def done_here(parts: Parts, told: HouseCommand) -> HouseDone:
    """Its answer, or the problem that there is with it. What is logged, and caused, is under the request's id."""
    with structlog.contextvars.bound_contextvars(correlation_id=request_id(told.correlation_id)):
        return await _done_here(parts, told)


async def _done_here(parts: Parts, told: HouseCommand) -> HouseDone:
    try:
        answer = await _run(parts, told)
    except Problem as error:
        problem = error
    except (NotRunning, JournalError) as error:
        problem = unavailable(str(error), "try again soon")
    except Exception:  # the boundary: between those who ask and everything else
        log.exception("a command of another hub failed", operation=told.operation)
        problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "something is wrong with the gateway that has it")
    else:
        return _done(HTTPStatus.NO_CONTENT if answer is None else _CARRIED[told.operation].status, answer)
    return _done(problem.status, problem.details(told.correlation_id))


async def _run(parts: Parts, told: HouseCommand) -> object:
    operation = _CARRIED.get(told.operation)
    if operation is None:
        raise not_found("operation that other hubs may ask for")
    principal = _principal(told)
    needed = operation.right if isinstance(operation.right, tuple) else (operation.right,)
    if not any(isinstance(one, Open) or principal.may(one) for one in needed):
        raise Problem(HTTPStatus.FORBIDDEN, f"the role {principal.role} may not do that")
    nobodys = cast("web.Request", None)  # an operation that is carried looks at no more than it was given
    call = Call(
        nobodys,
        parts,
        principal,
        reading.from_path(told.path, operation.path_type) if operation.path_type else None,
        reading.from_query(MultiDict(told.query), operation.query) if operation.query else None,
        reading.converted(told.body, operation.body) if operation.body else None,
        told.correlation_id,
    )
    return await operation.run(call)


def _principal(told: HouseCommand) -> Principal:
    asker = told.asker
    if asker.role not in set(Role):
        raise Problem(HTTPStatus.FORBIDDEN, "nobody here goes by that role")
    return Principal(
        name=asker.name,
        role=Role(asker.role),
        users=frozenset(asker.users),
        devices=frozenset(asker.devices),
        token_id=asker.token_id,
    )


def _done(status: HTTPStatus, answer: object) -> HouseDone:
    return HouseDone(ask="", gateway="", status=status.value, body=Raw(msgspec.json.encode(answer)))
