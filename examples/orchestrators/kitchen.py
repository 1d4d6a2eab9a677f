"""An agent with tools: a timer that tells when it is over, lights that can be switched back, and what was said before.

In config.yaml: ``orchestrator: {agents: {kitchen: {app: "examples.orchestrators.kitchen:kitchen"}}}``.
Over a broker: ``python -m examples.orchestrators.kitchen redis://localhost``.
"""

import asyncio
import re
import sys

from gateway.orchestrator import Heard, NotUnderstood, Orchestrator, Reply

kitchen = Orchestrator("kitchen", description="Timers, lights and small talk of the kitchen.")

lights: dict[str, bool] = {}
"""Of each room, whether it is on; a real agent would ask the house."""
running: set[asyncio.Task[None]] = set()


@kitchen.on_transcript(pattern=r"\btimer\b")
async def timer(heard: Heard) -> Reply:
    """One of ``3 seconds`` or ``5 minutes``; the device is told when it is over, wherever the conversation is then."""
    found = re.search(r"(\d+) (second|minute)", heard.text)
    if found is None:
        return Reply("For how long?")
    seconds = int(found[1]) * (60 if found[2] == "minute" else 1)
    task = asyncio.create_task(_ring(heard, seconds))
    running.add(task)
    task.add_done_callback(running.discard)
    return Reply(f"A timer of {found[0]}s is set.", data={"timer_seconds": seconds}, confidence=0.9)


async def _ring(heard: Heard, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await heard.announce("The timer is over.", keep_seconds=600)


@kitchen.on_transcript(pattern=r"\blights?\b")
async def light(heard: Heard) -> str:
    """Does something that can be undone."""
    room, is_on = heard.room or "house", "off" not in heard.text.split()
    lights[room] = is_on
    await heard.attach({"room": room, "light": is_on})
    return f"The light of the {room} is {'on' if is_on else 'off'}."


@kitchen.on_compensation
async def switch_back(heard: Heard, _reason: str) -> None:
    """Others of the team have failed: it is as if nothing had been said."""
    if "light" in heard.text:
        lights.pop(heard.room or "house", None)


@kitchen.on_transcript(pattern=r"\bweather\b")
async def weather(heard: Heard) -> str:
    """A quick answer, and a better one from another agent, which may not be there."""
    await heard.interim("I look out of the window. It is dry.")
    await heard.progress("asking the weather agent")
    forecast = await heard.ask("weather", seconds=5.0)
    return forecast.text if forecast.error is None else "It is dry, but I cannot reach the forecast."


@kitchen.on_transcript
async def small_talk(heard: Heard) -> str:
    """What nothing above is for."""
    if heard.text == "say that again" and heard.conversation:
        return heard.conversation[-1].reply
    raise NotUnderstood("I only know about the kitchen.")


if __name__ == "__main__":
    kitchen.run_forever(sys.argv[1])
