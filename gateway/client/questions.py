"""Single questions to a running gateway's HTTP API, for commands that look once and go.

::

    ApiError
      ApiUnreachable    nobody answers there, or not as a gateway does
      ApiRefused        the gateway does not do that, and says why
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from firmware_bridge.servers import in_words
from gateway.client.credentials import REFUSED_REMEDY, Introduction

SECONDS = 10.0
"""How long an answer is waited for."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_PART_BYTES = 256 * 1024


class ApiError(Exception):
    """What was asked for was not done."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class ApiUnreachable(ApiError):
    """No gateway answers there."""


class ApiRefused(ApiError):
    """The gateway says no."""

    def __init__(self, status: int, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.status = status


class Api:
    """One gateway's API. Raises ValueError for what is no address, and BadCertificates."""

    def __init__(self, url: str, introduction: Introduction) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is not an address like http://127.0.0.1:8080/")
        self._base = f"{parts.scheme}://{parts.netloc}/api/v1"
        self._headers = {"Accept": "application/json", **introduction.headers}
        tls = introduction.tls()
        context = tls if isinstance(tls, ssl.SSLContext) else None
        # The gateway is in this house: a proxy for the rest of the world is not asked.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def ask(
        self, path: str, *names: str, method: str = "GET", body: Any = None, seconds: float = SECONDS
    ) -> Any:
        """The answer's JSON, or None; ``names`` stand in the braces of ``path``. Raises ApiError."""
        url = self._base + path.format(*(quote(name, safe="") for name in names))
        data = None if body is None else json.dumps(body).encode()
        return self._answer(url, data, "application/json", method, seconds)

    def upload(self, path: str, data: bytes) -> Any:
        """The same with the bytes of a file. Raises ApiError."""
        return self._answer(self._base + path, data, "application/octet-stream", "POST", SECONDS)

    def download(self, path: str, *names: str) -> Iterator[bytes]:
        """A file of whatever length, in parts. Raises ApiError, also where it breaks off."""
        url = self._base + path.format(*(quote(name, safe="") for name in names))
        request = urllib.request.Request(url, headers={**self._headers, "Accept": "*/*"})  # noqa: S310 - http, https
        with self._refusals(), self._opener.open(request, timeout=SECONDS) as response:
            while part := response.read(_PART_BYTES):
                yield part

    def _answer(self, url: str, data: bytes | None, media: str, method: str, seconds: float) -> Any:
        headers = self._headers if data is None else {**self._headers, "Content-Type": media}
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - http, https only
        with self._refusals():
            with self._opener.open(request, timeout=seconds) as response:
                answer = response.read(MAX_ANSWER_BYTES)
            return json.loads(answer) if answer else None

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ApiUnreachable(
                f"{self._base}: {in_words(reason) if isinstance(reason, Exception) else reason}",
                "is the gateway running? `earshot run`; or --config, or --url when it is elsewhere",
            ) from error


def _refusal(error: urllib.error.HTTPError) -> ApiRefused:
    with error:
        try:
            told = json.loads(error.read(MAX_ANSWER_BYTES))
            reason, remedy = str(told["detail"]), str(told.get("remedy", ""))
        except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError, AttributeError):
            reason, remedy = f"the gateway answered {error.code}", ""
    if error.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        remedy = remedy or REFUSED_REMEDY.format(role="operator")
    return ApiRefused(error.code, reason, remedy)
