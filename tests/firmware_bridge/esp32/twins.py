"""The library in C and the reference, given the same: whatever is done to both, they say and tell the same.

An input is one act (of the user, of the gateway, of time or of the carrier) with the poll after it, or one block or
text for the parts without state. Time: the library has whole milliseconds; the reference has as many, and a little
more with each act, so that what is due in the same millisecond is due for both.
"""

from __future__ import annotations

import hmac
import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from firmware_bridge.link.codecs import AdpcmDecoder, AdpcmEncoder, CodecError
from firmware_bridge.link.device_end import DeviceEnd, DeviceState, LinkStateError
from firmware_bridge.link.events import DeviceStatus, NoticeKind
from firmware_bridge.link.frames import (
    Ack,
    Challenge,
    Codec,
    DeviceFrame,
    Fault,
    FaultCode,
    FrameError,
    Header,
    Image,
    Offer,
    Partial,
    Ping,
    Reply,
    Status,
    TranscriptText,
    Welcome,
    decode,
    proof_of,
)
from firmware_bridge.link.framing import FrameRejected, Noise, SerialDecoder, encode_serial, stuff, unstuff
from firmware_bridge.link.reply_texts import ReplyTexts
from tests.firmware_bridge.esp32 import jig

MTU: Final = 1024
CREDIT: Final = 8
FRAME: Final = 64
BLOCK: Final = 20 + MTU + 4 + (20 + MTU + 4) // 254 + 1
"""The longest block that the library has room for."""
WAITS: Final = (
    0,
    0,
    0,
    1,
    7,
    39,
    40,
    41,
    99,
    100,
    101,
    249,
    250,
    251,
    499,
    1000,
    1001,
    1601,
    4000,
    5000,
    10_000,
    15_001,
)
TEXTS: Final = ("", "on", "Der Flur ist hell. ☀", "x" * 58, "ü" * 30)
_MASK: Final = 0xFFFFFFFF


