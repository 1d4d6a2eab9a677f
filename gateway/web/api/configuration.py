"""The configuration: shown without its secrets, and changed as far as that goes while the gateway runs."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from functools import reduce
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

from firmware_bridge import url_secrets
from firmware_bridge.url_secrets import MASK
from gateway.access.audit import What
from gateway.access.principals import Right
from gateway.config import outline
from gateway.config.checks import fit
from gateway.config.configuration import GatewayConfig
from gateway.config.editing import CannotEdit, Change, edited, replace_file
from gateway.config.loading import ConfigError, load_config, read_file, variable_name
from gateway.config.outline import Mistake, dotted
from gateway.config.reloading import plan
from gateway.contract.escaping import one_line
from gateway.observing.health import HealthState
from gateway.web.api.file_places import misplaced
from gateway.web.api.operation import AnyCall, Call, Operation
from gateway.web.entrance.guard import visit_of
from gateway.web.entrance.problems import Misfit, Problem
from gateway.web.parts import Parts, RunningParts

SETTLE_SECONDS = 20.0
"""So long it is waited whether a new model can be had; one that is being fetched takes longer, and is told so."""
SETTLE_STEP = 0.05

DOOR = (
    "adapters.",
    "web.",
    "broker.",
    "devices.mqtt.",
    "devices.unknown",
    "devices.known",
    "devices.users",
    "devices.default_user",
    "orchestrator.agents",
    "orchestrator.app",
    "content.",
    "privacy.",
)
"""The settings that say who gets in, and where words and passwords go to: a change of them is audited as such."""
HEADERS = "headers"
"""Of HTTP requests to others, by their names: any of them may be one that lets us in there."""
_SECRET_NAME = re.compile(rf"(^|_)(password|secret|token)$|^{HEADERS}$")


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
    still on its way; the one before goes on meanwhile. ``reasons``: why those of ``need_restart`` do.
    """

    applied: tuple[str, ...]
    need_restart: tuple[str, ...]
    saved: bool
    overridden: tuple[str, ...] = ()
    pending: str = ""
    reasons: dict[str, str] = {}


async def show_configuration(call: Call[None, None, None]) -> Configuration:
    """All settings."""
    running = call.parts.running()
    return Configuration(masked(msgspec.to_builtins(running.config)), str(running.config_file or ""))


async def change_configuration(call: Call[None, Saving, dict[str, Any]]) -> Changed:
    """Apply some settings (a JSON merge patch: null brings the default back), or change nothing at all."""
    async with call.parts.changing:
        running = call.parts.running()
        before = running.config
        wanted = _wanted(before, call.body)
        await asyncio.to_thread(_check_files, call.parts, running, wanted)
        named = _named(before, wanted, call.body)
        saving = await asyncio.to_thread(_prepare, running.config_file, named) if call.query.save else None
        _note(call, _changes(before, named))
        tried, pending = await _try_model(running, wanted)
        if saving is not None:
            await _save(running, before, *saving)
        planned = running.reconfigure(wanted)  # what was being said may change hands: nothing takes that back
        if saving is not None:
            call.parts.health.set("configuration", *await asyncio.to_thread(_what_waits, running, saving[0]))
        overridden = [dotted(path) for path, _ in named if variable_name(path) in os.environ]
        return Changed(
            applied=(*tried, *planned.applied),
            need_restart=planned.need_restart,
            saved=saving is not None,
            overridden=tuple(overridden) if saving is not None else (),
            pending=pending,
            reasons=planned.reasons,
        )


def _check_files(parts: Parts, running: RunningParts, wanted: GatewayConfig) -> None:
    """Raises Problem when a setting names a file that it may not when it comes over the network."""
    _refuse(list(misplaced(running.config, wanted, parts.folder, running.config_file)))


def _changes(running: GatewayConfig, named: list[Change]) -> Iterator[tuple[str, str, str]]:
    """The settings that are to become others: which, what they were, and what they are to be, without secrets."""
    for path, value in named:
        before = msgspec.to_builtins(reduce(getattr, path, running))
        if before != value:
            yield dotted(path), _written(before, path[-1]), _written(value, path[-1])


def _written(value: Any, key: str) -> str:
    return json.dumps(masked(value, key), ensure_ascii=False)


def _note(call: AnyCall, changes: Iterator[tuple[str, str, str]]) -> None:
    """Write down who wants what to become what, before it does."""
    visit, who = visit_of(call.request), call.principal
    for setting, old, new in changes:
        what = What.DOOR if setting.startswith(DOOR) else What.CONFIGURATION
        facts = {"setting": setting, "old": old, "new": new, "name": who.name, "token_id": who.token_id}
        visit.guard.audit.note(what, address=visit.address, **facts)


