"""faster-whisper behind aiohttp and OpenAI's interface, as one writes it in an afternoon: what speaches does, alone.

speaches itself is on no package index, wants Python 3.12, and brings what plots, synthesizes and tells speakers apart.
Of the engine it asks what is asked here: temperature 0, no timestamps, its own search. This is a program by itself.
"""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from faster_whisper import WhisperModel


class Plain:
    """The server's one handler, and its model."""

    def __init__(self, model: Path, threads: int, beam_size: int) -> None:
        self._model: Any = WhisperModel(
            str(model), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
        )
        self._beam_size = beam_size

    async def transcriptions(self, request: web.Request) -> web.Response:
        """The text of the form's file."""
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        text = await asyncio.to_thread(self._text, file.file.read(), str(form["language"]))
        return web.json_response({"text": text})

    def _text(self, data: bytes, language: str) -> str:
        segments, _ = self._model.transcribe(
            io.BytesIO(data),
            language=language,
            beam_size=self._beam_size,
            temperature=0.0,
            without_timestamps=True,
        )
        return "".join(segment.text for segment in segments).strip()


def main() -> None:
    """Its words are the port, the model's folder, the threads and the beam."""
    port, model, threads, beam = sys.argv[1:]
    app = web.Application()
    served = Plain(Path(model), int(threads), int(beam))
    app.router.add_post("/v1/audio/transcriptions", served.transcriptions)
    web.run_app(app, host="127.0.0.1", port=int(port), print=None)


if __name__ == "__main__":
    main()
