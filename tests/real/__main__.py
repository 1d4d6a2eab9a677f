"""``make real``: fetches what is real and large, and not here yet. Ends with 1 if something that can be had was not."""

from __future__ import annotations

import sys
import time

from tests.real.kubernetes import SCHEMAS
from tests.real.node_red import NODE_RED
from tests.real.people import MOONSHINE, MUSIC, PROMPTS
from tests.real.things import (
    HOME_ASSISTANT,
    LANGGRAPH,
    LITELLM,
    LLAMA,
    LLMOCK,
    WYOMING_OPENAI,
    WYOMING_OPENAI_GATEWAY,
    WYOMING_SATELLITE,
    Thing,
)
from tests.real.weights import BASE, SMOLLM2, TINY_EN

THINGS: tuple[Thing, ...] = (
    TINY_EN, BASE, PROMPTS, MOONSHINE, MUSIC, WYOMING_SATELLITE, WYOMING_OPENAI,
    WYOMING_OPENAI_GATEWAY, LITELLM, LANGGRAPH, HOME_ASSISTANT, LLMOCK, LLAMA, SMOLLM2, NODE_RED, SCHEMAS,
)  # fmt: skip


def main(things: tuple[Thing, ...] = THINGS) -> int:
    """Each in turn: what fails leaves the others alone."""
    failed = 0
    for thing in things:
        if thing.here:
            say(f"{thing.name}: here, in {thing.place}")
        elif why := thing.why_not():
            say(f"{thing.name}: cannot be had: {why}")
        else:
            failed += not fetched(thing)
    return min(failed, 1)


def fetched(thing: Thing) -> bool:
    say(f"{thing.name}: {thing.megabytes} MB to fetch, which may take minutes ...")
    began = time.monotonic()
    try:
        place = thing.fetch()
    except Exception as why:  # noqa: BLE001  # theirs to choose; the next thing may do better
        say(f"{thing.name}: FAILED: {why}")
        return False
    say(f"{thing.name}: fetched in {time.monotonic() - began:.0f} s, kept in {place}")
    return True


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
