"""[conversations] A thousand people typing, a hundred turns a second: how soon each has an answer, and its price.

The gateway is a process of its own, as it is installed: with its journal, its history and its page. Each of a thousand
people has a token, a WebSocket and a conversation, and sees nothing but that. What they say is text from the start,
for the recognizer is not what is measured; it goes through the broker to an agent that is asked by name, and comes
back through broker and hub. The agent is inside the gateway, over memory://; then in another process, over NATS.
Latency is from the text on its way to the answer in the hands of whoever typed it, all on two cores. CPU is that of the
gateway and of the agent, memory what the gateway has grown by, from before the first of them came.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.instruments.memory import cpu_seconds, resident_mb
from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import Bar, Result, percentile, scheduling
from benchmarks.load.chats import Chats, chatting, make_tokens, talk
from tests.servers.nats import NATS, Nats

PEOPLE = 1_000
TURNS_PER_SECOND = 100
SECONDS = 600
QUICK_SECONDS = 30
SETTLE_SECONDS = 3.0
"""Until what connecting cost is over, and the agent is known to be there."""
SETTINGS = """
web:
  port: 0
  max_listeners: 2000
  limits: {connections_per_address: 2000, requests_per_second: 1000, messages_per_second: 1000}
devices: {mqtt: {embedded_port: 0}}
transcription: {engine: 'off'}
"""
INSIDE = "orchestrator: {agents: {parrot: {app: 'benchmarks.load.parrot:parrot'}}}\n"
OUTSIDE = "orchestrator: {agents: {parrot: {}}}\n"


class Talk(Struct):
    """What a run has cost. ``megabytes``: that the gateway has grown by; CPU in seconds."""

    chats: Chats
    unanswered: int
    megabytes: float
    gateway_cpu: float
    agent_cpu: float


@contextmanager
def agent_process(url: str) -> Iterator[int]:
    """The agent on that broker; its process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load.parrot", url],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


async def converse(gateway: GatewayProcess, turns: int, agent: int | None = None) -> Talk:
    """Everybody connects, and talks."""
    tokens = make_tokens(gateway.state_folder, PEOPLE)
    before = resident_mb(gateway.pid)
    async with chatting(gateway.url, tokens) as (chats, everybody):
        await asyncio.sleep(SETTLE_SECONDS)
        theirs, ours = cpu_seconds(agent) if agent else 0.0, cpu_seconds(gateway.pid)
        await talk(everybody, turns, TURNS_PER_SECOND)
        return Talk(
            chats,
            sum(one.unanswered() for one in everybody),
            resident_mb(gateway.pid) - before,
            cpu_seconds(gateway.pid) - ours,
            cpu_seconds(agent) - theirs if agent else 0.0,
        )


def over_memory(turns: int) -> Talk:
    """With the agent inside the gateway."""
    with gateway_process(SETTINGS + INSIDE) as gateway:
        return asyncio.run(converse(gateway, turns))


def over_nats(turns: int) -> Talk:
    """With the agent in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        server = Nats(Path(folder)).start()
        try:
            broker = f"broker: {{url: '{server.url}'}}\n"
            with gateway_process(SETTINGS + OUTSIDE + broker) as gateway, agent_process(server.url) as agent:
                time.sleep(SETTLE_SECONDS)
                return asyncio.run(converse(gateway, turns, agent))
        finally:
            server.kill()


def run(*, quick: bool) -> Result:
    seconds = QUICK_SECONDS if quick else SECONDS
    turns = seconds * TURNS_PER_SECOND
    metrics: dict[str, float | int | str] = {
        "people": PEOPLE,
        "turns_per_s": TURNS_PER_SECOND,
        "seconds": seconds,
        "scheduling": scheduling(),
    }
    bars = []
    for name, way in (("memory, inside", over_memory), ("NATS, outside", over_nats)):
        if way is over_nats and not Path(NATS).exists():
            metrics[name] = f"{NATS} is not installed"
            continue
        result = way(turns)
        waits, wrong = result.chats.waits_ms, result.chats.wrong
        for what in wrong[:5]:
            print(what, file=sys.stderr)
        p95 = percentile(waits, 95)
        cpu_ms = 1000 * (result.gateway_cpu + result.agent_cpu) / turns
        metrics |= {
            f"{name}: first answer p50_ms": percentile(waits, 50),
            f"{name}: first answer p95_ms": p95,
            f"{name}: first answer max_ms": max(waits),
            f"{name}: the gateway's CPU, ms a turn": 1000 * result.gateway_cpu / turns,
            f"{name}: the agent's own CPU, ms a turn": 1000 * result.agent_cpu / turns,
            f"{name}: conversations": len(result.chats.conversations),
        }
        bars += [
            Bar(f"{name}: first answer, p95", p95, 200.0, "at most", "ms"),
            Bar(
                f"{name}: turns without an answer, or with a wrong one",
                len(wrong) + result.unanswered,
                0,
                "at most",
            ),
            Bar(f"{name}: memory a conversation", result.megabytes / PEOPLE, 1.0, "at most", "MB"),
            Bar(f"{name}: CPU a turn", cpu_ms, 10.0, "at most", "ms"),
        ]
    return Result(metrics, bars)
