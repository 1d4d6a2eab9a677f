"""The simulated device: what it reports, what it waits for, how it misbehaves."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link import device_end
from firmware_bridge.link.events import DeviceConnected, DeviceStatus
from firmware_bridge.link.frames import Codec, Header, Reply, TranscriptText
from firmware_bridge.simulator import simulator
from firmware_bridge.simulator.flash import SimulatedFlash
from firmware_bridge.simulator.simulator import SimulatedDevice, SimulateOptions, simulate
from firmware_bridge.simulator.user import (
    Linked,
    ReplyShown,
    SpeechEnded,
    SpokenStream,
    StatusShown,
    StreamBegan,
    TranscriptShown,
    WireChanged,
    WireMissing,
)
from firmware_bridge.simulator.wires import Mischief, Mqtt, PseudoTerminal, SerialPort
from firmware_bridge.speech_files import BadRecording, read_wav, recordings
from tests.record import passes

SPEECH = recordings()[0]


@pytest.fixture(autouse=True)
def impatient_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A HELLO that was lost is said again soon, for the tests' sake."""
    monkeypatch.setattr(device_end, "HELLO_AGAIN", 0.05)


async def test_a_restart_while_its_user_speaks_ends_that_speech_and_nothing_else(
    gateway: Any, tmp_path: Path
) -> None:
    """New firmware that cannot reach the gateway goes back, whoever speaks."""
    wire, flash = PseudoTerminal(tmp_path / "usb-1"), SimulatedFlash(bytes(64))
    async with gateway(tmp_path / "usb-1"), SimulatedDevice("sim", wire, speed=20, flash=flash) as sim:
        await sim.connected()
        saying = asyncio.ensure_future(sim.say(SPEECH.path))
        await passes(lambda: not sim.end.is_quiet)
        flash.start()
        cut = await saying
        said = await sim.say(SPEECH.path)
    assert (cut.transcript, cut.reply) == (None, None)
    assert said.transcript is not None


async def test_it_reports_its_conversation_in_order_with_rising_times(
    gateway: Any, tmp_path: Path, recorder: Any
) -> None:
    shown = recorder()
    wire = PseudoTerminal(tmp_path / "usb-1")
    async with gateway(tmp_path / "usb-1"), SimulatedDevice("sim", wire, speed=20, report=shown) as sim:
        await sim.connected()
        said = await sim.say(SPEECH.path)
    assert [type(report) for report in shown.items] == [
        *(
            WireChanged,
            Linked,
            StreamBegan,
            SpeechEnded,
            StatusShown,
            TranscriptShown,
            ReplyShown,
            WireChanged,
        )
    ]
    times = [report.at for report in shown.items]
    assert times == sorted(times)
    (ended,) = shown.of(SpeechEnded)
    assert ended.seconds == pytest.approx(SPEECH.seconds, abs=0.01)
    assert said.stopped_at == ended.at
    (reply,) = shown.of(ReplyShown)
    assert (said.reply, said.reply_at) == (reply.text, reply.at)
    assert said.status is DeviceStatus.TRANSCRIBING
    assert said.stopped_at <= said.status_at <= said.transcript_at <= said.reply_at


async def test_speech_takes_its_time_divided_by_the_speed(gateway: Any, tmp_path: Path) -> None:
    wire = PseudoTerminal(tmp_path / "usb-1")
    async with gateway(tmp_path / "usb-1"), SimulatedDevice("sim", wire, speed=10) as sim:
        await sim.connected()
        loop = asyncio.get_running_loop()
        began = loop.time()
        said = await sim.say(SPEECH.path)
        assert said.stopped_at is not None
        assert said.stopped_at - began >= len(read_wav(SPEECH.path)) / 32_000 / 10 - 0.001


async def test_without_an_answer_it_gives_up_and_says_what_was_missing(tmp_path: Path) -> None:
    async with SimulatedDevice("sim", PseudoTerminal(tmp_path / "usb-1"), speed=math.inf) as sim:
        said = await sim.say(bytes(640), patience=0.05)
    assert (said.transcript, said.reply, said.status) == (None, None, None)


