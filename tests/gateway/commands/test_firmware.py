"""earshot firmware: a key made, an image signed, kept, offered, paused and removed; here and over the API."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware_bridge.images.image_file import checked
from firmware_bridge.images.signing import public_of
from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.link.wires import Line
from gateway.access.audit import FILE
from gateway.commands.cli import main
from tests.gateway.web.api.served import open_served


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["firmware", *map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(f"journal: {{path: {tmp_path}/state/journal.db}}\n")
    return file


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "firmware.key"
    assert run("keygen", file).exit_code == 0
    return file


def signed(folder: Path, key: Path, version: str = "1.4.0") -> Path:
    image = folder / "app.bin"
    image.write_bytes(b"firmware " + version.encode())
    done = run("sign", image, "--kind", "s3", "--version", version, "--key", key)
    assert done.exit_code == 0, done.output
    return Path(done.stdout.strip())


def test_a_key_is_private_and_its_public_half_is_printed(tmp_path: Path) -> None:
    file = tmp_path / "firmware.key"
    done = run("keygen", file)
    assert file.stat().st_mode & 0o777 == 0o600
    public = public_of(file.read_bytes())
    assert public.hex() in done.stdout
    assert f"0x{public[0]:02x}, 0x{public[1]:02x}," in done.stdout
    assert "-----BEGIN PUBLIC KEY-----" in done.stdout
    assert "PRIVATE" not in done.stdout
    before = file.read_bytes()
    assert run("keygen", file).exit_code == 1
    assert file.read_bytes() == before


def test_an_image_is_signed_with_the_time_for_a_number(tmp_path: Path, key: Path) -> None:
    made = signed(tmp_path, key)
    assert made.name == "app-1.4.0.earshot"
    manifest = checked(made.read_bytes())
    assert (manifest.kind, manifest.version) == ("s3", "1.4.0")
    assert manifest.number > 1_600_000_000


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"--version": 'a"b'}, "printable ASCII"),
        ({"--key": "app.bin"}, "app.bin"),
        ({"--key": "nowhere"}, "No such file"),
    ],
)
def test_what_cannot_be_signed_says_why(tmp_path: Path, key: Path, wrong: dict[str, str], why: str) -> None:
    (tmp_path / "app.bin").write_bytes(b"firmware")
    options = {"--kind": "s3", "--version": "1", "--key": str(key)}
    options |= {name: str(tmp_path / value) if name == "--key" else value for name, value in wrong.items()}
    done = run("sign", tmp_path / "app.bin", *(word for pair in options.items() for word in pair))
    assert done.exit_code == 1
    assert why in done.output


def test_an_image_goes_its_way(tmp_path: Path, config: Path, key: Path) -> None:
    here = ("--config", config)
    assert "1.4.0" in run(*here, "add", signed(tmp_path, key)).stdout
    assert "for s3" in run(*here, "list").stdout
    assert json.loads(run(*here, "list", "--json").stdout)[0]["version"] == "1.4.0"
    assert "nothing is offered" in run(*here, "status").stdout
    assert run(*here, "offer", "1.4.0").exit_code == 2
    assert run(*here, "offer", "1.4.0", "--device", "kitchen").exit_code == 0
    assert run(*here, "offer", "1.4.0", "--room", "Hall").exit_code == 0
    shown = run(*here, "status").stdout
    assert "offered to kitchen, room Hall" in shown
    assert "kitchen           no word yet" in shown
    assert run(*here, "pause", "1.4.0").exit_code == 0
    assert "PAUSED" in run(*here, "status").stdout
    assert run(*here, "resume", "1.4.0").exit_code == 0
    assert run(*here, "offer", "1.4.0", "--all").exit_code == 0
    told = json.loads(run(*here, "status", "--json").stdout)
    assert (told["rollouts"][0]["everybody"], told["rollouts"][0]["paused"]) == (True, "")
    assert run(*here, "remove", "1.4.0").exit_code == 0
    assert "no images" in run(*here, "list").stdout
    log = (tmp_path / "state" / FILE).read_text()
    assert "1.4.0 for s3 added" in log
    assert "offer 1.4.0, device kitchen" in log


def test_what_is_not_there_or_not_signed_is_refused(tmp_path: Path, config: Path) -> None:
    done = run("--config", config, "offer", "9.9", "--all")
    assert (done.exit_code, "there is no image" in done.output) == (1, True)
    (tmp_path / "app.bin").write_bytes(b"not signed")
    done = run("--config", config, "add", tmp_path / "app.bin")
    assert (done.exit_code, "no signed image" in done.output) == (1, True)
    assert run("--config", config, "add", tmp_path / "nowhere").exit_code == 1


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A folder with the state of somebody else, which root comes by."""
    if os.geteuid() != 0:
        pytest.skip("only root acts for others")
    (tmp_path / "config.yaml").write_text(f"journal: {{path: {tmp_path}/state/journal.db}}\n")
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 12_345, 12_345)
    for above in (tmp_path, *tmp_path.parents[:-2]):  # not /tmp itself
        above.chmod(above.stat().st_mode | 0o011)
    return tmp_path


