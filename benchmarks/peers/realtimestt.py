"""RealtimeSTT behind the Wyoming protocol: a program for the interpreter of RealtimeSTT's own environment.

It imports RealtimeSTT only when it runs, so that it can be imported (and checked) without.
Push to talk, as its ``AudioToTextRecorder`` is driven by hand: start, feed_audio, stop, text. One recorder for
each speaker; the engine is shared among them, as RealtimeSTT's server for several users does it, and not
loaded once for each. Greedy search, and neither its batches (of one utterance's parts) nor its
second voice activity detection before each decoding. The Silero model, which it looks for on a hub,
is left out: who holds a button needs no voice activity.
"""

from __future__ import annotations

import argparse
import json
import socketserver
from queue import SimpleQueue
from typing import Any

DRAIN_SECONDS = 30.0


class NoVoiceActivity:
    """In the place of the Silero model: hears nobody."""

    backend = "none"

    def __call__(self, *_: object) -> float:
        """The probability of speech."""
        return 0.0


def recorder(engine: object) -> Any:
    """One speaker's."""
    import RealtimeSTT.core.initialization as recorder_parts
    from RealtimeSTT import AudioToTextRecorder

    recorder_parts.create_silero_vad_model = lambda **_: NoVoiceActivity()
    return AudioToTextRecorder(
        transcription_executor=engine,
        use_microphone=False,
        spinner=False,
        language="en",
        device="cpu",
        min_length_of_recording=0,
        min_gap_between_recordings=0,
        handle_buffer_overflow=False,  # it drops audio that comes faster than real time
        ensure_sentence_starting_uppercase=False,
        ensure_sentence_ends_with_period=False,
        no_log_file=True,
    )


class Speaker(socketserver.StreamRequestHandler):
    """One connection is one utterance, up to its transcript."""

    def handle(self) -> None:
        """Hear it and answer."""
        if not self.rfile.peek(1):  # type: ignore[attr-defined]
            return  # somebody looked whether the port is open: a recorder without audio would wait for ever
        recorders: SimpleQueue[Any] = self.server.recorders  # type: ignore[attr-defined]
        one = recorders.get()
        try:
            one.start()
            while line := self.rfile.readline():
                event = json.loads(line)
                self.rfile.read(event.get("data_length", 0))
                payload = self.rfile.read(event.get("payload_length", 0))
                if event["type"] == "audio-chunk":
                    one.feed_audio(payload)
                elif event["type"] == "audio-stop":
                    self._answer(one)
                    break
        finally:
            if one.is_recording:
                one.stop()
                one.text()
            recorders.put(one)

    def _answer(self, one: Any) -> None:
        one.flush_audio_input()
        one.drain_audio_input(timeout=DRAIN_SECONDS)
        one.stop()
        answer = {"type": "transcript", "data": {"text": one.text() or ""}}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    """Takes connections when engine and recorders are there."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port: int, recorders: SimpleQueue[Any]) -> None:
        self.recorders = recorders
        super().__init__(("127.0.0.1", port), Speaker)


def main() -> None:
    """Until it is ended."""
    from RealtimeSTT.transcription_engines import TranscriptionEngineConfig, create_transcription_engine

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--speakers", type=int, required=True)
    asked = parser.parse_args()
    engine = create_transcription_engine(
        "faster_whisper",
        TranscriptionEngineConfig(
            model=asked.model, device="cpu", compute_type="int8", beam_size=1, batch_size=0, vad_filter=False
        ),
    )
    recorders: SimpleQueue[Any] = SimpleQueue()
    for _ in range(asked.speakers):
        recorders.put(recorder(engine))
    with Server(asked.port, recorders) as server:
        server.serve_forever()


if __name__ == "__main__":  # it starts processes, which import this file
    main()