async def test_a_serial_port_that_exists_will_do(gateway: Any, tmp_path: Path, terminal: Any) -> None:
    """A null modem: the device opens one end by name, the gateway another, bytes are copied between."""
    device_side, gateway_side = terminal("device"), terminal("gateway")
    loop = asyncio.get_running_loop()
    copy(loop, device_side.ours, gateway_side.ours)
    copy(loop, gateway_side.ours, device_side.ours)
    wire = SerialPort(str(device_side.name))
    async with gateway(gateway_side.name), SimulatedDevice("sim", wire, speed=20) as sim:
        said = await sim.say(SPEECH.path)
        assert said.reply == "reply to sim"
    loop.remove_reader(device_side.ours)
    loop.remove_reader(gateway_side.ours)


def copy(loop: asyncio.AbstractEventLoop, source: int, sink: int) -> None:
    import os

    loop.add_reader(source, lambda: os.write(sink, os.read(source, 4096)))


async def test_a_port_that_is_not_there_yet_is_waited_for(
    tmp_path: Path, terminal: Any, recorder: Any
) -> None:
    shown = recorder()
    async with SimulatedDevice("sim", SerialPort(str(tmp_path / "late")), report=shown) as sim:
        missing = await shown.first(WireMissing)
        assert missing.reason == "no such port"
        assert not sim.wire.write(b"x")
        terminal("late")
        await shown.first(WireChanged, up=True)
    assert len(shown.of(WireMissing)) == 1, "said once, however often it is tried"


async def test_a_broker_that_does_not_answer_is_said_once(recorder: Any, unused_tcp_port: int) -> None:
    shown = recorder()
    wire = Mqtt(f"mqtt://127.0.0.1:{unused_tcp_port}", "sim")
    async with SimulatedDevice("sim", wire, report=shown):
        missing = await shown.first(WireMissing)
        assert missing.reason == f"mqtt://127.0.0.1:{unused_tcp_port}: Connection refused"


@pytest.mark.slow
async def test_a_cat_that_plays_with_the_cable_costs_nothing(gateway: Any, tmp_path: Path) -> None:
    wire = PseudoTerminal(tmp_path / "usb-1")
    pcm = read_wav(SPEECH.path)
    async with (
        gateway(tmp_path / "usb-*") as one,
        SimulatedDevice("sim", wire, speed=2, mischief=Mischief(unplug_seconds=0.3)) as sim,
    ):
        said = await sim.say(pcm)
        assert one.audio["sim", said.stream] == pcm
        assert len(one.heard.of(DeviceConnected)) > 1
        assert said.reply == "reply to sim"


@pytest.mark.parametrize("end_on_silence", [False, True])
@pytest.mark.slow
async def test_simulate_says_everything_and_succeeds(
    gateway: Any,
    mosquitto: Any,
    recorder: Any,
    end_on_silence: bool,  # noqa: FBT001
) -> None:
    shown = recorder()
    files = tuple(recording.path for recording in recordings()[:2])
    options = SimulateOptions(
        device_id="sim",
        mqtt=mosquitto.url,
        wav=files,
        repeat=2,
        pause_seconds=0,
        speed=50,
        codec=Codec.IMA_ADPCM,
        end_on_silence=end_on_silence,
    )
    async with gateway(mqtt=mosquitto.url) as one:
        assert await simulate(options, shown) == 0
    assert len(shown.of(ReplyShown, final=True)) == 4
    assert len(one.delivered.items) == 4, "the gateway heard of the last one before the board was gone"