def test_what_root_makes_is_the_gateways(others: Path, key: Path, tmp_path: Path) -> None:
    here = ("--config", others / "config.yaml")
    assert run(*here, "add", signed(tmp_path, key)).exit_code == 0
    assert run(*here, "offer", "1.4.0", "--all").exit_code == 0
    made = [others / "state" / "firmware", *(others / "state" / "firmware").iterdir()]
    assert {path.stat().st_uid for path in made} == {12_345}
    assert len(made) > 2


def test_through_a_link_that_was_planted_root_writes_nothing(others: Path, key: Path, tmp_path: Path) -> None:
    target = others / "roots"
    target.mkdir(mode=0o755)
    (others / "state" / "firmware").symlink_to(target)
    done = run("--config", others / "config.yaml", "add", signed(tmp_path, key))
    assert done.exit_code == 1
    assert "cannot be written" in done.output
    assert list(target.iterdir()) == []


async def test_an_offer_to_a_name_that_no_device_has_is_told(tmp_path: Path, key: Path) -> None:
    async with open_served(tmp_path / "there", devices={"rooms": {"kitchen": "Kitchen"}}) as served:
        hello = Hello(Header(), "kitchen", 5, "fw 1", 0, 0, 0, 0)
        served.works.bridge.receive(Line("mqtt", "kitchen"), [hello])

        async def noted(*words: str | Path) -> str:
            done = await asyncio.to_thread(run, "--url", served.url, *words)
            assert done.exit_code == 0, done.output
            return done.stderr

        await noted("add", signed(tmp_path, key))
        assert "kitchn has not come" in await noted("offer", "1.4.0", "--device", "kitchn")
        assert "no device of Nowhere has come since the gateway started; there are Kitchen" in await noted(
            "offer", "1.4.0", "--room", "Nowhere"
        )
        for meant in (("--device", "kitchen"), ("--room", "Kitchen"), ("--all",)):
            assert await noted("offer", "1.4.0", *meant) == ""


async def test_the_same_over_the_api_of_a_gateway_elsewhere(tmp_path: Path, key: Path) -> None:
    async with open_served(tmp_path / "there") as served:
        there = ("--url", served.url)
        for words in (
            ("add", signed(tmp_path, key)),
            ("offer", "1.4.0", "--device", "kitchen"),
            ("pause", "1.4.0"),
        ):
            done = await asyncio.to_thread(run, *there, *words)
            assert done.exit_code == 0, done.output
        shown = await asyncio.to_thread(run, *there, "status")
        assert "offered to kitchen" in shown.stdout
        assert "PAUSED" in shown.stdout
        done = await asyncio.to_thread(run, *there, "offer", "9.9", "--all")
        assert done.exit_code == 1
        assert "no such image" in done.output
