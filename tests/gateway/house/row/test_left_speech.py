"""Speech that a gateway finds without a text, and others that may have heard it since."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.broker.base import BrokerUnavailable
from gateway.house.row import left_speech
from gateway.house.row.left_speech import LeftSpeech
from gateway.house.row.wire import SpeechFound, SpeechSought, decode, encode
from gateway.pipeline.moving import Having
from gateway.pipeline.sessions.names import SpeechPlace

U = SpeechPlace("kitchen", 7, 1, 16_000, 48_000)


class House:
    """Gateways that tell each other over a wire of bytes."""

    def __init__(self) -> None:
        self.gateways: dict[str, LeftSpeech] = {}
        self.has: dict[str, dict[SpeechPlace, Having]] = {}
        self.deaf: set[str] = set()
        self.away = False
        self.asked = 0

    def join(self, name: str, **has: Having) -> LeftSpeech:
        self.has[name] = {U: has["u"]} if has else {}

        async def tell_all(sought: SpeechSought) -> None:
            if self.away:
                raise BrokerUnavailable("out of reach")
            await self._tell(name, sought)

        one = self.gateways[name] = LeftSpeech(name, lambda: set(self.gateways) - {name}, tell_all)
        return one

    async def _tell(self, name: str, sought: SpeechSought) -> None:
        read = decode(encode(sought))
        assert isinstance(read, SpeechSought)
        for other in set(self.gateways) - {name} - self.deaf:
            self.asked += len(read.speech)
            found = decode(encode(await self.gateways[other].answer(read, self._has(other))))
            assert isinstance(found, SpeechFound)
            self.gateways[name].found(found)

    def _has(self, name: str) -> Callable[[SpeechPlace], Awaitable[Having]]:
        async def has(place: SpeechPlace) -> Having:
            return self.has[name].get(place, Having.NOT)

        return has


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(left_speech, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(left_speech, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(left_speech, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(left_speech, "LONGEST_SECONDS", 0.5)
    return House()


async def test_it_is_whose_it_was_heard_at(house: House) -> None:
    hall = house.join("hall")
    house.join("attic", u=Having.WHOLE)
    house.join("cellar")
    assert await hall.whose(U) == "attic"


async def test_what_nobody_has_stays(house: House) -> None:
    hall = house.join("hall")
    assert await hall.whose(U) == "", "it is alone"
    house.join("attic")
    assert await hall.whose(U) == ""


async def test_of_two_that_find_the_same_exactly_one_keeps_it(house: House) -> None:
    hall, attic = house.join("hall", u=Having.WHOLE), house.join("attic", u=Having.WHOLE)
    assert await asyncio.gather(hall.whose(U), attic.whose(U)) == ["attic", ""]


async def test_what_was_given_to_another_is_not_claimed_any_more(house: House) -> None:
    hall, attic = house.join("hall", u=Having.WHOLE), house.join("attic", u=Having.WHOLE)
    assert await hall.whose(U) == "attic"
    assert await attic.whose(U) == "", "else both had dropped it"


async def test_one_that_overlaps_with_what_another_seeks_is_not_sure_either(house: House) -> None:
    hall, attic = house.join("hall"), house.join("attic", u=Having.WHOLE)
    place = U._replace(start=U.start - 8_000)
    sought = SpeechSought(gateway="hall", ask="ask_1", speech=(U,))

    async def has(_place: SpeechPlace) -> Having:
        return Having.WHOLE

    mine = attic.whose(place)
    assert (await attic.answer(sought, has)).having == (Having.UNDECIDED,)
    assert await mine == ""
    assert (await attic.answer(sought, has)).having == (Having.WHOLE,)
    assert await hall.whose(U) == "attic"


async def test_what_is_being_heard_is_waited_for(house: House) -> None:
    hall = house.join("hall")
    house.join("attic", u=Having.COMING)
    whose = hall.whose(U)
    await asyncio.sleep(0.05)
    assert not whose.done()
    house.has["attic"][U] = Having.WHOLE
    assert await whose == "attic"


@pytest.mark.parametrize("having", [Having.COMING, Having.NOT])
async def test_it_is_not_waited_for_without_end(house: House, having: Having) -> None:
    hall = house.join("hall")
    house.join("attic", u=having)
    house.deaf = {"attic"} if having is Having.NOT else set()
    assert await hall.whose(U) == "", "rather twice than never"


async def test_one_that_dies_meanwhile_is_not_waited_for(house: House) -> None:
    hall = house.join("hall")
    house.join("attic")
    house.deaf = {"attic"}
    whose = hall.whose(U)
    await asyncio.sleep(0.07)
    del house.gateways["attic"]
    assert await whose == ""
    assert house.asked == 0


async def test_while_the_broker_is_away_it_is_waited_for(house: House) -> None:
    hall = house.join("hall")
    house.join("attic", u=Having.WHOLE)
    house.away = True
    whose = hall.whose(U)
    await asyncio.sleep(0.1)
    assert not whose.done()
    house.away = False
    assert await whose == "attic"


async def test_without_a_broker_it_is_transcribed_in_the_end(house: House) -> None:
    hall = house.join("hall")
    house.away = True
    assert await hall.whose(U) == ""


async def test_an_answer_that_is_too_short_or_to_another_ask_says_nothing(house: House) -> None:
    hall = house.join("hall")
    house.join("attic")
    house.deaf = {"attic"}
    whose = hall.whose(U)
    await asyncio.sleep(0.03)
    hall.found(SpeechFound(gateway="attic", ask="ask_of_yesterday", having=(Having.WHOLE,)))
    hall.found(SpeechFound(gateway="attic", ask=hall._ask, having=()))
    assert await whose == ""


async def test_one_that_has_not_said_yet_that_it_is_there_is_believed(house: House) -> None:
    hall = house.join("hall")
    house.join("attic", u=Having.WHOLE)
    hall._others = set
    assert await hall.whose(U) == "attic"
