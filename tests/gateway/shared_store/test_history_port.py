"""The history in the shared store, over each server: what is shipped, found, gone, and erased for good."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.journal.effects import USER, UTTERANCE
from gateway.journal.history import Selection
from gateway.journal.of_house import PageKey
from gateway.journal.tables.search_words import folded
from gateway.shared_store.port import Erasure, SharedRow, SharedStore, Shipment
from tests.gateway.shared_store.stores import KINDS, house, opened

ALL = Selection()
LATER = time.time() + 3_600


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def row(number: int, text: str = "light", **fields: Any) -> SharedRow:
    facts = {
        "correlation_id": f"c_{number}", "session_id": "s_1", "conversation_id": "v_1", "user_id": "ann",
        "device_id": "kitchen", "spoken": number, "words": folded(text), "replied": False, "goes_at": LATER,
        "record": text.encode(),
    }  # fmt: skip
    return SharedRow(utterance_id=f"u_{number}", **{**facts, **fields})


async def ship(store: SharedStore, *rows: SharedRow, gateway: str = "hall", **fields: Any) -> None:
    facts = {"journal": f"j_{gateway}", "generation": 1, "position": 1}
    await store.ship(Shipment(gateway=gateway, rows=rows, **{**facts, **fields}))


async def found(store: SharedStore, wanted: Selection = ALL, limit: int = 100) -> list[str]:
    return [one.utterance_id for one in (await store.page(wanted, None, limit)).rows]


async def test_what_several_have_shipped_is_found_in_the_order_in_which_it_was_said(server: Any) -> None:
    async with opened(house(server)) as store:
        await ship(store, row(3), row(1))
        await ship(store, row(2), gateway="attic")
        page = await store.page(ALL, None, 10)
        assert [(one.gateway, one.utterance_id) for one in page.rows] == [
            ("hall", "u_3"), ("attic", "u_2"), ("hall", "u_1"),
        ]  # fmt: skip
        assert page.more is None
        one = await store.utterance("u_2")
        assert one is not None
        assert (one.gateway, one.record) == ("attic", b"light")
        assert await store.utterance("u_9") is None


async def test_pages_lead_on_also_through_one_microsecond(server: Any) -> None:
    async with opened(house(server)) as store:
        await ship(store, *(row(number, spoken=7 if number % 2 else number) for number in range(40)))
        names, before = list[str](), None
        while True:
            page = await store.page(ALL, before, 3)
            names += [one.utterance_id for one in page.rows]
            assert len(page.rows) <= 3
            if (before := page.more) is None:
                break
        assert len(names) == len(set(names)) == 40


async def test_a_row_that_comes_while_somebody_pages_moves_nothing(server: Any) -> None:
    async with opened(house(server)) as store:
        await ship(store, *(row(number) for number in range(6)))
        first = await store.page(ALL, None, 3)
        await ship(store, row(9))
        second = await store.page(ALL, first.more, 3)
        assert [one.utterance_id for one in second.rows] == ["u_2", "u_1", "u_0"]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Selection(text="LÍGHT on"), ["u_1"]),
        (Selection(text="ight"), ["u_2", "u_1"]),
        (Selection(text="50% _"), ["u_3"]),
        (Selection(text="%"), ["u_3"]),
        (Selection(session_id="s_2"), ["u_2"]),
        (Selection(conversation_id="v_2"), ["u_3"]),
        (Selection(user_id="bob"), ["u_3"]),
        (Selection(device_id="attic"), ["u_2"]),
        (Selection(users=frozenset({"ann"})), ["u_2", "u_1"]),
        (Selection(users=frozenset({"ann", "bob"}), devices=frozenset({"attic"})), ["u_2"]),
        (Selection(users=frozenset({"bob"}), user_id="ann"), []),
        (Selection(text="a\0b"), []),
    ],
)
async def test_it_is_searched_as_a_journal_is(server: Any, wanted: Selection, names: list[str]) -> None:
    async with opened(house(server)) as store:
        await ship(store, row(1, "Light on"), row(2, "light", session_id="s_2", device_id="attic"))
        await ship(store, row(3, "50% _ off", user_id="bob", conversation_id="v_2"))
        assert await found(store, wanted) == names


async def test_the_same_shipment_again_is_the_same(server: Any) -> None:
    async with opened(house(server)) as store:
        for _ in range(3):
            await ship(store, row(1), row(2), position=7)
        assert await found(store) == ["u_2", "u_1"]
        assert await store.shipped("hall", "j_hall") == 7
        assert await store.shipped("hall", "j_other") == 0
        assert await store.shipped("attic", "j_hall") == 0


async def test_what_is_gone_at_a_gateway_is_gone_and_what_another_has_stays(server: Any) -> None:
    async with opened(house(server)) as store:
        await ship(store, row(1), row(2))
        await ship(store, gone=("u_1", "u_2", "u_9"), gateway="attic")
        assert await found(store) == ["u_2", "u_1"]
        await ship(store, gone=("u_1",))
        assert await found(store) == ["u_2"]


async def test_of_two_gateways_rows_of_one_utterance_the_one_with_the_answer_stays(server: Any) -> None:
    async with opened(house(server)) as store:
        await ship(store, row(1, "asked"))
        await ship(store, row(1, "answered", replied=True), gateway="attic")
        await ship(store, row(1, "asked"))
        one = await store.utterance("u_1")
        assert one is not None
        assert (one.gateway, one.record) == ("attic", b"answered")
        assert await found(store, Selection(text="asked")) == []


@pytest.mark.parametrize("erasure", [Erasure(UTTERANCE, "u_1", 0), Erasure(USER, "ann", 5)])
async def test_what_is_erased_stays_out_however_often_it_is_shipped(server: Any, erasure: Erasure) -> None:
    async with opened(house(server)) as store:
        await ship(store, row(1), row(2, user_id="bob"), row(9))
        assert await store.erase(erasure) == 1
        assert await store.erase(erasure) == 0
        await ship(store, row(1), gateway="attic")
        await ship(store, row(1), row(8))
        assert await found(store) == ["u_9", "u_8", "u_2"]


async def test_an_older_erasure_does_not_take_a_later_one_back(server: Any) -> None:
    async with opened(house(server)) as store:
        await store.erase(Erasure(USER, "ann", 8))
        await store.erase(Erasure(USER, "ann", 5))
        await ship(store, row(7), row(9))
        assert await found(store) == ["u_9"]


async def test_what_was_told_in_an_earlier_generation_only_is_swept(server: Any) -> None:
    async with opened(house(server)) as store:
        await ship(store, row(1), row(2))
        await ship(store, row(3), gateway="attic")
        await ship(store, row(2), generation=2)
        await store.sweep("hall", "j_hall", 2)
        assert await found(store) == ["u_3", "u_2"]


async def test_what_is_too_old_goes_though_its_gateway_never_comes_back(server: Any) -> None:
    async with opened(house(server)) as store:
        await ship(store, row(1, goes_at=time.time() - 60), row(2))
        await store.prune()
        assert await found(store) == ["u_2"]


async def test_a_page_beyond_everything_is_empty(server: Any) -> None:
    async with opened(house(server)) as store:
        await ship(store, row(1))
        page = await store.page(ALL, PageKey(0, 0), 10)
        assert (page.rows, page.more) == ((), None)
