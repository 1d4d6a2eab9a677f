"""What is personal data in a text, and what only looks like it."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.pipeline.content.found import Mask, masked
from gateway.pipeline.content.personal_data import find_personal_data

PERSONAL = [
    ("write to joe.o'neil+x@mail.example.com, please", "write to [e-mail address], please"),
    ("<ann@example.org>", "<[e-mail address]>"),
    ("größe@müller.example is mine", "[e-mail address] is mine"),
    ("a@b.co@c.de", "[e-mail address]@c.de"),
    ("my card is 4111 1111 1111 1111 thanks", "my card is [card number] thanks"),
    ("4111-1111-1111-1111", "[card number]"),
    ("4111111111111111.", "[card number]."),
    ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[card number]"),
    ("3782 822463 10005", "[card number]"),
    ("5555 5555 5555 4444 and 6011111111111117", "[card number] and [card number]"),
    (
        "\u0664\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 \u0661\u0661\u0661\u0661",
        "[card number]",
    ),
    ("IBAN DE89 3704 0044 0532 0130 00 ok", "IBAN [account number] ok"),
    ("gb29nwbk60161331926819", "[account number]"),
    ("FR14 2004 1010 0505 0001 3M02 606", "[account number]"),
    ("call +49 (171) 123 45 67 or 0171/1234567", "call [phone number] or [phone number]"),
    ("+1 555 0100 222, now", "[phone number], now"),
    ("0049 30 1234567", "[phone number]"),
    ("(030) 123 456 78", "[phone number]"),
    ("01.23.45.67.89", "[phone number]"),
    ("0 1 7 1 1 2 3 4 5 6 7", "[phone number]"),
    ("(555) 234-5678 and 1-555-234-5678", "[phone number] and [phone number]"),
    ("tel:+493012345678", "tel:[phone number]"),
    ("86095742719", "[id number]"),  # Germany: the example of ISO 7064's users
    ("86 095 742 719", "[id number]"),
    ("85.07.30-033.28", "[id number]"),  # Belgium
    ("2 55 08 14 168 025 38", "[id number]"),  # France
    ("756.9217.0769.85", "[id number]"),  # Switzerland
    ("131052-308T", "[id number]"),  # Finland
    ("RSSMRA85T10A562S", "[id number]"),  # Italy
    ("12345678Z and X1234567L", "[id number] and [id number]"),  # Spain
]

NOBODYS = [
    "",
    "turn on the light in the kitchen",
    "4111 1111 1111 1112",  # its check digit is wrong
    "1234 5678 9012 3456",  # no card begins like that
    "DE89370400440532013001",
    "DE89 3704 0044",
    "XX89370400440532013000",
    "2026-11-30 15.30.45",
    "on 01.02.2026 at 12 30",
    "0.123456789",
    "at 07:30, 21.5 degrees, 1013 hPa",
    "one to 0 1 2 3",
    "000123456789",
    "555-1234",
    "joe at example dot com",
    "@home and a@b and x@y.1",
    "12345678A",
    "131052-308U",
    "RSSMRA85T10A562T",
    "756.9217.0769.84",
    "86095742718",
    "abc4111111111111111",
    "call 112",
]


@pytest.mark.parametrize(("text", "without"), PERSONAL)
def test_it_is_found_and_masked(text: str, without: str) -> None:
    assert masked(text, find_personal_data(text)) == without


@pytest.mark.parametrize("text", NOBODYS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert find_personal_data(text) == []


PIECES = st.sampled_from(
    [
        *(text for text, _ in PERSONAL), *NOBODYS, *(mask.value for mask in Mask), *"0123456789@.+-/() ,:_aZ\n\0\u00a0",
        "00", "4111", "1111", "DE89", "3704", "x@", "@x.de", ".co", "\u0663", "é",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=14).map("".join)


@given(TEXTS)
@example("gb29nwbk60161331926819gb29nwbk60161331926819")
@example("joe@example.com4111 1111 1111 1111")
@example("DE89370400440532013000 0171 1234567")
@example("4111 1111 1111 1111 0171 1234567@x.de")
@example("0171 DE89 3704 0044 0532 0130 00 1234567")
def test_nothing_is_found_once_it_is_masked(text: str) -> None:
    once = masked(text, find_personal_data(text))
    assert find_personal_data(once) == []


@given(TEXTS)
def test_nothing_else_changes(text: str) -> None:
    """What is left of the text stands there in its order, between the masks."""
    found = find_personal_data(text)
    assert found == sorted(found)
    rest, at = masked(text, found), 0
    for one in found:
        assert at <= one.start < one.end
        assert rest.startswith(text[at : one.start] + one.mask)
        rest = rest.removeprefix(text[at : one.start] + one.mask)
        at = one.end
    assert rest == text[at:]


HOSTILE = [
    "1 ", "4 ", "0-", "0 1 7 ", "00 ", "+", "(", "@", "a@", "a.", "x.y@", "DE89 ", "DE", "756 ", "9", "\u0663 ",
    "a.b@c.de ", "-", "X1", "41111111", "a" * 64 + "@", "1.2.2026 ", "\0", "1" * 18 + " ", "(0",
]  # fmt: skip


def seconds_for(piece: str, size: int) -> float:
    """The shortest of some, of the processor's own time: whoever shares it does not count."""
    text = (piece * (size // len(piece) + 1))[:size]
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        find_personal_data(text)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_the_work_grows_with_the_text_and_no_faster(piece: str) -> None:
    """Eight times the text takes eight times as long; a search that is quadratic would take 64 times."""
    assert seconds_for(piece, 80_000) < 24 * seconds_for(piece, 10_000) + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_megabyte_of_anything_is_looked_through_in_seconds(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choice(HOSTILE) for _ in range(400_000))[: 1024 * 1024]
    began = time.process_time()
    find_personal_data(text)
    assert time.process_time() - began < 20
