"""``python -m tests.fuzz.seeds``: the first inputs of the corpora, out of golden vectors and of what tests say."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
import numpy as np

from firmware_bridge.images.image_file import Manifest
from firmware_bridge.link.frames import decode
from firmware_bridge.link.framing import encode_serial
from gateway.adapters.wyoming import wire
from gateway.adapters.wyoming.events import (
    ErrorReport,
    PongEvent,
    SoundChunk,
    SoundForm,
    SoundStart,
    SoundStop,
    TranscribeRequest,
)
from gateway.adapters.wyoming.info import Describe, Info
from gateway.config.configuration import GatewayConfig
from gateway.contract.agents import (
    AgentAnswer,
    AgentPresence,
    AgentRequest,
    AnnouncementMessage,
    ConversationTurn,
)
from gateway.contract.events import Authenticate, Say, Subscribe
from gateway.contract.messages import AudioFacts, OrchestratorReply, TranscriptionMessage, WantedHints, encode
from tests.fuzz.roster import CORPUS
from tests.gateway.web.raw import frame as websocket_frame

_VECTORS = Path(__file__).parents[1] / "vectors"


def seeds() -> Iterator[tuple[str, bytes]]:
    """Target and input."""
    yield from _wire()
    yield from _json()
    yield from _sound()
    yield from _settings()
    yield from _door()
    yield from _said()
    yield from _wyoming()
    yield from _realtime()
    yield from _commands()
    yield from _completions()
    yield from _log_lines()


def _wire() -> Iterator[tuple[str, bytes]]:
    frames = [bytes.fromhex(one["frame"]) for one in json.loads((_VECTORS / "frames.json").read_bytes())]
    for one in json.loads((_VECTORS / "serial.json").read_bytes()):
        yield "serial", bytes.fromhex(one["serial"])
    for data in frames:
        yield "frames", data
        yield "serial", encode_serial(decode(data))
        if data[1] == 1:
            yield "hello", data[20:]
        yield "device_end", b"\x00" + bytes((len(data[1:256]) & 0xFF,)) + data[1:256]
    talk = b"".join(bytes((0, len(data) - 1)) + data[1:] for data in frames if len(data) <= 256)
    yield "link", talk
    yield "device_end", b"\x07\x00" + talk + b"\x05\x08" + bytes(8) + b"\x05\x07" + bytes(7)
    yield "masks", websocket_frame(1, b"hello") + websocket_frame(2, bytes(200))
    for seed in range(3):
        yield "twins", random.Random(seed).randbytes(1_500)


def _said() -> Iterator[tuple[str, bytes]]:
    for text in (
        "write to joe.o'neil+x@mail.example.com, please; damn",
        "my card is 4111 1111 1111 1111, my IBAN DE89 3704 0044 0532 0130 00",
        "call +49 (171) 123 45 67, 0171/1234567 or (555) 234-5678 on 01.02.2026",
        "85.07.30-033.28 756.9217.0769.85 131052-308T RSSMRA85T10A562S X1234567L 86 095 742 719",
        "D\u00e9ja\u0300-VU in the STRASSE [card number] [phone number] ***",
    ):
        yield "content", text.encode()


def _wyoming() -> Iterator[tuple[str, bytes]]:
    form = SoundForm(16_000, 2, 1)
    said = (
        TranscribeRequest(language="en", transcript_names=("Hall",), context={"conversation_id": "c"}),
        SoundStart(16_000, 2, 1, 0),
        SoundChunk(form, bytes(20)),
        SoundStop(),
    )
    yield "wyoming_wire", b"".join(map(wire.encode, said))
    yield (
        "wyoming_wire",
        b"".join(map(wire.encode, (Describe(), Info(), ErrorReport("no", "x"), PongEvent("p")))),
    )
    yield (
        "wyoming_wire",
        b'{"type":"transcript","data":{"text":"a"},"data_length":12,"payload_length":2}\n{"text":"b"}xy',
    )


def _realtime() -> Iterator[tuple[str, bytes]]:
    given = {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": {
            "model": "whisper-1",
            "language": "de-AT",
            "prompt": "At home.",
            "keywords": ["Ada"],
        },
        "turn_detection": {"type": "server_vad", "threshold": 0.6, "silence_duration_ms": 400},
        "noise_reduction": {"type": "near_field"},
    }
    beta = {"input_audio_format": "g711_ulaw", "turn_detection": None, "include": ["logprobs"]}
    for message in (
        {"type": "session.update", "session": {"type": "transcription", "audio": {"input": given}}},
        {"type": "transcription_session.update", "event_id": "e", "session": beta},
        {"type": "input_audio_buffer.append", "audio": "AAECAwQFBgc="},
        {"type": "input_audio_buffer.commit"},
        {"type": "conversation.item.create", "item": {}},
    ):
        yield "realtime", msgspec.json.encode(message)


def _json() -> Iterator[tuple[str, bytes]]:
    reply = OrchestratorReply(
        correlation_id="c_1",
        session_id="s_1",
        text="It is \U0001f600 noon.",
        hints=WantedHints(language="de"),
    )
    for message in (
        reply,
        Subscribe(kinds=("reply",), users=("ann",), epoch="e", seq=7),
        Say(text="what time is it", ref="1"),
        Authenticate(token="eyJhbGciOiJIUzI1NiJ9.e30.x"),
    ):
        yield "messages", encode(message)
        yield "bodies", encode(message)
    for agents_form in (
        AgentRequest(
            request_id="q_1",
            agent="lights",
            transcript=TranscriptionMessage(
                session_id="s_1",
                user_id="ann",
                device_id="kitchen",
                text="light on",
                timestamp=1.5,
                success=True,
                message_id="m_1",
                correlation_id="c_1",
                utterance_id="u_1",
                audio=AudioFacts(seconds=1.0),
            ),
            conversation=(ConversationTurn(text="hello", reply="hello"),),
            answers=(AgentAnswer(agent="weather", confidence=0.5, data={"dry": True}),),
            path=("house",),
        ),
        AgentPresence(agent="lights", instance="i_1", answering=1),
        AnnouncementMessage(device_id="kitchen", text="The washing is done."),
    ):
        yield "messages", encode(agents_form)
    yield "messages", b'{"correlation_id":"c","session_id":"s","text":"\\ud83d\\ude00 \\ud800"}'
    yield "bodies", b'{"text":"dinner is ready","keep_seconds":60}'
    yield "bodies", b"AAAAAAAAAAc"
    yield "envelopes", encode(reply) + b"\0ann.kitchen.s_1\0m_1\0c_1\0application/json\0ann.kitchen.s_1\0x"
    yield (
        "envelopes",
        b"{}\0ann/kitchen/s_1\0m\0c\0" + b"12.5\0ann.kitchen.s_1\0$JS.ACK.s.c.2.17.3.1700000000000000000.0",
    )
    yield "model_files", b'{"shortest_context": 500, "lang_ids": [1, 2], "suppress_ids": [3]}'
    name = b"\x05\x00scale\x00"[:2] + b"scal\x00"
    variable = name + struct.pack("<BIBI", 1, 2, 0, 8) + struct.pack("<2f", 1, 2)
    yield (
        "model_files",
        struct.pack("<I", 6) + b"\x02\x00W\x00" + struct.pack("<II", 3, 1) + variable + bytes(4),
    )


def _sound() -> Iterator[tuple[str, bytes]]:
    tone = (np.sin(np.arange(1_600) / 5) * 9_000).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(tone.tobytes()[:800])
    plain = file.getvalue()
    wide = b"RIFF\xff\xff\xff\xffWAVELIST\x04\0\0\0INFOfmt \x28\0\0\0" + struct.pack(
        "<HHIIHHHHI", 0xFFFE, 2, 48_000, 384_000, 8, 32, 22, 24, 3
    )
    wide += (
        b"\x01\0" + bytes.fromhex("000000001000800000aa00389b71") + b"data\xff\xff\xff\xff" + bytes(range(64))
    )
    tagged = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + plain[:200]
    for data in (plain, wide, tagged, plain[:100] + plain[:100], b"RIFX" + wide[4:]):
        yield "wav_heads", data
        yield "sound_files", data
    for form, codec in (
        ("flac", "flac"),
        ("ogg", "libopus"),
        ("webm", "libopus"),
        ("mp3", "libmp3lame"),
        ("mp4", "aac"),
    ):
        data = _encoded(form, codec, tone)
        yield "sound_files", data
        yield "wav_heads", data[:600]


def _encoded(form: str, codec: str, tone: np.ndarray) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as out:
        stream = out.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = 48_000
        for one in (*av.AudioResampler(stream.format, "mono", 48_000).resample(frame),):
            out.mux(stream.encode(one))
        out.mux(stream.encode(None))
    return file.getvalue()


def _settings() -> Iterator[tuple[str, bytes]]:
    text = b'web:  # the page\n  port: 8080\ndevices:\n  users: {kitchen: ann}\n  mqtt: {url: "mqtt://a:b@h:1"}\n'
    lists = b"transcription:\n  model: base.en\n  devices:\n    hall: {language: de}\nweb:\n  origins: ['https://h']\n"
    for one in (text, lists, b"log: !x &a [1, 2.5, true, null]\n", b"web: |\n  x\n? a\n: b\n"):
        yield "configuration", one
        yield "config_edit", one + b"\x00" + b'{"hall": "bob"}'
    yield "config_edit", text + b"\x007"
    yield (
        "patches",
        b'{"web":{"port":9000},"transcription":{"devices":{"hall":{"language":"en"}}},"log":null}',
    )
    yield "patches", b'{"broker":{"url":"amqp://ann:***@localhost/"},"devices":{"users":{"a":"b"}}}'
    yield "patches", msgspec.json.encode(GatewayConfig().transcription)


def _door() -> Iterator[tuple[str, bytes]]:
    yield (
        "tokens",
        b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJqdGkiOiJ0XzEiLCJleHAiOjI3MDAwMDAwMDB9.c2lnbmF0dXJl",
    )
    yield (
        "tokens",
        b'[{"token_id":"t_2","name":"bob","role":"listener","digest":"00","made_at":1e9,"expires_at":9e9}]',
    )
    yield (
        "registry",
        b'[{"device_id":"attic","standing":"approved","changed_at":1.7e9,"key":"' + b"0a" * 32 + b'",'
        b'"facts":{"name":"the board","room":"Attic","user":"bob","priority":"urgent"}}]',
    )
    yield "registry", b'[{"device_id":"kitchen","standing":"revoked","changed_at":1.7e9}]'
    yield from _firmware()
    yield "tokens", b'{"0011":["t_2",9e9]}'
    yield "tokens", (b"k" * 32).hex().encode() + b"\n"
    yield "tokens", b"earshot_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-RJn6K"
    yield "tokens", b"eyJhbGciOiJIUzI1NiIsImtpZCI6ImE1YTM4ZGVhZmRjNzhiYWEiLCJ0eXAiOiJKV1QifQ.e30.x"
    head = b"Host: earshot.house\r\nOrigin: http://earshot.house:8080\r\nCookie: earshot=abc; a=b\r\n"
    yield (
        "requests",
        b"kinds=reply,partial&levels=true\n" + head + b"Last-Event-ID: e1:17\r\nAccept: text/*;q=0.5, */*",
    )
    yield (
        "forms",
        (
            b'--B\r\nContent-Disposition: form-data; name="file"; filename="a\\"b.wav"\r\n\r\nRIFF\r\n'
            b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
            b"--B\r\ncontent-disposition: form-data; name=chunking_strategy[type]\r\n\r\nserver_vad\r\n"
            b'--B\r\nContent-Disposition: form-data; name="timestamp_granularities[]"\r\n\r\nword\r\n'
            b'--B\r\nContent-Disposition: form-data; name="response_format"\r\n\r\nverbose_json\r\n--B--\r\n'
        ),
    )
    yield (
        "forms",
        (
            b"before\r\n--B \t\r\nContent-Disposition: form-data; name=languages[0]\r\n\r\n\r\n--B\r\n"
            b'Content-Disposition: form-data; name="chunking_strategy"\r\n\r\n{"type":"server_vad","threshold":0.4}\r\n'
            b"--B\r\nContent-Disposition: form-data; name=temperature\r\n\r\n1e-1\r\n--B\r\nContent-Disposition: "
            b"form-data; name=keywords[]\r\nContent-Transfer-Encoding: binary\r\n\r\nNanit\r\n--B--after"
        ),
    )
    yield "requests", b"q=lamp&limit=5&before=\n" + head + b"Authorization: Bearer abc\r\nRange: bytes=0-99"
    yield (
        "requests",
        b"\n" + head + b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Protocol: earshot, e.t",
    )
    yield (
        "requests",
        b"a=%ff\nHost: [::1]:8080\r\nX-Forwarded-For: 1.2.3.4, [::1]:9\r\nX-Forwarded-Proto: https",
    )


def _firmware() -> Iterator[tuple[str, bytes]]:
    data = b"an image"
    sha256 = hashlib.sha256(data).hexdigest()
    manifest = Manifest(
        kind="s3-box-3", version="2.0.1", number=1_796_000_000, size=len(data), sha256=sha256,
        key="6b" * 64, signature="01" * 64,
    )  # fmt: skip
    image = manifest.head() + data
    yield "firmware", image
    yield "firmware", image[:-1]
    yield "firmware", image.replace(b"2.0.1", b"2.0.2")
    rollout = (
        b'[{"sha256":"00","number":1,"kind":"s3","version":"1.0","offered_at":1,"counted_from":1,"devices":["a"],'
        b'"rooms":["Kitchen"],"everybody":true,"again":{"a":2.5},"paused":"stopped by itself"}]'
    )
    yield "firmware", rollout


def _log_lines() -> Iterator[tuple[str, bytes]]:
    when = "2026-12-01T13:45:31.123456Z"
    ours = {
        "timestamp": when,
        "level": "warning",
        "event": "failed",
        "correlation_id": "c_1",
        "utterance_id": "u_1",
    }
    line = json.dumps(ours).encode()
    yield "log_lines", line
    yield "log_lines", b"<4>" + line + b"\n" + json.dumps({"MESSAGE": line.decode()}).encode() + b"\n"
    yield "log_lines", json.dumps({"MESSAGE": [*line], "PRIORITY": "4"}).encode()
    yield (
        "log_lines",
        b"2026-12-01 13:45:31 [warning  ] utterance failed [x] correlation_id=c_1 reason='it is away'\n",
    )
    yield "log_lines", b'\x1e{"correlation_id":"c_1","device_id":"kitchen"}\x1esomebody: cannot\n'
    yield "log_lines", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    yield "log_lines", b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later"


def _commands() -> Iterator[tuple[str, bytes]]:
    for pattern, template, said in (
        ("turn on [the] (light|{light}) <part>", "a/{what}/b?c={what}&d=e", "Turn on the lamp two, please!"),
        ("set to {n} [degrees]", "The {what} is {reply.a.0}. {{}}", "set to twenty one point five degrees"),
        ("add {what} to the list[s]", "{what}", "add ../..//%2e+#\u00e9 to the list"),
        ("(a|b [c]) d", "home/{what}", "b c d"),
    ):
        yield "commands", f"{pattern}\n{template}\n{said}".encode()


def _completions() -> Iterator[tuple[str, bytes]]:
    call = {"index": 0, "id": "a", "function": {"name": "light", "arguments": '{"on":'}}
    rest = {"index": 0, "function": {"arguments": " true}"}}
    for deltas in (
        [{"content": "<think>hm</think> **Hello**"}, {"content": " there", "reasoning": "no"}],
        [{"tool_calls": [call]}, {"tool_calls": [rest, {"id": "b", "function": {"arguments": {"x": 1}}}]}],
    ):
        chunks = [{"choices": [{"index": 0, "delta": one}]} for one in deltas]
        end = [{"choices": [{"finish_reason": "stop"}]}, {"choices": [], "usage": {"total_tokens": 3}}]
        yield "completions", "\n".join([*map(json.dumps, (*chunks, *end)), "[DONE]"]).encode()
    yield "completions", b'{"error":{"message":"no"}}'
    yield "completions", "# A\n- *b* [c](d) `e`\n1. f_g\n| h | i |\n|--|\n~~j~~ \U0001f600 2*3".encode()


def main() -> None:
    for target, data in seeds():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    main()
