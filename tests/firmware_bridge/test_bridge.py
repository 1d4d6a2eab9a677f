"""The whole way from a device's bytes to the gateway's events and back, on real wires."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.bridge import Bridge
from firmware_bridge.carriers.mqtt_address import BrokerAddress
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.link import device_end
from firmware_bridge.link.events import (
    DeviceConnected,
    DeviceDisconnected,
    DeviceLog,
    DeviceNotice,
    DeviceStatus,
    LinkChanged,
    NoticeKind,
    StreamStarted,
    StreamStopped,
)
from firmware_bridge.link.frames import Codec, FaultCode
from firmware_bridge.settings import DeviceSettings, MqttSettings
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.user import FaultShown, ReplyShown
from firmware_bridge.simulator.wires import DeviceWire, Mischief, Mqtt, PseudoTerminal

pytestmark = pytest.mark.slow


def noise(seconds: float, seed: int = 1) -> bytes:
    """PCM16 in which no stretch equals another."""
    return random.Random(seed).randbytes(2 * int(seconds * 16_000))


async def passes(condition: Callable[[], bool]) -> None:
    """Wait for what announces itself by no event."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def device(name: str, wire: DeviceWire, **options: Any) -> SimulatedDevice:
    return SimulatedDevice(name, wire, **{"speed": math.inf, **options})


@pytest.fixture(autouse=True)
def impatient_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A HELLO that was lost is said again soon, for the tests' sake."""
    monkeypatch.setattr(device_end, "HELLO_AGAIN", 0.05)
    monkeypatch.setattr(device_end, "REFUSED_PAUSE", 0.2)


