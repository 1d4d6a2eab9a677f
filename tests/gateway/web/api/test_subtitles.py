"""Subtitles: what players read, whatever was said."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.recordings.subtitles import srt, text, vtt


@dataclass
class Said:
    start: float
    end: float
    text: str


CUES = [Said(0.0, 1.5, "Turn on the light."), Said(3599.9996, 3661.25, "It is <b>on</b> & {well}")]


def test_subrip() -> None:
    assert srt(CUES) == (
        "1\n00:00:00,000 --> 00:00:01,500\nTurn on the light.\n\n"
        "2\n01:00:00,000 --> 01:01:01,250\nIt is (b)on(/b) & (well)\n"
    )


def test_webvtt() -> None:
    assert vtt(CUES) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nTurn on the light.\n\n"
        "01:00:00.000 --> 01:01:01.250\nIt is &lt;b&gt;on&lt;/b&gt; &amp; {well}\n"
    )


def test_text() -> None:
    assert text(CUES) == "Turn on the light.\nIt is <b>on</b> & {well}\n"


def test_nothing() -> None:
    assert (srt([]), vtt([]), text([])) == ("", "WEBVTT\n", "")


@given(st.lists(st.builds(Said, st.floats(0, 1e5), st.floats(0, 1e5), st.text(max_size=200))))
def test_whatever_is_said_stays_within_its_cue(cues: list[Said]) -> None:
    made = vtt(cues)
    times = re.findall(r"(?m)^\d\d+:\d\d:\d\d\.\d{3} --> \d\d+:\d\d:\d\d\.\d{3}$", made)
    assert len(times) == len(cues)
    assert made.count("-->") == len(cues)
    assert len(re.findall(r"(?m)^\d\d+:\d\d:\d\d,\d{3} --> ", srt(cues))) == len(cues)
    assert all("\n\n" not in block for block in srt(cues).split("\n\n"))


def test_a_cue_lasts_however_short_it_is() -> None:
    short = [Said(1.0001, 1.0002, "Go.")]
    assert "00:00:01,000 --> 00:00:01,001\n" in srt(short)
    assert "00:00:01.000 --> 00:00:01.001\n" in vtt(short)
