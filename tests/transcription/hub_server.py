"""A model hub on the loopback: one repository with the bundled model's files, and the mischief a hub can do."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from transcription.models.models import BUNDLED, HUB_MODELS

COMMIT = "0123456789012345678901234567890123456789"
NAME, REPOSITORY = "tiny.en", HUB_MODELS["tiny.en"]
LARGE = "model.bin"


@dataclass
class HubServer:
    """What it serves, how it misbehaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    tell: dict[str, Any] = field(default_factory=dict)
    """Laid over the listing."""
    cut_after: deque[int] = field(default_factory=deque)
    """Of the next answers with the large file, so many bytes are sent before the connection ends."""
    refuse: deque[int] = field(default_factory=deque)
    """The next requests are answered with these statuses."""
    error_code: str = ""
    ignores_ranges: bool = False
    gate: Event | None = None
    """The large file stops in the middle until this is set."""
    redirects_to: str = ""
    """Files are served there, as by the hub's own network."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, Range and Authorization of each request."""

    def listing(self) -> dict[str, Any]:
        siblings = [
            {"rfilename": name, "size": len(body), "blobId": git_sha1(body)}
            for name, body in self.files.items()
        ]
        for sibling in siblings:
            if sibling["rfilename"] == LARGE:
                body = self.files[LARGE]
                sha256 = hashlib.sha256(body).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(body), "pointerSize": 134}
        return {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings} | self.tell

    def ranges(self) -> list[str]:
        """The ranges in which the large file was asked for."""
        return [asked for path, asked, _token in self.asked if path.endswith(LARGE)]


def git_sha1(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@contextmanager
def serve_hub() -> Iterator[HubServer]:
    hub = HubServer(files={path.name: path.read_bytes() for path in sorted(BUNDLED.iterdir())})
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub})) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield hub
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        if self.hub.refuse:
            self.answer(self.hub.refuse.popleft(), b"no", {"X-Error-Code": self.hub.error_code})
        elif path.startswith(f"/api/models/{REPOSITORY}/revision/"):
            self.answer(200, json.dumps(self.hub.listing()).encode())
        elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
            self.file(path.rpartition("/")[2])
        else:
            self.answer(404, b"no", {"X-Error-Code": "RepoNotFound"})

    def file(self, name: str) -> None:
        if self.hub.redirects_to:
            self.answer(302, b"", {"Location": self.hub.redirects_to + self.path})
            return
        body, start = self.hub.files[name], 0
        wanted = self.headers.get("Range")
        if wanted and not self.hub.ignores_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        send = body[start:]
        if name == LARGE and self.hub.cut_after:
            send = send[: self.hub.cut_after.popleft()]
        status = 206 if start else 200
        self.answer(status, send, {"Content-Length": str(len(body) - start)})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.hub.gate is not None and self.path.endswith(LARGE):
            self.wfile.write(body[: len(body) // 2])
            self.hub.gate.wait(60)
            body = body[len(body) // 2 :]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def model_folder(cache: Path) -> Path:
    return cache / f"models--{REPOSITORY.replace('/', '--')}"
