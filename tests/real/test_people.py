"""People's recordings come with their words, and what something was chosen on is not what it is judged on."""

from __future__ import annotations

import pytest

from benchmarks.load.crowd import CHOSEN_ON, sets
from tests.real.people import LANGUAGES, LONGEST, MOONSHINE, MUSIC, PROMPTS, music, prompts, read, readers
from transcription.audio import SAMPLE_RATE

pytestmark = pytest.mark.slow


@pytest.mark.real(PROMPTS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_prompts_have_words_and_a_voice(language: str) -> None:
    found = prompts(language)
    assert len(found) > 200
    assert all(len(one.text.split()) >= 3 and not set("[]()") & set(one.text) for one in found)
    assert 0.4 < sum(one.is_for_choosing for one in found) / len(found) < 0.6
    samples = read(found[0].path)
    assert 1 < len(samples) / SAMPLE_RATE < LONGEST
    assert samples.max() > 3_000


@pytest.mark.real(PROMPTS, MOONSHINE)
def test_nothing_is_judged_on_what_was_chosen_on() -> None:
    heard = {one.name: {said.name for said in one.said} for one in sets(("en",), 200)}
    chosen = set().union(*(names for name, names in heard.items() if name.startswith(CHOSEN_ON)))
    judged = set().union(*(names for name, names in heard.items() if not name.startswith(CHOSEN_ON)))
    assert len(chosen) > 100 < len(judged)
    assert not chosen & judged
    assert len(heard) == 8


@pytest.mark.real(MOONSHINE, MUSIC)
def test_readers_and_music_are_there() -> None:
    assert [len(text.split()) for text, _ in readers()] == [12, 119]
    assert len(music()) == 5
    assert sum(len(read(path)) for path in music()) / SAMPLE_RATE / 60 > 18
