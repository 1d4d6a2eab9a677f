"""What is done after a yes only: kept by conversation until the next thing is said there, and what counts as a yes.

No I/O. A yes is all that was said, in its language or in English: "yes", "ja, bitte". Whatever else is said ends the
question, and is meant as it stands. Only a person says yes: what another agent asks is none, whatever its words. And
only to what was heard: where the gateway tells of the turn before, the question has to be the answer that was given.
"""

# ruff: noqa: RUF001 - they are other writings' letters

from __future__ import annotations

import enum
import re
import time
import unicodedata
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from gateway.orchestrators.heard import Heard

PATIENCE_SECONDS = 30.0
"""A question is open for so long; a yes that comes later is to something else."""
MOST_OPEN = 1_000
"""Questions at once; the oldest is not asked any more."""

Asked = TypeVar("Asked")


class Consent(enum.StrEnum):
    """What was said to a question."""

    YES = "yes"
    NO = "no"
    OTHER = "other"
    """Something else, by which the question is over."""


_YES = {
    "en": "yes|yeah|yep|yup|sure|ok|okay|yes please|please do|do it|go ahead|confirm|confirmed|yes do it|of course",
    "de": "ja|ja bitte|jawohl|jo|klar|sicher|gerne|mach das|mach es|bestätigt|ja mach das|ja gerne|na klar|okay",
    "fr": "oui|ouais|oui s'il te plaît|oui s'il vous plaît|d'accord|vas-y|bien sûr|confirme|fais-le|ok",
    "es": "sí|si|sí por favor|claro|vale|de acuerdo|adelante|hazlo|confirmo|por supuesto|ok",
    "it": "sì|si|sì grazie|certo|va bene|d'accordo|fallo|confermo|ok",
    "pt": "sim|sim por favor|claro|pode ser|está bem|confirmo|faz isso|ok",
    "nl": "ja|ja graag|jazeker|zeker|doe maar|prima|akkoord|oké",
    "sv": "ja|ja tack|japp|javisst|visst|gör det|okej",
    "da": "ja|ja tak|jo|selvfølgelig|gør det|okay",
    "no": "ja|ja takk|jo|selvfølgelig|gjør det|ok",
    "fi": "kyllä|joo|kyllä kiitos|tee se|selvä|ok",
    "pl": "tak|tak proszę|jasne|oczywiście|zrób to|zgoda",
    "cs": "ano|jo|ano prosím|jasně|udělej to|souhlasím",
    "ru": "да|да пожалуйста|ага|конечно|давай|хорошо|подтверждаю",
    "uk": "так|так будь ласка|звичайно|добре|гаразд|підтверджую",
    "tr": "evet|evet lütfen|tamam|olur|tabii|onaylıyorum",
    "hu": "igen|igen kérem|persze|rendben",
    "ro": "da|da te rog|sigur|bine|confirm",
    "el": "ναι|ναι παρακαλώ|εντάξει|βεβαίως",
    "ja": "はい|うん|お願いします|はいお願いします|いいです|いいよ",
    "zh": "是|是的|好|好的|对|可以|确认|行",
    "ko": "네|예|응|그래|좋아|네 부탁해요",
}
_NO = {
    "en": "no|nope|no thanks|no thank you|don't|do not|stop|cancel|never mind|nevermind|no don't|better not",
    "de": "nein|nein danke|nee|nö|lieber nicht|stopp|stop|abbrechen|lass es|lass das|nicht",
    "fr": "non|non merci|pas maintenant|arrête|annule|surtout pas",
    "es": "no|no gracias|cancela|cancelar|mejor no|para",
    "it": "no|no grazie|annulla|meglio di no|ferma",
    "pt": "não|não obrigado|não obrigada|cancela|cancelar|melhor não",
    "nl": "nee|nee bedankt|nee dank je|liever niet|stop|annuleer",
    "sv": "nej|nej tack|avbryt|helst inte|stopp",
    "da": "nej|nej tak|annuller|helst ikke|stop",
    "no": "nei|nei takk|avbryt|helst ikke|stopp",
    "fi": "ei|ei kiitos|peruuta|älä",
    "pl": "nie|nie dziękuję|anuluj|lepiej nie|stop",
    "cs": "ne|ne děkuji|zruš to|raději ne|stop",
    "ru": "нет|нет спасибо|не надо|отмена|стоп",
    "uk": "ні|ні дякую|не треба|скасувати|стоп",
    "tr": "hayır|hayır teşekkürler|iptal|dur",
    "hu": "nem|nem köszönöm|mégsem|állj",
    "ro": "nu|nu mulțumesc|anulează|stop",
    "el": "όχι|όχι ευχαριστώ|ακύρωση",
    "ja": "いいえ|いや|やめて|結構です|だめ",
    "zh": "不|不是|不要|不用|取消|算了",
    "ko": "아니|아니요|아니오|취소|됐어요",
}
_MARKS = re.compile(r"[\W_]+")


