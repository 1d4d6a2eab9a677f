"""Which streams are judged together, and what a change of the settings leaves as it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from msgspec import convert

from firmware_bridge.settings import DeviceSettings
from gateway.pipeline.arbitration.contests import Contestant, Contests
from tests.gateway.pipeline.arbitration.voices import Ears, spoken
from transcription.audio import AudioChunk, Samples
from transcription.settings import SegmenterSettings
from transcription.utterance.segmenter import SegmenterEvent, SpeechStarted, Utterance, UtteranceSegmenter

ROOM = "Living room"
PIECE = 640


def devices(*names: str, **arbitration: Any) -> DeviceSettings:
    settings = {"rooms": dict.fromkeys(names, ROOM), "arbitration": {"enabled": True, **arbitration}}
    return convert(settings, DeviceSettings)


def contests(settings: DeviceSettings, now: float = 100.0) -> Contests:
    return Contests(settings, lambda _: ("home", ROOM), lambda: now)


def entered(one: Contests, name: str) -> Contestant:
    contestant = one.enter(name, pressed=False)
    assert contestant is not None
    return contestant


def test_who_is_judged_with_the_same_devices_goes_on_when_the_settings_change() -> None:
    one = contests(devices("sofa", "shelf"))
    sofa = entered(one, "sofa")
    one.reconfigure(devices("sofa", "shelf", "door", window_ms=200))
    assert one.enter("sofa", pressed=False, before=sofa) is sofa
    one.reconfigure(devices("sofa", "shelf", groups={"sofa": "corner", "door": "corner"}))
    assert one.enter("sofa", pressed=False, before=sofa) is not sofa
    one.reconfigure(devices("sofa", "shelf", enabled=False))
    assert one.enter("sofa", pressed=False, before=sofa) is None


def test_how_far_apart_one_voice_may_be_changes_for_those_who_listen() -> None:
    assert answering(window_ms=500) == ["sofa"]
    assert answering(window_ms=500, later={"window_ms": 50}) == ["sofa", "shelf"]


def answering(later: dict[str, Any] | None = None, **arbitration: Any) -> list[str]:
    """Who answers one voice that the other device hears 0.3 s later."""
    clock = [100.0]
    one = Contests(devices("sofa", "shelf", **arbitration), lambda _: ("home", ROOM), lambda: clock[0])
    boards = {name: _Board(entered(one, name), late=name == "shelf") for name in ("sofa", "shelf")}
    if later is not None:
        one.reconfigure(devices("sofa", "shelf", **later))
    for at in count(0, PIECE):
        clock[0] += PIECE / 16_000
        heard = [board.hear(at) for board in boards.values()]
        if not any(heard):
            break
    return [name for name, board in boards.items() for one in board.decided() if one]


class _Board:
    def __init__(self, contestant: Contestant, *, late: bool) -> None:
        self._contestant = contestant
        self._samples: Samples = spoken(1, before=1.3 if late else 1.0, db=-6.0 if late else 0.0)
        self._segmenter = UtteranceSegmenter(Ears(), SegmenterSettings(), end_on_silence=True)
        self._heard: list[Any] = []

    def hear(self, at: int) -> bool:
        if at >= len(self._samples):
            return False
        chunk = AudioChunk(at, self._samples[at : at + PIECE])
        self._contestant.hear(chunk)
        for event in self._segmenter.feed(chunk):
            self._take(event)
        return True

    def _take(self, event: SegmenterEvent) -> None:
        if isinstance(event, Utterance):
            self._heard.append(self._contestant.complete(event))
        elif isinstance(event, SpeechStarted):
            self._contestant.speech_began(event.position)

    def decided(self) -> Iterator[bool]:
        for one in self._heard:
            decision = one._claim.decision
            yield decision is not None and not decision.by
