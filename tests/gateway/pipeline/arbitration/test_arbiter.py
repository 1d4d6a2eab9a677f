"""Of the devices that hear one voice which answers, with a clock that is made up: nothing here waits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pipeline.arbitration.arbiter import (
    HOLD_SECONDS,
    MOST_CLAIMS,
    REMEMBERED_SECONDS,
    STALLED_SECONDS,
    Arbiter,
)
from gateway.pipeline.arbitration.claims import Claim
from gateway.pipeline.arbitration.voice_track import VoiceTrack
from tests.gateway.pipeline.arbitration.voices import Ear, listen, spoken
from transcription.audio import SAMPLE_RATE, Samples
from transcription.utterance.segmenter import EndReason


def answered(ears: dict[str, Ear]) -> list[str]:
    """Every utterance is decided; by whom it is answered."""
    return [name for name, ear in ears.items() for one in ear.answered if one]


def room(*dbs: float, seed: int = 1) -> dict[str, Ear]:
    """One voice, so loud at each."""
    return {f"{db:g}": Ear(spoken(seed, db=db)) for db in dbs}


@pytest.mark.slow
@settings(max_examples=12)
@given(
    seed=st.integers(0, 200),
    order=st.permutations([0, -5, -10, -15]),
    count=st.integers(1, 4),
    late=st.lists(st.floats(0, 0.3), min_size=4, max_size=4),
    seconds=st.floats(0.35, 3),
)
def test_one_voice_is_answered_once_where_it_is_loudest_and_nobody_waits(
    seed: int, order: list[int], count: int, late: list[float], seconds: float
) -> None:
    ears = {
        f"{db}": Ear(spoken(seed, db=db, seconds=seconds), late=late[number])
        for number, db in enumerate(order[:count])
    }
    listen(ears)
    assert answered(ears) == [str(max(order[:count]))]
    best = ears[str(max(order[:count]))]
    assert best.held == [0.0]
    for name, ear in ears.items():
        assert len(ear.decisions) == 1, name
        assert ear.held[0] <= 0.3 + 2 * HOLD_SECONDS


@pytest.mark.slow
@settings(max_examples=8)
@given(seeds=st.lists(st.integers(0, 500), min_size=2, max_size=3, unique=True), late=st.floats(0, 0.3))
def test_as_many_voices_as_there_are_are_answered(seeds: list[int], late: float) -> None:
    ears = {f"d{seed}": Ear(spoken(seed, seconds=1.5), late=late * n) for n, seed in enumerate(seeds)}
    listen(ears)
    assert answered(ears) == list(ears)


def test_two_people_who_speak_at_once_are_both_answered_where_each_is_louder_to_their_own() -> None:
    one, other = (spoken(seed, seconds=2, noise=0).astype(float) for seed in (7, 8))
    noise = np.random.default_rng(1).normal(0, 30, (2, len(one)))
    ears = {
        "left": Ear((one + other / 4 + noise[0]).astype(np.int16)),
        "right": Ear((other + one / 4 + noise[1]).astype(np.int16)),
    }
    listen(ears)
    assert answered(ears) == ["left", "right"]


def test_a_microphone_that_is_turned_up_wins_nothing() -> None:
    near = spoken(1, noise=40)
    far = (spoken(1, db=-6, noise=40).astype(float) * 2.5).clip(-32_768, 32_767).astype(np.int16)
    ears = {"near": Ear(near), "far": Ear(far)}
    listen(ears)
    assert answered(ears) == ["near"]
    (decision,) = ears["far"].decisions
    here, there = decision.receptions[1], decision.receptions[0]
    assert here.level > there.level
    assert here.snr < there.snr - 3
    assert decision.reason == "heard by near: 6 dB clearer there"


def test_a_button_that_is_held_is_answered_whatever_the_others_hear_and_they_are_told_at_once() -> None:
    pressed = Ear(spoken(1, db=-12), pressed=True, ends=EndReason.STOP)
    ears = {
        "loud": Ear(spoken(1)),
        "pressed": pressed,
        "too": Ear(spoken(1, db=-15), pressed=True, ends=EndReason.STOP),
    }
    listen(ears)
    assert answered(ears) == ["pressed", "too"]
    assert ears["loud"].decisions[0].reason == "heard by pressed: its button is held"
    assert ears["loud"].held == [0.0]


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_who_goes_away_in_the_middle_is_not_waited_for(late: float) -> None:
    ears = {"0": Ear(spoken(1, seconds=2), late=late, away_after=2.2), **room()}
    ears["-6"] = Ear(spoken(1, db=-6, seconds=2))
    listen(ears)
    assert answered(ears) == ["-6"]
    assert ears["-6"].held == [0.0]
    assert not ears["0"].decisions


def muted(samples: Samples, at: float) -> Samples:
    silent = samples.copy()
    silent[int(at * SAMPLE_RATE) :] = 0
    return silent


@pytest.mark.slow
def test_who_is_muted_in_the_middle_does_not_answer_half_a_sentence() -> None:
    ears = {
        "0": Ear(muted(spoken(1, seconds=4, after=3), 2.3)),
        "-6": Ear(spoken(1, db=-6, seconds=4, after=3)),
    }
    listen(ears)
    assert answered(ears) == ["-6"]
    assert ears["0"].decisions[0].by == "-6"


@pytest.mark.slow
def test_a_stream_that_is_broken_off_does_not_answer_half_a_sentence_but_alone_it_does() -> None:
    half = spoken(1, seconds=4)[: int(2.3 * SAMPLE_RATE)]
    ears = {"0": Ear(half, ends=EndReason.STOP), "-6": Ear(spoken(1, db=-6, seconds=4))}
    listen(ears)
    assert answered(ears) == ["-6"]
    alone = {"0": Ear(half, ends=EndReason.STOP)}
    listen(alone)
    assert answered(alone) == ["0"]
    assert alone["0"].held == [0.0]


def test_who_hears_something_else_besides_is_not_waited_for_for_long() -> None:
    noise = spoken(50, seconds=3, before=0.0)  # right behind the voice, at one device
    goes_on = np.concatenate((spoken(1, seconds=2, after=0.2), noise))
    ears = {"loud": Ear(goes_on), "quiet": Ear(spoken(1, seconds=2, db=-6, after=5))}
    listen(ears)
    assert answered(ears) == ["quiet"]
    assert ears["quiet"].held[0] == pytest.approx(HOLD_SECONDS, abs=0.05)
    assert ears["loud"].decisions[0].reason == "heard by quiet: answered there already"


def test_who_misses_a_quiet_end_does_not_answer_half_a_sentence() -> None:
    quiet = np.zeros(SAMPLE_RATE)
    end = spoken(12, db=-24, before=0.5, after=0, noise=0)
    voice = np.concatenate((quiet, spoken(11, before=0, after=0, noise=0), end, quiet, quiet))
    noise = np.random.default_rng(5).normal(0, 60, (2, len(voice)))
    ears = {
        "near": Ear((voice + noise[0]).astype(np.int16)),
        "far": Ear((voice * 10 ** (-12 / 20) + noise[1]).astype(np.int16)),
    }
    listen(ears)
    assert answered(ears) == ["near"]
    assert ears["far"].held[0] > 1, "it has been complete for long"
    assert {decision.by for decision in ears["far"].decisions} == {"near"}


def test_who_has_stalled_is_waited_for_no_longer() -> None:
    ears = {"near": Ear(spoken(1, seconds=3), stalls=(3.0, 9.0)), "far": Ear(spoken(1, seconds=3, db=-6))}
    listen(ears)
    assert answered(ears) == ["far"]
    assert ears["far"].held[0] < STALLED_SECONDS
    assert ears["near"].decisions[0].by == "far"


def test_what_comes_after_the_decision_is_told_however_loud_it_was() -> None:
    slow = Ear(spoken(1, db=6, seconds=2), stalls=(1.3, 8.0))
    ears = {"near": Ear(spoken(1, seconds=2)), "slow": slow}
    listen(ears)
    assert answered(ears) == ["near"]
    assert (slow.decisions[0].by, slow.held) == ("near", [0.0])
    assert slow.decisions[0].why == "answered there already"


@pytest.mark.slow
def test_what_comes_half_a_minute_late_is_told_though_the_other_stream_has_gone_on() -> None:
    slow = Ear(spoken(1, db=6, seconds=2, before=9.0, after=2), stalls=(9.3, 38.0))
    ears = {"near": Ear(spoken(1, seconds=2, before=9.0, after=30)), "slow": slow}
    listen(ears)
    assert answered(ears) == ["near"]
    assert slow.decisions[0].by == "near"


def test_the_same_words_once_more_are_answered_again() -> None:
    ears = {"near": Ear(spoken(1)), "again": Ear(spoken(1), since=4.0)}
    listen(ears)
    assert answered(ears) == ["near", "again"]


@pytest.mark.slow
def test_the_rest_of_long_speech_is_answered_where_its_beginning_was() -> None:
    sentences = [spoken(seed, seconds=2.5, before=0.15, after=0.15) for seed in range(7)]
    quiet = spoken(1, seconds=0)
    whole = np.concatenate((quiet, *sentences, quiet))
    turned = whole.astype(float)
    turned[17 * SAMPLE_RATE :] *= 3  # towards the other one
    turned = turned.clip(-32_768, 32_767)
    ears = {"first": Ear(whole), "second": Ear((turned / 2).astype(np.int16))}
    listen(ears)
    assert len(ears["first"].decisions) > 1
    assert set(answered(ears)) == {"first"}


def test_a_voice_that_woke_two_devices_apart_is_of_two_people() -> None:
    ears = {
        "one": Ear(spoken(1, before=2.0), woken_at=0.2),
        "other": Ear(spoken(1, before=2.0), woken_at=1.2),
    }
    listen(ears)
    assert answered(ears) == ["one", "other"]
    together = {
        "one": Ear(spoken(1, db=-6, before=2.0), woken_at=1.2),
        "other": Ear(spoken(1, before=2.0), woken_at=1.4),
    }
    listen(together)
    assert answered(together) == ["other"]


def test_claims_are_bounded_and_each_is_decided_all_the_same() -> None:
    arbiter, track = Arbiter(0.5), VoiceTrack()
    claims = [Claim("one", track, start) for start in range(MOST_CLAIMS + 10)]
    for claim in claims:
        arbiter.enter(claim, 1.0)
        assert len(arbiter) <= MOST_CLAIMS
    for claim in claims:
        arbiter.complete(claim, claim.start + 1, 2.0)
    assert all(claim.is_answered for claim in claims)
    arbiter.enter(Claim("one", track, 0), 3.0 + REMEMBERED_SECONDS)
    assert len(arbiter) == 1


def test_what_is_withdrawn_holds_nobody() -> None:
    arbiter, track = Arbiter(0.5), VoiceTrack()
    claim = Claim("one", track, 0)
    arbiter.enter(claim, 1.0)
    arbiter.withdraw(claim, 1.0)
    arbiter.withdraw(claim, 1.0)
    assert len(arbiter) == 0
    assert claim.decision is None
