"""What a realtime client says (JSON in OpenAI's words, audio of any form): a message, or what is wrong with it."""

from __future__ import annotations

import msgspec
import numpy as np

from gateway.web.openai.errors import WrongRequest, answer_of
from gateway.web.openai.realtime_messages import AppendAudio, UpdateBetaSession, UpdateRealtime, decode
from gateway.web.openai.realtime_settings import RealtimeSetting
from transcription.settings import TranscriptionSettings
from transcription.sound_files.pcm_stream import PcmFormat, PcmStream

SETTINGS = TranscriptionSettings()
FORMATS = (
    PcmFormat(24_000),
    PcmFormat(8_000, "mulaw"),
    PcmFormat(44_100, "s24", 2),
    PcmFormat(16_000, "f32"),
)


def fuzz(data: bytes) -> None:
    _hear(FORMATS[data[0] % len(FORMATS)] if data else FORMATS[0], data[1:])
    try:
        message = decode(data)
        if isinstance(message, AppendAudio):
            _hear(FORMATS[0], message.data())
        elif isinstance(message, UpdateRealtime | UpdateBetaSession):
            setting = RealtimeSetting().changed(message.session)
            setting.hints(SETTINGS, ())
            setting.segmenter(SETTINGS.segmenter)
            for shown in (setting.shown, setting.shown_in_beta):
                msgspec.json.encode(shown("sess_1", "tiny", SETTINGS.segmenter))
    except WrongRequest as error:
        told = msgspec.json.encode(answer_of(error))
        assert len(told) < 8_192


def _hear(given: PcmFormat, data: bytes) -> None:
    """As long as it says it is, and no sample a wild one."""
    stream = PcmStream(given)
    out = stream.feed(data) + stream.finish()
    frames = len(data) // given.frame_bytes
    assert abs(len(out) / 2 - frames * 16_000 / given.rate) <= 1
    np.frombuffer(out, "<i2")
