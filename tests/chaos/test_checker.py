"""The checker finds each kind of fault, and nothing where there is none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.chaos.checker import BadScript, Came, Findings, Line, check

SCRIPT = [
    Line(device, session, number, f"text {session}.{number}")
    for device in ("kitchen", "hall")
    for session in (1, 2)
    for number in (1, 2, 3)
]


@st.composite
def scripts(draw: st.DrawFn) -> list[Line]:
    """Sessions of several devices; every text once for each device."""
    sessions = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), min_size=1, max_size=8))
    return [
        Line(device, session, number, f"text {session}.{number}")
        for session, (device, length) in enumerate(sessions)
        for number in range(length)
    ]


def messages(script: list[Line], seed: int) -> list[Came]:
    """All of the script, sessions interleaved at random, each in order."""
    chance = random.Random(seed)
    sessions: dict[tuple[str, int], list[Line]] = {}
    for line in script:
        sessions.setdefault((line.device, line.session), []).append(line)
    waiting = list(sessions.values())
    came = []
    while waiting:
        session = chance.choice(waiting)
        line = session.pop(0)
        came.append(Came(line.device, line.text, message_id=f"m{len(came)}"))
        waiting = [one for one in waiting if one]
    return came


def line_of(script: list[Line], came: Came) -> Line:
    return next(line for line in script if (line.device, line.text) == (came.device, came.text))


def faults(found: Findings) -> set[str]:
    kinds = {kind for kind in ("lost", "doubled", "out_of_order", "never_said") if getattr(found, kind)}
    assert found.clean == (not kinds)
    return kinds


@given(scripts(), st.integers())
def test_what_is_right_is_clean_in_any_interleaving(script: list[Line], seed: int) -> None:
    assert check(script, messages(script, seed)) == Findings(spoken=len(script))


@given(scripts(), st.integers(), st.data())
def test_whatever_is_missing_is_lost(script: list[Line], seed: int, data: st.DataObject) -> None:
    came = messages(script, seed)
    missing = data.draw(st.sets(st.sampled_from(came), min_size=1))
    found = check(script, [one for one in came if one not in missing])
    assert set(found.lost) == {line_of(script, one) for one in missing}
    assert faults(found) == {"lost"}


@given(scripts(), st.integers(), st.data())
def test_the_same_under_another_id_is_doubled_wherever_it_comes(
    script: list[Line], seed: int, data: st.DataObject
) -> None:
    came = messages(script, seed)
    one = data.draw(st.sampled_from(came))
    place = data.draw(st.integers(came.index(one) + 1, len(came)))
    came.insert(place, structs.replace(one, message_id="another"))
    found = check(script, came)
    assert found.doubled == (line_of(script, one),)
    assert faults(found) == {"doubled"}


@given(scripts(), st.integers(), st.data())
def test_a_message_that_comes_again_is_repeated_and_no_fault(
    script: list[Line], seed: int, data: st.DataObject
) -> None:
    came = messages(script, seed)
    again = data.draw(st.lists(st.sampled_from(came), min_size=1))
    found = check(script, [*came, *again])
    assert found.clean
    assert found.repeated == len(again)


@given(scripts(), st.integers(), st.data())
def test_without_an_id_every_coming_is_an_effect(script: list[Line], seed: int, data: st.DataObject) -> None:
    came = [structs.replace(one, message_id="") for one in messages(script, seed)]
    assert check(script, came).clean
    twice = data.draw(st.sampled_from(came))
    assert check(script, [*came, twice]).doubled == (line_of(script, twice),)


@given(scripts(), st.integers(), st.data())
def test_what_is_overtaken_in_its_session_is_out_of_order(
    script: list[Line], seed: int, data: st.DataObject
) -> None:
    came = messages(script, seed)
    late = data.draw(st.sampled_from(came))
    line = line_of(script, late)
    came.remove(late)
    came.append(late)
    later = [one for one in script if (one.device, one.session) == (line.device, line.session)]
    found = check(script, came)
    assert found.out_of_order == ((line,) if line.number < max(one.number for one in later) else ())
    assert faults(found) <= {"out_of_order"}


@given(scripts(), st.integers(), st.data())
def test_what_is_overtaken_and_says_so_is_late(script: list[Line], seed: int, data: st.DataObject) -> None:
    came = [structs.replace(one, published=1.0 + n) for n, one in enumerate(messages(script, seed))]
    late = data.draw(st.sampled_from(came))
    line = line_of(script, late)
    came.remove(late)
    came.append(late)
    later = [one for one in script if (one.device, one.session) == (line.device, line.session)]
    found = check(script, came)
    assert found.late == ((line,) if line.number < max(one.number for one in later) else ())
    assert faults(found) == set()


def test_what_says_that_it_is_later_than_it_was_is_out_of_order() -> None:
    one, two, *_ = SCRIPT
    came = [
        Came(two.device, two.text, "m2", published=5.0), Came(one.device, one.text, "m1", published=6.0),
    ]  # fmt: skip
    found = check([one, two], came)
    assert (found.out_of_order, found.late) == ((one,), ())


@given(scripts(), st.integers(), st.data())
def test_words_that_nobody_said_are_told_and_the_line_is_lost(
    script: list[Line], seed: int, data: st.DataObject
) -> None:
    came = messages(script, seed)
    one = data.draw(st.sampled_from(came))
    wrong = data.draw(
        st.sampled_from(
            [structs.replace(one, text="mumble"), structs.replace(one, device="nobody"),
             structs.replace(one, failure="the engine failed")]
        )
    )  # fmt: skip
    came[came.index(one)] = wrong
    found = check(script, came)
    assert (found.never_said, found.lost) == ((wrong,), (line_of(script, one),))
    assert faults(found) == {"lost", "never_said"}


@given(scripts(), st.integers(), st.data())
def test_what_is_excused_may_be_missing_but_not_doubled(
    script: list[Line], seed: int, data: st.DataObject
) -> None:
    came = messages(script, seed)
    one = data.draw(st.sampled_from(came))
    line = line_of(script, one)
    without = check(script, [other for other in came if other is not one], excused={line})
    assert faults(without) == set()
    assert without.gone == 1
    assert check(script, came, excused={line}) == Findings(spoken=len(script))
    assert check(script, [*came, structs.replace(one, message_id="x")], excused={line}).doubled == (line,)


def test_a_device_that_dies_in_mid_sentence_was_heard_as_far_as_it_came() -> None:
    line = Line("kitchen", 1, 0, "set a timer for sixty minutes")
    cut = Came("kitchen", "set a timer for six", "m_1")
    assert faults(check([line], [cut], excused={line})) == set()
    assert faults(check([line], [cut])) == {"lost", "never_said"}
    assert faults(check([line], [structs.replace(cut, device="hall")], excused={line})) == {"never_said"}
    assert faults(check([line], [structs.replace(cut, failure="no engine")], excused={line})) == {
        "never_said"
    }


def test_a_stump_may_be_heard_as_anything_and_once() -> None:
    line = Line("kitchen", 1, 0, "turn on the living room fan")
    stump, another = Came("kitchen", "turn on the garden alarm", "m_1"), Came("kitchen", "yes yes", "m_2")
    assert faults(check([line], [stump], excused={line})) == set()
    assert faults(check([line], [stump, another], excused={line})) == {"never_said"}


def test_nothing_at_all_is_everything_lost() -> None:
    assert check(SCRIPT, []).lost == tuple(sorted(SCRIPT))


def test_a_line_of_another_session_may_overtake() -> None:
    came = [
        Came(line.device, line.text) for line in sorted(SCRIPT, key=lambda line: (line.number, -line.session))
    ]
    assert check(SCRIPT, came).clean


def test_a_loss_cannot_hide_behind_a_double() -> None:
    came = [Came(line.device, line.text) for line in SCRIPT]
    came[0] = came[1]
    found = check(SCRIPT, came)
    assert (len(found.lost), len(found.doubled)) == (1, 1)


def test_a_script_that_says_a_text_twice_is_refused() -> None:
    with pytest.raises(BadScript, match=r"kitchen says 'text 1\.1' twice"):
        check([*SCRIPT, Line("kitchen", 9, 1, "text 1.1")], [])


def test_findings_in_words_name_what_went_wrong() -> None:
    words = str(check(SCRIPT, []))
    assert words.startswith("12 spoken, 12 lost, 0 doubled, 0 out of order, 0 never said; Line(")