@pytest.fixture(params=["serial", "mqtt"])
def carrier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class House:
    """Where the devices of a test find their gateway: a folder of ports and a broker."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.ports = str(folder / "usb-*")

    def wire(self, carrier: str, name: str) -> DeviceWire:
        return PseudoTerminal(self.folder / f"usb-{name}") if carrier == "serial" else Mqtt(self.url, name)


@pytest.fixture
def house(tmp_path: Path, mosquitto: Any) -> House:
    return House(tmp_path, mosquitto.url)


async def test_speech_arrives_bit_exact_and_the_reply_comes_back(
    gateway: Any, house: House, carrier: str
) -> None:
    pcm = noise(3.01)
    async with (
        gateway(house.ports, mqtt=house.url) as one,
        device("kitchen", house.wire(carrier, "kitchen")) as kitchen,
    ):
        said = await kitchen.say(pcm)
        assert one.audio["kitchen", said.stream] == pcm
        assert (said.transcript, said.reply) == ("text for kitchen", "reply to kitchen")
        assert said.status is DeviceStatus.TRANSCRIBING
        assert said.correlation_id == "c_kitchen_1"
        await one.delivered.until(lambda: one.delivered.items)
        assert one.delivered.items == [("kitchen", kitchen.end.boot, "c_kitchen_1")]
        (info,) = one.bridge.devices()
        assert info.connected
        assert info.counters.lost_frames == 0


async def test_the_next_utterance_is_another_stream(gateway: Any, house: House, carrier: str) -> None:
    async with (
        gateway(house.ports, mqtt=house.url) as one,
        device("kitchen", house.wire(carrier, "kitchen")) as kitchen,
    ):
        for count in (1, 2, 3):
            pcm = noise(0.5, seed=count)
            said = await kitchen.say(pcm)
            assert said.stream == count
            assert one.audio["kitchen", count] == pcm


async def test_a_device_that_lets_the_gateway_find_the_end_says_so(gateway: Any, house: House) -> None:
    async with (
        gateway(house.ports) as one,
        device("kitchen", house.wire("serial", "kitchen"), speed=8) as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(noise(0.2), end_on_silence=True))
        started = await one.heard.first(StreamStarted)
        assert started.end_on_silence
        assert one.bridge.send_status("kitchen", started.boot, started.stream, DeviceStatus.TRANSCRIBING)
        said = await saying
        assert said.reply == "reply to kitchen"
        assert len(one.audio["kitchen", 1]) < len(noise(5.2)), "it stopped when it was told the end was found"


async def test_adpcm_arrives_as_pcm_of_the_same_length(gateway: Any, house: House) -> None:
    tone = b"".join(round(9000 * math.sin(n / 9)).to_bytes(2, "little", signed=True) for n in range(16_001))
    wire = house.wire("serial", "kitchen")
    async with gateway(house.ports) as one, device("kitchen", wire, codec=Codec.IMA_ADPCM) as kitchen:
        said = await kitchen.say(tone)
        arrived = one.audio["kitchen", said.stream]
        assert len(arrived) == len(tone) + 2, "padded to an even number of samples"
        there, back = memoryview(tone).cast("h"), memoryview(bytes(arrived)).cast("h")
        errors = [abs(a - b) for a, b in zip(there[1000:], back[1000:], strict=False)]
        assert sum(errors) / len(errors) < 300


async def test_a_pulled_cable_loses_nothing_that_the_ring_holds(
    gateway: Any, house: House, carrier: str
) -> None:
    pcm = noise(4.0)
    wire = house.wire(carrier, "kitchen")
    async with gateway(house.ports, mqtt=house.url) as one, device("kitchen", wire, speed=8) as kitchen:
        saying = asyncio.create_task(kitchen.say(pcm))
        for time in (1, 2):
            await one.heard.first(DeviceConnected, count=time)
            had = len(one.audio.get(("kitchen", 1), b""))
            await one.heard.until(lambda had=had: len(one.audio.get(("kitchen", 1), b"")) > had + 8000)
            kitchen.unplug()
            await one.heard.first(DeviceDisconnected, count=time)
            kitchen.replug()
        said = await saying
        assert one.audio["kitchen", 1] == pcm
        assert said.reply == "reply to kitchen"
        assert one.lost_samples == 0
        assert [event.resumed for event in one.heard.of(DeviceConnected)] == [False, True, True]
        assert len(one.heard.of(StreamStarted)) == 1


async def test_a_ring_that_is_too_small_leaves_a_counted_hole(gateway: Any, house: House) -> None:
    pcm = noise(4.0)
    wire = house.wire("serial", "kitchen")
    async with gateway(house.ports) as one, device("kitchen", wire, speed=8, ring_frames=20) as kitchen:
        saying = asyncio.create_task(kitchen.say(pcm))
        await one.heard.until(lambda: len(one.audio.get(("kitchen", 1), b"")) > 16_000)
        kitchen.unplug()
        await one.heard.first(DeviceDisconnected)
        await passes(lambda: kitchen.end.counters.overrun_frames >= 20)
        kitchen.replug()
        said = await saying
        arrived = one.audio["kitchen", 1]
        assert said.overrun_frames > 0
        assert one.lost_samples == kitchen.end.counters.overrun_samples
        assert len(arrived) == len(pcm), "the hole is where and as long as it was"
        assert sum(a != b for a, b in zip(arrived, pcm, strict=True)) <= 2 * one.lost_samples


async def test_a_restarted_broker_loses_nothing(gateway: Any, house: House, mosquitto: Any) -> None:
    pcm = noise(4.0)
    async with (
        gateway(mqtt=house.url) as one,
        device("kitchen", house.wire("mqtt", "kitchen"), speed=4) as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(pcm))
        await one.heard.until(lambda: len(one.audio.get(("kitchen", 1), b"")) > 16_000)
        mosquitto.restart()
        await one.heard.first(LinkChanged, up=False)
        await one.heard.first(LinkChanged, up=True, count=2)
        assert (await saying).reply == "reply to kitchen"
        assert one.audio["kitchen", 1] == pcm
        assert one.lost_samples == 0


async def test_a_restarted_gateway_gets_everything_that_was_not_durable(
    gateway: Any, house: House, carrier: str
) -> None:
    pcm = noise(4.0)
    async with device("kitchen", house.wire(carrier, "kitchen"), speed=8) as kitchen:
        saying = asyncio.create_task(kitchen.say(pcm))
        async with gateway(house.ports, mqtt=house.url, settles=False) as first:
            await first.heard.until(lambda: len(first.audio.get(("kitchen", 1), b"")) > 32_000)
        async with gateway(house.ports, mqtt=house.url) as second:
            assert (await saying).reply == "reply to kitchen"
            assert second.audio["kitchen", 1] == pcm, "nothing was durable, so all of it came again"
            assert second.lost_samples == 0
            connected = await second.heard.first(DeviceConnected)
            assert not connected.resumed
            assert connected.lost_frames == 0


async def test_what_was_durable_is_not_sent_to_the_next_gateway(gateway: Any, house: House) -> None:
    pcm = noise(4.0)
    async with device("kitchen", house.wire("serial", "kitchen"), speed=8) as kitchen:
        saying = asyncio.create_task(kitchen.say(pcm))
        async with gateway(house.ports) as first:
            await first.heard.until(lambda: len(first.audio.get(("kitchen", 1), b"")) > 64_000)
        positions: list[int] = []
        settings = DeviceSettings(serial=first.bridge._serial._settings, mqtt=MqttSettings(url=""))

        def on_event(event: Any) -> None:
            if hasattr(event, "position"):
                positions.append(event.position)
                assert event.pcm == pcm[2 * event.position :][: len(event.pcm)]
                assert event.lost_samples == 0

        async with Bridge(settings, on_event):
            await passes(lambda: len(positions) >= 10)
        saying.cancel()
        assert positions[0] > 16_000
        assert positions[0] <= len(first.audio["kitchen", 1]) // 2


@pytest.mark.parametrize("seed", [7, 8, 9])
async def test_mischief_on_the_line_changes_no_sample(
    gateway: Any, house: House, carrier: str, seed: int
) -> None:
    pcm = noise(6.0)
    mischief = Mischief(seed=seed, corrupt=0.05, drop=0.05, duplicate=0.05, delay=0.05)
    wire = house.wire(carrier, "kitchen")
    async with (
        gateway(house.ports, mqtt=house.url) as one,
        device("kitchen", wire, mischief=mischief) as kitchen,
    ):
        said = await kitchen.say(pcm)
        assert one.audio["kitchen", said.stream] == pcm
        assert said.reply == "reply to kitchen"
        assert kitchen.mischief.corrupted > 0
        assert one.lost_samples == 0


async def test_the_second_of_two_devices_with_one_id_is_refused(
    gateway: Any, house: House, recorder: Any
) -> None:
    shown = recorder()
    async with gateway(house.ports) as one, device("kitchen", house.wire("serial", "1"), speed=4) as first:
        saying = asyncio.create_task(first.say(noise(3.0)))
        await one.heard.first(StreamStarted)
        async with device("kitchen", house.wire("serial", "2"), report=shown):
            refused = await shown.first(FaultShown)
            assert refused.code is FaultCode.DUPLICATE_ID
        assert (await saying).reply == "reply to kitchen"
        assert one.audio["kitchen", 1] == noise(3.0)
        assert len(one.heard.of(DeviceConnected)) == 1
        assert one.bridge.counters.duplicate_ids >= 1


async def test_a_device_that_moves_to_another_carrier_goes_on_where_it_was(
    gateway: Any, house: House
) -> None:
    pcm = noise(2.0)
    async with gateway(house.ports, mqtt=house.url) as one:
        async with device("kitchen", house.wire("serial", "kitchen"), speed=4) as wired:
            saying = asyncio.create_task(wired.say(pcm))
            await one.heard.until(lambda: len(one.audio.get(("kitchen", 1), b"")) > 16_000)
            saying.cancel()
            await asyncio.wait((saying,))
        wireless = device("kitchen", house.wire("mqtt", "kitchen"), boot=wired.end.boot)
        wireless.end = wired.end  # the same device, now on Wi-Fi
        async with wireless:
            moved = await one.heard.first(DeviceConnected, link="mqtt")
            assert moved.resumed
            wireless.end.stop_stream(1)
            wireless._pump()
            await one.delivered.until(lambda: one.delivered.items)
        arrived = one.audio["kitchen", 1]
        assert arrived == pcm[: len(arrived)]
        assert one.lost_samples == 0


async def test_what_is_said_while_the_cable_is_out_arrives_once_it_is_back(
    gateway: Any, house: House, carrier: str, recorder: Any
) -> None:
    shown = recorder()
    wire = house.wire(carrier, "kitchen")
    async with (
        gateway(house.ports, mqtt=house.url) as one,
        device("kitchen", wire, report=shown) as kitchen,
    ):
        await kitchen.connected()
        boot = kitchen.end.boot
        kitchen.unplug()
        await one.heard.first(DeviceDisconnected)
        for number in range(5):
            assert one.bridge.send_reply("kitchen", boot, number, f"c_{number}", f"text {number}", final=True)
        kitchen.replug()
        await shown.first(ReplyShown, count=5)
        await one.delivered.until(lambda: len(one.delivered.items) == 5)
        assert [reply.text for reply in shown.of(ReplyShown)] == [f"text {number}" for number in range(5)]
        assert [delivered[2] for delivered in one.delivered.items] == [f"c_{number}" for number in range(5)]


async def test_a_device_that_reboots_begins_anew(gateway: Any, house: House, carrier: str) -> None:
    async with gateway(house.ports, mqtt=house.url) as one:
        boots = []
        for time in (1, 2):
            async with device("kitchen", house.wire(carrier, "kitchen")) as kitchen:
                boots.append(kitchen.end.boot)
                assert (await kitchen.say(noise(0.2, seed=time))).stream == 1
            assert one.audio.pop(("kitchen", 1)) == noise(0.2, seed=time)
        assert [event.boot for event in one.heard.of(DeviceConnected)] == boots
        assert not one.bridge.send_status("kitchen", boots[0], 1, DeviceStatus.IDLE)


async def test_a_device_without_a_ring_counts_what_it_loses(gateway: Any, house: House) -> None:
    pcm = noise(2.0)
    mischief = Mischief(seed=11, drop=0.05)
    wire = house.wire("serial", "kitchen")
    async with (
        gateway(house.ports) as one,
        device("kitchen", wire, ring_frames=0, speed=8, mischief=mischief) as kitchen,
    ):
        await kitchen.connected()
        said = await kitchen.say(pcm)
        assert said.reply == "reply to kitchen"
        assert kitchen.mischief.dropped > 0
        assert one.lost_samples > 0
        assert len(one.audio["kitchen", 1]) + 2 * one.heard.of(StreamStopped)[0].lost_samples == len(pcm)


async def test_a_port_on_which_nobody_speaks_is_up_and_has_no_device(gateway: Any, terminal: Any) -> None:
    port = terminal()
    async with gateway(port.name) as one:
        await one.heard.first(LinkChanged, link=str(port.name), up=True)
        assert one.bridge.devices() == ()
        assert len(one.heard.items) == 1


async def test_another_device_behind_the_same_adapter_takes_its_place(gateway: Any, house: House) -> None:
    async with gateway(house.ports) as one:
        for name in ("kitchen", "cellar"):
            async with device(name, house.wire("serial", "adapter")) as plugged_in:
                assert (await plugged_in.say(noise(0.2))).reply == f"reply to {name}"
        assert [info.id for info in one.bridge.devices()] == ["kitchen", "cellar"]


async def test_ten_ports_at_once_under_mischief_do_not_mix(gateway: Any, house: House) -> None:
    async def speak(number: int) -> bool:
        name, pcm = f"device-{number}", noise(1.0, seed=number)
        mischief = Mischief(seed=number, corrupt=0.03, drop=0.03, duplicate=0.03, delay=0.03)
        async with device(name, house.wire("serial", name), speed=4, mischief=mischief) as one_device:
            said = await one_device.say(pcm)
            return bytes(one.audio[name, said.stream]) == pcm and said.reply == f"reply to {name}"

    async with gateway(house.ports) as one:
        assert await asyncio.gather(*(speak(number) for number in range(10))) == [True] * 10


async def test_a_full_outbox_is_said_to_whoever_fills_it(gateway: Any, house: House) -> None:
    async with gateway(house.ports) as one, device("kitchen", house.wire("serial", "kitchen")) as kitchen:
        await kitchen.connected()
        boot = kitchen.end.boot
        kitchen.unplug()
        await one.heard.first(DeviceDisconnected)
        taken = [one.bridge.send_status("kitchen", boot, 1, DeviceStatus.THINKING) for _ in range(1000)]
        assert taken[0]
        assert not taken[-1]
        assert one.bridge.devices()[0].counters.outbox_full > 0


async def test_twenty_devices_at_once_do_not_mix(gateway: Any, house: House) -> None:
    async def speak(number: int) -> bool:
        name, pcm = f"device-{number}", noise(1.5, seed=number)
        async with device(name, house.wire("mqtt", name), speed=4) as one_device:
            said = await one_device.say(pcm)
            return (
                bytes(one.audio[name, said.stream]) == pcm
                and said.transcript == f"text for {name}"
                and said.reply == f"reply to {name}"
            )

    async with gateway(mqtt=house.url) as one:
        assert await asyncio.gather(*(speak(number) for number in range(20))) == [True] * 20
        assert one.lost_samples == 0


async def test_garbage_on_the_line_hurts_nobody(gateway: Any, terminal: Any, house: House) -> None:
    rubbish = random.Random(3).randbytes(100_000)
    port = terminal("usb-noisy")
    async with gateway(house.ports) as one, device("kitchen", house.wire("serial", "kitchen")) as kitchen:
        await one.heard.first(LinkChanged, link=str(port.name), up=True)
        os.set_blocking(port.ours, False)
        sent = 0
        while sent < len(rubbish):
            try:
                sent += os.write(port.ours, rubbish[sent : sent + 4000])
            except BlockingIOError:
                await asyncio.sleep(0.001)
        os.write(port.ours, b"\0Guru Meditation Error\r\n")
        said = await kitchen.say(noise(0.5))
        assert said.reply == "reply to kitchen"
        await one.heard.until(lambda: [e for e in one.heard.of(DeviceLog) if "Guru Meditation" in e.text])


async def test_garbage_payloads_are_counted_and_answered(gateway: Any, house: House, recorder: Any) -> None:
    answers = recorder()
    async with gateway(mqtt=house.url) as one, device("kitchen", house.wire("mqtt", "kitchen")) as kitchen:
        await kitchen.connected()
        vandal = await MqttConnection.open(
            BrokerAddress.parse(house.url),
            MqttSession(client_id="vandal"),
            lambda message: answers(message.topic),
        )
        await vandal.subscribe("earshot/v1/+/down")
        chance = random.Random(5)
        for payload in (
            b"",
            b"\0",
            b"{}",
            bytes(5000),
            *(chance.randbytes(chance.randrange(200)) for _ in range(200)),
        ):
            vandal.publish("earshot/v1/kitchen/up", payload)
            vandal.publish("earshot/v1/not-a-device/up", payload)
            vandal.publish("earshot/v1/kitchen/state", payload)
        said = await kitchen.say(noise(0.5))
        assert said.reply == "reply to kitchen"
        assert one.audio["kitchen", said.stream] == noise(0.5)
        await answers.until(lambda: "earshot/v1/not-a-device/down" in answers.items)
        assert one.bridge.devices()[0].counters.rejected > 0
        assert one.bridge.counters.strangers > 0
        await vandal.close()


async def test_a_device_with_a_name_that_is_not_its_topics_is_refused(
    gateway: Any, house: House, recorder: Any
) -> None:
    shown = recorder()
    async with gateway(mqtt=house.url) as one, device("cellar", Mqtt(house.url, "kitchen"), report=shown):
        assert (await shown.first(FaultShown)).code is FaultCode.BAD_ID
        assert one.bridge.devices() == ()


async def test_a_busy_gateway_stops_the_flow_and_loses_nothing(
    gateway: Any, house: House, carrier: str
) -> None:
    pcm = noise(6.0)
    wire = house.wire(carrier, "kitchen")
    async with (
        gateway(house.ports, mqtt=house.url, credit_frames=16) as one,
        device("kitchen", wire, speed=8) as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(pcm))
        await one.heard.until(lambda: len(one.audio.get(("kitchen", 1), b"")) > 16_000)
        one.bridge.set_busy(lambda device_id: device_id == "kitchen")
        had = len(one.audio["kitchen", 1])
        await passes(lambda: kitchen.end.unacknowledged >= 60)
        assert len(one.audio["kitchen", 1]) <= had + 20 * 2 * kitchen.wire.audio_samples
        one.bridge.set_busy(lambda _device_id: False)
        assert (await saying).reply == "reply to kitchen"
        assert one.audio["kitchen", 1] == pcm


async def test_buttons_and_levels_arrive(gateway: Any, house: House, carrier: str) -> None:
    async with (
        gateway(house.ports, mqtt=house.url) as one,
        device("kitchen", house.wire(carrier, "kitchen")) as kitchen,
    ):
        await kitchen.connected()
        kitchen.notice(NoticeKind.WAKE_WORD, 97, "hey house")
        notice = await one.heard.first(DeviceNotice)
        assert (notice.kind, notice.value, notice.text) == (NoticeKind.WAKE_WORD, 97, "hey house")


async def test_a_broker_that_is_absent_at_start_is_said_once_and_found_later(
    gateway: Any, mosquitto: Any
) -> None:
    mosquitto.stop()
    async with gateway(mqtt=mosquitto.url) as one:
        down = await one.heard.first(LinkChanged, link="mqtt", up=False)
        assert mosquitto.url in down.reason
        assert "start the MQTT broker" in down.remedy
        mosquitto.start()
        await one.heard.first(LinkChanged, link="mqtt", up=True)
        assert len(one.heard.of(LinkChanged)) == 2


async def test_the_embedded_broker_is_used_found_and_restarted(gateway: Any) -> None:
    async with gateway(mqtt="embedded") as one:
        await one.heard.first(LinkChanged, up=True)
        url = one.bridge.mqtt_url
        assert url.startswith("mqtt://127.0.0.1:")
        async with device("kitchen", Mqtt(one.bridge.mqtt_url_of("kitchen"), "kitchen"), speed=8) as kitchen:
            saying = asyncio.create_task(kitchen.say(noise(4.0)))
            await one.heard.until(lambda: len(one.audio.get(("kitchen", 1), b"")) > 16_000)
            os.kill(embedded_pid(), signal.SIGKILL)
            await one.heard.first(LinkChanged, up=True, count=2)
            assert one.bridge.mqtt_url == url
            assert (await saying).reply == "reply to kitchen"
            assert one.audio["kitchen", 1] == noise(4.0)


def embedded_pid() -> int:
    """The child of this process that is an embedded broker."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (pid,) = [
        int(child) for child in children if b"embedded_broker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return pid


