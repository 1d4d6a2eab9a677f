"""The real faster-whisper with the bundled model on real recordings, and what breaks it."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.transcription.speech import TEXTS, recording, utterance
from transcription.audio import to_float32
from transcription.errors import EngineFailed, ModelUnavailable
from transcription.models.models import BUNDLED, FULL, SHORTEST, STOCK_FLOOR
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints, Task, Transcript
from transcription.utterance.segmenter import NO_VOICE, EndReason
from transcription.whisper import decoding, naming
from transcription.whisper.computing import place
from transcription.whisper.context import HOP, LONGEST, SECOND_LOOK, TAIL
from transcription.whisper.decoding import Take, WhisperDecoder
from transcription.whisper.engine import WhisperTranscriber
from transcription.whisper.guards import Doubt, Hypothesis, doubts, token_limit
from transcription.whisper.prompts import MOST_TOKENS, POSITIONS

QUICK = ["u05", "u06", "u34"]
PROMPTED = Hints(prompt="one two", hotwords="three")
SLOW = sorted(set(TEXTS) - set(QUICK))


@pytest.fixture(scope="module")
def whisper() -> WhisperTranscriber:
    engine = WhisperTranscriber(TranscriptionSettings(context=SHORTEST))
    engine.load()
    return engine


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_the_text_of_a_recording(whisper: WhisperTranscriber, name: str) -> None:
    assert whisper.transcribe(utterance(recording(name))).text == TEXTS[name]


def test_what_else_a_transcript_says(whisper: WhisperTranscriber) -> None:
    transcript = whisper.transcribe(utterance(recording("u05")))
    assert (transcript.engine, transcript.model, transcript.language) == ("faster-whisper", "bundled", "en")
    assert 0.5 < transcript.confidence <= 1
    assert transcript.no_speech_probability < 0.5
    [segment] = transcript.segments
    assert (segment.text, segment.start) == (transcript.text, 0.0)
    assert segment.end == pytest.approx(1.41, abs=0.05)
    assert transcript.seconds > 0
    assert transcript.context_frames == (len(recording("u05")) + TAIL) // HOP
    assert not transcript.retried


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"beam_size": 5},
        {"compute_type": "float32"},
        {"language": "auto"},
        {"threads": 1},
        {"context": "full"},
    ],
)
def test_other_settings(settings: dict[str, object]) -> None:
    engine = WhisperTranscriber(TranscriptionSettings(**settings))  # type: ignore[arg-type]
    engine.load()
    assert engine.transcribe(utterance(recording("u05"))).text == TEXTS["u05"]


@pytest.mark.parametrize(
    ("threads", "batch", "at_once"), [(1, 4, 1), (2, 4, 2), (3, 2, 2), (2, 1, 1), (64, 4, 4)]
)
def test_as_many_at_the_same_time_as_there_are_threads_and_may_be_taken(
    threads: int, batch: int, at_once: int
) -> None:
    engine = WhisperTranscriber(TranscriptionSettings(threads=threads, batch_utterances=batch))
    engine.load()
    assert engine._decoder is not None
    assert (engine.lanes, engine._decoder.at_once) == (at_once, at_once)
    assert engine.transcribe(utterance(recording("u05"))).text == TEXTS["u05"]
    engine.close()


# The context


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "frames"), [("auto", 300), (100, 191), (500, 500), (STOCK_FLOOR, STOCK_FLOOR), ("full", FULL)]
)
def test_the_setting_is_the_shortest_context(setting: Any, frames: int) -> None:
    engine = WhisperTranscriber(TranscriptionSettings(context=setting))
    engine.load()
    transcript = engine.transcribe(utterance(recording("u05")))
    assert (transcript.text, transcript.context_frames) == (TEXTS["u05"], frames)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["auto", STOCK_FLOOR, "full"])
@pytest.mark.parametrize("stock", [False, True])
def test_it_is_warm_before_the_first_utterance(
    monkeypatch: pytest.MonkeyPatch,
    stock_weights: Path,
    setting: Any,
    stock: bool,  # noqa: FBT001
) -> None:
    """What the first utterance needs each thread has computed once, and one of them what a second look does."""
    run: list[int] = []
    decode = WhisperDecoder.decode

    def noted(decoder: WhisperDecoder, take: Take) -> Hypothesis:
        run.append(take.frames)
        return decode(decoder, take)

    monkeypatch.setattr(WhisperDecoder, "decode", noted)
    model = str(stock_weights) if stock else "bundled"
    engine = WhisperTranscriber(TranscriptionSettings(model=model, context=setting, threads=2))
    engine.load()
    warm = list(run)
    first = engine.transcribe(utterance(recording("u05"))).context_frames
    assert warm == [first, first, *([] if setting == "full" else [SECOND_LOOK if stock else FULL])]
    run.clear()
    engine.load()
    assert run == [], "a model that is loaded stays warm"


def test_a_model_that_fails_when_it_is_warmed_up_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_decoder: WhisperDecoder, _take: Take) -> Hypothesis:
        raise RuntimeError("weights of another planet")

    monkeypatch.setattr(WhisperDecoder, "decode", fails)
    with pytest.raises(ModelUnavailable, match="weights of another planet") as caught:
        WhisperTranscriber(TranscriptionSettings()).load()
    assert "fetch or copy the model again" in caught.value.remedy


@pytest.fixture
def stock_weights(tmp_path: Path) -> Path:
    """A model that does not say that it was trained on short contexts."""
    folder = Path(shutil.copytree(BUNDLED, tmp_path / "model"))
    (folder / "config.json").write_text((BUNDLED / "config.json").read_text().replace("shortest", "no"))
    return folder


def test_weights_that_say_nothing_get_the_stock_floor(stock_weights: Path) -> None:
    engine = WhisperTranscriber(TranscriptionSettings(model=str(stock_weights)))
    engine.load()
    assert engine.transcribe(utterance(recording("u05"))).context_frames == STOCK_FLOOR


def test_what_comes_after_the_speech_is_not_given_to_the_model(whisper: WhisperTranscriber) -> None:
    speech = recording("u05")
    late = np.concatenate([speech, np.zeros(16_000, np.int16), recording("u21")])
    transcript = whisper.transcribe(utterance(late, speech_end=len(speech)))
    assert transcript.text == TEXTS["u05"]
    assert transcript.context_frames == (len(speech) + TAIL) // HOP
    assert transcript.segments[0].end == pytest.approx((len(speech) + TAIL) / 16_000)


@pytest.mark.slow
def test_no_length_of_audio_makes_the_encoder_work_twice(whisper: WhisperTranscriber) -> None:
    """In 159 and 160 frames, about 1.1 s of speech and its tail, CTranslate2 would silently hear nothing."""
    for frames in range(155, 165):
        transcript = whisper.transcribe(utterance(recording("u05"), speech_end=frames * HOP - TAIL))
        assert transcript.text == TEXTS["u05"], frames
        assert transcript.context_frames == (161 if frames in {159, 160} else frames)


def test_the_forbidden_lengths_are_forbidden_for_a_reason() -> None:
    """The premise of ``context_frames``; if CTranslate2 mends this, it can go."""
    decoder = WhisperDecoder(BUNDLED, place(TranscriptionSettings()), beam_size=1, threads=1)
    features = decoder.features(to_float32(recording("u05")))
    heard = {frames: decoder.decode(Take(features, frames, 20, "en")).text for frames in range(155, 165)}
    assert {frames for frames, text in heard.items() if text != TEXTS["u05"]} == {159, 160}


# The language


class Polyglot:
    """CTranslate2's model of many languages, as far as it is asked about them."""

    def __init__(self) -> None:
        self.prompts: list[list[list[int]]] = []

    def encode(self, features: object) -> str:
        return "what was encoded"

    def detect_language(self, encoded: object) -> list[list[tuple[str, float]]]:
        assert encoded == "what was encoded", "the encoder runs once"
        return [[("<|de|>", 0.9), ("<|haw|>", 0.1)]]

    def generate(self, encoded: object, prompts: list[list[int]], **options: object) -> list[Any]:
        assert encoded == "what was encoded"
        self.prompts.append(prompts)
        return [SimpleNamespace(sequences_ids=[[5]], scores=[-0.1], no_speech_prob=0.0)]


