"""What is fuzzed, and of which modules the coverage leads there. ``tests/fuzz/<name>.py`` says what must hold."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).with_name("corpus")


class Target(NamedTuple):
    """``modules``: whose coverage counts. ``runs``: how many inputs a test tries beyond the corpus."""

    modules: tuple[str, ...]
    runs: int
    longest: int = 4096


_FRAMES = ("firmware_bridge.link.frames", "firmware_bridge.link.framing", "firmware_bridge.link.window")
_SETTINGS = (
    "gateway.config.checks",
    "gateway.config.loading",
    "gateway.config.strict_yaml",
    "gateway.config.outline",
    "gateway.broker.address",
)
_SOUND = (
    "transcription.sound_files.parts",
    "transcription.sound_files.chain",
    "transcription.sound_files.wav",
)

TARGETS = {
    "serial": Target(_FRAMES, 5_000),
    "frames": Target(_FRAMES, 20_000),
    "hello": Target(
        (
            *_FRAMES,
            "firmware_bridge.link.fleet",
            "firmware_bridge.link.link",
            "firmware_bridge.link.challenges",
        ),
        6_000,
    ),
    "link": Target(
        (
            *_FRAMES,
            "firmware_bridge.link.fleet",
            "firmware_bridge.link.link",
            "firmware_bridge.link.frame_outbox",
            "firmware_bridge.link.streams",
        ),
        4_000,
    ),
    "device_end": Target(
        (*_FRAMES, "firmware_bridge.link.device_end", "firmware_bridge.link.repeats"), 6_000
    ),
    "twins": Target((*_FRAMES, "firmware_bridge.link.device_end", "firmware_bridge.link.repeats"), 1_500),
    "messages": Target(
        (
            "gateway.contract.messages",
            "gateway.contract.agents",
            "gateway.contract.events",
            "gateway.contract.surrogates",
        ),
        20_000,
    ),
    "envelopes": Target(
        (
            "gateway.broker.envelope",
            "gateway.broker.base",
            "gateway.broker.backends.redis_entries",
            "gateway.broker.backends.nats_subjects",
            "gateway.broker.backends.mqtt",
            "gateway.broker.backends.rabbitmq",
        ),
        8_000,
    ),
    "sound_files": Target(
        (*_SOUND, "transcription.sound_files.decoding", "transcription.sound_files.mixing"), 400, 16_384
    ),
    "realtime": Target(
        (
            "gateway.web.openai.realtime_messages",
            "gateway.web.openai.realtime_settings",
            "gateway.web.openai.languages",
            "transcription.sound_files.pcm_stream",
        ),
        2_000,
    ),
    "wav_heads": Target((*_SOUND, "transcription.sound_files.packed_samples"), 6_000),
    "configuration": Target(_SETTINGS, 1_500),
    "config_edit": Target(("gateway.config.editing", "gateway.config.strict_yaml"), 2_000),
    "patches": Target(
        (
            *_SETTINGS,
            "gateway.web.api.configuration",
            "firmware_bridge.url_secrets",
            "gateway.config.reloading",
        ),
        400,
    ),
    "log_lines": Target(
        (
            "gateway.commands.trace.log_lines",
            "gateway.contract.tracing",
            "gateway.observing.requests.following",
            "transcription.process.named_lines",
        ),
        1_500,
    ),
    "tokens": Target(
        (
            "gateway.access.token_text",
            "gateway.access.old_keys",
            "gateway.access.tokens",
            "gateway.access.page_sessions",
        ),
        1_500,
    ),
    "firmware": Target(
        ("firmware_bridge.images.image_file", "gateway.firmware.room", "gateway.firmware.deployment"), 1_500
    ),
    "registry": Target(
        ("gateway.registry.file", "gateway.registry.records", "gateway.registry.in_effect"), 800
    ),
    "requests": Target(
        (
            "gateway.web.entrance.guard",
            "gateway.web.entrance.addresses",
            "gateway.web.entrance.proxies",
            "gateway.web.listeners.event_stream",
            "gateway.web.api",
        ),
        800,
    ),
    "forms": Target(("gateway.web.openai",), 3_000, 24_000),
    "bodies": Target(("gateway.web.api", "gateway.settings"), 3_000),
    "wyoming_wire": Target(
        ("gateway.adapters.wyoming.wire", "gateway.adapters.wyoming.events", "gateway.adapters.wyoming.info"),
        8_000,
    ),
    "masks": Target(("gateway.web.entrance.masks",), 5_000),
    "content": Target(("gateway.pipeline.content",), 6_000),
    "commands": Target(
        (
            "gateway.agents.commands.deeds",
            "gateway.agents.commands.filling",
            "gateway.agents.commands.matching",
            "gateway.agents.commands.sentence",
            "gateway.agents.commands.words",
        ),
        4_000,
        600,
    ),
    "completions": Target(
        (
            "gateway.agents.openai.stream",
            "gateway.agents.openai.tool_calls",
            "gateway.agents.openai.thoughts",
            "gateway.agents.openai.plain_words",
        ),
        4_000,
    ),
    "model_files": Target(
        ("transcription.models.model_file", "transcription.models.models", "transcription.models.inventory"),
        1_000,
    ),
}
