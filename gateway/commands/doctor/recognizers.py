"""The doctor's look at recognizers on other machines: it listens for a moment which of them say to be there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.broker.base import BrokerError
from gateway.broker.opening import MEMORY
from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.config.configuration import GatewayConfig
from gateway.recognizers.pool.jobs import START_ONE, need_of
from gateway.recognizers.pool.roll_call import RollCall, roll_call_over, what_helps
from transcription.transcriber import NO_HINTS

WHAT = "recognizers"


def recognizers(config: GatewayConfig) -> Iterator[Finding]:
    """Whether anybody is there for whom they are wanted; nothing where they are not."""
    if config.recognizers.use == "never":
        return
    if config.broker.url == MEMORY:
        yield fail(WHAT, "with memory:// nobody can come who could be one", "name a broker in broker.url")
        return
    try:
        called = asyncio.run(roll_call_over(config.broker))
    except BrokerError as error:
        yield warn(WHAT, f"the broker could not be asked whether any are there: {error}", what_helps(error))
    else:
        yield _found(config, called)


def _found(config: GatewayConfig, called: RollCall) -> Finding:
    settings = config.transcription
    model = config.recognizers.model or settings.model
    need = need_of(model, NO_HINTS, settings)
    hands = called.workers.hands(need, called.at)
    if hands.workers:
        others = len(called.present) - hands.workers
        beside = f"; {others} more are of no use here" if others else ""
        return ok(
            WHAT, f"{hands.workers} with {model}, at {hands.busy} of {hands.capacity} utterances{beside}"
        )
    if not called.present:
        detail = "no recognizer has answered on this broker"
    else:
        detail = called.workers.why_none(need, called.at)
    remedy = START_ONE.format(model=model)
    if config.recognizers.use == "only":
        return fail(WHAT, f"{detail}, and this gateway has no model of its own", remedy)
    return warn(WHAT, f"{detail}: this gateway does everything itself", remedy)
