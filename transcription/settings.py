"""Settings of the recognizer, as they stand in ``config.yaml`` under ``transcription:``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

BUNDLED_MODEL = "bundled"


class SegmenterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an utterance begins and ends, in audio time."""

    threshold: Annotated[
        float, Meta(gt=0, lt=1, description="Probability of speech above which a window is speech.")
    ] = 0.5
    silence_ms: Annotated[int, Meta(ge=100, le=10_000, description="Silence that ends an utterance.")] = 700
    pause_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000,
            description="Silence after which the text is worked out ahead, in case nothing more is said; 0: never.",
        ),
    ] = 160
    preroll_ms: Annotated[
        int, Meta(ge=0, le=2_000, description="Audio kept from before speech was noticed.")
    ] = 400
    long_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=30,
            description="Speech that goes on for so long is cut at its next pause of 0.2 s, so that dictation gives "
            "text steadily; the next utterance follows at once. The bundled model wants 0.8. 30: never.",
        ),
    ] = 12.0
    max_seconds: Annotated[
        float,
        Meta(
            gt=1,
            le=30,
            description="An utterance is cut before this, where its speech dips most; the next one follows at once.",
        ),
    ] = 28.0


class PartialsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Text while somebody still speaks, for the devices and listeners that want it."""

    every_ms: Annotated[
        int,
        Meta(ge=0, le=10_000, description="After so much more speech the text so far is told; 0: never."),
    ] = 500
    share: Annotated[
        float, Meta(gt=0, le=1, description="Of the recognizer's time, what this may take at most.")
    ] = 0.25
    longest_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Where the recognizer takes longer than this at a time there are no partial texts, because "
            "a final one might have to wait for so long.",
        ),
    ] = 200


_DeviceId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=64)]
_Language = Annotated[str, Meta(pattern=r"^([a-z]{2,3}|auto)$")]
_Words = Annotated[str, Meta(max_length=1000)]


class DeviceHints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one device is heard, where that differs from all others; what is left out does not.

    The fields are those of :class:`TranscriptionSettings`.
    """

    language: _Language | None = None
    prompt: _Words | None = None
    hotwords: _Words | None = None
    word_timestamps: bool | None = None


class TranscriptionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which engine, which model, how."""

    engine: Annotated[
        Literal["auto", "faster-whisper", "pocketsphinx", "off"],
        Meta(
            description="auto: faster-whisper; as long as its model is being fetched, or cannot be had, pocketsphinx "
            "(shown as degraded). off: the gateway only routes."
        ),
    ] = "auto"
    model: Annotated[
        str,
        Meta(
            min_length=1,
            description="'bundled' (178 English command words, for trying out), a name of the hub (tiny.en, base, "
            "small, ...), or the folder of a CTranslate2 model.",
        ),
    ] = BUNDLED_MODEL
    models_dir: Annotated[
        str, Meta(description="Where fetched models are kept; empty: the user's cache.")
    ] = ""
    offline: Annotated[bool, Meta(description="Never fetch a model.")] = False
    language: Annotated[
        _Language,
        Meta(
            description="The language spoken. auto: it is detected in a conversation's first clear utterance and kept "
            "for the rest of it (sessions.hints_seconds; a multilingual model only; costs little)."
        ),
    ] = "en"
    prompt: Annotated[
        _Words,
        Meta(
            description="Text as it might have stood before, to set style and spelling; the model reads its last "
            "223 tokens (about 150 words). The bundled model gets worse with any."
        ),
    ] = ""
    hotwords: Annotated[
        _Words,
        Meta(
            description="Words that are likely to be said, such as names; they take their place from prompt."
        ),
    ] = ""
    names_tokens: Annotated[
        int,
        Meta(
            ge=0,
            le=200,
            description="So many names of the house are listened for as are worth so many of the model's tokens, of "
            "which a name has two to five; 0: none. More names are like more words that are none.",
        ),
    ] = 100
    word_timestamps: Annotated[
        bool, Meta(description="Tell the time of every word; costs a few milliseconds an utterance.")
    ] = False
    devices: Annotated[
        dict[_DeviceId, DeviceHints],
        Meta(
            description="By device id, where it differs: language, prompt, hotwords, word_timestamps. "
            "Example: {kitchen: {language: de, hotwords: 'Herd, Abzug'}}."
        ),
    ] = {}
    device: Annotated[
        str,
        Meta(
            pattern=r"^(cpu|auto|cuda(:[0-9]{1,2})?)$",
            description="What the model computes on. cuda: the first NVIDIA GPU (cuda:1: the second), or nothing. "
            "auto: a GPU where there is one that can be used, else the CPU, and why is told. See docs/models.md.",
        ),
    ] = "cpu"
    compute_type: Annotated[
        Literal[
            "auto",
            "int8",
            "int8_float32",
            "int8_float16",
            "int8_bfloat16",
            "float16",
            "bfloat16",
            "float32",
            "default",
        ],
        Meta(
            description="CTranslate2's number format. auto: int8 on the CPU, float16 on a GPU with it. default: the "
            "one that the model is stored in. Those with 16 bits are for GPUs."
        ),
    ] = "auto"
    context: Annotated[
        Literal["auto", "full"] | Annotated[int, Meta(ge=100, le=3000)],
        Meta(
            description="The shortest context the model is given, in frames of 10 ms; short is fast. auto: what the "
            "model is known to tolerate (stock Whisper 1024; those finetuned for short audio, with 'acft' in their "
            "name, 100, and the bundled one 300). full: always 30 s."
        ),
    ] = "auto"
    beam_size: Annotated[int, Meta(ge=1, le=10, description="1 is 2-4 times faster than 5.")] = 1
    threads: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Threads of the engine. So many utterances are transcribed at the same time, each by one of "
            "them, if so many wait and may be taken at once (batch_utterances); a GPU does a batch at a time. 0: two, "
            "or one on a single core.",
        ),
    ] = 0
    idle_unload_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=604_800,
            description="After so long without speech the model's memory is given back; the next speech loads it "
            "again while it goes on. 0: never.",
        ),
    ] = 0.0
    isolation: Annotated[
        Literal["process", "inline"],
        Meta(
            description="process: the engine runs in a process of its own, which is started again when it crashes, "
            "hangs or runs out of memory. inline: in the gateway's, which saves some 40 MB."
        ),
    ] = "process"
    retries: Annotated[
        int,
        Meta(ge=0, le=10, description="How often an utterance is done again whose recognizer process died."),
    ] = 2
    hang_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="A recognizer process that is at one utterance for longer than this, plus 4 times the "
            "utterance's length, is ended and started again. Give a slow machine with a large model more.",
        ),
    ] = 20.0
    queue_utterances: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Utterances that may wait, of each class (devices.priorities). From three quarters of it on, "
            "devices of the class are told 'busy' and keep what they record; those that keep nothing are refused when "
            "it is full, and hear so.",
        ),
    ] = 64
    batch_utterances: Annotated[
        int,
        Meta(
            ge=1,
            le=16,
            description="So many waiting utterances at most are worked on at once, shared out among the threads; 1: "
            "one after the other, by all threads, which helps who speaks alone and for long.",
        ),
    ] = 4
    wait_seconds: Annotated[
        float,
        Meta(gt=0, le=3600, description="An utterance waits at most so long for the recognizer, then fails."),
    ] = 30.0
    segmenter: Annotated[SegmenterSettings, Meta(description="Where utterances begin and end.")] = (
        SegmenterSettings()
    )
    partials: Annotated[PartialsSettings, Meta(description="Text while somebody still speaks.")] = (
        PartialsSettings()
    )
