"""The API in the words of OpenAPI 3.1, made from the table of its operations."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from gateway.access.needed import Open
from gateway.contract.schemas import schemas_of
from gateway.web.api.operation import JSON, Operation
from gateway.web.entrance.problems import PROBLEM_TYPE, ProblemDetails

_REFERENCE = "#/components/schemas/{name}"
_DESCRIPTION = """\
Everything below `/api/v1` of an Earshot gateway. What is said is personal data: everybody sees what the token
that they show is for. Errors are problem details (RFC 9457) with a `remedy` where there is one. `X-Correlation-ID`
is taken from the request (1 to 64 of `A-Z a-z 0-9 _ -`), or made, and stands in every answer. Times are Unix
seconds, durations name their unit."""


def document(operations: Iterable[Operation], version: str, prefix: str) -> dict[str, Any]:
    """The whole document, as JSON will have it."""
    operations = tuple(operations)
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Earshot", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": prefix}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "earshot_..."}},
            "responses": {
                "Problem": {
                    "description": "What went wrong.",
                    "content": {PROBLEM_TYPE: {"schema": schemas.of(ProblemDetails)}},
                }
            },
        },
    }


class _Schemas:
    """The schema of each type, named once."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._types: list[Any] = [ProblemDetails]
        for operation in operations:
            self._types += [one for one in (operation.answer, operation.body) if one is not None]
            for group in (operation.path_type, operation.query):
                self._types += [field.type for field in _fields(group)]
        self._found, self.components = schemas_of(self._types, _REFERENCE)

    def of(self, wanted: Any) -> dict[str, Any]:
        """What stands where a type is meant."""
        return self._found[self._types.index(wanted)]


def _fields(group: type[Struct] | None) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(group) if group is not None else ()


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation, schemas),
    }
    if isinstance(operation.right, Open):
        told["security"] = []
    else:
        rights = operation.right if isinstance(operation.right, tuple) else (operation.right,)
        told["description"] = f"Needs the right to {' or to '.join(rights)}."
        told["x-right"] = " or ".join(rights)
    parameters = _parameters(operation.path_type, "path", schemas)
    parameters += _parameters(operation.query, "query", schemas)
    if parameters:
        told["parameters"] = parameters
    if operation.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": schemas.of(operation.body)}},
        }
    elif operation.uploads:
        content = {media: {"schema": {"type": "string", "format": "binary"}} for media in operation.uploads}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _parameters(group: type[Struct] | None, where: str, schemas: _Schemas) -> list[dict[str, Any]]:
    parameters = []
    for field in _fields(group):
        schema = dict(schemas.of(field.type))
        told: dict[str, Any] = {
            "name": field.encode_name,
            "in": where,
            "required": field.required,
            "schema": schema,
        }
        if description := schema.pop("description", ""):
            told["description"] = description
        if not field.required and field.default not in (msgspec.NODEFAULT, "", None):
            schema["default"] = field.default
        parameters.append(told)
    return parameters


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    answered: dict[str, Any] = {"description": operation.summary}
    if operation.answer is None and operation.produces == (JSON,):
        status = HTTPStatus.NO_CONTENT
    else:
        status = operation.status
        answered["content"] = {
            media: {"schema": schemas.of(operation.answer) if media == JSON and operation.answer else {}}
            for media in operation.produces
        }
    problem = {"$ref": "#/components/responses/Problem"}
    responses: dict[str, Any] = {str(status.value): answered}
    if operation.unfinished is not None:
        still = f"{operation.summary}; something is still under way"
        responses[str(operation.unfinished.value)] = {**answered, "description": still}
    responses |= {str(one.value): problem for one in operation.problems}
    responses["default"] = problem
    return responses
