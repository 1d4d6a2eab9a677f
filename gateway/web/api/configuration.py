"""The configuration: shown without its secrets, and changed as far as that goes while the gateway runs."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from functools import reduce
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway import typed_settings
from gateway.access import Right
from gateway.config import ConfigError, GatewayConfig, fit, read_file, variable_name
from gateway.config_edit import CannotEdit, Change, edited, replace_file
from gateway.health import HealthState
from gateway.typed_settings import dotted
from gateway.web.api.operation import Call, Operation
from gateway.web.api.problems import Misfit, Problem
from gateway.web.house import Works

SETTLE_SECONDS = 20.0
"""So long it is waited whether a new model can be had; one that is being fetched takes longer, and is told so."""
SETTLE_STEP = 0.05

_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")
_SECRET_NAME = re.compile(r"(^|_)(password|secret|token)$")
_MASK = "***"


class Configuration(Struct, frozen=True):
    """The settings that the gateway runs with, as in config.yaml; passwords are ***. ``file``: where they were read."""

    settings: dict[str, Any]
    file: str


class Saving(Struct, frozen=True, kw_only=True):
    """What becomes of a change."""

    save: Annotated[bool, Meta(description="Write it to the configuration file, too.")] = False


class Changed(Struct, frozen=True, kw_only=True):
    """What a change came to, by the paths of the settings.

    ``need_restart``: those that hold from the next start on, if they are ``saved``. ``overridden``: those for
    which an environment variable says something else, which wins at the next start. ``pending``: a model that is
    still on its way; the one before goes on meanwhile.
    """

    applied: tuple[str, ...]
    need_restart: tuple[str, ...]
    saved: bool
    overridden: tuple[str, ...] = ()
    pending: str = ""


async def show_configuration(call: Call[None, None, None]) -> Configuration:
    """All settings."""
    works = call.house.works()
    return Configuration(masked(msgspec.to_builtins(works.config)), str(works.config_file or ""))


async def change_configuration(call: Call[None, Saving, dict[str, Any]]) -> Changed:
    """Apply some settings (a JSON merge patch: null brings the default back), or change nothing at all."""
    async with call.house.changing:
        works = call.house.works()
        before = works.config
        wanted = _wanted(before, call.body)
        changes = list(_changes(before, wanted))
        saving = await asyncio.to_thread(_prepare, works.config_file, changes) if call.query.save else None
        plan = works.reconfigure(wanted)
        pending = await _settle(works, before) if plan.applied else ""
        if saving is not None:
            await _save(works, before, *saving)
        if saving is not None and plan.need_restart:
            reason = f"changed but not applied: {', '.join(plan.need_restart)}"
            call.house.health.set("configuration", HealthState.DEGRADED, reason, "restart the gateway")
        overridden = [dotted(path) for path, _ in changes if variable_name(path) in os.environ]
        return Changed(
            applied=plan.applied,
            need_restart=plan.need_restart,
            saved=saving is not None,
            overridden=tuple(overridden) if saving is not None else (),
            pending=pending,
        )


def masked(value: Any, key: str = "") -> Any:
    """The same without secrets, which are known by their name or as a URL's password."""
    if isinstance(value, dict):
        return {name: masked(one, name) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked(one, key) for one in value]
    if isinstance(value, str) and value:
        return _MASK if _SECRET_NAME.search(key) else _PASSWORD.sub(rf"\1:{_MASK}@", value)
    return value


def merged(base: Any, patch: Any) -> Any:
    """RFC 7396; what stands there masked is what it was."""
    if not isinstance(patch, dict):
        return base if patch == masked(base) else patch
    whole = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            whole.pop(key, None)
        else:
            whole[key] = merged(whole.get(key), value)
    return whole


def _wanted(running: GatewayConfig, patch: dict[str, Any]) -> GatewayConfig:
    """Raises Problem with every mistake, in the words of `earshot check-config`."""
    config, mistakes = fit(merged(msgspec.to_builtins(running), patch))
    if mistakes:
        errors = tuple(Misfit(place=dotted(one.path), message=one.message) for one in mistakes)
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{errors[0].place}: {errors[0].message}",
            remedy="nothing was changed; docs/configuration.md says what may stand where",
            errors=errors,
        )
    return config


def _changes(before: GatewayConfig, wanted: GatewayConfig) -> Iterator[Change]:
    for path in typed_settings.settings(GatewayConfig):
        old, new = reduce(getattr, path, before), reduce(getattr, path, wanted)
        if old != new:
            yield path, msgspec.to_builtins(new)


async def _settle(works: Works, before: GatewayConfig) -> str:
    """Wait until the recognizer has its engine; if that cannot be had, all is as it was. Raises Problem."""
    recognizer = works.recognizer
    until = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while recognizer.verdict is None and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110
        await asyncio.sleep(SETTLE_STEP)
    if recognizer.verdict is None:
        return recognizer.state.reason or "the model is still loading"
    if not recognizer.verdict:
        state = recognizer.state
        works.reconfigure(before)
        raise Problem(HTTPStatus.CONFLICT, f"{state.reason}; everything is as it was", remedy=state.remedy)
    return ""


def _prepare(file: Path | None, changes: list[Change]) -> tuple[Path, str]:
    """The file and its new text, before anything is changed. Raises Problem."""
    if file is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "the gateway runs without a configuration file",
            remedy="start it with --config FILE; `earshot check-config --print-default` prints one",
        )
    try:
        return file, edited(read_file(file)[0], changes)
    except (ConfigError, CannotEdit, OSError) as error:
        raise Problem(
            HTTPStatus.CONFLICT, f"{file} cannot be changed: {error}", remedy="change it by hand"
        ) from error


async def _save(works: Works, before: GatewayConfig, file: Path, text: str) -> None:
    try:
        await asyncio.to_thread(replace_file, file, text)
    except OSError as error:
        works.reconfigure(before)
        raise Problem(
            HTTPStatus.CONFLICT,
            f"{file} cannot be written: {error.strerror}; everything is as it was",
            remedy="let the gateway's user write there, or leave out save",
        ) from error


OPERATIONS = (
    Operation(
        name="showConfiguration", method="GET", path="/config", right=Right.OPERATE, run=show_configuration,
        summary="The settings that the gateway runs with, without secrets", answer=Configuration,
    ),
    Operation(
        name="changeConfiguration", method="PATCH", path="/config", right=Right.OPERATE, run=change_configuration,
        summary="Change some settings (JSON merge patch), all of them or none", query=Saving, body=dict[str, Any],
        answer=Changed, problems=(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
)  # fmt: skip
