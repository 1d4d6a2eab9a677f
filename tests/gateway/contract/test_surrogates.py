"""Halves of characters, wherever text enters: pairs are joined, a lone half is refused or replaced at once."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.frames import FrameError, Header, Hello
from gateway.access.principals import LOCAL
from gateway.broker.base import RoutingKey
from gateway.config import strict_yaml
from gateway.config.loading import ConfigError, load_config
from gateway.contract.events import BadMessage, decode_first, decode_say
from gateway.contract.messages import REPLIES_TOPIC, OrchestratorReply, decode_reply
from gateway.contract.surrogates import LoneSurrogate, joined, mended
from gateway.pipeline.asking.typed_text import BadText
from tests.gateway.works import open_works

EGG = "\U0001f373"
EGG_IN_WORDS = f"egg {EGG}"
PAIR, LONE = "\\ud83c\\udf73", "\\ud83c"


@given(st.text(st.characters(), max_size=8))
def test_what_is_joined_can_be_written(text: str) -> None:
    """``characters()`` without categories makes halves, too."""
    try:
        assert joined(text).encode("utf-16") == text.encode("utf-16", "surrogatepass")
    except LoneSurrogate:
        with pytest.raises(UnicodeDecodeError):
            text.encode("utf-16", "surrogatepass").decode("utf-16")


@given(st.text(st.characters(), max_size=8), st.booleans())
def test_mended_json_can_be_read_and_has_lost_halves_only(text: str, escaped: bool) -> None:  # noqa: FBT001
    raw = json.dumps({"text": text}, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    read = msgspec.json.decode(mended(raw))["text"]
    assert read == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize(
    "raw", [b'{"a":"\\\\\\\\ud83c"}', b'{"a":"\\ud83c\\udf73"}', b"not json", b"\xff"[:0]]
)
def test_what_needs_no_mending_stays(raw: bytes) -> None:
    assert mended(raw) == raw


# -- the configuration


def test_pairs_in_the_configuration_are_characters(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        f'orchestrator:\n  fallback_text: "egg {PAIR}"\ndevices:\n  rooms: {{kitchen: "{PAIR}"}}\n'
    )
    config = load_config(file, {})
    assert (config.orchestrator.fallback_text, config.devices.rooms["kitchen"]) == (EGG_IN_WORDS, EGG)


@pytest.mark.parametrize("where", ['fallback_text: "{}"', 'fallback_text: [a, "{}"]', '"{}": a'])
def test_a_lone_half_in_the_configuration_is_a_mistake_with_its_line(where: str) -> None:
    with pytest.raises(strict_yaml.YamlProblem, match="half of a character") as caught:
        strict_yaml.parse("orchestrator:\n  " + where.format(LONE))
    assert caught.value.line == 2


def test_a_lone_half_in_the_environment_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="half of a character"):
        load_config(None, {"HOME": str(tmp_path), "EARSHOT_ORCHESTRATOR__FALLBACK_TEXT": "caf\udce9"})


# -- replies


@pytest.mark.parametrize("half", [LONE, "\\udf73", LONE + "x", LONE + "\\n", LONE + LONE, "\\uDF73\\uD83C"])
def test_a_reply_with_a_lone_half_is_read(half: str) -> None:
    raw = f'{{"correlation_id":"c_1","session_id":"s_1","text":"one {half} two {PAIR}","message_id":"m_1"}}'
    text = decode_reply(raw.encode()).text
    assert text.startswith("one \ufffd")
    assert text.endswith("two \U0001f373")


def test_other_mistakes_of_a_reply_stay_mistakes() -> None:
    for raw in (b'{"correlation_id":"c_1"}', b'{"text":"' + LONE.encode() + b'"', b"\xff\xfe"):
        with pytest.raises(BadMessage):
            decode_reply(raw)


async def test_a_reply_with_a_lone_half_is_no_dead_letter() -> None:
    async with open_works() as works:
        said = await works.pipeline.say("hello", LOCAL)
        heard = await works.result()
        whole = msgspec.json.encode(
            OrchestratorReply(correlation_id=said.correlation_id, session_id=said.session_id, text="HALF")
        )
        key = RoutingKey("home", heard.device_id, heard.session_id)
        await works.broker.publish(REPLIES_TOPIC, key, whole.replace(b"HALF", LONE.encode()))
        await works.idle()
        assert not works.broker.dead_letters()


# -- listeners and devices: refused, and told so


async def test_half_a_character_is_nothing_to_say() -> None:
    async with open_works() as works:
        with pytest.raises(BadText):
            await works.pipeline.say("lone \ud83c", LOCAL)


@pytest.mark.parametrize("decode", [decode_say, decode_first])
def test_half_a_character_on_the_web_socket_is_a_bad_message(decode: object) -> None:
    with pytest.raises(BadMessage):
        decode('{"type":"say","text":"' + LONE + '"}')  # type: ignore[operator]


def test_half_a_character_in_a_hello_is_a_fault() -> None:
    frame = Hello(Header(credit=16), "kitchen", 1, "HALF", 100, 0, 0, 0)
    with pytest.raises(FrameError):
        Hello._parse(Header(credit=16), 0, frame._payload().replace(b"HALF", LONE.encode()))