class Twins:
    """Both, from power-on."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.ms = rng.choice((10_000, 0xFFFFFF00, 0x7FFFFF00))
        self.calls = 0
        self.carrier = rng.choice((jig.SERIAL, jig.MESSAGES))
        boot, first = rng.getrandbits(32), rng.choice((0, 0x7FFFFFF8, 0xFFFFFFF0))
        wants: dict[str, Any] = {
            "boot": boot,
            "first_sequence": first,
            "ring_frames": rng.choice((4, 5, 7, 16, 33)),
            "wants_partials": rng.random() < 0.5,
            "wants_pieces": rng.random() < 0.5,
            "takes_images": rng.random() < 0.5,
            "firmware": rng.choice(("", "demo 1.0")),
            "kind": rng.choice(("", "s3-box-3")),
            "key": rng.choice((b"", bytes(range(32)))),
        }
        self.reference = DeviceEnd("kitchen", max_payload=MTU, credit=CREDIT, keeps_early=False, **wants)
        self.library = jig.Device(
            *("kitchen",),
            max_payload=MTU,
            credit=CREDIT,
            frame_size=FRAME,
            carrier=self.carrier,
            options=("-DEARSHOT_OUTBOX=8192",),
            **wants,
        )
        self.streams: list[int] = []
        self.broken = self.greeted = 0
        self.said: list[DeviceFrame] = []

    def act(self) -> None:
        """One input."""
        what = self.rng.choices(_ACTS, _WEIGHTS)[0]
        what(self)
        if self.rng.random() < 0.8:
            self.poll()
        self.compare()

    # -- both are asked the same

    @property
    def now(self) -> float:
        """For the reference."""
        self.calls += 1
        return self.ms / 1000 + 1e-7 + self.calls * 1e-8

    @property
    def seconds(self) -> float:
        """For the library."""
        return self.ms / 1000 + 1e-4

    def poll(self) -> None:
        written = self.library.poll(self.seconds)
        self.reference.tick(self.now)
        frames = self.reference.outgoing()
        if self.carrier == jig.SERIAL:
            expected = b"\0" * self.greeted + b"".join(map(encode_serial, frames))
        else:
            written = b"".join(jig.messages(written))
            expected = b"".join(frame.to_bytes() for frame in frames)
        self.greeted = 0
        assert written == expected, (written, expected, frames)
        due = self.reference.next_deadline(self.now)
        wait = jig.FOREVER if due is None else round(1000 * (due - self.now))
        assert self.library.wait == wait

    def compare(self) -> None:
        ours, theirs = self.library.counters, self.reference.counters
        for name in (
            *("overrun_frames", "overrun_samples", "sent", "resent"),
            *("received", "duplicates", "repeated", "ignored", "dropped"),
        ):
            assert getattr(ours, name) == getattr(theirs, name) & _MASK, name
        assert ours.broken == self.broken
        assert ours.early == self.reference._inbox.out_of_order + self.early_before
        assert self.library.state is self.reference.state
        assert self.library.unacknowledged == self.reference.unacknowledged
        assert self.library.boot == self.reference.boot

    early_before = 0
    """Of the windows that the reference had before."""

    # -- the user

    def start(self) -> None:
        silence = self.rng.random() < 0.5
        numbers = [_tried(one.start_stream, end_on_silence=silence) for one in (self.reference, self.library)]
        assert numbers[0] == numbers[1]
        if numbers[0] is not None:
            self.streams.append(numbers[0])

    def audio(self) -> None:
        stream = self.rng.choice(self.streams) if self.streams and self.rng.random() < 0.95 else 77
        codec = self.rng.choice((Codec.PCM16, Codec.IMA_ADPCM, Codec.OPUS))
        payload = self.rng.randbytes(2 * self.rng.randrange(2, FRAME // 2 + 1))
        if self.rng.random() < 0.3:
            payload = bytes(len(payload))
        samples = self.rng.choice((16, 320, 0x7FFFFFFF))
        kept = [_tried(one.audio, stream, payload, samples, codec) for one in (self.reference, self.library)]
        assert kept[0] == kept[1]

    def stop(self) -> None:
        stream = self.streams.pop(self.rng.randrange(len(self.streams))) if self.streams else 77
        for one in (self.reference, self.library):
            with suppress(LinkStateError):
                one.stop_stream(stream)

    def notice(self) -> None:
        kind, value, text = (
            self.rng.choice(list(NoticeKind)),
            self.rng.randrange(-32768, 32768),
            self.rng.choice(TEXTS),
        )
        stream = self.rng.choice((0, 1, 65535))
        kept = [one.notice(kind, value, text, stream) for one in (self.reference, self.library)]
        assert kept[0] == kept[1]

    def log(self) -> None:
        for one in (self.reference, self.library):
            one.log(3, "Wi-Fi: RSSI -81")
        self.poll()

    def ping(self) -> None:
        for one in (self.reference, self.library):
            one.ping()
        self.poll()

    def wait(self) -> None:
        self.ms += self.rng.choice(WAITS)

    def wait_until_due(self) -> None:
        if 0 < self.library.wait < jig.FOREVER:
            self.ms += max(0, self.library.wait - self.rng.choice((0, 0, 0, 1)))

    # -- the carrier

    def plug(self) -> None:
        self.library.hello(self.seconds)
        self.reference.hello(self.now)
        self.greeted = self.carrier == jig.SERIAL

    def unplug(self) -> None:
        for one in (self.reference, self.library):
            one.carrier_lost()
        self.greeted = 0

    def plug_if_offline(self) -> None:
        if self.reference.state is DeviceState.OFFLINE:
            self.plug()

    # -- the gateway

    def hear(self) -> None:
        self.hears(self._frame())

    def hear_something_like_it(self) -> None:
        """A sound frame with something else in it."""
        data = bytearray(self._frame().to_bytes())
        for _ in range(self.rng.randrange(1, 4)):
            data[self.rng.randrange(len(data))] = self.rng.randrange(256)
        if self.rng.random() < 0.3:
            del data[self.rng.randrange(len(data)) :]
        if self.rng.random() < 0.1:
            data += bytes(self.rng.randrange(980, 1200))
        self.hears_body(bytes(data))

    def hear_broken(self) -> None:
        """Noise on the line."""
        data = bytearray(encode_serial(self._frame()))
        for _ in range(self.rng.randrange(3)):
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        if self.rng.random() < 0.3:
            at = self.rng.randrange(len(data))
            data[at:at] = self.rng.choice((b"\0", b"rst:0x1 (POWERON)\r\n", b"\n", self.rng.randbytes(5)))
        if self.carrier == jig.SERIAL:
            self.hears_bytes(bytes(data) + b"\0")

    def hear_again(self) -> None:
        if self.said:
            self.hears(self.rng.choice(self.said))

    def hears(self, frame: DeviceFrame) -> None:
        self.said = [frame, *self.said[:7]]
        self.hears_body(frame.to_bytes())

    def hears_body(self, body: bytes) -> None:
        if self.carrier == jig.SERIAL:
            self.hears_bytes(stuff(body + zlib.crc32(body).to_bytes(4, "little")))
            return
        item: DeviceFrame | FrameRejected
        try:
            item = decode(body, MTU)
        except FrameError as error:
            item = FrameRejected(error.code, error.message, error.header, error.type_byte)
        self._both_hear(item, [body])

    def hears_bytes(self, data: bytes) -> None:
        for block in filter(None, data.split(b"\0")):
            if len(block) > BLOCK:
                continue
            items = [one for one in SerialDecoder(MTU).feed(block + b"\0") if getattr(one, "header", None)]
            at = self.rng.randrange(len(block) + 1)
            self._both_hear(items[0] if items else None, [block[:at], block[at:] + b"\0"])

    def _both_hear(self, item: Any, pieces: list[bytes]) -> None:
        if self.reference.state is DeviceState.OFFLINE:
            return
        before, window = self.reference.boot, self.reference._inbox
        told = []
        for piece in pieces:
            told += self.library.receive_bytes(piece, self.seconds)
        expected = []
        if item is not None and item.header is not None:
            expected = self.reference.receive(item, self.now)
        else:
            self.broken += 1
            self.reference._now = self.now
        if self.reference._inbox is not window:
            self.early_before += window.out_of_order
        if self.reference.boot != before:
            assert self.library.boot not in {before, self.reference.boot}
            self.reference.boot = self.library.boot
        assert told == [replace(one, header=_told(one.header)) for one in expected]

    def _frame(self) -> DeviceFrame:
        rng, one = self.rng, self.reference
        makers, weights = (
            (_greeting, (6, 3, 3, 1))
            if one.state is DeviceState.GREETING
            else (_linked, (3, 1, 1, 5, 1, 4, 1))
        )
        kind = rng.choices(makers, weights)[0]
        return kind(self)

    # -- what a gateway says, and what it nearly says

    def near(self, number: int, *offsets: int) -> int:
        """Mostly the number, or one beside it."""
        choice = self.rng.choice(
            (0, 0, 0, *offsets, self.rng.getrandbits(32) if self.rng.random() < 0.05 else 0)
        )
        return (number + choice) & _MASK

    def header(self, **fields: int) -> Header:
        ring = self.reference._ring
        return Header(
            link=self.reference.link if self.rng.random() < 0.97 else self.rng.randrange(256),
            credit=self.rng.choice((0, 1, 4, 8, 64, 65535)),
            acknowledge=self.near(self.rng.choice((ring.acknowledged, ring.sent, ring.next)), -1, 1, -7),
            stream=self.rng.randrange(3),
            resent=self.rng.random() < 0.1,
            **fields,
        )

    def numbered(self) -> Header:
        far = (1, 1, 2, 3, -1, -2, 255, 256, 257)
        return self.header(sequence=self.near(self.reference._inbox.expected, *far))

    def greets(self) -> Header:
        since = self.reference._greeting_since
        return Header(
            self.rng.randrange(1, 256), 0, self.rng.choice((0, 4, 256)), 0, 0, self.near(since, 1, 100, -1)
        )

    def welcome(self) -> DeviceFrame:
        one, ring = self.reference, self.reference._ring
        boot = one.boot if self.rng.random() < 0.95 else self.rng.getrandbits(32)
        resume = self.near(self.rng.choice((ring.oldest, ring.acknowledged, ring.next)), 1, -1, 2, -2)
        return Welcome(
            self.greets(), boot, resume, self.near(one._inbox.expected, 1, 5, -1, -256, -257, 256, 1000)
        )

    def challenge(self) -> DeviceFrame:
        boot = self.reference.boot if self.rng.random() < 0.9 else 7
        return Challenge(self.greets()._replace(link=0), boot, self.rng.randbytes(16))

    def fault(self) -> DeviceFrame:
        link = self.rng.choice((0, self.reference.link, 9))
        boot = self.rng.choice((0, self.reference.boot, 5))
        return Fault(Header(link, timestamp=boot), self.rng.choice(list(FaultCode)), self.rng.choice(TEXTS))

    def ack(self) -> DeviceFrame:
        ring = self.reference._ring
        firsts = [
            self.near(self.rng.choice((ring.oldest, ring.acknowledged)), 1, -1, 2)
            for _ in range(self.rng.randrange(3))
        ]
        ranges = tuple((first, self.near(first, 1, 3, -1, 40)) for first in firsts)
        return Ack(
            self.header(), self.near(self.rng.choice((ring.oldest, ring.acknowledged)), 1, 2, -1, 30), ranges
        )

    def told(self) -> DeviceFrame:
        label = f"c-{self.rng.randrange(50)}" + "x" * self.rng.choice((0, 0, 240))
        text = self.rng.choice(TEXTS)
        flags = [self.rng.random() < 0.4 for _ in range(5)]
        return self.rng.choice(
            (
                Status(self.numbered(), self.rng.choice(list(DeviceStatus))),
                TranscriptText(self.numbered(), label, text),
                Reply(self.numbered(), label, text, *flags),
                Reply(self.numbered(), label, "x" * 700),
            )
        )

    def unnumbered(self) -> DeviceFrame:
        return self.rng.choice(
            (
                Partial(self.header(), self.rng.choice(TEXTS), self.rng.randrange(40)),
                Offer(self.header(), 9, 1, self.rng.randbytes(32), bytes(64), "2.0"),
                Image(self.header(), 5, 9, self.rng.randbytes(self.rng.randrange(400))),
                Ping(self.header(timestamp=self.ms & _MASK)),
            )
        )

    def ping_from_gateway(self) -> DeviceFrame:
        return Ping(self.header(timestamp=self.ms & _MASK))


_greeting: tuple[Callable[[Twins], DeviceFrame], ...] = (
    Twins.welcome,
    Twins.challenge,
    Twins.fault,
    Twins.told,
)
_linked: tuple[Callable[[Twins], DeviceFrame], ...] = (
    *(Twins.ack, Twins.welcome, Twins.fault, Twins.told),
    *(Twins.challenge, Twins.unnumbered, Twins.ping_from_gateway),
)
_CHOICES: Final[dict[Callable[[Twins], None], float]] = {
    Twins.start: 3,
    Twins.audio: 20,
    Twins.stop: 2,
    Twins.notice: 4,
    Twins.log: 1,
    Twins.ping: 1,
    Twins.wait: 8,
    Twins.wait_until_due: 12,
    Twins.plug: 0.3,
    Twins.unplug: 0.5,
    Twins.plug_if_offline: 6,
    Twins.hear: 36,
    Twins.hear_something_like_it: 6,
    Twins.hear_broken: 4,
    Twins.hear_again: 3,
}
_ACTS, _WEIGHTS = list(_CHOICES), list(_CHOICES.values())


def _told(header: Header) -> Header:
    return Header(stream=header.stream, timestamp=header.timestamp, resent=header.resent)


def _tried(act: Callable[..., Any], *given: Any, **named: Any) -> Any:
    try:
        return act(*given, **named)
    except LinkStateError:
        return None


# -- without state


def framing(rng: random.Random) -> None:
    """A block there and back, and one that is no frame, or just so."""
    data = bytes(
        rng.choices(
            (0, 1, 255, rng.randrange(256)), (3, 1, 1, 6), k=rng.choice((0, 5, 30, 253, 254, 255, 508, 600))
        )
    )
    framed = data + zlib.crc32(data).to_bytes(4, "little")
    stuffed = jig.stuff(data)
    assert stuffed == stuff(framed)
    assert jig.crc32(data[3:], jig.crc32(data[:3])) == zlib.crc32(data)
    if data:
        assert jig.unstuff(stuffed[:-1]) == data
    block = bytearray(stuffed[:-1])
    for _ in range(rng.randrange(4)):
        block[rng.randrange(len(block))] = rng.randrange(1, 256)
    found = unstuff(bytes(block).replace(b"\0", b"\1"))
    good = found is not None and len(found) > 4 and zlib.crc32(found) == 0x2144DF1C
    assert jig.unstuff(bytes(block).replace(b"\0", b"\1")) == (bytes(found[:-4]) if good and found else None)


def lines(rng: random.Random) -> None:
    """A frame behind lines of text, or behind what is none."""
    text = "".join(rng.choices("ets Jul 29\r\n\t\x1b[0m~", k=rng.randrange(12))).encode()
    if rng.random() < 0.5:
        text += rng.choice(
            (b"\n", b"\x01\n", b"\x7f\n", b"\xfc\n", b"\x1b\n", b"\x1f\n", b"\x0b\n", b"\x0c\n", b"\x0e\n")
        )
    block = text + jig.stuff(b"\x01" + rng.randbytes(22))[:-1]
    items = list(SerialDecoder().feed(block + b"\0"))
    found = [one for one in items if not isinstance(one, Noise) and getattr(one, "code", True) is not None]
    assert (jig.unstuff(block) is not None) is bool(found), block


def adpcm(rng: random.Random) -> None:
    """A payload made and read by both, and one of random bytes."""
    count = 2 * rng.randrange(40)
    loud = rng.choice((1, 100, 32767))
    pcm = b"".join(rng.randint(-loud, loud).to_bytes(2, "little", signed=True) for _ in range(count))
    ours, theirs = jig.AdpcmEncoder(), AdpcmEncoder()
    for _ in range(2):
        payload = theirs.encode(pcm)
        assert ours.encode(pcm) == payload
        assert jig.adpcm_decode(payload) == AdpcmDecoder().decode(payload)
    noise = rng.randbytes(rng.randrange(60))
    try:
        expected = AdpcmDecoder().decode(noise)
    except CodecError:
        expected = b""
    assert jig.adpcm_decode(noise) == expected


def proofs(rng: random.Random) -> None:
    """A proof of each, and of any message."""
    challenge = Challenge(Header(), rng.getrandbits(32), rng.randbytes(16))
    name, key = "k" * rng.randrange(1, 65), rng.randbytes(32)
    message = challenge.nonce + challenge.boot.to_bytes(4, "little") + name.encode()
    assert jig.prove(key, message).hex() == proof_of(key, challenge, name)
    message = rng.randbytes(rng.randrange(300))
    assert jig.prove(key, message) == hmac.digest(key, message, "sha256")


class Shown:
    """What is shown of replies, by both, of up to eight at a time."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        pieces = rng.random() < 0.5
        self.ours, self.theirs = jig.Board(pieces=pieces, capacity=1 << 16), ReplyTexts(pieces=pieces)

    def act(self) -> None:
        """One REPLY, or now and then another link."""
        if self.rng.random() < 0.01:
            self.ours.forget()
            self.theirs.forget()
            return
        flags = self.rng.choice((0, 0, 2, 16, 32, 34, 48))
        label, text = f"c-{self.rng.randrange(8)}", self.rng.choice(TEXTS)
        frame = Reply(Header(), label, text, *(bool(flags & bit) for bit in (2, 4, 8, 16, 32)))
        shown = self.theirs.take(frame)
        expected = None if shown is None else shown.text.encode()
        assert self.ours.take(flags, label.encode(), text.encode()) == expected


def differ(seed: int, inputs: int) -> int:
    """So many inputs, or a few more, of each kind; how many they were. AssertionError: the first difference."""
    done, lives = 0, 0
    while done < inputs:
        rng = random.Random(f"{seed}.{lives}")
        lives += 1
        twins, shown = Twins(rng), Shown(rng)
        for _ in range(800):
            twins.act()
        for _ in range(50):
            framing(rng)
            lines(rng)
            adpcm(rng)
            shown.act()
        proofs(rng)
        done += 800 + 4 * 50 + 1
    return done
