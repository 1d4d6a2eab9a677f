"""An agent that a real Home Assistant asks: it answers, does not understand, and hands back what is to be done."""

from __future__ import annotations

from gateway.orchestrator import Heard, NotUnderstood, Orchestrator, Reply

brain = Orchestrator("brain")
FAN = {"name": "HassTurnOn", "slots": {"name": "Living room fan", "domain": ["input_boolean"]}}


@brain.on_transcript(pattern=r"\bfan\b")
async def fan(heard: Heard) -> Reply:
    return Reply("The fan is on.", data={"intents": [FAN]})


@brain.on_transcript(pattern=r"\bwhat\b")
async def puzzled(heard: Heard) -> str:
    raise NotUnderstood("I do not know that.")


@brain.on_transcript
async def answer(heard: Heard) -> str:
    await heard.say("You said: ")
    return f"{heard.text}."
