"""A recording as it comes: no more of it, and no slower, than is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from gateway.pipeline.recordings.refusals import Stopped, TooLarge, TooSlow
from gateway.settings.web import UploadSettings

LEAST_BYTES = 32
"""A second, while it is waited for: less than that is no recording, however slowly somebody speaks."""


async def coming(body: AsyncIterator[bytes], settings: UploadSettings) -> AsyncIterator[bytes]:
    """Its pieces. Raises TooLarge, TooSlow and Stopped."""
    pace, left = _Pace(settings.stall_seconds), settings.megabytes * 1024 * 1024
    while True:
        try:
            with pace.waiting():
                async with asyncio.timeout(settings.stall_seconds):
                    piece = await anext(body, b"")
        except TimeoutError as error:
            raise TooSlow(f"nothing came for {settings.stall_seconds:g} s") from error
        except Exception as error:  # the boundary: the wire broke
            raise Stopped(f"it was cut off: {error}") from error
        if not piece:
            return
        pace.came(len(piece))
        left -= len(piece)
        if left < 0:
            raise TooLarge(f"it has more than {settings.megabytes} MiB (web.uploads.megabytes)")
        yield piece


class _Pace:
    """Whether a body comes on, by the time in which it is waited for; not by that in which it has to wait for us."""

    def __init__(self, seconds: float) -> None:
        """Looked at whenever so long was waited."""
        self._seconds = seconds
        self._now = asyncio.get_running_loop().time
        self._waited = 0.0
        self._bytes = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """It is waited for."""
        since = self._now()
        yield
        self._waited += self._now() - since

    def came(self, size: int) -> None:
        """So much has come. Raises TooSlow."""
        self._bytes += size
        if self._waited < self._seconds:
            return
        if self._bytes < LEAST_BYTES * self._waited:
            raise TooSlow(
                f"{self._bytes} bytes came in {self._waited:.0f} s, {LEAST_BYTES} a second are the least"
            )
        self._waited, self._bytes = 0.0, 0