class Words:
    """A tokenizer whose prompt tells its language."""

    no_timestamps = 0

    def __init__(self, language: int) -> None:
        self.sot_sequence = [language]

    def decode(self, tokens: list[int]) -> str:
        return " hallo"


@pytest.mark.parametrize(("pinned", "language", "prompt"), [(None, "de", [49, 0]), ("haw", "haw", [1, 0])])
def test_the_language_is_pinned_or_detected_in_what_was_encoded_anyway(
    pinned: str | None, language: str, prompt: list[int]
) -> None:
    decoder = WhisperDecoder(BUNDLED, place(TranscriptionSettings()), beam_size=1, threads=1)
    decoder._model = polyglot = Polyglot()
    decoder._tokenizers = {"de": Words(49), "haw": Words(1)}
    hypothesis = decoder.decode(Take(np.zeros((80, 100), np.float32), 100, 9, pinned))
    assert (hypothesis.language, hypothesis.text) == (language, "hallo")
    assert hypothesis.language_probability == (0.0 if pinned else 0.9)
    assert polyglot.prompts == [[prompt]]


def test_a_hint_names_the_language_of_one_utterance(whisper: WhisperTranscriber) -> None:
    for language in ("en", "auto", None):
        transcript = whisper.transcribe(utterance(recording("u05")), Hints(language=language))
        assert (transcript.text, transcript.language) == (TEXTS["u05"], "en")
        assert transcript.language_probability == 0, "it knows one only: nothing was detected"
    with pytest.raises(EngineFailed, match="the model bundled does not know the language 'de'"):
        whisper.transcribe(utterance(recording("u05")), Hints(language="de"))


