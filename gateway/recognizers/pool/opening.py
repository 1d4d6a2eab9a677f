"""The recognizer of a gateway that uses the pool (``recognizers.use`` in config.yaml)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from msgspec import structs

from gateway.broker.base import BrokerStatus, MessageBroker
from gateway.contract.recognition import AudioCodec
from gateway.process.mishaps import Mishaps
from gateway.recognizers.claim_checks import HeldAudio
from gateway.recognizers.pool.pool import CONNECTED, Pool
from gateway.recognizers.pool.recognizer import OnPool, PooledRecognizer
from gateway.recognizers.pool.sides import OwnRecognizer
from gateway.settings.broker import BrokerSettings
from gateway.settings.recognizers import RecognizersSettings
from transcription.recognizing import RecognizerState
from transcription.settings import TranscriptionSettings

CODECS = {"flac": AudioCodec.FLAC, "opus": AudioCodec.OPUS, "pcm": AudioCodec.PCM}
"""As the settings call them."""

OpenOwn: TypeAlias = Callable[[TranscriptionSettings, Callable[[RecognizerState], None]], OwnRecognizer]


class PooledSettings(Protocol):
    """Of the whole configuration, what counts here."""

    @property
    def transcription(self) -> TranscriptionSettings:
        """What utterances are to be heard with."""

    @property
    def recognizers(self) -> RecognizersSettings:
        """How others are asked."""

    @property
    def broker(self) -> BrokerSettings:
        """Over which they are."""


def pooled_recognizer(
    config: PooledSettings,
    broker: MessageBroker,
    open_own: OpenOwn,
    mishaps: Mishaps,
    *,
    on_state: Callable[[RecognizerState], None],
    on_pool: OnPool,
    held: HeldAudio | None = None,
    status: Callable[[], BrokerStatus] = lambda: CONNECTED,
) -> PooledRecognizer:
    """Where others do everything there is no engine here, whatever the settings of transcription say.

    ``held``: audio that this gateway gives to recognizers itself. ``status``: how the broker is.
    """
    settings = config.transcription
    own = structs.replace(settings, engine="off") if config.recognizers.use == "only" else settings
    return PooledRecognizer(
        partial(open_own, own),
        Pool(broker, config.broker, settings, CODECS[config.recognizers.codec], held=held, status=status),
        settings,
        model=config.recognizers.model,
        mishaps=mishaps,
        on_state=on_state,
        on_pool=on_pool,
    )
