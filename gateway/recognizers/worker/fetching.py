"""Audio that a gateway keeps itself, fetched over HTTPS."""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp

from gateway.broker.base import BrokerUnavailable
from gateway.recognizers.claim_checks import NotThere

FETCH_SECONDS: Final = 5.0
_GONE: Final = frozenset({401, 403, 404, 410})


class AudioFetcher:
    """Fetches from gateways; ``ca_file``: who may have signed their certificates, beside the system's list."""

    def __init__(self, ca_file: str = "") -> None:
        """Raises OSError and ssl.SSLError when the file cannot be read."""
        self._tls = ssl.create_default_context()
        if ca_file:
            self._tls.load_verify_locations(ca_file)

    async def __call__(self, address: str, most: int) -> bytes:
        """As ``Fetch`` says; ``address`` has been looked at."""
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(address, allow_redirects=False, ssl=self._tls) as answer,
            ):
                if answer.status in _GONE:
                    raise NotThere("its gateway has it no longer")
                if answer.status != 200:
                    raise BrokerUnavailable(f"its gateway answers with status {answer.status}")
                return await _read(answer, most)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise BrokerUnavailable(
                f"its gateway cannot be reached: {error or type(error).__name__}"
            ) from error


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    data = bytearray()
    async for piece in answer.content.iter_chunked(64 * 1024):
        data += piece
        if len(data) > most:
            raise NotThere("what lies there is larger than what was left there")
    return bytes(data)
