"""Audio as it goes to the recognizers: inside its job, or, where it is too large, where the broker keeps such."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from gateway.broker.base import BrokerError, BufferFull, MessageBroker, NoDeposits
from gateway.contract.messages import MESSAGE_BYTES
from gateway.contract.recognition import INLINE_BYTES, AudioCodec, ClaimCheck
from gateway.recognizers.audio_codec import encoded
from gateway.recognizers.claim_checks import ClaimChecks
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

    def __init__(self, broker: MessageBroker, codec: AudioCodec) -> None:
        self._claims = ClaimChecks(broker)
        self._codec = codec

    async def pack(self, utterance: Utterance, seconds: float | None) -> PackedAudio:
        """``seconds``: for so long somebody waits for it; None: as long as it takes.

        Raises BrokerUnavailable, and BufferFull for what fits nowhere.
        """
        audio = await asyncio.to_thread(encoded, utterance.samples, self._codec)
        if len(audio) <= INLINE_BYTES:
            return PackedAudio(self._codec, audio)
        claim = await self._leave(audio, seconds)
        if claim is not None:
            return PackedAudio(self._codec, claim=claim)
        if len(audio) > MESSAGE_BYTES - BESIDE_AUDIO_BYTES:
            raise BufferFull(
                f"{utterance.seconds:.0f} s of audio are too large for a message, and the broker keeps nothing else; "
                "Redis and NATS do (broker.url), or make it smaller (recognizers.codec: opus)"
            )
        return PackedAudio(self._codec, audio)

    async def _leave(self, audio: bytes, seconds: float | None) -> ClaimCheck | None:
        """None: the broker keeps messages only."""
        kept = LONGEST_KEPT_SECONDS if seconds is None else min(seconds, LONGEST_KEPT_SECONDS)
        try:
            return await self._claims.leave(audio, max(kept, LEAST_KEPT_SECONDS))
        except NoDeposits:
            return None

    async def discard(self, packed: PackedAudio) -> None:
        """Nobody needs it any more. Where the broker is away it goes by itself, later."""
        if packed.claim is not None:
            with suppress(BrokerError):
                await self._claims.discard(packed.claim)
