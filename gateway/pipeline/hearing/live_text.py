"""The text of one utterance while it is being spoken: asked for again and again, and shown to whoever wants it."""

from __future__ import annotations

from gateway.contract.messages import new_id
from gateway.pipeline.sessions.session import Session
from gateway.pipeline.telling.announcer import Announcer
from transcription.recognizing import Following, Guessing, Recognizing
from transcription.scheduling.partial_text import PartialText
from transcription.transcriber import Hints, Transcript
from transcription.utterance.segmenter import Utterance
from transcription.wake.unspoken import may_be, unspoken


class LiveText:
    """From the first word of an utterance to its end; nothing is shown after that."""

    def __init__(self, session: Session, recognizer: Recognizing, announcer: Announcer) -> None:
        self.utterance_id = new_id("u")
        """What the utterance will be called when it is complete."""
        self._session = session
        self._recognizer = recognizer
        self._announce = announcer
        self._text = PartialText()
        self._draft: Following | None = None
        self._over = False
        self._wake_word = ""
        self._asked = self._answered = 0

    @property
    def shown(self) -> int:
        """How often the text so far was shown."""
        return self._text.shown

    @property
    def dropped(self) -> int:
        """How often its text was wanted and not worked out: no time for it, too late, or it could not be right."""
        return self._asked - self._answered

    def goes_on(self, so_far: Utterance, hints: Hints) -> None:
        """There is more speech: have a look at it, if anybody wants to know and there is time."""
        if not self._announce.wants_partials(self._session):
            return
        if self._draft is None:
            session = self._session
            self._draft = self._recognizer.follow(
                owner=session.device_id, on_text=self._look, priority=session.priority
            )
        self._asked += 1
        self._wake_word = so_far.wake_word
        self._draft.ask(so_far, hints)

    def pauses(self, guess: Guessing, wake_word: str = "") -> None:
        """This is worked out anyway, and is the best text so far; the ``wake_word`` is no part of it."""
        self._wake_word = wake_word
        if self._announce.wants_partials(self._session):
            guess.tell(self._hear)

    def end(self) -> None:
        """The utterance is complete, or will never be. Idempotent."""
        self._over = True
        if self._draft is not None:
            self._draft.drop()

    def _look(self, transcript: Transcript) -> None:
        self._answered += 1
        self._hear(transcript)

    def _hear(self, transcript: Transcript) -> None:
        text = transcript.text
        if self._wake_word:
            text = "" if may_be(text, self._wake_word) else unspoken(text, self._wake_word)
        partial = None if self._over else self._text.hear(text)
        if partial is not None:
            self._announce.partial(self._session, self.utterance_id, partial)