async def test_a_goodbye_is_said_again_on_a_bad_wire_and_given_up_on_a_dead_one(
    gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = PseudoTerminal(tmp_path / "usb-1")
    async with (
        gateway(tmp_path / "usb-1") as one,
        SimulatedDevice("sim", wire, speed=math.inf, mischief=Mischief(seed=3, drop=0.3)) as device,
    ):
        await device.connected()
        await device.say(SPEECH.path)
        await device.goodbye()
        assert len(one.delivered.items) == 1
        monkeypatch.setattr(wire, "write", lambda _data: False)
        monkeypatch.setattr(simulator, "GOODBYE_SECONDS", 0.05)
        await device.goodbye()


async def test_simulate_fails_when_an_answer_is_missing(
    gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SimulateOptions(pty=str(tmp_path / "usb-1"), wav=(SPEECH.path,), speed=math.inf, patience=0.05)
    async with gateway(tmp_path / "usb-1") as one:
        monkeypatch.setattr(one, "_answer", lambda _event: None)
        assert await simulate(options, lambda _report: None) == 1


async def test_simulate_refuses_a_bad_file_before_it_connects(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    options = SimulateOptions(mqtt="mqtt://127.0.0.1:1", wav=(tmp_path / "bad.wav",))
    with pytest.raises(BadRecording, match=r"bad\.wav"):
        await simulate(options, lambda _report: None)


def test_options_name_exactly_one_wire_that_can_be_made(tmp_path: Path) -> None:
    assert isinstance(SimulateOptions(serial="/dev/ttyUSB0").wire(), SerialPort)
    assert isinstance(SimulateOptions(pty=str(tmp_path / "x")).wire(), PseudoTerminal)
    assert isinstance(SimulateOptions(mqtt="mqtt://box").wire(), Mqtt)
    for wrong in (SimulateOptions(), SimulateOptions(serial="/dev/ttyUSB0", mqtt="mqtt://box")):
        with pytest.raises(ValueError, match="exactly one"):
            wrong.wire()
    with pytest.raises(ValueError, match=r"mqtt\[s\]://"):
        SimulateOptions(mqtt="http://box").wire()
    (tmp_path / "diary").write_text("dear diary")
    with pytest.raises(ValueError, match="is there already"):
        SimulateOptions(pty=str(tmp_path / "diary")).wire()
    with pytest.raises(ValueError, match="no folder"):
        SimulateOptions(pty=str(tmp_path / "nowhere" / "x")).wire()
    with pytest.raises(ValueError, match="a/b"):
        SimulateOptions(mqtt="mqtt://box", device_id="a/b").wire()


async def test_it_does_not_speak_opus(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pcm16 and adpcm"):
        SimulatedDevice("sim", PseudoTerminal(tmp_path / "x"), codec=Codec.OPUS)


def test_an_answer_that_grows_is_there_with_its_end() -> None:
    conversation = SpokenStream(1)
    conversation.show_reply(Reply(Header(stream=1), "c_1", "It is", final=False), 1.0)
    assert not conversation.answered.is_set()
    conversation.show_reply(Reply(Header(stream=1), "c_1", "It is noon.", error=True), 4.0)
    assert conversation.answered.is_set()
    said = conversation.utterance
    assert (said.reply, said.reply_at, said.error) == ("It is noon.", 4.0, True)


def test_the_first_status_after_the_speech_counts_and_listening_is_no_end() -> None:
    conversation = SpokenStream(1)
    conversation.show_status(DeviceStatus.LISTENING, 1.0)
    assert conversation.utterance.status_at is None
    assert not conversation.heard_out.is_set()
    conversation.utterance.stopped_at = 2.0
    conversation.show_status(DeviceStatus.TRANSCRIBING, 3.0)
    conversation.show_status(DeviceStatus.THINKING, 4.0)
    assert (conversation.utterance.status, conversation.utterance.status_at) == (
        DeviceStatus.TRANSCRIBING,
        3.0,
    )
    assert conversation.heard_out.is_set()


def test_a_transcript_also_means_that_the_speech_is_over() -> None:
    conversation = SpokenStream(1)
    conversation.show_transcript(TranscriptText(Header(stream=1), "c_1", "noon"), 1.0)
    assert conversation.heard_out.is_set()
    assert (conversation.utterance.transcript, conversation.utterance.correlation_id) == ("noon", "c_1")
