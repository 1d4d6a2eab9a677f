"""Personal data in a text: e-mail addresses, account, card and phone numbers, national ids. No I/O.

They are known by how they are written, and where there are check digits by those; what is spelt out ("joe at example
dot com") is not found. Nothing here takes more time than the text is long, whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gateway.pipeline.content.checksums import iban
from gateway.pipeline.content.found import Found, Mask, blanked
from gateway.pipeline.content.national_ids import with_letters
from gateway.pipeline.content.numbers import find_numbers

_MOST_BEFORE = 64
"""Characters before the @ (RFC 5321)."""
_DOMAIN = re.compile(r"(?:[^\W_][\w-]{0,62}\.){1,8}[^\W\d_]{2,63}")

_ACCOUNT = re.compile(r"[A-Za-z]{2}[0-9]{2}")
_ACCOUNT_REST = re.compile(r"(?:[ \u00a0\u202f-]?[0-9A-Za-z]){4,30}")
_ACCOUNT_SIGNS = str.maketrans("", "", " \u00a0\u202f-")
_LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        "([A-Z]{2})([0-9]{2})",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 "
        "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 "
        "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30",
    )
}
"""How long the account numbers of a country are (the registry of ISO 13616)."""


def find_personal_data(text: str) -> list[Found]:
    """All of it, in its order; no two overlap. Nothing is found once all of that is masked."""
    every: list[Found] = []
    for find in _KINDS:
        found = list(find(text))
        every += found
        text = blanked(text, found) if found else text
    return sorted(every)


def _emails(text: str) -> Iterator[Found]:
    end = -1
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        start = at
        while start > max(end, 0, at - _MOST_BEFORE) and _is_local(text[start - 1]):
            start -= 1
        if domain is not None and start < at:
            end = domain.end()
            yield Found(start, end, Mask.EMAIL)
        at = text.find("@", at + 1)


def _is_local(character: str) -> bool:
    """Whether it may stand before the @."""
    return character.isalnum() or character in "._%+-'"


def _accounts(text: str) -> Iterator[Found]:
    end = 0
    for one in _ACCOUNT.finditer(text):
        start = one.start()
        begins = start == end or (start > end and not text[start - 1].isalnum())  # or it is within a word
        if not begins or (length := _LENGTHS.get(one.group()[:2].upper())) is None:
            continue
        rest = _ACCOUNT_REST.match(text, one.end())
        stop = rest and _nth(text, rest.start(), rest.end(), length - 4)
        if stop and iban((one.group() + text[one.end() : stop]).translate(_ACCOUNT_SIGNS).upper()):
            end = stop
            yield Found(start, end, Mask.IBAN)


def _nth(text: str, start: int, end: int, count: int) -> int:
    """Behind the ``count``-th letter or digit from ``start`` on; 0: there are not so many."""
    for at in range(start, end):
        count -= text[at].isalnum()
        if not count:
            return at + 1
    return 0


def _lettered_ids(text: str) -> Iterator[Found]:
    for start, end in with_letters(text):
        yield Found(start, end, Mask.NATIONAL_ID)


_KINDS: tuple[Callable[[str], Iterator[Found]], ...] = (_emails, _accounts, _lettered_ids, find_numbers)
