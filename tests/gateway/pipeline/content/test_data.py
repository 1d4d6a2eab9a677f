"""What a reply has for programs: looked through like its words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.content.data import DEEPEST, DataDropped, DataTooDeep, sifted
from gateway.pipeline.content.filter import apply, rules
from gateway.settings.content import ContentSettings

MASK = rules(ContentSettings(personal_data="mask", forbidden_words=("damn",)))
DROP = rules(ContentSettings(personal_data="drop"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("damn 0171@.", max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("damn 0", max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def sift(every: Any, data: Any) -> tuple[Any, list[str]]:
    flags: dict[str, None] = {}
    return sifted(data, lambda text: apply(every, text), flags), list(flags)


def test_every_text_number_and_name_is_looked_at_and_the_rest_stays() -> None:
    data = {
        "card": 4111111111111111,
        "said": ["damn", {"to": "joe@example.com"}],
        "joe@example.com": True,
        "fine": [1, 2.5, None, False, "light"],
    }
    assert sift(MASK, data) == (
        {
            "card": "[card number]",
            "said": ["***", {"to": "[e-mail address]"}],
            "[e-mail address]": True,
            "fine": [1, 2.5, None, False, "light"],
        },
        ["personal_data", "forbidden_words"],
    )


def test_where_something_is_to_be_dropped_all_is() -> None:
    with pytest.raises(DataDropped):
        sift(DROP, {"a": [{"b": "joe@example.com"}]})


def test_what_lies_too_deep_is_not_passed_unseen() -> None:
    data: Any = "light"
    for _ in range(DEEPEST):
        data = [data]
    assert sift(MASK, data) == (data, [])
    with pytest.raises(DataTooDeep):
        sift(MASK, [data])


@given(JSON)
def test_nothing_is_found_in_what_is_left(data: Any) -> None:
    once, _ = sift(MASK, data)
    assert sift(MASK, once) == (once, [])
