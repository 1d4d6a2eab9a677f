"""What a device is told in place of an answer: by the cause, and in the language that was spoken.

None of these texts says that anything was done, or was not: nobody here knows.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from gateway.settings.orchestrator import NOBODY_ANSWERED, OrchestratorSettings
from transcription.settings import TranscriptionSettings


class Apology(enum.StrEnum):
    """Why there is no answer."""

    NOBODY = "nobody"
    """Nobody is there who could answer."""
    LATE = "late"
    """Nobody did in time."""
    FAILED = "failed"
    """Whoever was to answer, or the gateway, failed."""
    PUZZLED = "puzzled"
    """All who were asked said that they did not understand it."""
    NOT_TRANSCRIBED = "not_transcribed"
    """There is no text of what was said."""
    SWITCHED_OFF = "switched_off"
    """Nor will there be: transcription is switched off."""
    NOT_HEARD = "not_heard"
    """What was said was not heard to its end."""
    FILTERED = "filtered"
    """A filter has stopped what was said, or its answer."""


OF_THE_ANSWER = frozenset({Apology.NOBODY, Apology.LATE, Apology.FAILED})
"""What ``orchestrator.fallback_text`` is for."""
ELSE = "en"
"""What is spoken where that is not known, and a language that is not here."""

TEXTS: Mapping[str, Mapping[Apology, str]] = {
    "en": {
        Apology.NOBODY: "Sorry, nobody is there to answer.",
        Apology.LATE: NOBODY_ANSWERED,
        Apology.FAILED: "Sorry, something went wrong.",
        Apology.PUZZLED: "Sorry, that was not understood.",
        Apology.NOT_TRANSCRIBED: "Sorry, that could not be transcribed.",
        Apology.SWITCHED_OFF: "Sorry, transcription is switched off.",
        Apology.NOT_HEARD: "Sorry, that could not be heard to its end.",
        Apology.FILTERED: "Sorry, there is no answer to that here.",
    },
    "de": {
        Apology.NOBODY: "Es ist gerade niemand da, der antworten kann.",
        Apology.LATE: "Leider kam keine Antwort.",
        Apology.FAILED: "Da ist leider etwas schiefgegangen.",
        Apology.PUZZLED: "Das wurde leider nicht verstanden.",
        Apology.NOT_TRANSCRIBED: "Das konnte leider nicht in Text umgewandelt werden.",
        Apology.SWITCHED_OFF: "Die Spracherkennung ist ausgeschaltet.",
        Apology.NOT_HEARD: "Das war leider nicht bis zum Ende zu hören.",
        Apology.FILTERED: "Darauf gibt es hier keine Antwort.",
    },
    "fr": {
        Apology.NOBODY: "Désolé, personne n'est là pour répondre.",
        Apology.LATE: "Désolé, personne n'a répondu.",
        Apology.FAILED: "Désolé, un problème est survenu.",
        Apology.PUZZLED: "Désolé, cela n'a pas été compris.",
        Apology.NOT_TRANSCRIBED: "Désolé, cela n'a pas pu être transcrit.",
        Apology.SWITCHED_OFF: "Désolé, la transcription est désactivée.",
        Apology.NOT_HEARD: "Désolé, cela n'a pas pu être entendu jusqu'au bout.",
        Apology.FILTERED: "Désolé, il n'y a pas de réponse à cela ici.",
    },
    "es": {
        Apology.NOBODY: "Lo siento, no hay nadie que pueda responder.",
        Apology.LATE: "Lo siento, nadie ha respondido.",
        Apology.FAILED: "Lo siento, algo ha ido mal.",
        Apology.PUZZLED: "Lo siento, no se ha entendido.",
        Apology.NOT_TRANSCRIBED: "Lo siento, no se ha podido transcribir.",
        Apology.SWITCHED_OFF: "Lo siento, la transcripción está desactivada.",
        Apology.NOT_HEARD: "Lo siento, no se ha podido oír hasta el final.",
        Apology.FILTERED: "Lo siento, aquí no hay respuesta a eso.",
    },
    "it": {
        Apology.NOBODY: "Spiacente, non c'è nessuno che possa rispondere.",
        Apology.LATE: "Spiacente, nessuno ha risposto.",
        Apology.FAILED: "Spiacente, qualcosa è andato storto.",
        Apology.PUZZLED: "Spiacente, non è stato capito.",
        Apology.NOT_TRANSCRIBED: "Spiacente, non è stato possibile trascriverlo.",
        Apology.SWITCHED_OFF: "Spiacente, la trascrizione è disattivata.",
        Apology.NOT_HEARD: "Spiacente, non è stato possibile sentirlo fino alla fine.",
        Apology.FILTERED: "Spiacente, qui non c'è risposta a questo.",
    },
    "nl": {
        Apology.NOBODY: "Sorry, er is niemand die kan antwoorden.",
        Apology.LATE: "Sorry, niemand heeft geantwoord.",
        Apology.FAILED: "Sorry, er ging iets mis.",
        Apology.PUZZLED: "Sorry, dat is niet begrepen.",
        Apology.NOT_TRANSCRIBED: "Sorry, dat kon niet in tekst worden omgezet.",
        Apology.SWITCHED_OFF: "Sorry, de spraakherkenning staat uit.",
        Apology.NOT_HEARD: "Sorry, dat was niet tot het einde te horen.",
        Apology.FILTERED: "Sorry, daar is hier geen antwoord op.",
    },
    "pl": {
        Apology.NOBODY: "Niestety nie ma nikogo, kto mógłby odpowiedzieć.",
        Apology.LATE: "Niestety nikt nie odpowiedział.",
        Apology.FAILED: "Niestety coś poszło nie tak.",
        Apology.PUZZLED: "Niestety nie zostało to zrozumiane.",
        Apology.NOT_TRANSCRIBED: "Niestety nie udało się tego zamienić na tekst.",
        Apology.SWITCHED_OFF: "Rozpoznawanie mowy jest wyłączone.",
        Apology.NOT_HEARD: "Niestety nie było tego słychać do końca.",
        Apology.FILTERED: "Na to nie ma tu odpowiedzi.",
    },
    "pt": {
        Apology.NOBODY: "Desculpe, não há ninguém para responder.",
        Apology.LATE: "Desculpe, ninguém respondeu.",
        Apology.FAILED: "Desculpe, algo correu mal.",
        Apology.PUZZLED: "Desculpe, isso não foi entendido.",
        Apology.NOT_TRANSCRIBED: "Desculpe, não foi possível transcrever isso.",
        Apology.SWITCHED_OFF: "Desculpe, a transcrição está desligada.",
        Apology.NOT_HEARD: "Desculpe, não foi possível ouvir isso até o fim.",
        Apology.FILTERED: "Desculpe, aqui não há resposta para isso.",
    },
}


class FallbackTexts:
    """Those of the configuration above those that stand here."""

    def __init__(self, settings: OrchestratorSettings, transcription: TranscriptionSettings) -> None:
        self._for_all = settings.fallback_text if settings.fallback_text != NOBODY_ANSWERED else None
        self._own = settings.fallback_texts
        self._transcription = transcription

    def text(self, cause: Apology, language: str = "", device_id: str = "") -> str:
        """``language``: of what was said, empty where that is not known; then it is what the device is heard in."""
        spoken = language or self._heard_in(device_id)
        candidates = (
            self._own.get(spoken, {}).get(cause.value),
            self._for_all if cause in OF_THE_ANSWER else None,
            TEXTS.get(spoken, {}).get(cause),
            self._own.get(ELSE, {}).get(cause.value),
        )
        return next((text for text in candidates if text is not None), TEXTS[ELSE][cause])

    def reconfigure(self, transcription: TranscriptionSettings) -> None:
        """From now on devices are heard like this."""
        self._transcription = transcription

    def _heard_in(self, device_id: str) -> str:
        hints = self._transcription.devices.get(device_id)
        return (hints and hints.language) or self._transcription.language
