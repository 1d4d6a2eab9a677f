"""Audio as it goes to the recognizers: in its job, or, where it is too large, kept by the broker or by this gateway."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from gateway.broker.base import BrokerError, BufferFull, MessageBroker, NoDeposits
from gateway.contract.messages import MESSAGE_BYTES
from gateway.contract.recognition import INLINE_BYTES, AudioCodec
from gateway.recognizers.audio_codec import encoded
from gateway.recognizers.claim_checks import ClaimChecks, HeldAudio
from gateway.recognizers.pool.jobs import PackedAudio
from transcription.utterance.segmenter import Utterance

BESIDE_AUDIO_BYTES = 512 * 1024
"""Of the largest message, so much is left for names and what was said before."""
LONGEST_KEPT_SECONDS = 3_600.0
"""For what waits as long as it takes: it is left there again if it has to be."""
LEAST_KEPT_SECONDS = 120.0
"""A recognizer fetches it when it begins, and another one when the first has died."""


class Packing:
    """``pack`` and, once nobody needs it any more, ``discard``."""

    def __init__(self, broker: MessageBroker, codec: AudioCodec, held: HeldAudio | None = None) -> None:
        """``held``: where this gateway keeps what its broker does not."""
        self._claims = ClaimChecks(broker, held=held)
        self._codec = codec

    async def pack(self, utterance: Utterance, seconds: float | None) -> PackedAudio:
        """``seconds``: for so long somebody waits for it; None: as long as it takes.

        Raises BrokerUnavailable, and BufferFull for what fits nowhere.
        """
        audio = await asyncio.to_thread(encoded, utterance.samples, self._codec)
        if len(audio) <= INLINE_BYTES:
            return PackedAudio(self._codec, audio)
        kept = LONGEST_KEPT_SECONDS if seconds is None else min(seconds, LONGEST_KEPT_SECONDS)
        try:
            claim = await self._claims.leave(audio, max(kept, LEAST_KEPT_SECONDS))
        except (NoDeposits, BufferFull) as error:
            if len(audio) <= MESSAGE_BYTES - BESIDE_AUDIO_BYTES:
                return PackedAudio(self._codec, audio)
            raise BufferFull(
                f"{utterance.seconds:.0f} s of audio are too large for a message, and lie nowhere else ({error}): "
                "let it be fetched here (recognizers.audio_at), make it smaller (recognizers.codec: opus), or "
                "take a broker that keeps it, as Redis and NATS do (broker.url)"
            ) from error
        return PackedAudio(self._codec, claim=claim)

    async def discard(self, packed: PackedAudio) -> None:
        """Nobody needs it any more. Where the broker is away it goes by itself, later."""
        if packed.claim is not None:
            with suppress(BrokerError):
                await self._claims.discard(packed.claim)
