"""Answers that grow, whatever comes between: links that end, no room, first answers, and many at a time."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.device_end import DeviceEnd, FromGateway
from firmware_bridge.link.events import DeviceStatus
from firmware_bridge.link.frames import Hello, Reply
from firmware_bridge.link.link import GatewayEnd, LinkSettings
from firmware_bridge.link.window import ACK_DELAY
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.pipeline.telling.live_replies import MAX_CHARACTERS, MAX_GROWING, LiveReplies

BOOT = 7
WEAK = LinkSettings(outbox_frames=3)


class Kitchen:
    """Both ends of a link, without a wire, as the port to devices: each frame arrives when ``talk`` says so."""

    def __init__(self, credit: int, max_payload: int) -> None:
        self.now = 1.0
        self.shown: dict[str, list[Reply]] = {}
        self.device = DeviceEnd(
            "kitchen", boot=BOOT, ring_frames=0, wants_pieces=True, credit=credit, max_payload=max_payload
        )
        self.end: GatewayEnd | None = None
        self.begin()

    def begin(self) -> None:
        """Another link, of a gateway that knows nothing of the one before."""
        if self.end is not None:
            self.device.carrier_lost()
        self.device.hello(self.now)
        (hello,) = self.device.outgoing()
        assert isinstance(hello, Hello)
        self.end = GatewayEnd(hello, carrier="air", settings=WEAK, now=self.now)
        self.talk()

    def talk(self) -> None:
        """What each has to say to the other, for as long as there is anything."""
        assert self.end is not None
        is_quiet = 0
        while is_quiet < 2:
            self.now += ACK_DELAY
            self.device.tick(self.now)
            told = [one for frame in self.end.outgoing() for one in self.device.receive(frame, self.now)]
            self._look(told)
            said = self.device.outgoing()
            for frame in said:
                self.end.receive(frame, self.now)
            is_quiet = 0 if told or said else is_quiet + 1

    def _look(self, told: list[FromGateway]) -> None:
        for one in told:
            if isinstance(one, Reply) and (reply := self.device.replies.take(one)) is not None:
                self.shown.setdefault(reply.correlation_id, []).append(reply)

    def wants_pieces(self, _device_id: str, boot: int) -> bool:
        return self.end is not None and boot == BOOT and self.end.wants_pieces

    def send_piece(
        self, _device_id: str, _boot: int, stream: int, correlation_id: str, text: str, *, anew: bool
    ) -> bool:
        assert self.end is not None
        return self.end.send_piece(stream, correlation_id, text, anew=anew)

    def send_reply(
        self,
        _device_id: str,
        _boot: int,
        stream: int,
        correlation_id: str,
        text: str,
        *,
        final: bool,
        fallback: bool = False,
        error: bool = False,
        whole: bool = True,
    ) -> bool:
        assert self.end is not None
        return self.end.send_reply(
            stream, correlation_id, text, final=final, fallback=fallback, error=error, whole=whole
        )

    def send_status(self, _device_id: str, _boot: int, stream: int, status: DeviceStatus) -> bool:
        assert self.end is not None
        return self.end.send_status(stream, status)

    # -- what nobody asks for here

    def settle(self, device_id: str, boot: int, stream: int, position: int) -> None: ...

    def wants_partials(self, _device_id: str, _boot: int) -> bool:
        return False

    def send_partial(self, device_id: str, boot: int, stream: int, text: str, stable: str = "") -> bool:
        raise NotImplementedError

    def send_transcript(self, device_id: str, boot: int, stream: int, correlation_id: str, text: str) -> bool:
        raise NotImplementedError

    def visitor(self, _device_id: str) -> str:
        return ""

    def renew(self, device_id: str, boot: int) -> None: ...

    def forget(self, _device_id: str) -> bool:
        return False

    def set_busy(self, busy: bool) -> None: ...  # noqa: FBT001 - the port's

    def blank(self, correlation_ids: Collection[str]) -> None: ...


def name(label: str) -> UtteranceName:
    return UtteranceName("s_1", "home", StreamName("kitchen", BOOT, 1), f"u_{label}", f"c_{label}")


ACTS = st.sampled_from(("piece",) * 6 + ("talk",) * 3 + ("link", "interim", "status", "restart"))
STEPS = st.lists(st.tuples(ACTS, st.sampled_from("ab"), st.text("aab ", max_size=80)), max_size=60)


class Answering:
    """Two answers on their way, and what was said of each."""

    def __init__(self, kitchen: Kitchen) -> None:
        self.kitchen = kitchen
        self.live = LiveReplies(kitchen)
        self.whole = {"a": "", "b": ""}
        self.first: dict[str, list[str]] = {"a": [""], "b": [""]}

    def does(self, act: str, label: str, text: str) -> None:
        match act:
            case "piece":
                self.live.piece(name(label), text)
                self.whole[label] += text
            case "interim" if not self.whole[label]:
                self.first[label].append(text)
                self.live.interim(name(label), text)
            case "talk":
                self.kitchen.talk()
            case "status":
                self.kitchen.send_status("kitchen", BOOT, 1, DeviceStatus.THINKING)
            case "link":
                self.kitchen.begin()
                self.live.renew("kitchen", BOOT)
            case "restart":
                self.kitchen.begin()
                self.live = LiveReplies(self.kitchen)
                for one, so_far in self.whole.items():
                    self.live.resume(name(one), so_far)

    def ends(self, label: str, text: str) -> None:
        """Until there is room for its end."""
        while not self.live.end(name(label), text):
            self.kitchen.talk()
        self.kitchen.talk()


@given(STEPS, st.integers(1, 3), st.sampled_from([64, 70, 2048]), st.sampled_from(["", "Sorry."]))
def test_a_device_shows_beginnings_of_one_answer_and_its_end(
    steps: list[tuple[str, str, str]], credit: int, mtu: int, other: str
) -> None:
    kitchen = Kitchen(credit, mtu)
    answering = Answering(kitchen)
    for step in steps:
        answering.does(*step)
    for label, text in answering.whole.items():
        answering.ends(label, other or f"{text}.")
        *before, last = kitchen.shown[f"c_{label}"]
        assert (last.text, last.final) == (other or f"{text}.", True)
        for reply in before:
            assert text.startswith(reply.text) or reply.text in answering.first[label]
    assert len(answering.live) == 0


def test_what_is_remembered_of_answers_is_bounded() -> None:
    kitchen = Kitchen(2, 2048)
    live = LiveReplies(kitchen)
    for number in range(MAX_GROWING):
        live.resume(name(str(number)), "x" * (MAX_CHARACTERS // MAX_GROWING - 1))
        live.piece(name(str(number)), "xx")
        live.piece(name(str(number)), "xx")
    assert live._characters <= MAX_CHARACTERS
    assert live.end(name("0"), "It was too much.")
    kitchen.talk()
    assert kitchen.shown["c_0"][-1].text == "It was too much."
    for number in range(MAX_GROWING):
        live.forget(f"c_{number}")
    assert (len(live), live._characters) == (0, 0)
