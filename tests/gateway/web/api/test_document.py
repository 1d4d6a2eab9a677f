"""docs/api.md: its commands work as they stand there."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from firmware_bridge.images.image_file import signed_image
from firmware_bridge.images.signing import new_key
from gateway.contract.events import DeviceEvent
from gateway.journal import effects as e
from gateway.web.operations.table import OPERATIONS
from tests.gateway.journal.rows import remembered, utterance
from tests.gateway.web.api.served import open_served
from tests.gateway.works import loud, quiet

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[4] / "docs" / "api.md"
AGENTS = {
    "agents": {"almanac": {"cache": {"seconds": 3600}}, "other": {}},
    "teams": {"house": {"agents": ["almanac"]}},
}
FEATURES = {"small_model": {"agents": {"almanac": "other"}}}
HERE = "http://127.0.0.1:8080/"


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


async def test_every_command_does_what_it_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt-get install curl")
    audio = loud(1) + quiet(1)
    image = signed_image(b"firmware", kind="s3", version="1.4.0", number=1, private=new_key())
    (tmp_path / "app-1.4.0.earshot").write_bytes(image)
    async with (
        open_served(
            tmp_path, journal_settings={"keep_audio": True}, orchestrator=AGENTS, features=FEATURES
        ) as served,
        served.works.board(),
    ):
        await served.works.events.first(DeviceEvent, state="connected")
        async with served.works.board("attic"):
            await served.works.events.first(DeviceEvent, state="connected", device_id="attic")
        await served.works.events.first(DeviceEvent, state="disconnected", device_id="attic")
        await served.works.journal.commit(e.Heard(utterance("u_1", audio=audio)))
        row = e.Remembered(remembered("u_1", "turn on the light"))
        await served.works.journal.commit(e.Transcribed("u_1"), row)
        answers = []
        for command in commands():
            process = await asyncio.create_subprocess_shell(
                command.replace(HERE, served.url),
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            assert process.returncode == 0, f"{command}\n{err.decode()}"
            answers.append(out.decode())
    assert "turn on the light" in answers[2]
    assert (tmp_path / "said.wav").read_bytes()[:4] == b"RIFF"
    assert "-->" in answers[4]
    assert '"erased":' in answers[-1]


def test_its_paths_are_there() -> None:
    paths = {re.sub(r"{\w+}", "*", one.path) for one in OPERATIONS}
    named = {
        re.sub(r"/(u_1|kitchen|attic|almanac|small_model)(?=/|$)", "/*", path)
        for path in re.findall(r"/api/v1(/[\w/-]+)", " ".join(commands()))
    }
    assert named <= paths
