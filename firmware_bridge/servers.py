"""Servers on the network, and places for our own: URLs, ways and addresses. No error here shows a password."""

from __future__ import annotations

import os
import re
import socket
import ssl
from urllib.parse import SplitResult, urlsplit

from firmware_bridge.named_files import check_named

_ERROR_NUMBER = re.compile(r"\[Errno (\d+)\]")


def in_words(error: Exception) -> str:
    """What the system says of a server or a file that cannot be had: no numbers, and nothing of Python's own."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no text"
    text = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
    if "Connect call failed" not in text:
        return text
    numbers = _ERROR_NUMBER.findall(text)  # of a name with several addresses, asyncio has one for each
    number = int(numbers[-1]) if numbers else getattr(error, "errno", None)
    return os.strerror(number) if number else text


def server_url(scheme: str, host: str, port: int) -> str:
    """Without user and password."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def listening_socket(host: str, port: int, backlog: int) -> socket.socket:
    """At an address of this machine; ``localhost`` is 127.0.0.1, and ``::`` IPv4's as well. Raises OSError."""
    host = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=backlog, dualstack_ipv6=both)


def split_url(url: str) -> SplitResult:
    """Raises ValueError, with nothing of the URL in it, when it names no host or no port that there is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # it quotes what it does not understand: a part of the password, perhaps
        raise ValueError("no server's URL") from None
    if not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise ValueError("no server's URL")
    return parts


def tls_context(ca_file: str, cert_file: str, key_file: str) -> ssl.SSLContext:
    """Checks the server's certificate, and shows ours if there is one; an empty name is no file.

    Without ``ca_file`` those vouch for it that this machine trusts. Raises OSError (an SSLError is one) and ValueError.
    """
    check_named(ca_file, cert_file, key_file)
    context = ssl.create_default_context(cafile=ca_file or None)
    context.sslsocket_class = _Socket
    if cert_file:
        context.load_cert_chain(cert_file, key_file or None, password=_no_passphrase)
    return context


class _Socket(ssl.SSLSocket):
    """Closed when the handshake fails; some libraries leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the base
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _no_passphrase() -> str:
    """Without this, OpenSSL asks for it on the terminal, and waits."""
    raise ValueError("the key is protected by a passphrase")
