"""What some of the sessions try: how it does beside what the others have, and whether it was taken back."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from gateway.access.principals import Right
from gateway.web.api.operation import AnyCall, Call, Operation, Token
from gateway.web.entrance.problems import not_found

if TYPE_CHECKING:
    from gateway.pipeline.agents.features import Features, FeatureStanding, SideFigures


class FeatureSide(Struct, frozen=True, kw_only=True):
    """Requests that have ended, since it was last tried (``requests``); the rest is of the last 1,000 of them.

    ``failed``: without an answer, or not in time. ``puzzled``: nobody understood. ``error_rate`` and
    ``no_answer_rate`` (both of them) are shares, 0 to 1.
    """

    requests: int
    failed: int
    puzzled: int
    error_rate: float
    no_answer_rate: float
    p50_ms: float
    p95_ms: float


class Feature(Struct, frozen=True, kw_only=True):
    """One of them. ``taken_back``: why it is for nobody any more; empty: it is for ``percent`` of the sessions."""

    name: str
    percent: float
    team: str
    in_place_of: str
    agents: dict[str, str]
    taken_back: str
    on: FeatureSide
    off: FeatureSide


class FeatureList(Struct, frozen=True, kw_only=True):
    """In the order of the configuration."""

    features: tuple[Feature, ...]


class WhichFeature(Struct, frozen=True, kw_only=True):
    """A feature by its name."""

    feature: Token


class WhyBack(Struct, frozen=True, kw_only=True):
    """In words, for whoever looks at it later."""

    reason: Annotated[str, Meta(max_length=200)] = "by hand"


async def list_features(call: Call[None, None, None]) -> FeatureList:
    """All of them; none, where the configuration names none, or no agents."""
    features = call.parts.running().pipeline.features
    return FeatureList(features=() if features is None else tuple(map(_shown, features.standings())))


async def try_feature(call: Call[WhichFeature, None, None]) -> Feature:
    """Again, and judged by what comes from now on."""
    features, name = _features(call), call.path.feature
    if not features.try_again(name):
        raise not_found("feature")
    return _found(features, name)


async def take_feature_back(call: Call[WhichFeature, WhyBack, None]) -> Feature:
    """It is for nobody until it is tried again."""
    features, name = _features(call), call.path.feature
    if not features.take_back(name, call.query.reason or "by hand"):
        raise not_found("feature")
    return _found(features, name)


def _features(call: AnyCall) -> Features:
    features = call.parts.running().pipeline.features
    if features is None:
        raise not_found("feature")
    return features


def _found(features: Features, name: str) -> Feature:
    return next(_shown(one) for one in features.standings() if one.name == name)


def _shown(one: FeatureStanding) -> Feature:
    settings = one.settings
    return Feature(
        name=one.name,
        percent=settings.percent,
        team=settings.team,
        in_place_of=settings.in_place_of,
        agents=settings.agents,
        taken_back=one.taken_back,
        on=_side(one.on),
        off=_side(one.off),
    )


def _side(figures: SideFigures) -> FeatureSide:
    return FeatureSide(
        requests=figures.requests,
        failed=figures.failed,
        puzzled=figures.puzzled,
        error_rate=figures.failed / figures.counted if figures.counted else 0.0,
        no_answer_rate=figures.unanswered,
        p50_ms=1000 * figures.p50_seconds,
        p95_ms=1000 * figures.p95_seconds,
    )


_PROBLEMS = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)

OPERATIONS = (
    Operation(
        name="listFeatures", method="GET", path="/features", right=Right.LISTEN, run=list_features,
        summary="What some of the sessions try, beside what the others have", answer=FeatureList,
    ),
    Operation(
        name="tryFeature", method="POST", path="/features/{feature}/try", right=Right.GOVERN, run=try_feature,
        summary="Try a feature again, from nothing", path_type=WhichFeature, answer=Feature, problems=_PROBLEMS,
    ),
    Operation(
        name="takeFeatureBack", method="POST", path="/features/{feature}/take-back", right=Right.GOVERN,
        run=take_feature_back, summary="Take a feature back: it is for nobody until it is tried again",
        path_type=WhichFeature, query=WhyBack, answer=Feature, problems=_PROBLEMS,
    ),
)  # fmt: skip