def consent(text: str, language: str) -> Consent:
    """What ``text`` says to a question that a yes or a no answers."""
    said = _bare(text)
    if said in _SAID["en"]:
        found = _SAID["en"][said]
        return _SAID.get(language, {}).get(said, found)
    return _SAID.get(language, {}).get(said, Consent.OTHER)


class _Open(NamedTuple, Generic[Asked]):
    """``asked_in``: the correlation id of what the question was the answer to."""

    asked_at: float
    asked_in: str
    question: str
    what: Asked


class Confirmations(Generic[Asked]):
    """What waits for a yes: one thing in each conversation, for whoever was asked."""

    def __init__(self, now: Callable[[], float] = time.monotonic, seconds: float = PATIENCE_SECONDS) -> None:
        """``seconds``: a question is open for so long."""
        self._now = now
        self._seconds = seconds
        self._open: dict[tuple[str, str], _Open[Asked]] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, heard: Heard, question: str, what: Asked) -> None:
        """It was asked just now, in answer to ``heard``; a question that was open there is over."""
        key, now = _where(heard), self._now()
        self._open.pop(key, None)
        self._open[key] = _Open(now, heard.correlation_id, question, what)
        while (oldest := next(iter(self._open))) != key:
            if self._open[oldest].asked_at + self._seconds >= now and len(self._open) <= MOST_OPEN:
                break
            del self._open[oldest]

    def answered(self, heard: Heard) -> tuple[Consent, Asked] | None:
        """What was asked there, and what ``heard`` says to it; None: nothing was. The question is over then."""
        if not is_a_persons(heard):
            return None
        one = self._open.pop(_where(heard), None)
        if one is None or not answers(heard, one.question, one.asked_in):
            return None
        passed = self._now() - one.asked_at
        if not heard.timings.text_ms / 1000 <= passed <= self._seconds:  # it was said before, or long after
            return None
        return consent(heard.text, heard.language), one.what


def is_a_persons(heard: Heard) -> bool:
    """Whether it is what somebody said, and no other agent's words: such a one can neither be asked nor say yes."""
    return not heard.path


def _where(heard: Heard) -> tuple[str, str]:
    return heard.conversation_id or heard.device_id, heard.user_id


def answers(heard: Heard, question: str, asked_in: str = "") -> bool:
    """Whether it is a person's answer to that question, which was asked in answer to the turn ``asked_in``.

    It has to be what was answered last; where nobody tells of the turn before, that is taken for granted.
    """
    if not is_a_persons(heard):
        return False
    if not heard.conversation:
        return True
    before = heard.conversation[-1]
    is_that_turn = not asked_in or before.correlation_id in ("", asked_in)
    return is_that_turn and _line(question) in _line(before.reply)


def _line(text: str) -> str:
    return " ".join(text.split())


def _bare(text: str) -> str:
    letters = unicodedata.normalize("NFC", text.casefold()).replace("'", "").replace("’", "")
    return _MARKS.sub(" ", letters).strip()


_SAID = {
    language: {_bare(one): Consent.NO for one in _NO[language].split("|")}
    | {_bare(one): Consent.YES for one in _YES[language].split("|")}
    for language in _YES
}