# Prompts and hotwords


def test_a_prompt_is_read_and_leaves_nothing_behind(whisper: WhisperTranscriber) -> None:
    """The bundled model gets worse with any; how much worse is not the point."""
    for hints in (Hints(prompt="turn on the light"), Hints(hotwords="motor, light"), PROMPTED):
        transcript = whisper.transcribe(utterance(recording("u05")), hints)
        assert 0 <= transcript.confidence <= 1
    assert whisper.transcribe(utterance(recording("u05"))).text == TEXTS["u05"]


NAMES = ("Ecobee", "motor", "garden door")


def named(folder: Path, names_tokens: int = 120) -> WhisperTranscriber:
    """The bundled model, if it said that names do it good."""
    shutil.copytree(BUNDLED, folder)
    config = (BUNDLED / "config.json").read_text().replace('"takes_names": false', '"takes_names": true')
    (folder / "config.json").write_text(config)
    engine = WhisperTranscriber(TranscriptionSettings(model=str(folder), names_tokens=names_tokens))
    engine.load()
    return engine


def test_it_says_how_many_of_the_names_it_was_told(tmp_path: Path) -> None:
    engine = named(tmp_path / "all")
    assert engine.transcribe(utterance(recording("u05"))).names_told == 0
    assert engine.transcribe(utterance(recording("u05")), Hints(names=NAMES)).names_told == 3
    both = [Task(utterance(recording(one)), Hints(names=NAMES)) for one in ("u05", "u06")]
    assert [one.names_told for one in engine.transcribe_all(both) if isinstance(one, Transcript)] == [3, 3]
    none = named(tmp_path / "none", names_tokens=0)
    assert none.transcribe(utterance(recording("u05")), Hints(names=NAMES)).names_told == 0


def test_a_model_that_names_do_no_good_is_told_none(whisper: WhisperTranscriber) -> None:
    plain = whisper.transcribe(utterance(recording("u05")))
    told = whisper.transcribe(utterance(recording("u05")), Hints(names=NAMES))
    assert (told.text, told.confidence, told.names_told) == (plain.text, plain.confidence, 0)


def test_a_second_look_is_for_the_names_too_and_a_draft_for_none() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    engine._decoder = decoder = Scripted(replace(GOOD, cut=True), GOOD)  # type: ignore[assignment]
    engine._floor, engine._takes_names = 100, True
    transcript = engine.transcribe(utterance(np.ones(20_000, np.int16)), Hints(names=NAMES))
    assert (transcript.retried, transcript.names_told) == (True, 3)
    assert decoder.names == [NAMES, NAMES]
    draft = engine.transcribe(utterance(np.ones(20_000, np.int16)), Hints(names=NAMES, draft=True))
    assert (draft.names_told, decoder.names[2:]) == (0, [()])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> WhisperTranscriber:
    return named(tmp_path_factory.mktemp("told") / "model")


def test_names_that_are_near_nothing_change_nothing(
    whisper: WhisperTranscriber, told: WhisperTranscriber
) -> None:
    for name in QUICK:
        plain, with_them = (
            each.transcribe(utterance(recording(name)), Hints(names=("Xq", "🎤", "")))
            for each in (whisper, told)
        )
        assert with_them.text == plain.text
        assert with_them.confidence == pytest.approx(plain.confidence, abs=1e-3)  # other contexts


