"""An NVS partition: what Espressif's generator makes of our entries, read as the firmware reads it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.flashing.nvs_image import merged, nvs_image
from firmware_bridge.flashing.nvs_keys import NVS_KEYS
from firmware_bridge.flashing.nvs_pages import NvsEntry, read_entries
from firmware_bridge.flashing.trouble import FlashTrouble

SIZE = 0x6000
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200)
_NUMBERS = {
    encoding: st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if encoding[0] == "i"
    else st.integers(0, 2**bits - 1)
    for bits in (8, 16, 32, 64)
    for encoding in (f"i{bits}", f"u{bits}")
}
_VALUES = st.one_of(
    st.tuples(st.just("string"), _TEXT),
    st.tuples(st.just("blob"), st.binary(min_size=1, max_size=3000)),
    *(st.tuples(st.just(encoding), numbers) for encoding, numbers in _NUMBERS.items()),
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(["earshot", "phy", "nvs.net80211"]),
            st.from_regex(r"[a-z0-9_.]{1,15}", fullmatch=True),
        ),
        _VALUES,
        max_size=8,
    )
)
def test_what_is_written_is_read(values: dict[tuple[str, str], tuple[str, str | bytes | int]]) -> None:
    entries = {NvsEntry(*names, *value) for names, value in values.items()}
    image = nvs_image(entries, 0x10000)
    assert len(image) == 0x10000
    assert set(read_entries(image)) == entries


def test_every_setting_at_its_longest_fits_into_the_usual_partition() -> None:
    longest = {"string": "x", "blob": b"\xff", "u32": 1}
    settings_ = {key.name: longest[key.type] * key.most for key in NVS_KEYS}
    entries = merged(b"", settings_)
    image = nvs_image(entries, SIZE)
    assert {one.key: one.value for one in read_entries(image)} == settings_


@pytest.mark.parametrize(("count", "size"), [(9, 3000), (1, 3968), (1, 3999), (1, 5000)])
def test_what_does_not_fit_is_told(count: int, size: int) -> None:
    with pytest.raises(FlashTrouble, match="do not fit"):
        nvs_image([NvsEntry("earshot", f"k{n}", "string", "x" * size) for n in range(count)], SIZE)


@given(st.binary(max_size=300), st.integers(0, SIZE))
def test_no_partition_breaks_it(harm: bytes, place: int) -> None:
    image = nvs_image(
        [NvsEntry("earshot", "id", "string", "kitchen"), NvsEntry("earshot", "k", "blob", b"7" * 500)], SIZE
    )
    told = read_entries(image[:place] + harm + image[place + len(harm) :])
    assert {(one.namespace, one.key) for one in told} <= {("earshot", "id"), ("earshot", "k")}


@pytest.mark.parametrize("image", [b"", b"\xff" * SIZE, b"\0" * SIZE, b"\x5a" * SIZE, b"x" * 100])
def test_what_is_no_partition_holds_nothing(image: bytes) -> None:
    assert read_entries(image) == ()


def test_what_is_written_again_counts_and_what_is_erased_does_not() -> None:
    """As the firmware does it: a new entry behind the old one, whose two bits become zero."""
    twice = bytearray(
        nvs_image(
            [NvsEntry("earshot", "baud", "u32", 9600), NvsEntry("earshot", "baud", "u32", 115200)], SIZE
        )
    )
    assert read_entries(twice) == (NvsEntry("earshot", "baud", "u32", 115_200),)
    twice[32] &= 0b11001111  # the third entry: the namespace is the first
    assert read_entries(twice) == (NvsEntry("earshot", "baud", "u32", 9600),)


def test_what_others_keep_there_stays_and_so_do_our_own_settings_that_nobody_changes() -> None:
    old = [
        NvsEntry("earshot", "id", "string", "kitchen"),
        NvsEntry("earshot", "room", "string", "Kitchen"),
        NvsEntry("earshot", "wifi_pass", "string", "secret words"),
        NvsEntry("phy", "cal_version", "u32", 7),
        NvsEntry("phy", "id", "string", "not ours"),
    ]
    new = merged(nvs_image(old, SIZE), {"room": "Attic", "wifi_pass": None, "baud": 115_200})
    assert set(new) == {
        old[0],
        NvsEntry("earshot", "room", "string", "Attic"),
        NvsEntry("earshot", "baud", "u32", 115_200),
        old[3],
        old[4],
    }
