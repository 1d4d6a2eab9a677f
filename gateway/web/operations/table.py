"""All operations of the API: what its routes, its rights and its description are made of. There is no other list."""

from __future__ import annotations

from functools import cache

import msgspec
from aiohttp import web

from gateway.access.needed import Open
from gateway.contract.events_schema import events_schema
from gateway.web.api import (
    agents,
    alerts,
    configuration,
    dead_letters,
    devices,
    features,
    firmware,
    health,
    models,
    openapi,
    registry,
    sign_in,
    speaking,
    speech,
    transcriptions,
    utterances,
    versions,
)
from gateway.web.api.health import running_version
from gateway.web.api.operation import JSON, Call, Operation
from gateway.web.personal import erasure, export

PREFIX = f"/api/v{versions.API_VERSION}"


async def show_description(_call: Call[None, None, None]) -> web.Response:
    """This API as OpenAPI 3.1."""
    return web.Response(body=_description(), content_type=JSON)


async def show_events_schema(_call: Call[None, None, None]) -> web.Response:
    """What listeners get on /ws and /events, as JSON Schema."""
    return web.Response(body=_events(), content_type=JSON)


@cache
def _events() -> bytes:
    return msgspec.json.encode(events_schema())


@cache
def _description() -> bytes:
    return msgspec.json.encode(openapi.document(OPERATIONS, running_version(), PREFIX))


OPERATIONS: tuple[Operation, ...] = (
    *health.OPERATIONS,
    *alerts.OPERATIONS,
    *devices.OPERATIONS,
    *registry.OPERATIONS,
    *firmware.OPERATIONS,
    *agents.OPERATIONS,
    *features.OPERATIONS,
    *utterances.OPERATIONS,
    *erasure.OPERATIONS,
    *export.OPERATIONS,
    *transcriptions.OPERATIONS,
    *speaking.OPERATIONS,
    *speech.OPERATIONS,
    *dead_letters.OPERATIONS,
    *models.OPERATIONS,
    *configuration.OPERATIONS,
    *sign_in.OPERATIONS,
    *versions.OPERATIONS,
    Operation(
        name="describe", method="GET", path="/openapi.json", right=Open.EVERYBODY, run=show_description,
        summary="This description", answer=dict,
    ),
    Operation(
        name="describeEvents", method="GET", path="/events.schema.json", right=Open.EVERYBODY, run=show_events_schema,
        summary="The events of /ws and /events as JSON Schema", answer=dict,
    ),
)  # fmt: skip