async def test_devices_are_told_when_the_gateway_stops(
    gateway: Any, house: House, carrier: str, recorder: Any
) -> None:
    shown = recorder()
    async with device("kitchen", house.wire(carrier, "kitchen"), report=shown) as kitchen:
        async with gateway(house.ports, mqtt=house.url) as one:
            await kitchen.connected()
        assert (await shown.first(FaultShown)).code is FaultCode.SHUTTING_DOWN
        assert one.heard.of(DeviceDisconnected)


async def test_what_is_said_to_an_unknown_device_goes_nowhere(gateway: Any) -> None:
    async with gateway() as one:
        assert not one.bridge.send_status("nobody", 1, 1, DeviceStatus.IDLE)
        assert not one.bridge.wants_partials("nobody", 1)
        assert not one.bridge.send_partial("nobody", 1, 1, "text")
        assert not one.bridge.send_transcript("nobody", 1, 1, "c", "text")
        assert not one.bridge.send_reply("nobody", 1, 1, "c", "text", final=True)
        one.bridge.settle("nobody", 1, 1, 0)
        one.bridge.send_fault("nobody", FaultCode.REFUSED, "go away")


def test_a_url_that_is_no_brokers_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"mqtt\[s\]://"):
        Bridge(DeviceSettings(mqtt=MqttSettings(url="tcp://box")), lambda _event: None)
