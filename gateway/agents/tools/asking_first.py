"""What is asked before a call is done that is to be confirmed, and what is said after a no. No I/O."""

# ruff: noqa: RUF001 - letters of other languages are meant

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.agents.tools.tool import Tool

MOST_CHARACTERS = 160
"""Of a question; what cannot be asked in so many is not done."""


class Phrases(NamedTuple):
    """Of one language."""

    question: str
    left: str


PHRASES: Mapping[str, Phrases] = {
    "en": Phrases("Shall I really do this: {what}?", "All right, I leave it."),
    "de": Phrases("Soll ich das wirklich tun: {what}?", "Gut, ich lasse es."),
    "fr": Phrases("Dois-je vraiment faire cela : {what} ?", "Bien, je ne le fais pas."),
    "es": Phrases("¿De verdad quieres que haga esto: {what}?", "De acuerdo, no lo hago."),
    "it": Phrases("Devo davvero farlo: {what}?", "Va bene, non lo faccio."),
    "nl": Phrases("Zal ik dit echt doen: {what}?", "Goed, ik laat het."),
    "pt": Phrases("Devo mesmo fazer isto: {what}?", "Está bem, não faço."),
    "pl": Phrases("Czy naprawdę mam to zrobić: {what}?", "Dobrze, nie robię tego."),
    "sv": Phrases("Ska jag verkligen göra det här: {what}?", "Okej, jag låter bli."),
    "da": Phrases("Skal jeg virkelig gøre det: {what}?", "Okay, jeg lader være."),
    "no": Phrases("Skal jeg virkelig gjøre dette: {what}?", "Greit, jeg lar være."),
    "fi": Phrases("Teenkö varmasti tämän: {what}?", "Selvä, en tee sitä."),
    "cs": Phrases("Mám to opravdu udělat: {what}?", "Dobře, nechám to být."),
    "ru": Phrases("Мне действительно сделать это: {what}?", "Хорошо, не делаю."),
    "uk": Phrases("Мені справді зробити це: {what}?", "Добре, не роблю."),
    "tr": Phrases("Bunu gerçekten yapayım mı: {what}?", "Peki, yapmıyorum."),
    "ja": Phrases("本当に実行しますか: {what}", "わかりました、やめておきます。"),
    "zh": Phrases("真的要这样做吗: {what}", "好的,不做了。"),
    "ko": Phrases("정말 실행할까요: {what}", "알겠습니다. 하지 않겠습니다."),
    "hu": Phrases("Tényleg tegyem meg ezt: {what}?", "Rendben, nem teszem meg."),
    "ro": Phrases("Chiar să fac asta: {what}?", "Bine, nu o fac."),
    "el": Phrases("Να το κάνω πραγματικά: {what};", "Εντάξει, δεν το κάνω."),
}
_OTHER = "en"


def question(tool: Tool, arguments: Mapping[str, Any], language: str) -> str:
    """What is to be confirmed: in our words and by what the tool would get, never in the model's.

    Empty: it is too much to be asked.

    >>> question(unlock_door, {"door": "front"}, "en")
    'Shall I really do this: unlock door, front?'
    """
    values = list(_values(arguments))
    what = ", ".join([" ".join(tool.name.replace("-", "_").split("_")), *values]).strip()
    asked = _in(language).question.format(what=what.rstrip(".!?"))
    return asked if len(asked) <= MOST_CHARACTERS and what.isprintable() else ""


def _values(arguments: object, key: str = "") -> list[str]:
    if isinstance(arguments, Mapping):
        return [text for name, value in arguments.items() for text in _values(value, str(name))]
    if isinstance(arguments, list | tuple):
        return [text for value in arguments for text in _values(value, key)]
    if isinstance(arguments, str):
        return [" ".join(arguments.split())]
    return [f"{key} {arguments}".strip()]


def left(language: str) -> str:
    """What is said after a no."""
    return _in(language).left


def _in(language: str) -> Phrases:
    return PHRASES.get(language, PHRASES[_OTHER])
