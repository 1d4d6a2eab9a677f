"""In litellm's environment, ``URL FILE``: what it makes of a recording by a server for OpenAI's clients, as JSON."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any


def main(url: str, file: str) -> None:
    import litellm  # type: ignore[import-not-found]

    data = Path(file).read_bytes()
    ask: dict[str, Any] = {"model": "openai/whisper-1", "api_base": f"{url}/v1", "api_key": "none"}

    def said(**more: Any) -> Any:
        with Path(file).open("rb") as sound:
            return litellm.transcription(file=sound, **{**ask, **more})

    async def later() -> str:
        sound = io.BytesIO(data)
        sound.name = "speech.wav"
        return str((await litellm.atranscription(file=sound, **ask)).text)

    def refused(**wrong: str) -> str:
        try:
            said(max_retries=0, **wrong)
        except Exception as error:  # noqa: BLE001 - which it is, is the question
            return type(error).__name__
        return ""

    verbose = said(response_format="verbose_json", timestamp_granularities=["word"], language="en")
    told = {
        "json": said().text,
        "later": asyncio.run(later()),
        "words": [one["word"] for one in verbose.words],
        "language": verbose.language,
        "srt": said(response_format="srt").text,
        "another model": refused(model="openai/whisper-9"),
        "no language": refused(language="klingon"),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
