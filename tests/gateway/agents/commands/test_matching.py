"""Patterns against what is said: what fits, what does not, what slots catch, and that no time runs away."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agents.commands.matching import (
    MOST_TRIES,
    Entries,
    FreeText,
    NumberRange,
    SentencePattern,
    SlotKind,
    SlotValue,
    TooMuchToTry,
)
from gateway.agents.commands.sentence import (
    MOST_LETTERS,
    Alternatives,
    BadSentence,
    Literal,
    Pieces,
    Slot,
    all_ways,
    plainest_way,
    read_sentence,
    slots_of,
)
from gateway.agents.commands.words import MOST_CHARACTERS, SaidWords, plain

LIGHTS = {
    "kitchen light": SlotValue("light.kitchen", "kitchen light"),
    "kitchen": SlotValue("kitchen", "kitchen"),
    "kuchenlicht": SlotValue("light.kitchen", "Küchenlicht"),
    "light": SlotValue("light", "light"),
    "7up": SlotValue("seven", "7up"),
}
KINDS: dict[str, SlotKind] = {
    "light": Entries.of(LIGHTS),
    "degrees": NumberRange(-10, 40),
    "what": FreeText(),
}


def fits(pattern: str, said: str, language: str = "en", skipped: tuple[str, ...] = ()) -> object:
    found = SentencePattern(read_sentence(pattern, {"please": (Literal("please"),)}), KINDS, language).fits(
        SaidWords(said, language, skipped)
    )
    return None if found is None else {name: one.value for name, one in found.items()}


@pytest.mark.parametrize(
    ("pattern", "said", "caught"),
    [
        ("turn on [the] light", "Turn on the light!", {}),
        ("turn on [the] light", "turn  on LIGHT", {}),
        ("turn on [the] light", "turn on a light", None),
        ("turn on [the] light", "turn on the light now", None),
        ("turn on [the] light", "turnon the light", None),
        ("turn on [the ]light[s]", "turn on lights", {}),
        ("turn (on|off) <please>", "turn off, please.", {}),
        ("(on|off)", "of", None),
        ("[küchen]licht an", "Küchenlicht an", {}),
        ("[küchen]licht an", "Kuchenlicht an", {}),
        ("[küchen]licht an", "Küche licht an", None),
        ("what['s| is] up", "what\u2019s up", {}),
        ("what['s| is] up", "what is up", {}),
        ("turn on [the] {light}", "turn on the kitchen light", {"light": "light.kitchen"}),
        ("turn on [the] {light} [light]", "turn on the kitchen light", {"light": "light.kitchen"}),
        ("turn on {light} light", "turn on kitchen light", {"light": "kitchen"}),
        ("{light}", "kitchen lights", None),
        ("mach das {light} an", "Mach das Küchenlicht an.", {"light": "light.kitchen"}),
        ("from {a:light} to {b:light}", "from kitchen to light", {"a": "kitchen", "b": "light"}),
        ("set to {degrees} [degrees]", "Set to twenty one degrees", {"degrees": 21}),
        ("set to {degrees}[%]", "set to 21.5%", {"degrees": 21.5}),
        ("set to {degrees}", "set to minus five", {"degrees": -5}),
        ("set to {degrees}", "set to -5", {"degrees": -5}),
        ("set to {degrees}", "set to 41", None),
        ("set to {degrees}", "set to 99999999999999999999999", None),
        ("channel five", "channel 5", {}),
        ("channel 5", "Channel five.", {}),
        ("add {what} to the list", "Add Crème brûlée to the list", {"what": "Crème brûlée"}),
        ("add {what} to the list", "add to the list", None),
        ("add {what} to [the] list", "add this to the list to the list", {"what": "this to the list"}),
        ("{what} [please]", "two eggs please", {"what": "two eggs"}),
        ("[(a|b) c] d", "b c d", {}),
        ("[(a|b) c] d", "a d", None),
        ("", "", {}),
        ("", "hello", None),
        ("light", "", None),
        ("打开{what}", "打开厨房的灯。", {"what": "厨房的灯"}),
        ("oh {what}", "oh turn", {"what": "turn"}),
    ],
)
def test_what_fits(pattern: str, said: str, caught: object) -> None:
    assert fits(pattern, said) == caught


def test_numbers_as_other_languages_write_them() -> None:
    assert fits("auf {degrees} grad", "auf 21,5 Grad", "de") == {"degrees": 21.5}
    assert plain("1.234,5 1,234.5", "de") == "1234.5 1.234.5"
    assert plain("1,234.5", "en") == plain("1,234.5", "ja") == "1234.5"
    assert plain("twenty one point five and four oh", "en") == "21.5 and 4 0"
    assert plain("٢١", "ar") == "21"


def test_words_that_are_passed_over() -> None:
    assert fits("turn on {what}", "Please turn on the fan, please", skipped=("please",)) == {
        "what": "the fan"
    }


def test_of_longer_speech_nothing_is_left() -> None:
    assert SaidWords("word " * MOST_CHARACTERS, "en").text == ""


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("turn on [the", "'[' is not closed, at letter 9"),
        ("turn on (the", "'(' is not closed, at letter 9"),
        ("turn on the]", "']' closes nothing, at letter 12"),
        ("turn on }", "'}' closes nothing, at letter 9"),
        (
            "turn on {the light}",
            "a slot is {name} or {name:list}, in small letters, digits and _, at letter 9",
        ),
        ("<nothing>", "there is no part <nothing> (parts has none), at letter 1"),
        ("<not one>", "a part is <name>, in small letters, digits and _, at letter 1"),
        ("(" * 20, "brackets within brackets, more than 12 deep, at letter 14"),
        ("a" * (MOST_LETTERS + 1), "a pattern has at most 500 letters, got 501"),
    ],
)
def test_what_is_no_pattern(pattern: str, complaint: str) -> None:
    with pytest.raises(BadSentence) as wrong:
        read_sentence(pattern, {})
    assert str(wrong.value) == complaint


def test_a_slot_of_no_kind() -> None:
    with pytest.raises(BadSentence, match=r"there is no list, number or text 'lamp' \(there is light, "):
        SentencePattern(read_sentence("{lamp}", {}), KINDS, "en")


def test_all_ways_are_bounded() -> None:
    with pytest.raises(BadSentence, match="more than 256 ways to say it"):
        all_ways(read_sentence("[a]" * 20, {}), 256)
    assert all_ways(read_sentence("[the] (red|blue) light[s]", {}), 256)[0] == "the red lights"
    assert plainest_way(read_sentence("[the] (red|blue) light[s]", {})) == "red light"


WORDS = st.sampled_from(
    ["turn", "on", "the", "light", "ünder", "21", "minus", "it's", "a", "twenty", "one", "-", ""]
)
LITERALS = st.lists(WORDS, min_size=1, max_size=3).map(lambda words: Literal(" ".join(words) + " "))
SLOTS = st.sampled_from([Slot("light", "light"), Slot("what", "what"), Slot("n", "degrees")])


def _pieces(inner: st.SearchStrategy[Pieces]) -> st.SearchStrategy[Pieces]:
    options = st.lists(inner, min_size=1, max_size=3)
    choices = st.builds(
        lambda some, may_be_missing: Alternatives((*some, ()) if may_be_missing else tuple(some)),
        options,
        st.booleans(),
    )
    one = choices | LITERALS | SLOTS
    return st.lists(one, min_size=1, max_size=4).map(_spaced)


def _spaced(pieces: list[Literal | Slot | Alternatives]) -> Pieces:
    return tuple(one for piece in pieces for one in (piece, Literal(" ")))


SENTENCES = st.recursive(LITERALS.map(lambda one: (one,)), _pieces, max_leaves=12)
VALUES = {"light": "kitchen light", "what": "Some Thing", "degrees": "12"}


def one_way(sentence: Pieces, choose: list[int]) -> str:
    """Something that can be said by it; ``choose`` tells which alternatives."""
    said = ""
    for piece in sentence:
        if isinstance(piece, Literal):
            said += piece.text
        elif isinstance(piece, Slot):
            said += VALUES[piece.kind]
        else:
            number = choose.pop() if choose else 0
            said += one_way(piece.options[number % len(piece.options)], choose)
    return said


@given(SENTENCES, st.lists(st.integers(0, 5), max_size=20))
@settings(deadline=None)
def test_whatever_can_be_said_by_a_pattern_fits_it(sentence: Pieces, choose: list[int]) -> None:
    said = one_way(sentence, choose)
    spoken = SaidWords(said, "xx")
    if len(said) <= MOST_CHARACTERS:
        found = SentencePattern(sentence, KINDS, "xx").fits(spoken)
        assert found is not None
        assert found.keys() <= slots_of(sentence).keys()


@given(SENTENCES, st.lists(st.integers(0, 5), max_size=20))
@settings(deadline=None)
def test_nothing_fits_that_has_a_word_more_or_less(sentence: Pieces, choose: list[int]) -> None:
    said = one_way(sentence, choose)
    if len(said) > MOST_CHARACTERS - 10 or "what" in slots_of(sentence).values():
        return
    assert SentencePattern(sentence, KINDS, "xx").fits(SaidWords(f"{said} zzzz", "xx")) is None
    assert SentencePattern(sentence, KINDS, "xx").fits(SaidWords(f"zzzz {said}", "xx")) is None


@given(st.text(max_size=60), st.sampled_from(["en", "de", "xx"]))
@settings(max_examples=60)
def test_anything_can_be_said(said: str, language: str) -> None:
    spoken = SaidWords(said, language)
    found = SentencePattern((Slot("what", "what"),), KINDS, language).fits(spoken)
    if spoken.text:
        assert found is not None
        assert str(found["what"].value) in spoken._raw
        assert SaidWords(str(found["what"].value), language).text == spoken.text
    else:
        assert found is None


@pytest.mark.parametrize(
    "pattern",
    [
        "[a]" * 100,
        "[a] " * 100,
        "(a|a) " * 70 + "b",
        "[[[[[[[[[[a] a] a] a] a] a] a] a] a] a] b",
        "{what} " * 30 + "b",
        "({what}|{what}) " * 12 + "b",
        "[{what} [{what} [{what} [{what} [{what}]]]]] b",
    ],
    ids=range(7),
)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    sentence = read_sentence(pattern[:MOST_LETTERS], {})
    began = time.process_time()
    for said in ("a " * (MOST_CHARACTERS // 2), "a" * MOST_CHARACTERS, "b a " * (MOST_CHARACTERS // 4)):
        one, spoken = SentencePattern(sentence, KINDS, "en"), SaidWords(said, "en")
        one.fits(spoken)
        assert spoken.tried <= one.size * (len(spoken.text) + 1)
    assert time.process_time() - began < 2.0


@pytest.mark.slow
def test_all_patterns_together_are_tried_so_often_at_most() -> None:
    spoken = SaidWords("a " * (MOST_CHARACTERS // 2), "en")
    one = SentencePattern(read_sentence("{what} " * 30 + "(b|c)", {}), KINDS, "en")
    while spoken.tried + one.size * (len(spoken.text) + 1) <= MOST_TRIES:
        assert one.fits(spoken) is None
    with pytest.raises(TooMuchToTry):
        all(one.fits(spoken) is None for _ in range(100))


def test_what_lacks_a_word_that_is_said_in_any_case_is_not_tried() -> None:
    spoken = SaidWords("what is the weather like", "en")
    assert SentencePattern(read_sentence("{what} mode 12 [now]", {}), KINDS, "en").fits(spoken) is None
    assert spoken.tried == 0
