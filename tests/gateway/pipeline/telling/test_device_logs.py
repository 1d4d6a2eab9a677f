"""What devices print: the last lines of each, bounded, and whose they are."""

from __future__ import annotations

import pytest

from firmware_bridge.link.events import DeviceLog
from gateway.pipeline.telling import device_logs
from gateway.pipeline.telling.device_logs import CHARACTERS, LINES, DeviceLogs

PORT = "/dev/ttyUSB0"


@pytest.fixture
def logs() -> DeviceLogs:
    return DeviceLogs(keep=True)


def texts(logs: DeviceLogs, name: str, after: int = 0) -> list[str]:
    return [line.text for line in logs.lines(name, after)]


def test_each_line_of_a_text_is_one_and_a_long_one_is_cut(logs: DeviceLogs) -> None:
    logs.add(DeviceLog("kitchen", PORT, "one\r\n\n two\n", level=3))
    logs.add(DeviceLog("bath", PORT, "x" * 9999))
    assert texts(logs, "kitchen") == ["one", " two"]
    assert [line.level for line in logs.lines("kitchen")] == [3, 3]
    assert texts(logs, "bath") == ["x" * CHARACTERS]
    assert texts(logs, "nobody") == []


def test_a_reader_goes_on_where_it_was(logs: DeviceLogs) -> None:
    logs.add(DeviceLog("kitchen", PORT, "one\ntwo"))
    last = logs.lines("kitchen")[-1].number
    logs.add(DeviceLog("kitchen", PORT, "three"))
    assert texts(logs, "kitchen", last) == ["three"]


def test_what_came_before_the_hello_is_the_devices(logs: DeviceLogs) -> None:
    logs.add(DeviceLog("kitchen", PORT, "it works"))
    logs.add(DeviceLog(None, PORT, "Guru Meditation Error\nrst:0x1"))
    assert texts(logs, PORT) == ["Guru Meditation Error", "rst:0x1"]
    for _ in range(2):
        logs.adopt(PORT, "kitchen")
    logs.add(DeviceLog("kitchen", PORT, "it works again"))
    assert texts(logs, "kitchen") == ["it works", "Guru Meditation Error", "rst:0x1", "it works again"]
    assert texts(logs, PORT) == []


def test_the_oldest_go_first_and_are_counted(logs: DeviceLogs) -> None:
    for number in range(LINES + 3):
        logs.add(DeviceLog("kitchen", PORT, f"line {number}"))
    logs.add(DeviceLog(None, PORT, "boot"))
    logs.adopt(PORT, "kitchen")
    assert len(texts(logs, "kitchen")) == LINES
    assert texts(logs, "kitchen")[0] == "line 4"
    assert logs.dropped("kitchen") == 4
    assert logs.dropped("bath") == 0


def test_a_loud_device_does_not_push_out_a_quiet_one(
    logs: DeviceLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_logs, "ALL_LINES", 20)
    logs.add(DeviceLog("bath", PORT, "once"))
    for number in range(100):
        logs.add(DeviceLog("kitchen", PORT, str(number)))
    assert texts(logs, "bath") == ["once"]
    assert texts(logs, "kitchen") == [str(number) for number in range(81, 100)]
    logs.forget("kitchen")
    logs.forget("kitchen")
    for number in range(19):
        logs.add(DeviceLog("hall", PORT, str(number)))
    assert len(texts(logs, "hall")) == 19, "what is forgotten takes no room"


def test_where_nobody_is_to_see_words_nothing_is_kept() -> None:
    logs = DeviceLogs(keep=False)
    logs.add(DeviceLog("kitchen", PORT, "heard: the secret"))
    assert texts(logs, "kitchen") == []