def test_what_the_model_is_sure_of_is_no_name_however_near(told: WhisperTranscriber) -> None:
    """The recordings are clear, and the names are their own words with one letter changed."""
    for name in QUICK:
        near = tuple(f"{word[:-1]}x" for word in TEXTS[name].split())
        assert told.transcribe(utterance(recording(name)), Hints(names=near)).text == TEXTS[name]


def test_a_name_takes_the_place_of_what_the_model_was_unsure_of(
    told: WhisperTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, and in a batch with others, whose text stays."""
    monkeypatch.setattr(naming, "_EVEN", 0.0)  # unsure of all
    monkeypatch.setattr(naming, "HEAD_START", 1000.0)
    *begin, last = TEXTS["u05"].split()
    name = f"{last[:-1]}{last[-1]}{last[-1]}a"
    expected = " ".join([*begin, name])
    hints = Hints(names=(name,))
    alone = told.transcribe(utterance(recording("u05")), hints)
    tasks = [
        Task(utterance(recording(one)), hints if one == "u05" else Hints()) for one in ("u06", "u05", "u34")
    ]
    assert alone.text == expected
    assert 0 < alone.confidence <= 1
    batch = [one for one in told.transcribe_all(tasks) if isinstance(one, Transcript)]
    assert [one.text for one in batch] == [TEXTS["u06"], expected, TEXTS["u34"]]
    timed = told.transcribe(utterance(recording("u05")), replace(hints, word_timestamps=True))
    assert [word.word for word in timed.words] == expected.split()


@pytest.mark.parametrize("words", [10, 1000])
@pytest.mark.parametrize("limit", [1, 16, 100, 1000])
def test_the_limit_of_tokens_holds_behind_a_prompt(
    limit: int, words: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "has_loop", lambda _tokens: False)  # it goes on from the half
    decoder = WhisperDecoder(BUNDLED, place(TranscriptionSettings()), beam_size=1, threads=1)
    decoder._suppressed = [*decoder._suppressed, decoder._tokenizers["en"].eot]
    features = decoder.features(to_float32(recording("u05")))
    hypothesis = decoder.decode(Take(features, 191, limit, "en", prompt="one " * words))
    room = POSITIONS - min(words, MOST_TOKENS) - 3
    assert len(hypothesis.tokens) == min(limit, room)
    assert hypothesis.cut


@pytest.mark.parametrize(("frames", "tokens"), [(191, 50), (FULL, 100)])
def test_what_loops_half_way_is_doubted_then_unless_nothing_is_longer(frames: int, tokens: int) -> None:
    decoder = WhisperDecoder(BUNDLED, place(TranscriptionSettings()), beam_size=1, threads=1)
    decoder._suppressed = [*decoder._suppressed, decoder._tokenizers["en"].eot]
    hypothesis = decoder.decode(Take(decoder.features(to_float32(recording("u05"))), frames, 100, "en"))
    assert len(hypothesis.tokens) == tokens
    assert doubts(hypothesis) >= {Doubt.ENDLESS, Doubt.LOOP}


@pytest.mark.parametrize("first", [1, 2, 3, 5])
def test_in_two_steps_it_says_what_it_says_in_one(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = WhisperDecoder(BUNDLED, place(TranscriptionSettings()), beam_size=1, threads=1)
    for name in QUICK:
        features = decoder.features(to_float32(recording(name)))
        take = Take(features, 300, 20, "en")
        monkeypatch.setattr(decoding, "_LEAST_TOKENS", 1_000)
        whole = decoder.decode(take)
        monkeypatch.setattr(decoding, "_LEAST_TOKENS", first)
        monkeypatch.setattr(decoding, "_SHARE", 0.0)
        parts = decoder.decode(take)
        assert replace(parts, log_probability=0) == replace(whole, log_probability=0)
        assert parts.log_probability == pytest.approx(whole.log_probability, abs=0.01)


# The words' times


@pytest.mark.slow
@pytest.mark.parametrize("context", ["auto", "full"])
@pytest.mark.parametrize("name", QUICK)
def test_every_word_has_its_time(context: Any, name: str) -> None:
    engine = WhisperTranscriber(TranscriptionSettings(context=context))
    engine.load()
    speech = recording(name)
    transcript = engine.transcribe(utterance(speech), Hints(word_timestamps=True))
    assert [word.word for word in transcript.words] == TEXTS[name].split()
    times = [time for word in transcript.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= len(speech) / 16_000
    assert all(0.1 < word.probability <= 1 for word in transcript.words)


def test_words_are_timed_from_the_utterances_start(whisper: WhisperTranscriber) -> None:
    """Half a second of quiet before, and every word but the first (which takes the quiet) is that much later."""
    speech = recording("u06")
    late = np.concatenate([np.zeros(8000, np.int16), speech])
    one, other = (
        whisper.transcribe(utterance(samples), Hints(word_timestamps=True)).words
        for samples in (speech, late)
    )
    assert [word.word for word in one] == [word.word for word in other]
    shifts = [b.start - a.start for a, b in zip(one[1:], other[1:], strict=True)]
    assert all(abs(shift - 0.5) < 0.25 for shift in shifts), shifts


@pytest.mark.parametrize("samples", [400, 1_600, 4_800, 12_345, 16_000])
def test_words_lie_in_the_audio_though_speech_reaches_its_end(
    whisper: WhisperTranscriber, samples: int
) -> None:
    """The silence that is heard behind it is nobody's."""
    torn = utterance(recording("u35")[8_000 : 8_000 + samples])
    transcript = whisper.transcribe(torn, Hints(word_timestamps=True))
    assert [segment.end for segment in transcript.segments] in ([torn.seconds], [])
    edges = [0.0, *(time for word in transcript.words for time in (word.start, word.end)), torn.seconds]
    assert edges == sorted(edges)
    assert all(word.start < word.end for word in transcript.words)
    assert len(transcript.words) == len(transcript.text.split())


def test_words_are_timed_only_where_that_is_wanted(whisper: WhisperTranscriber) -> None:
    assert whisper.transcribe(utterance(recording("u05"))).words == ()
    silence = utterance(np.zeros(16_000, np.int16))
    assert whisper.transcribe(silence, Hints(word_timestamps=True)).words == ()


# The second look


class Scripted:
    """A decoder that says what it is told to, by the length of context; ``longer``: in that of a second look."""

    mels = 80
    at_once = 1

    def __init__(self, short: Hypothesis, full: Hypothesis, longer: Hypothesis | None = None) -> None:
        self._short = short
        self._says = {SECOND_LOOK: longer or full, FULL: full}
        self.asked: list[tuple[int, int]] = []
        self.prompts: list[tuple[str, str]] = []
        self.names: list[tuple[str, ...]] = []

    def features(self, samples: np.ndarray) -> np.ndarray:
        return np.zeros((80, len(samples) // HOP), np.float32)

    def fitting(self, names: tuple[str, ...], _most_tokens: int, _language: str | None) -> tuple[str, ...]:
        return names

    def decode(self, take: Take) -> Hypothesis:
        self.asked.append((take.frames, take.most_tokens))
        self.prompts.append((take.prompt, take.hotwords))
        self.names.append(take.names)
        return replace(self._says.get(take.frames, self._short), frames=take.frames)


GOOD = Hypothesis("stop the motor", (1, 2, 3), -0.1, 0.0, "en", 0)
LOOP = Hypothesis("stop " * 9, (1,) * 9, -0.01, 0.0, "en", 0)
CUT = replace(GOOD, text="stop the", cut=True)
HUSH = Hypothesis("you", (7,), -1.5, 0.9, "en", 0)
NOTHING = Hypothesis("", (), 0.0, 0.9, "en", 0)
SWALLOWED = replace(GOOD, text="stop the mortar", log_probability=-0.9, no_speech_probability=0.8)
"""Words that the model takes back: as likely as what is said, though it means that nobody spoke."""

RARE = replace(GOOD, log_probability=-0.95)
UNLIKELY = replace(GOOD, log_probability=-1.2)
WORSE = replace(LOOP, cut=True)

LOOKS = {  # what it says in the context of its length, of a second look and in full; the text, its context, looks
    "believed at once": ((GOOD, LOOP, LOOP), "stop the motor", 175, 1),
    "silence at once": ((HUSH, GOOD, GOOD), "", 175, 1),
    "nothing at once": ((NOTHING, GOOD, GOOD), "", 175, 1),
    "speech that was called silence": ((SWALLOWED, RARE, LOOP), "stop the motor", SECOND_LOOK, 2),
    "mended": ((LOOP, GOOD, LOOP), "stop the motor", SECOND_LOOK, 2),
    "cut, then whole": ((CUT, GOOD, LOOP), "stop the motor", SECOND_LOOK, 2),
    "silence after all": ((LOOP, HUSH, GOOD), "", SECOND_LOOK, 2),
    "mended in full": ((LOOP, LOOP, GOOD), "stop the motor", FULL, 3),
    "called silence twice": ((SWALLOWED, SWALLOWED, RARE), "stop the motor", FULL, 3),
    "a loop, called silence": ((LOOP, SWALLOWED, RARE), "stop the motor", FULL, 3),
    "worse, but mended in full": ((CUT, WORSE, GOOD), "stop the motor", FULL, 3),
    "silence every time": ((SWALLOWED, SWALLOWED, SWALLOWED), "", FULL, 3),
    "silence, or a loop": ((SWALLOWED, LOOP, LOOP), "", 175, 3),
    "worse": ((UNLIKELY, WORSE, WORSE), "stop the motor", 175, 3),
    "the second was best": ((WORSE, UNLIKELY, LOOP), "stop the motor", SECOND_LOOK, 3),
    "said like this every time": ((LOOP, LOOP, LOOP), LOOP.text, FULL, 3),
}


@pytest.mark.parametrize(("says", "text", "frames", "looks"), LOOKS.values(), ids=LOOKS)
def test_a_doubtful_result_is_looked_at_again_and_in_full_only_when_that_is_doubtful_too(
    says: tuple[Hypothesis, Hypothesis, Hypothesis], text: str, frames: int, looks: int
) -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    short, longer, full = says
    engine._decoder = decoder = Scripted(short, full, longer)  # type: ignore[assignment]
    engine._floor = 100
    transcript = engine.transcribe(utterance(np.ones(20_000, np.int16)))
    assert (transcript.text, transcript.context_frames, transcript.retried) == (text, frames, looks > 1)
    limits = [token_limit(28_000 / 16_000, generous=generous) for generous in (False, True)]
    assert decoder.asked == [(175, limits[0]), (SECOND_LOOK, limits[1]), (FULL, limits[1])][:looks]


@pytest.mark.parametrize(
    ("floor", "tolerated"),
    [(SECOND_LOOK, STOCK_FLOOR), (FULL - 1, STOCK_FLOOR), (175, STOCK_FLOOR - 1), (1500, SHORTEST)],
)
def test_the_full_context_is_next_from_a_second_looks_on_and_for_weights_that_are_no_stock_ones(
    floor: int, tolerated: int
) -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    engine._decoder = decoder = Scripted(LOOP, GOOD, LOOP)  # type: ignore[assignment]
    engine._floor, engine._tolerated = floor, tolerated
    assert engine.transcribe(utterance(np.ones(20_000, np.int16))).text == GOOD.text
    assert [frames for frames, _ in decoder.asked] == [floor, FULL]


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_what_nobody_waits_for_is_looked_at_no_further(patience: int) -> None:
    engine, unwanted = WhisperTranscriber(TranscriptionSettings()), utterance(np.ones(20_000, np.int16))

    class Impatient(Scripted):
        def decode(self, take: Take) -> Hypothesis:
            if len(self.asked) == patience:
                engine.hurry(unwanted)
            return super().decode(take)

    engine._decoder = decoder = Impatient(LOOP, GOOD, LOOP)  # type: ignore[assignment]
    engine._floor = 100
    assert engine.transcribe(unwanted).retried is (patience > 0)
    assert len(decoder.asked) == patience + 1
    assert engine.transcribe(utterance(np.ones(20_000, np.int16))).text == GOOD.text, "the next one is wanted"


def test_silence_in_which_nobody_was_noticed_is_not_looked_at_twice() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    engine._decoder = decoder = Scripted(SWALLOWED, GOOD)  # type: ignore[assignment]
    engine._floor = 100
    faint = utterance(np.ones(20_000, np.int16), has_speech=False, peak_probability=0.4)
    assert engine.transcribe(faint).text == ""
    assert len(decoder.asked) == 1


def test_what_was_made_of_mere_sounds_is_no_text() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    thanks = replace(GOOD, no_speech_probability=0.85)
    engine._decoder = Scripted(thanks, thanks)  # type: ignore[assignment]
    engine._floor = 100
    sounds = utterance(np.ones(20_000, np.int16), peak_probability=0.78)
    said = engine.transcribe(sounds)
    assert (said.text, said.confidence, said.words, said.segments) == ("", 0, (), ())
    assert engine.transcribe(utterance(np.ones(20_000, np.int16))).text == GOOD.text


def test_there_is_nothing_beyond_the_full_context() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    engine._decoder = decoder = Scripted(GOOD, LOOP)  # type: ignore[assignment]
    engine._floor = FULL
    transcript = engine.transcribe(utterance(np.ones(20_000, np.int16)))
    assert (transcript.text, transcript.retried, len(decoder.asked)) == (LOOP.text, False, 1)


@pytest.mark.parametrize(("short", "doubtful"), [(GOOD, False), (HUSH, False), (LOOP, True), (CUT, True)])
def test_a_draft_is_not_looked_at_twice(short: Hypothesis, doubtful: bool) -> None:  # noqa: FBT001
    engine = WhisperTranscriber(TranscriptionSettings())
    engine._decoder = decoder = Scripted(short, GOOD)  # type: ignore[assignment]
    engine._floor = 100
    transcript = engine.transcribe(utterance(np.ones(20_000, np.int16)), Hints(draft=True))
    assert (transcript.doubtful, transcript.retried, transcript.context_frames) == (doubtful, False, 175)
    assert len(decoder.asked) == 1


@pytest.mark.slow
def test_only_drafts_are_called_doubtful(whisper: WhisperTranscriber) -> None:
    digits = utterance(recording("u22"))
    assert [whisper.transcribe(digits, Hints(draft=draft)).doubtful for draft in (False, True)] == [
        False,
        True,
    ]


def test_the_second_look_is_taken_without_what_may_have_misled() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    engine._decoder = decoder = Scripted(replace(GOOD, echo=True), GOOD)  # type: ignore[assignment]
    engine._floor = 100
    transcript = engine.transcribe(utterance(np.ones(20_000, np.int16)), PROMPTED)
    assert (transcript.text, transcript.retried) == (GOOD.text, True)
    assert decoder.prompts == [("one two", "three"), ("", "")]


def test_in_the_full_context_too() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    engine._decoder = decoder = Scripted(GOOD, LOOP)  # type: ignore[assignment]
    engine._floor = FULL
    assert engine.transcribe(utterance(np.ones(20_000, np.int16)), PROMPTED).retried
    assert [frames for frames, _ in decoder.asked] == [FULL, FULL]
    assert decoder.prompts == [("one two", "three"), ("", "")]


def test_a_loop_of_the_real_model_is_mended(whisper: WhisperTranscriber) -> None:
    digits = whisper.transcribe(utterance(recording("u22")))
    assert (digits.text, digits.retried) == ("three six seven six one six", True)


# No voice


def test_a_button_held_in_silence_is_answered_without_the_model() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    engine._decoder = "never asked"  # type: ignore[assignment]
    held = utterance(
        np.zeros(16_000, np.int16), has_speech=False, speech_end=0, peak_probability=NO_VOICE - 0.1
    )
    transcript = engine.transcribe(held)
    assert (transcript.text, transcript.segments, transcript.confidence) == ("", (), 0.0)
    assert (transcript.context_frames, transcript.retried) == (0, False)
    assert transcript.no_speech_probability == pytest.approx(0.9)


def test_a_voice_too_faint_for_the_segmenter_is_transcribed(whisper: WhisperTranscriber) -> None:
    faint = utterance((recording("u05") // 100).astype(np.int16), has_speech=False, peak_probability=NO_VOICE)
    assert whisper.transcribe(faint).text == TEXTS["u05"]


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 400])
def test_next_to_no_audio_is_an_empty_text(whisper: WhisperTranscriber, samples: int) -> None:
    assert whisper.transcribe(utterance(np.zeros(samples, np.int16))).text == ""


# What one utterance does to the engine


POISON = {
    "the longest there is": np.random.default_rng(0).integers(-32768, 32768, 30 * 16_000).astype(np.int16),
    "a square wave at full scale": np.tile(np.repeat(np.array([32767, -32768], np.int16), 18), 1000),
    "one click": np.eye(1, 32_000, 16_000, dtype=np.int16)[0] * 32767,
    "two commands without a pause": np.concatenate([recording("u05"), recording("u21")]),
}


@pytest.mark.parametrize("samples", POISON.values(), ids=POISON)
def test_odd_audio_gives_some_text_in_bounded_work(whisper: WhisperTranscriber, samples: np.ndarray) -> None:
    transcript = whisper.transcribe(utterance(samples, end_reason=EndReason.MAX_LENGTH))
    assert 0 <= transcript.confidence <= 1
    assert len(transcript.text.split()) <= token_limit(len(samples) / 16_000, generous=True)


def test_an_utterance_that_breaks_the_engine_is_its_own_failure(whisper: WhisperTranscriber) -> None:
    with pytest.raises(EngineFailed, match=r"faster-whisper: \w+Error"):
        whisper.transcribe(utterance(np.zeros((2, 3, 4), np.int16)))
    assert whisper.transcribe(utterance(recording("u05"))).text == TEXTS["u05"]


def test_speech_that_whisper_cannot_hear_at_once_is_a_failure_and_not_half_a_text(
    whisper: WhisperTranscriber,
) -> None:
    with pytest.raises(EngineFailed, match="Whisper hears 30 s at a time"):
        whisper.transcribe(utterance(np.ones(LONGEST + 1, np.int16)))


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 2, 5, 16])
def test_the_engine_stops_at_the_limit_and_says_so(limit: int) -> None:
    """The premise of ``max_length``: CTranslate2 generates half of what it is told."""
    decoder = WhisperDecoder(BUNDLED, place(TranscriptionSettings()), beam_size=1, threads=1)
    decoder._suppressed = [*decoder._suppressed, decoder._tokenizers["en"].eot]
    features = decoder.features(to_float32(recording("u05")))
    hypothesis = decoder.decode(Take(features, FULL, limit, "en"))
    assert len(hypothesis.tokens) == limit
    assert hypothesis.cut


@pytest.mark.slow
def test_one_utterance_leaves_nothing_behind_for_the_next(whisper: WhisperTranscriber) -> None:
    before = whisper.transcribe(utterance(recording("u05")))
    for samples in (recording("u06"), np.zeros(480_000, np.int16), recording("u34")):
        whisper.transcribe(utterance(samples))
    after = whisper.transcribe(utterance(recording("u05")))
    assert replace(after, seconds=0) == replace(before, seconds=0)


# Loading


@pytest.mark.slow
def test_load_and_close_are_idempotent_and_load_may_follow() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.transcribe(utterance(recording("u05")))
    for _ in range(2):
        engine.load()
        engine.load()
        assert engine.transcribe(utterance(recording("u05"))).text == TEXTS["u05"]
        engine.close()
        engine.close()


def test_a_model_that_is_closed_is_out_of_memory_at_once() -> None:
    engine = WhisperTranscriber(TranscriptionSettings())
    engine.load()
    decoder = weakref.ref(engine._decoder)  # type: ignore[type-var]
    gc.disable()  # nobody looks for what only refers to itself
    try:
        engine.close()
        assert decoder() is None
    finally:
        gc.enable()


def test_a_language_that_the_model_does_not_know_is_said_at_once() -> None:
    engine = WhisperTranscriber(TranscriptionSettings(language="de"))
    with pytest.raises(ModelUnavailable, match="the model bundled knows only English") as caught:
        engine.load()
    assert "multilingual" in caught.value.remedy


SPOILED: dict[str, Callable[[Path], object]] = {
    "empty model": lambda folder: (folder / "model.bin").write_bytes(b""),
    "half a model": lambda folder: (folder / "model.bin").write_bytes(
        (BUNDLED / "model.bin").read_bytes()[:99_999]
    ),
    "an error page": lambda folder: (folder / "model.bin").write_text("<!DOCTYPE html>" * 1000),
    "another tokenizer": lambda folder: (folder / "tokenizer.json").write_text("{}"),
    "no vocabulary": lambda folder: (folder / "vocabulary.json").write_text("[]"),
    "no configuration": lambda folder: (folder / "config.json").write_text("?"),
}


@pytest.mark.slow
@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_model_is_unavailable_and_not_a_crash(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    folder = Path(shutil.copytree(BUNDLED, tmp_path / "model"))
    spoil(folder)
    engine = WhisperTranscriber(TranscriptionSettings(model=str(folder)))
    with pytest.raises(ModelUnavailable, match=f"cannot load the model in {folder}") as caught:
        engine.load()
    assert "again" in caught.value.remedy
    shutil.copytree(BUNDLED, folder, dirs_exist_ok=True)
    engine.load()  # the same object, once the files are right
