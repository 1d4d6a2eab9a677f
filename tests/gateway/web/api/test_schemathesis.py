"""The whole API, asked by schemathesis as its description says: no server error, no answer that is not in it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gateway.journal import effects as e
from gateway.journal.dead_letters import refused
from tests.gateway.journal.rows import letter, remembered
from tests.gateway.web.api.served import open_served

pytestmark = pytest.mark.slow

EXAMPLES = 20
SEED = 20261128
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection,unsupported_method,allow_header_conformance"
)


async def test_no_operation_fails_whatever_it_is_asked(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    unlimited = {"requests_per_second": 0, "uploads_per_minute": 0, "failures_per_minute": 0}
    async with open_served(tmp_path, web={"limits": unlimited}) as served, served.works.board():
        await served.works.journal.commit(
            *(e.Remembered(remembered(f"u_{i}")) for i in range(60)),
            *refused_letters(20),
        )
        command = (
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}api/v1/openapi.json"),
            *("--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(SEED)),
            *("--checks", CHECKS, "--continue-on-failure", "--request-timeout", "20", "--no-color"),
            *("--suppress-health-check", "all", "--generation-database", "none"),
        )
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        print(output.decode())
        assert process.returncode == 0, output.decode()[-20_000:]
        assert (await served.get("/health"))["epoch"] == served.works.hub.epoch


def refused_letters(count: int) -> list[e.Effect]:
    return [refused(letter(i, payload=b'{"text": 1}', topic="house.notes"), "no reply") for i in range(count)]
