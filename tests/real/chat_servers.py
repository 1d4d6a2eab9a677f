"""Real servers with OpenAI's chat endpoint: one that misbehaves on request, and one with a real model behind it."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

from tests.real.things import LLAMA, LLMOCK, interpreter
from tests.real.weights import SMOLLM2, SMOLLM2_FILE
from tests.servers.process import ServerProcess, free_port

LLAMA_SERVER = """
import signal, sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.port = sys.argv[1], int(sys.argv[2])
parameters.n_ctx, parameters.n_parallel, parameters.cpuparams.n_threads = 1024, 1, 1
server = xllamacpp.Server(parameters)
print("listens at", server.listening_address, flush=True)
signal.pause()
"""


class Llmock(ServerProcess):
    """llmock. ``next`` is what the next requests get, in its own words; ``verdict`` what it thinks of us."""

    READY: ClassVar = b"Uvicorn running"

    def __init__(self, folder: Path, *more: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._more = more

    def command(self) -> list[str]:
        program = "from llmock.cli import app; app()"
        return [str(interpreter(LLMOCK)), "-c", program, "serve", "--port", str(self.port), *self._more]

    def next(self, *behaviors: dict[str, Any]) -> None:
        self._post("/_llmock/scenario", {"behaviors": behaviors})

    def forget(self) -> None:
        self._post("/_llmock/reset", {})

    def verdict(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_llmock/verdict", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def _post(self, path: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()


class Llama(ServerProcess):
    """llama.cpp with SmolLM2-135M: too small to be right, and real."""

    READY: ClassVar = b"listens at"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        model = SMOLLM2.place / SMOLLM2_FILE
        return [str(interpreter(LLAMA)), "-c", LLAMA_SERVER, str(model), str(self.port)]
