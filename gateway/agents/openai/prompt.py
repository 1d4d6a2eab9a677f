"""What a model is told: its system prompt, the conversation as far as it fits, and what was heard, as data. No I/O.

What was heard, and what was said before, stands in turns of its own and never in the system prompt. What does stand
there of others' making (the names of rooms and people) is cut to a short line of letters and digits: it cannot end its
sentence, let alone begin another.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from gateway.orchestrators.heard import Heard

Message: TypeAlias = dict[str, Any]

NAME_CHARACTERS = 40
MESSAGE_TOKENS = 8
"""What a message costs beside its text."""
_PLACE = re.compile(r"\{(\w+)\}")
_NO_NAME = re.compile(r"[^\w\-. ']+|_|\.(?!\w)")
"""A full stop stands within a name ("Room 2.5"), and ends no sentence."""
UNKNOWN = "unknown"


def system_prompt(template: str, heard: Heard, time: str) -> str:
    """Filled in, once: what is put in is not looked at again."""
    known = {
        "language": name(heard.language) or UNKNOWN,
        "room": name(heard.room) or UNKNOWN,
        "user": name(heard.user_id) or UNKNOWN,
        "time": time,
        "role": heard.role,
    }
    return _PLACE.sub(lambda place: known.get(place[1], place[0]), template).strip()


def name(text: str) -> str:
    """A name as it may stand in a prompt: one short line of letters and digits."""
    return " ".join(_NO_NAME.sub(" ", text[: 4 * NAME_CHARACTERS]).split())[:NAME_CHARACTERS].strip(" .")


def messages(system: str, heard: Heard, *, turns: int, tokens: int) -> list[Message]:
    """All that the model is told, of at most so many tokens: of the conversation, what is oldest is left out.

    What was heard is in it in any case.
    """
    said = spoken(heard)
    left = tokens - cost(system) - cost(said)
    before: list[Message] = []
    for turn in reversed(heard.conversation[-turns:] if turns else ()):
        both = [{"role": "user", "content": turn.text}]
        if turn.reply:
            both.append({"role": "assistant", "content": turn.reply})
        left -= sum(cost(message["content"]) for message in both)
        if left < 0:
            break
        before[:0] = both
    first = [{"role": "system", "content": system}] if system else []
    return [*first, *before, {"role": "user", "content": said}]


def spoken(heard: Heard) -> str:
    """What was heard; and, where other agents were asked before, what they say to it."""
    if not heard.answers:
        return heard.text
    said = (f"{one.agent}: {one.error or one.text}" for one in heard.answers)
    return "\n".join([heard.text, "", "What others have answered to that:", *said])


def cost(text: str) -> int:
    """About how many tokens a text is, rather too many: three letters of ASCII each, and any other letter one."""
    ascii_letters = sum(1 for letter in text if letter in _ASCII) if not text.isascii() else len(text)
    return ascii_letters // 3 + (len(text) - ascii_letters) + MESSAGE_TOKENS


_ASCII = frozenset(string.printable)


def functions(tools: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Tools as the API has them."""
    return list(_functions(tools))


def _functions(tools: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    for tool in tools:
        function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        yield {"type": "function", "function": function}
