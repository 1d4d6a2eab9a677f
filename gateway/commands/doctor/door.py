"""The doctor's look at the locked door: who could come in, and whether anybody can listen in on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.access.door import MAKE_ONE, is_locked
from gateway.access.loopback import is_loopback
from gateway.access.old_keys import OldKeys
from gateway.access.tokens import TokenFile, TokensUnreadable
from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.config.places import OWN_CERTIFICATE
from gateway.registry.file import FILE as REGISTRY
from gateway.settings.web import WebSettings
from gateway.web.entrance.tls import KEY, Tls, TlsUnavailable, wanted

SOON_SECONDS = 14 * 86_400.0
"""A token that ends within so long is mentioned."""
_FOR_OTHERS = 0o077


def door(web: WebSettings, folder: Path) -> Iterator[Finding]:
    """Tokens, keys and certificate of a gateway whose state lies in ``folder``. Nothing is made."""
    if not web.enabled:
        return
    yield from _old_key(web, folder)
    if not is_locked(web):
        yield ok("door", "open to this machine, closed to all others (docs/security.md)")
        if wanted(web):
            yield _tls(web, folder)
        return
    yield _tokens(web, folder)
    yield _tls(web, folder)
    loose = [name for name in ("token.key", "tokens.json", REGISTRY, KEY) if _is_loose(folder / name)]
    if loose:
        yield warn("door", f"others may read {', '.join(loose)}", f"chmod 600 {folder}/*")


def _tokens(web: WebSettings, folder: Path) -> Finding:
    try:
        living = TokenFile(folder).read().living(now := time.time())
    except TokensUnreadable as error:
        return fail("tokens", str(error), "restore that file, or remove it and make new tokens")
    if not living:
        report = warn if is_loopback(web.host) else fail
        return report("tokens", f"nobody has one, says {folder}", MAKE_ONE.format(name="me"))
    ending = [token.name for token in living if token.expires_at - now < SOON_SECONDS]
    if ending:
        return warn(
            "tokens",
            f"of {len(living)} these end soon: {_named(ending)}",
            f"earshot token rotate {min(ending)}",
        )
    return ok("tokens", f"{len(living)} in {folder}")


def _old_key(web: WebSettings, folder: Path) -> Iterator[Finding]:
    """Whether what tokens were signed with, as long as they were, is good for anything still."""
    keys = OldKeys(web.secret_file, folder, os.environ)
    if not web.secret_file and not keys.path.exists():
        return
    try:
        signed = [token.name for token in TokenFile(folder).read().living(time.time()) if token.is_signed]
    except TokensUnreadable:
        return
    if signed:
        yield ok("key", f"{keys.path} is needed until these are rotated or end: {_named(signed)}")
    else:
        named = "web.secret_file, and " if web.secret_file else ""
        yield warn("key", "tokens are not signed any more, and need none", f"remove {named}{keys.path}")


def _named(names: list[str]) -> str:
    return ", ".join(sorted(names))


def _tls(web: WebSettings, folder: Path) -> Finding:
    if not wanted(web):
        if is_loopback(web.host):
            return ok("tls", "not needed on this machine; a reverse proxy has to have it")
        return warn(
            "tls", "tokens and speech travel in the clear", "web.tls.self_signed: true, or web.tls.cert_file"
        )
    if web.tls.self_signed and not (folder / KEY).exists():
        return ok("tls", "a certificate of the gateway's own is made at its first start")
    try:
        tls = Tls(web, folder)
    except TlsUnavailable as error:
        return fail("tls", str(error), error.remedy)
    return _dated(tls, Path(web.tls.cert_file) if web.tls.cert_file else folder / OWN_CERTIFICATE)


def _dated(tls: Tls, certificate: Path) -> Finding:
    try:
        from gateway.web.entrance.certificate import validity  # noqa: PLC0415 - an extra
    except ImportError:
        return ok("tls", f"certificate SHA-256 {tls.fingerprint}")
    since, until = validity(certificate)
    now = time.time()
    if not since <= now < until:
        day = time.strftime("%Y-%m-%d", time.localtime(until if now >= until else since))
        when = f"was good until {day}" if now >= until else f"is not good before {day}"
        return fail("tls", f"the certificate {when}", "renew it, or set this machine's clock")
    if until - now < SOON_SECONDS:
        day = time.strftime("%Y-%m-%d", time.localtime(until))
        return warn("tls", f"the certificate is good until {day} only", "renew it")
    return ok("tls", f"certificate SHA-256 {tls.fingerprint}")


def _is_loose(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _FOR_OTHERS)
    except OSError:
        return False
