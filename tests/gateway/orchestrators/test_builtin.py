"""The built-in orchestrator: a sensible answer to each command of the demo, and to anything else."""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import firmware_bridge
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import RoutingKey
from gateway.contract.messages import (
    REPLIES_TOPIC,
    RESULTS_TOPIC,
    AudioFacts,
    TranscriptionMessage,
    decode_reply,
    encode,
)
from gateway.orchestrators.builtin import MAX_CHARACTERS, MAX_REMEMBERED, House, builtin_orchestrator
from gateway.orchestrators.spoken_numbers import VALUES

TRANSCRIPTS = Path(firmware_bridge.__file__).parent / "speech" / "transcripts.tsv"
NOON = datetime(2024, 5, 17, 12, 5, tzinfo=UTC)


@pytest.fixture
def house() -> House:
    return House(now=lambda: NOON)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("turn on the kitchen light", "The kitchen light is on."),
        ("Turn the office lights OFF.", "The office lights are off."),
        ("turn off all the lights", "All the lights are off."),
        ("turn on the garden alarm", "The garden alarm is on."),
        ("set the hall light to green", "The hall light is green now."),
        ("set the thermostat to twenty one degrees", "The thermostat is set to 21 degrees."),
        ("set the office temperature to zero", "The office thermostat is set to 0 degrees."),
        ("set the office thermostat to one", "The office thermostat is set to 1 degree."),
        ("Set the temperature to -5 degrees.", "The thermostat is set to -5 degrees."),
        ("set the temperature to minus five", "The thermostat is set to -5 degrees."),
        ("set a timer for sixty minutes", "Timer set for 60 minutes."),
        ("Please set a timer for 10 minutes", "Timer set for 10 minutes."),
        ("cancel", "There is nothing to cancel."),
        ("open the garage door", "The garage door is open."),
        ("close the hall window", "The hall window is closed."),
        ("close the curtains", "The curtains are closed."),
        ("lock the gate", "The gate is locked."),
        ("unlock the gate", "The gate is unlocked."),
        ("start the motor", "The motor is running."),
        ("stop the conveyor", "The conveyor is stopped."),
        ("emergency stop", "Emergency stop. Everything is off."),
        ("engine number five status", "Engine 5 is running normally."),
        ("status report", "All is well. On: nothing. 0 timers set."),
        ("call the nurse", "Calling the nurse."),
        ("send a message to the doctor", "Your message goes to the doctor."),
        ("what is the weather", "I have no weather station, but I hope for sun today."),
        ("what is the weather tomorrow", "I have no weather station, but I hope for sun tomorrow."),
        ("what is the weather on friday", "I have no weather station, but I hope for sun on Friday."),
        ("what is the temperature outside", "I have no thermometer outside."),
        ("what time is it", "It is 12:05."),
        ("add bread to the list", "Bread is on the list."),
        ("add tea and coffee to the list", "Tea and coffee are on the list."),
        ("what is on the list", "The list is empty."),
        ("play music", "Playing."),
        ("stop the music", "Stopped."),
        ("next song", "Playing the next song."),
        ("volume up", "Volume up."),
        ("go forward ten meters", "Going forward 10 meters."),
        ("move backward", "Going backward."),
        ("queen of hearts", "Queen of hearts: 1 card."),
        ("ten of diamonds nine of hearts", "10 of diamonds and 9 of hearts: 2 cards."),
        ("four four oh five six", "Noted: 4 4 0 5 6."),
        ("good morning", "Good morning!"),
        ("thank you", "You are welcome."),
        ("tea garden computer evening", "I heard: tea garden computer evening"),
        ("Anything else?", "I heard: Anything else?"),
    ],
)
def test_answers(house: House, said: str, answer: str) -> None:
    assert house.answer(said) == answer


def test_it_remembers_what_is_on(house: House) -> None:
    for said in (
        "turn on the kitchen light",
        "turn the fan on",
        "turn on the hall lights",
        "turn on the fan",
    ):
        house.answer(said)
    house.answer("set a timer for one hour")
    assert house.answer("status report") == (
        "All is well. On: kitchen light, hall lights and fan. 1 timer set."
    )
    house.answer("turn off all the lights")
    assert house.answer("status report") == "All is well. On: fan. 1 timer set."
    house.answer("emergency stop")
    assert house.answer("status report") == "All is well. On: nothing. 1 timer set."


def test_it_remembers_timers_and_the_list(house: House) -> None:
    for said in ("set a timer for one minute", "set a timer for two hours", "add milk to the list"):
        house.answer(said)
    house.answer("add tea and sugar to the list")
    assert house.answer("what is on the list") == "On the list: milk, tea and sugar."
    assert house.answer("cancel the timer") == "Timer for 2 hours cancelled."
    assert house.answer("stop the timer") == "Timer for 1 minute cancelled."
    assert house.answer("cancel") == "There is nothing to cancel."


def test_what_it_remembers_is_bounded(house: House) -> None:
    for number in range(3 * MAX_REMEMBERED):
        house.answer(f"turn on lamp {number}")
        house.answer(f"add thing {number} to the list")
        house.answer("set a timer for one minute")
    assert house.answer("status report").count("lamp") == MAX_REMEMBERED
    assert house.answer("read the list").count("thing") == MAX_REMEMBERED


def test_long_speech_is_not_repeated(house: House) -> None:
    assert house.answer("word " * MAX_CHARACTERS) == f"I heard {MAX_CHARACTERS} words."


def demo_sentences() -> list[str]:
    with TRANSCRIPTS.open(newline="") as file:
        return [row["text"] for row in csv.DictReader(file, delimiter="\t")]


def test_every_command_of_the_demo_is_understood(house: House) -> None:
    commands = [said for said in demo_sentences() if " the " in said or "status" in said.split()[-1:]]
    assert len(commands) >= 10
    not_understood = [said for said in commands if house.answer(said).startswith("I heard")]
    assert [said for said in not_understood if said != "tuesday seconds backward the off"] == []


COMMAND_WORDS = ["turn", "set", "the", "a", "timer", "on", "off", "to", "all", "light", "and", "list", "stop"]
VOCABULARY = [*VALUES, *COMMAND_WORDS, "of", "hearts", "minutes", "what", "is"]


@given(st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join) | st.text(max_size=80)))
def test_any_conversation_gets_short_answers_and_the_same_ones_again(conversation: list[str]) -> None:
    first, second = House(now=lambda: NOON), House(now=lambda: NOON)
    for said in conversation:
        answer = first.answer(said)
        assert answer
        assert len(answer) < MAX_CHARACTERS * (MAX_REMEMBERED + 1)
        assert second.answer(said) == answer


async def test_it_answers_on_the_broker() -> None:
    broker = MemoryBroker()
    heard = TranscriptionMessage(
        session_id="s_1", user_id="ann", device_id="kitchen", text="start the motor", timestamp=1.0,
        success=True, message_id="m_1", correlation_id="c_1", utterance_id="u_1", audio=AudioFacts(seconds=1.0),
    )  # fmt: skip
    async with broker.subscribe(REPLIES_TOPIC) as replies, asyncio.timeout(10):
        task = asyncio.create_task(builtin_orchestrator().run(broker))
        await asyncio.sleep(0)
        await broker.publish(RESULTS_TOPIC, RoutingKey("ann", "kitchen", "s_1"), encode(heard))
        delivery = await anext(replies)
        assert decode_reply(delivery.message.payload).text == "Demo: The motor is running."
        task.cancel()
