"""The orchestrator that comes with the gateway: short answers to the commands of the demo.

It switches nothing, and each of its answers says whose it is. It remembers what it was told (what is on, the
list, the timers), so that a conversation makes sense, and repeats what it does not understand.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from gateway.contract.messages import TranscriptionMessage
from gateway.orchestrators.sdk import Orchestrator
from gateway.orchestrators.spoken_numbers import figures, is_number

NAME = "builtin"
"""Of its group at the broker, and what its replies are signed with."""
WHOSE = "Demo: "
"""Nobody shall believe that the front door is locked."""
MAX_CHARACTERS = 400
"""Longer speech is not searched for commands."""
MAX_REMEMBERED = 50
"""Things remembered of one kind; the oldest is forgotten."""

_STATES = {
    "open": "open",
    "close": "closed",
    "lock": "locked",
    "unlock": "unlocked",
    "start": "running",
    "stop": "stopped",
}
_PLAYER = {
    "play": "Playing.",
    "stop": "Stopped.",
    "pause": "Paused.",
    "resume": "Going on.",
    "next": "Playing the next song.",
    "previous": "Playing the song before.",
}
_COURTESIES = {
    "hello": "Hello! How can I help?",
    "good morning": "Good morning!",
    "good afternoon": "Good afternoon!",
    "good evening": "Good evening!",
    "good night": "Good night, sleep well!",
    "goodbye": "Goodbye!",
    "thank you": "You are welcome.",
    "help": "Try: turn on the kitchen light. Or: set a timer for ten minutes.",
    "status": "All is well.",
}
_CARD = r"(?:ace|king|queen|jack|\d+) of (?:clubs|diamonds|hearts|spades)"


class House:
    """What was said so far, and the answer to what is said next."""

    def __init__(self, now: Callable[[], datetime] = datetime.now) -> None:
        self._now = now
        self._on: deque[str] = deque(maxlen=MAX_REMEMBERED)
        self._list: deque[str] = deque(maxlen=MAX_REMEMBERED)
        self._timers: deque[str] = deque(maxlen=MAX_REMEMBERED)

    def answer(self, text: str) -> str:
        """A short sentence; the same after the same conversation, the time of day apart."""
        if len(text) > MAX_CHARACTERS:
            return f"I heard {len(text.split())} words."
        words = re.findall(r"(?<!\w)-?[\w']+", text.lower())
        said = figures(" ".join(word for word in words if word != "please"))
        for pattern, reply in _COMMANDS:
            found = pattern.fullmatch(said)
            if found is not None:
                return reply(self, *found.groups())
        if said in _COURTESIES:
            return _COURTESIES[said]
        if is_number(said):
            return f"Noted: {said}."
        return f"I heard: {text.strip()}"

    def emergency(self) -> str:
        """Everything off."""
        self._on.clear()
        return "Emergency stop. Everything is off."

    def switch(self, state: str, thing: str) -> str:
        """Something goes on or off."""
        if thing == "lights" or thing.startswith("all "):
            thing = "all the " + thing.removeprefix("all ").removeprefix("the ")
            kind = thing.split()[-1].removesuffix("s")
            self._on = deque((known for known in self._on if kind not in known), MAX_REMEMBERED)
        elif thing in self._on:
            self._on.remove(thing)
        if state == "on":
            self._on.append(thing)
        return f"{_subject(thing)} {state}."

    def switch_after(self, thing: str, state: str) -> str:
        """``turn the lamp off``."""
        return self.switch(state, thing)

    def color(self, thing: str, color: str) -> str:
        """A light gets a color."""
        return f"{_subject(thing)} {color} now."

    def temperature(self, room: str | None, degrees: str) -> str:
        """A thermostat is set."""
        unit = "degree" if degrees in ("1", "-1") else "degrees"
        return f"The {room or ''}thermostat is set to {degrees} {unit}."

    def timer(self, duration: str) -> str:
        """A timer is set."""
        self._timers.append(duration)
        return f"Timer set for {duration}."

    def cancel(self) -> str:
        """The last timer is cancelled."""
        return f"Timer for {self._timers.pop()} cancelled." if self._timers else "There is nothing to cancel."

    def act(self, action: str, thing: str) -> str:
        """A door, a motor."""
        return f"{_subject(thing)} {_STATES[action]}."

    def engine(self, number: str) -> str:
        """How an engine is."""
        return f"Engine {number} is running normally."

    def report(self) -> str:
        """What is remembered."""
        on = _enumerate([thing.removeprefix("all ") for thing in self._on]) or "nothing"
        timers = f"{len(self._timers)} timer{'' if len(self._timers) == 1 else 's'}"
        return f"All is well. On: {on}. {timers} set."

    def call(self, who: str) -> str:
        """Somebody is called."""
        return f"Calling the {who}."

    def message(self, who: str) -> str:
        """Somebody gets a message."""
        return f"Your message goes to the {who}."

    def weather(self, day: str | None) -> str:
        """There is no station; say so."""
        when = "today" if day is None else day if day in ("today", "tomorrow") else f"on {day.capitalize()}"
        return f"I have no weather station, but I hope for sun {when}."

    def outside(self) -> str:
        """There is no thermometer either."""
        return "I have no thermometer outside."

    def time(self) -> str:
        """The time of day."""
        return f"It is {self._now():%H:%M}."

    def add(self, what: str) -> str:
        """Onto the list."""
        self._list.extend(what.split(" and "))
        return f"{_sentence(what)} {'are' if ' and ' in what else 'is'} on the list."

    def read_list(self) -> str:
        """The list."""
        return f"On the list: {_enumerate(list(self._list))}." if self._list else "The list is empty."

    def player(self, action: str) -> str:
        """Music."""
        return _PLAYER[action]

    def volume(self, direction: str) -> str:
        """Louder or less."""
        return f"Volume {direction}."

    def drive(self, direction: str, distance: str | None) -> str:
        """A vehicle moves."""
        return f"Going {direction}{distance or ''}."

    def cards(self, cards: str) -> str:
        """A hand of cards, counted."""
        hand = re.findall(_CARD, cards)
        return f"{_sentence(_enumerate(hand))}: {len(hand)} card{'' if len(hand) == 1 else 's'}."


_Reply: TypeAlias = Callable[..., str]

_COMMANDS: tuple[tuple[re.Pattern[str], _Reply], ...] = tuple(
    (re.compile(pattern), reply)
    for pattern, reply in (
        (r"emergency stop", House.emergency),
        (r"(?:turn|switch) (on|off) (?:the )?(.+)", House.switch),
        (r"(?:turn|switch) (?:the )?(.+) (on|off)", House.switch_after),
        (r"set (?:the )?(.+ lights?|lights?|.+ lamp|lamp) to (red|green|blue|yellow|white)", House.color),
        (r"set (?:the )?(.+ )?(?:temperature|thermostat) to (-?\d+)(?: degrees?)?", House.temperature),
        (r"set (?:a )?timer for (\d+ (?:seconds?|minutes?|hours?))", House.timer),
        (r"cancel(?: the timer)?", House.cancel),
        (r"stop (?:the )?timer", House.cancel),
        (r"(play|pause|resume|next|previous)(?: (?:the )?(?:music|song))?", House.player),
        (r"(stop) (?:the )?(?:music|song)", House.player),
        (r"(open|close|lock|unlock|start|stop) (?:the )?(.+)", House.act),
        (r"engine (?:number )?(\d+) status", House.engine),
        (r"status report", House.report),
        (r"call (?:the )?(.+)", House.call),
        (r"send a message to (?:the )?(.+)", House.message),
        (r"what is the weather(?: (?:on )?(\w+))?", House.weather),
        (r"what is the temperature(?: outside)?", House.outside),
        (r"what time is it|what is the time", House.time),
        (r"add (.+) to the list", House.add),
        (r"what is on the list|(?:read )?the list", House.read_list),
        (r"(?:turn )?(?:the )?volume (up|down)", House.volume),
        (r"(?:go|move) (forward|backward|left|right|up|down)( \d+ meters?)?", House.drive),
        (rf"({_CARD}(?: {_CARD})*)", House.cards),
    )
)


def builtin_orchestrator() -> Orchestrator:
    """A new one, which has heard nothing yet."""
    orchestrator = Orchestrator(NAME)
    house = House()

    @orchestrator.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        return WHOSE + house.answer(heard.text)

    return orchestrator


def _subject(thing: str) -> str:
    thing = thing if thing.startswith("all the ") else f"the {thing}"
    return f"{_sentence(thing)} {'are' if thing.endswith('s') else 'is'}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _enumerate(things: list[str]) -> str:
    return ", ".join(things[:-1]) + (" and " if things[1:] else "") + "".join(things[-1:])
