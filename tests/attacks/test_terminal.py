"""What others say, print, name or plant steers nobody's terminal, as text and as JSON."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.access.principals import Role
from gateway.access.tokens import Token
from gateway.client.listener import Listener
from gateway.commands.cli import main
from gateway.contract.escaping import json_text
from gateway.journal import Journal
from gateway.journal.dead_letters import refused
from gateway.journal.effects import Died
from gateway.settings.journal import JournalSettings
from tests.attacks.castle import Castle
from tests.gateway.access.keyring import Keyring
from tests.gateway.journal.rows import dead, letter
from tests.record import PATIENCE

pytestmark = pytest.mark.slow

HOSTILE = (
    "\x9b2Jgone\x9d0;title\x9c"  # C1: as ESC [ and ESC ]
    "\u202emirrored\u2066\u2028new line\x7f\x1b]52;c;cm0=\x07\ufeff\U000e0041"
)


def calm(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the gateway of ./config.yaml keeps everything, models too."""
    settings = {
        "journal": {"path": str(tmp_path / "journal.db")},
        "transcription": {"models_dir": str(tmp_path / "models")},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(settings))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
async def letters(folder: Path) -> Path:
    async with Journal(JournalSettings(path=str(folder / "journal.db"))) as journal:
        payload = json.dumps({"text": HOSTILE}, ensure_ascii=False).encode()
        await journal.commit(refused(letter(0, payload=payload, topic=f"t{HOSTILE}"), f"reason {HOSTILE}"))
        await journal.commit(refused(letter(1, payload=HOSTILE.encode()), "no JSON"))
        await journal.commit(Died(dead(HOSTILE, device_id=HOSTILE)))
    return folder


@pytest.mark.parametrize("words", ["list", "list --json", "show 1", "show 2", "show 3"])
async def test_a_dead_letter(letters: Path, words: str) -> None:
    done = await asyncio.to_thread(run, "dlq", *words.split())
    assert done.exit_code == 0, (letters, done.output)
    assert calm(done.output)
    if words == "show 1":
        assert json.loads(done.stdout)["contents"]["payload"]["text"] == HOSTILE, "JSON says what it said"


@pytest.mark.parametrize("words", ["list", "list --json", "revoke ID", "rotate ID"])
def test_a_token_s_name_that_its_folder_s_owner_has_written(folder: Path, words: str) -> None:
    keyring = Keyring(folder)
    token, _ = keyring.make("ann", Role.LISTENER)
    planted: Token = msgspec.structs.replace(token, name=HOSTILE, users=(HOSTILE,))
    keyring.file.path.write_bytes(msgspec.json.encode([planted]))
    done = run("token", *words.replace("ID", token.token_id).split())
    assert "0;title" in done.output
    assert calm(done.output)


@pytest.mark.parametrize("words", ["list", "list --json"])
def test_a_model_s_folder(folder: Path, words: str) -> None:
    name = HOSTILE.replace("/", "")
    place = folder / "models" / name
    place.mkdir(parents=True)
    for file in ("model.bin", "tokenizer.json", "vocabulary.json"):
        (place / file).write_text("{}")
    (place / "config.json").write_text('{"suppress_ids": []}')
    done = run("models", *words.split())
    assert "0;title" in done.output.replace("\n", "")
    assert calm(done.output)


@pytest.mark.parametrize("words", ["check-config", "doctor --config", "doctor --json --config"])
def test_a_file_s_name(folder: Path, words: str) -> None:
    file = folder / f"{HOSTILE.replace('/', '')}.yaml"
    file.write_text("web: {port: 0}")
    done = run(*words.split(), file)
    assert "0;title" in done.output.replace("\n", "")
    assert calm(done.output)


@pytest.fixture
def decoy(tmp_path: Path) -> Iterator[None]:
    """A process of somebody's that looks like a gateway."""
    words = [
        sys.executable,
        "-c",
        "import sys; print(flush=True); sys.stdin.read()",
        "earshot",
        "run",
        "--config",
    ]
    with subprocess.Popen(
        [*words, f"/{HOSTILE}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        yield
        process.stdin.close()


@pytest.mark.usefixtures("decoy")
def test_another_s_process(folder: Path) -> None:
    done = run("reload", "--config", folder / "config.yaml")
    assert done.exit_code == 1
    assert "0;title" in done.output
    assert calm(done.output)


async def test_what_a_listener_hears_as_json(castle: Castle) -> None:
    words = ("listen", "--json", "--config", str(castle.config))
    listen = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("earshot"), *words, stdout=subprocess.PIPE, limit=1024 * 1024
    )
    assert listen.stdout
    lines = []
    async with asyncio.timeout(PATIENCE), Listener(castle.url) as listener:
        lines.append(await listen.stdout.readline())
        await listener.say(re.sub(r"[\x00-\x1f]", "", HOSTILE))
        while b"mirrored" not in lines[-1]:
            lines.append(await listen.stdout.readline())
    listen.terminate()
    await listen.wait()
    assert "\u202emirrored" in json.loads(lines[-1])["text"]
    assert all(line.decode().rstrip("\n").isprintable() for line in lines)


def test_json_says_the_same() -> None:
    for text in (HOSTILE, "schön\n", "\ud800", "\U0001f600"):
        document = json.dumps({"a": text}, ensure_ascii=False)
        assert json.loads(json_text(document)) == {"a": text}
    assert json_text('"schön"') == '"schön"', "what is printable stays"