def masked(value: Any, key: str = "") -> Any:
    """The same without secrets, which are known by their name or as a URL's password."""
    if isinstance(value, dict):
        return {name: masked(one, key if key == HEADERS else name) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked(one, key) for one in value]
    if isinstance(value, str) and value:
        return MASK if _SECRET_NAME.search(key) else url_secrets.masked(value)
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
    _refuse(mistakes)
    return config


def _refuse(mistakes: list[Mistake]) -> None:
    if mistakes:
        errors = tuple(Misfit(place=dotted(one.path), message=one.message) for one in mistakes)
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{errors[0].place}: {errors[0].message}",
            remedy="nothing was changed; docs/configuration.md says what may stand where",
            errors=errors,
        )


def _named(running: GatewayConfig, wanted: GatewayConfig, patch: dict[str, Any]) -> list[Change]:
    """The settings that a patch is about, with their new values; what it gives back masked is none of them."""
    return [
        (path, msgspec.to_builtins(reduce(getattr, path, wanted)))
        for path in outline.settings(GatewayConfig)
        if _names(patch, path, reduce(getattr, path, running))
    ]


def _names(patch: Any, path: tuple[str, ...], running: Any) -> bool:
    for key in path:
        if not isinstance(patch, dict):
            return patch is None  # the whole section as it is by default
        if key not in patch:
            return False
        patch = patch[key]
    return patch != {} and bool(patch == running or patch != masked(running))


def _differing(file: dict[str, Any], changes: list[Change]) -> Iterator[Change]:
    """Of the changes those that the file does not say already, if only by leaving them out."""
    there, _ = fit(file)
    for path, value in changes:
        if msgspec.to_builtins(reduce(getattr, path, there)) != value:
            yield path, value


async def _try_model(running: RunningParts, wanted: GatewayConfig) -> tuple[tuple[str, ...], str]:
    """The recognizer's settings alone, which may turn out impossible: what was applied, and what is pending."""
    before = running.config
    if wanted.transcription == before.transcription:
        return (), ""
    applied = running.reconfigure(structs.replace(before, transcription=wanted.transcription)).applied
    return applied, await _settle(running, before) if applied else ""


async def _settle(running: RunningParts, before: GatewayConfig) -> str:
    """Wait until the recognizer has its engine; if that cannot be had, all is as it was. Raises Problem."""
    recognizer = running.recognizer
    until = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while recognizer.verdict is None and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110
        await asyncio.sleep(SETTLE_STEP)
    if recognizer.verdict is None:
        return recognizer.state.reason or "the model is still loading"
    if not recognizer.verdict:
        state = recognizer.state
        running.reconfigure(before)
        raise Problem(HTTPStatus.CONFLICT, f"{state.reason}; everything is as it was", remedy=state.remedy)
    return ""


def _prepare(file: Path | None, changes: list[Change]) -> tuple[Path, str]:
    """The file and its new text, with what it does not say yet, before anything is changed. Raises Problem."""
    if file is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "the gateway runs without a configuration file",
            remedy="start it with --config FILE; `earshot check-config --print-default` prints one",
        )
    try:
        text, document = read_file(file)
        return file, edited(text, list(_differing(document.data or {}, changes)))
    except (ConfigError, CannotEdit, OSError) as error:
        raise Problem(
            HTTPStatus.CONFLICT, f"{file} cannot be changed: {error}", remedy="change it by hand"
        ) from error


async def _save(running: RunningParts, before: GatewayConfig, file: Path, text: str) -> None:
    try:
        await asyncio.to_thread(replace_file, file, text)
    except OSError as error:
        running.reconfigure(before)
        raise Problem(
            HTTPStatus.CONFLICT,
            f"{file} cannot be written: {error.strerror}; everything is as it was",
            remedy="let the gateway's user write there, or leave out save",
        ) from error


def _what_waits(running: RunningParts, file: Path) -> tuple[HealthState, str, str]:
    """Whether the next start will be another one than this: what the file says by now against what runs."""
    try:
        planned = plan(running.config, load_config(file, os.environ))
    except ConfigError as error:
        return (
            HealthState.DEGRADED,
            one_line(str(error.problems[0])),
            "earshot check-config lists every mistake",
        )
    if planned.need_restart:
        reason = f"changed but not applied: {', '.join(planned.need_restart)}"
        return HealthState.DEGRADED, reason, planned.remedy
    return HealthState.HEALTHY, "", ""


OPERATIONS = (
    Operation(
        name="showConfiguration", method="GET", path="/config", right=Right.GOVERN, run=show_configuration,
        summary="The settings that the gateway runs with, without secrets", answer=Configuration,
    ),
    Operation(
        name="changeConfiguration", method="PATCH", path="/config", right=Right.GOVERN, run=change_configuration,
        summary="Change some settings (JSON merge patch), all of them or none", query=Saving, body=dict[str, Any],
        answer=Changed, problems=(HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
)  # fmt: skip
