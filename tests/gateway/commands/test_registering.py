"""``earshot devices`` where it changes who may come in: beside a gateway that runs or not, and by its API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.link.wires import Line
from gateway.commands.cli import main
from gateway.registry.file import RegistryFile
from tests.gateway.web.api.served import Served, open_served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(f"journal: {{path: {tmp_path}/state/journal.db}}")
    return tmp_path / "state"


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["devices", "--config", str(folder.parent / "config.yaml"), *arguments])


def standings(folder: Path) -> dict[str, str]:
    return {name: one.standing.value for name, one in RegistryFile(folder).read().items()}


def test_without_a_gateway_it_is_written_down_and_audited(folder: Path) -> None:
    for arguments, said in (
        (("approve", "kitchen", "attic"), "attic may come in"),
        (("deny", "attic"), "attic is refused from now on"),
        (("describe", "kitchen", "--name", "the board", "--room", "Kitchen"), "name the board, room Kitchen"),
        (("add", "hall", "--no-key", "--user", "ann"), "hall may come in"),
        (("revoke", "hall"), "hall is revoked"),
    ):
        done = run(folder, *arguments)
        assert (done.exit_code, said in done.output) == (0, True), done.output
    assert standings(folder) == {"kitchen": "approved", "attic": "denied", "hall": "revoked"}
    assert RegistryFile(folder).read()["kitchen"].facts.room == "Kitchen"
    lines = [json.loads(line) for line in (folder / "audit.log").read_text().splitlines()]
    assert [line["change"] for line in lines] == [
        "approved", "approved", "denied", "described", "approved", "revoked",
    ]  # fmt: skip
    assert (lines[3]["device_id"], lines[3]["room"], lines[3]["event"]) == (
        "kitchen",
        "Kitchen",
        "device registry changed",
    )


def test_a_key_is_printed_once_and_stands_in_no_log(folder: Path) -> None:
    first = run(folder, "add", "kitchen", "--room", "Kitchen")
    second = run(folder, "key", "kitchen")
    keys = [done.stdout.strip() for done in (first, second)]
    assert [len(bytes.fromhex(key)) for key in keys] == [32, 32]
    assert "it is not shown again" in second.stderr
    assert RegistryFile(folder).read()["kitchen"].key == keys[1] != keys[0]
    assert RegistryFile(folder).read()["kitchen"].facts.room == "Kitchen"
    assert not any(key in (folder / "audit.log").read_text() for key in keys)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("approve",), 2, "name devices, or --waiting"),
        (("approve", "kitchen", "--waiting"), 2, "name devices, or --waiting"),
        (("approve", "a b"), 1, "is no device's id"),
        (("key", "web-panel"), 1, "of pages and programs"),
        (("describe", "kitchen"), 2, "say --name"),
        (("describe", "kitchen", "--room", "x" * 65), 1, "length <= 64"),
        (("unregister", "kitchen"), 1, "nobody has written down a device 'kitchen'"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    folder: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = run(folder, *arguments)
    assert (done.exit_code, said in done.output) == (status, True), done.output
    assert standings(folder) == {}


def test_a_register_that_is_damaged_is_left_as_it_is(folder: Path) -> None:
    folder.mkdir()
    (folder / "devices.json").write_text("nonsense")
    done = run(folder, "approve", "kitchen")
    assert (done.exit_code, "is damaged" in done.output) == (1, True)
    assert (folder / "devices.json").read_text() == "nonsense"


async def ask(served: Served, *arguments: str) -> Result:
    command = ["devices", "--url", served.url, *arguments]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


async def test_a_gateway_that_is_named_is_asked(tmp_path: Path) -> None:
    async with open_served(tmp_path, devices={"unknown": "approve"}) as served:
        for name in ("kitchen", "attic"):
            hello = Hello(Header(), name, 5, "fw 1", 0, 0, 0, 0)
            served.works.bridge.receive(Line("mqtt", name), [hello])
        told = (await ask(served)).output
        assert "kitchen           WAITS for approval: over mqtt, fw 1" in told
        assert "no device has called yet" not in told
        assert "attic may come in" in (await ask(served, "approve", "--waiting")).output
        made = await ask(served, "add", "hall", "--room", "Hall", "--priority", "urgent")
        assert RegistryFile(tmp_path).read()["hall"].key == made.stdout.split()[-1]
        assert (await ask(served, "describe", "hall", "--name", "the board")).exit_code == 0
        assert (await ask(served, "deny", "attic")).exit_code == 0
        told = (await ask(served, "list")).output
        assert "hall              approved: the board, Hall, urgent, with a key" in told
        assert "attic             denied" in told
        assert (await ask(served, "unregister", "attic")).exit_code == 0
        gone = await ask(served, "unregister", "attic")
        assert (gone.exit_code, "nobody has written down" in gone.output) == (1, True)


async def test_a_name_that_no_device_has_is_told_and_what_is_said_of_it_stands(tmp_path: Path) -> None:
    async with open_served(tmp_path, devices={"unknown": "approve"}) as served:
        hello = Hello(Header(), "kitchen", 5, "fw 1", 0, 0, 0, 0)
        served.works.bridge.receive(Line("mqtt", "kitchen"), [hello])
        done = await ask(served, "approve", "kitchn", "attic", "kitchen")
        assert done.stdout.count("may come in") == 3
        assert done.stderr.splitlines() == [
            "note: kitchn has not come since the gateway started; did you mean kitchen?",
            "note: attic has not come since the gateway started; waiting for approval: kitchen",
        ]
        assert standings(tmp_path) == dict.fromkeys(("kitchn", "attic", "kitchen"), "approved")
        served.works.bridge.receive(Line("mqtt", "kitchen"), [hello])
        for how in (("deny", "Kitchen"), ("revoke", "Kitchen"), ("describe", "Kitchen", "--room", "Hall")):
            assert "did you mean kitchen?" in (await ask(served, *how)).stderr
        assert (await ask(served, "revoke", "kitchen")).stderr == ""


def test_without_a_page_the_file_is_all_that_is_needed(folder: Path) -> None:
    config = folder.parent / "config.yaml"
    config.write_text(f"{{journal: {{path: {folder}/journal.db}}, web: {{enabled: false}}}}")
    assert run(folder, "approve", "kitchen").exit_code == 0
    assert standings(folder) == {"kitchen": "approved"}
    done = run(folder, "list")
    assert (done.exit_code, "web.enabled is false" in done.output) == (1, True)
