"""Who is of the house, on real wires: waiting, approved, keyed, cut off in mid-speech, and what is audited of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from firmware_bridge.link.frames import FaultCode
from firmware_bridge.simulator.user import FaultShown, Linked
from firmware_bridge.simulator.wires import Mischief
from gateway.commands.cli import main
from gateway.contract.events import DeviceEvent, TranscriptionEvent
from gateway.registry.file import RegistryFile
from tests.record import passes
from tests.system.house import RECORDINGS, Board, House, text
from tests.system.test_device_life import heard_some

pytestmark = pytest.mark.slow

APPROVE = {"unknown": "approve"}


@pytest.fixture(params=["serial", "mqtt"])
def carrier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def earshot(folder: Path, *arguments: str) -> str:
    """What the command says, beside the gateway whose state lies in the folder."""
    config = folder / "config.yaml"
    config.write_text(f"{{journal: {{path: {folder}/journal.db}}, web: {{enabled: false}}}}")
    command = ["devices", "--config", str(config), *arguments]
    done = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert done.exit_code == 0, done.output
    return done.stdout


async def refused(board: Board, count: int = 1) -> str:
    fault: FaultShown = await board.told.first(FaultShown, code=FaultCode.REFUSED, count=count)
    return fault.message


def audited(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "audit.log").read_text().splitlines()]
    return [
        f"{line['event']}: {line.get('change') or line.get('reason') or line['device_id']}" for line in lines
    ]


async def test_a_board_waits_until_it_is_approved_and_is_gone_when_it_is_revoked(
    house: Any, mosquitto: Any, tmp_path: Path, carrier: str
) -> None:
    async with (
        house(mqtt=mosquitto.url, devices=APPROVE) as one,
        one.board("kitchen", carrier, speed=2) as kitchen,
    ):
        assert await refused(kitchen) == "kitchen awaits approval"
        (waiting,) = one.gateway.register.waiting()
        assert (waiting.device_id, waiting.firmware) == ("kitchen", "simulator")
        await earshot(tmp_path, "approve", "kitchen")
        await kitchen.told.first(Linked)
        said = await kitchen.say(RECORDINGS["u00"].path)
        assert said.transcript == text("u00")

        saying = asyncio.create_task(kitchen.say(RECORDINGS["u09"].path, patience=1.0))
        await heard_some(one, kitchen)
        loop = asyncio.get_running_loop()
        count = len(kitchen.told.of(FaultShown, code=FaultCode.REFUSED)) + 1
        await earshot(tmp_path, "revoke", "kitchen")
        revoked_at = loop.time()
        assert await refused(kitchen, count) == "kitchen was revoked"
        assert loop.time() - revoked_at < 1.0
        await one.events.first(DeviceEvent, state="disconnected", device_id="kitchen")
        assert (await saying).transcript is None
        await one.idle()
        assert [event.text for event in one.events.of(TranscriptionEvent)] == [text("u00")]
        assert one.gateway.bridge.devices() == ()
    told = audited(tmp_path)
    assert told[0] == "not admitted: kitchen awaits approval"
    assert "device registry changed: approved" in told
    assert told[told.index("device registry changed: revoked") + 1] == "device cut off: kitchen"


async def test_a_key_over_a_wire_that_loses_and_doubles(
    house: Any, mosquitto: Any, tmp_path: Path, carrier: str
) -> None:
    """Whoever has it comes in, through resumes and on another boot; whoever has not does not, in the same noise."""
    key = bytes.fromhex(RegistryFile(tmp_path).make_key("kitchen").key)
    noise = Mischief(seed=5, drop=0.1, duplicate=0.2, delay=0.1)
    async with house(mqtt=mosquitto.url) as one:
        async with one.board("kitchen", carrier, key=key, mischief=noise, speed=8) as kitchen:
            assert (await kitchen.say(RECORDINGS["u00"].path)).transcript == text("u00")
            kitchen.unplug()
            await one.events.first(DeviceEvent, state="disconnected")
            kitchen.replug()
            assert (await kitchen.say(RECORDINGS["u09"].path)).transcript == text("u09")
        for other in (b"", bytes(32)):
            async with one.board("kitchen", carrier, key=other, mischief=noise) as impostor:
                assert "kitchen has to prove who it is" in await refused(impostor)
                assert not impostor.told.of(Linked)
        async with one.board("kitchen", carrier, key=key, mischief=noise) as kitchen:
            await kitchen.told.first(Linked)
    assert any("its proof is wrong" in line for line in audited(tmp_path))
    assert key.hex() not in (tmp_path / "audit.log").read_text()


async def test_a_damaged_register_silences_nobody_who_is_here(house: Any, tmp_path: Path) -> None:
    async with house() as one, one.board("kitchen") as kitchen:
        await kitchen.told.first(Linked)
        (tmp_path / "devices.json").write_text('[{"device_id": "kitch')
        await passes(lambda: "device registry" in health(one))
        assert (await kitchen.say(RECORDINGS["u00"].path)).transcript == text("u00")
        (tmp_path / "devices.json").unlink()
        await passes(lambda: "device registry" not in health(one))
    (tmp_path / "devices.json").write_text("nonsense")
    async with house() as one, one.board("kitchen") as kitchen:
        assert "cannot read its register" in await refused(kitchen)
        (tmp_path / "devices.json").unlink()
        await kitchen.told.first(Linked)


def health(one: House) -> dict[str, Any]:
    return dict(one.gateway.health.report().components)
