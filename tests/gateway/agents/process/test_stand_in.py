"""An agent in a process of its own: it does what it does inside the gateway, and whatever becomes of the process is
told, and ended with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.agents.process import watched
from gateway.agents.process.stand_in import stand_in
from gateway.orchestrators.rehearsal import Rehearsal
from gateway.orchestrators.sdk import Orchestrator
from gateway.settings.orchestrator import AgentSettings
from tests.record import passes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("agents' processes")]

MODULE = '''
"""Somebody's agents, of all kinds."""

import asyncio, fcntl, os, stat, sys, threading, time
from contextlib import asynccontextmanager
from pathlib import Path
from gateway.orchestrator import CannotAnswer, NotUnderstood, Orchestrator, Reply
from gateway.contract.messages import WantedHints

house = Orchestrator("other_name")
undone = []

@house.on_transcript
async def answer(heard):
    what, _, rest = heard.text.partition(" ")
    return await globals()[what](heard, rest)

@house.on_compensation
async def undo(heard, reason):
    undone.append(f"{heard.text} for {reason}")

async def pid(heard, rest): return str(os.getpid())
async def whoami(heard, rest): return f"{heard.role} in {heard.room}: " + ", ".join(t.text for t in heard.conversation)
async def puzzled(heard, rest): raise NotUnderstood("What?")
async def cannot(heard, rest): raise CannotAnswer("the lamp is broken", "buy one")
async def broken(heard, rest): raise ValueError("secret")
async def leaves(heard, rest): sys.exit(3)
async def ends(heard, rest): os._exit(5)
async def dies(heard, rest): os.kill(os.getpid(), 9)
async def prints(heard, rest): print("for the log"); os.write(1, b"and so is this\\n"); return "printed"
async def sleeps(heard, rest):
    Path(rest).touch()
    try:
        await asyncio.sleep(60)
    finally:
        Path(rest).unlink()
async def blocks(heard, rest): Path(rest).touch(); time.sleep(60)
async def flees(heard, rest):
    Path(rest).touch()
    while True:
        try: await asyncio.sleep(60)
        except asyncio.CancelledError: pass
async def much(heard, rest): return str(len(bytearray(int(rest) * 1024 * 1024)))
async def undid(heard, rest): return "; ".join(undone)
async def asks(heard, rest):
    other = await heard.ask("other", rest)
    return f"{other.agent}: {other.text or other.error}"
async def announces(heard, rest):
    await heard.announce(rest, device_id="radio"); return "told"
async def everything(heard, rest):
    await heard.progress("looking"); await heard.interim("A moment"); await heard.say("The "); await heard.say("answer")
    await heard.hints(WantedHints(language="de"))
    return Reply(".", data={"a": [1]}, confidence=0.5)
async def garbles(heard, rest):
    for name in range(3, 64):
        try: mode = os.fstat(name).st_mode
        except OSError: continue
        if stat.S_ISFIFO(mode) and fcntl.fcntl(name, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            os.write(name, b'{"no": "message"}\\n' if rest == "line" else b"x" * 200_000)
            if rest != "line":
                for _ in range(100): os.write(name, b"x" * 100_000)
    return "unheard"
async def chatters(heard, rest):
    for i in range(2000): print(i)
    return "said"
async def spawns(heard, rest):
    child = await asyncio.create_subprocess_exec("sleep", "60"); return str(child.pid)

opened = []
brief = Orchestrator("brief")
@asynccontextmanager
async def lifespan():
    opened.append(1)
    try: yield
    finally: Path("closed").touch()
brief.lifespan = lifespan
@brief.on_transcript
async def brief_answer(heard): return str(opened)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agents")
    (path / "agents_of_mine.py").write_text(MODULE)
    (path / "hanging.py").write_text("import time\ntime.sleep(60)\n")
    (path / "ending.py").write_text("import os\nos._exit(7)\n")
    (path / "leaving.py").write_text("import sys\nsys.exit(1)\n")
    return path


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(watched, "FIRST_PAUSE", 0.01)


class Stage:
    """The agent, and what is told of it."""

    def __init__(self, agent: Orchestrator) -> None:
        self.ailing: list[str] = []
        agent.on_ailing = lambda _name, reason, remedy: self.ailing.append(f"{reason} [{remedy}]")
        other = Orchestrator("other")

        @other.on_transcript
        async def answer(heard: object) -> str:
            return f"I heard {getattr(heard, 'text', '')}"

        self.play = Rehearsal(agent, other)

    async def say(self, text: str, **more: object) -> str:
        said = await self.play.say(text, seconds=20.0, **more)
        return said.end.error or said.text

    async def pid(self) -> int:
        return int(await self.say("pid"))


@asynccontextmanager
async def agent(app: str = "agents_of_mine:house", **settings: object) -> AsyncIterator[Stage]:
    stage = Stage(stand_in("house", AgentSettings(app=app, process=True, **settings)))  # type: ignore[arg-type]
    async with stage.play:
        yield stage


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_it_does_what_it_does_inside(folder: Path) -> None:
    with capture_logs() as logs:
        async with agent() as stage:
            assert await stage.pid() != os.getpid()
            said = await stage.play.say("everything")
            assert said.progress == ["looking"]
            assert said.first_answers == ["A moment"]
            assert said.pieces == ["The ", "answer"]
            assert said.text == "The answer."
            assert (said.end.data, said.end.confidence) == ({"a": [1]}, 0.5)
            assert said.end.hints is not None
            assert said.end.hints.language == "de"
            assert said.end.agent == "house"
            told = await stage.say("whoami", role="the butler", room="Kitchen")
            assert told == "the butler in Kitchen: pid, everything"
            puzzled = await stage.play.say("puzzled")
            assert (puzzled.text, puzzled.end.understood) == ("What?", False)
            assert await stage.say("cannot") == "house: the lamp is broken"
            assert await stage.say("broken") == "house: failed (ValueError)"
            assert await stage.say("leaves") == "house: failed (SystemExit)"
            assert await stage.say("asks who") == "other: I heard who"
            assert await stage.say("announces dinner") == "told"
            announced = await stage.play.announced()
            assert (announced.device_id, announced.text, announced.agent) == ("radio", "dinner", "house")
            await stage.play.undo(said, "a storm")
            assert await stage.say("undid") == "everything for a storm"
            assert await stage.say("prints") == "printed"
            assert stage.ailing == [" []"]
    lines = [entry["line"] for entry in logs if entry["event"] == "a process says"]
    assert {"for the log", "and so is this"} <= set(lines)
    assert not any("secret" in str(entry.get("reason")) for entry in logs)


async def test_several_are_answered_at_once_and_one_that_is_stopped_ends(folder: Path) -> None:
    async with agent() as stage:
        pid = await stage.pid()
        marks = [folder / f"sleeping{number}" for number in range(3)]
        waiting = [
            asyncio.create_task(stage.play.say(f"sleeps {mark}", device_id=f"d{number}", seconds=30.0))
            for number, mark in enumerate(marks)
        ]
        await passes(lambda: all(mark.exists() for mark in marks))
        assert await stage.pid() == pid
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        late = await stage.play.say(f"sleeps {marks[0]}", device_id="e", seconds=0.3)
        assert "took longer" in (late.end.error or "")
        await passes(lambda: not marks[0].exists())
        assert await stage.pid() == pid


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("ends", "house: its process ended with status 5"),
        ("dies", "house: its process was killed (SIGKILL), perhaps because memory ran out"),
        ("garbles line", "house: its process talked garbage"),
        ("garbles much", "house: its process talked garbage"),
    ],
)
async def test_one_that_dies_fails_what_it_had_and_is_started_again(
    words: str, reason: str, folder: Path
) -> None:
    mark = folder / "beside"
    async with agent() as stage:
        pid = await stage.pid()
        beside = asyncio.create_task(stage.say(f"sleeps {mark}", device_id="other"))
        await passes(mark.exists)
        assert (await stage.say(words)).startswith(reason)
        assert (await beside).startswith(reason)
        mark.unlink()
        again = await stage.pid()
        assert again != pid
        assert not is_alive(pid)
        assert stage.ailing[1].startswith(reason)
        assert stage.ailing[1].endswith("; it is started again [see what it says in the log]")
        assert stage.ailing[2:] == [" []"]


@pytest.mark.parametrize("words", ["blocks", "flees"])
async def test_one_that_goes_on_though_it_was_stopped_is_killed(words: str, folder: Path) -> None:
    mark = folder / words
    async with agent() as stage:
        pid = await stage.pid()
        said = await stage.play.say(f"{words} {mark}", seconds=0.5)
        assert (said.end.error or "").startswith("house took longer than")
        assert mark.exists()
        await passes(lambda: not is_alive(pid), 5.0)
        await passes(lambda: len(stage.ailing) > 2)
        assert "went on for 1 s after it was stopped" in stage.ailing[1]
        assert await stage.pid() != pid


async def test_memory_beyond_its_bound_is_refused_it() -> None:
    async with agent(process_mb=256) as stage:
        pid = await stage.pid()
        assert await stage.say("much 16") == str(16 * 1024 * 1024)
        assert await stage.say("much 400") == "house: failed (MemoryError)"
        assert await stage.pid() == pid


async def test_what_it_started_ends_with_it() -> None:
    async with agent() as stage:
        pid = await stage.pid()
        started = int(await stage.say("spawns"))
        assert is_alive(started)
    await passes(lambda: not is_alive(started))
    assert not is_alive(pid)


async def test_what_it_prints_does_not_flood_the_log() -> None:
    with capture_logs() as logs:
        async with agent() as stage:
            assert await stage.say("chatters") == "said"
    lines = [entry for entry in logs if entry["event"] == "a process says"]
    assert watched.LINES <= len(lines) < 2 * watched.LINES


async def test_its_lifespan_is_around_its_life(folder: Path) -> None:
    async with agent("agents_of_mine:brief") as stage:
        assert await stage.say("hello") == "[1]"
        assert not (folder / "closed").exists()
    assert (folder / "closed").exists()


@pytest.mark.parametrize(
    ("app", "reason", "remedy"),
    [
        ("hanging:house", "its process was not ready within 0.5 s", "see what it says in the log"),
        ("ending:house", "its process ended with status 7", "see what it says in the log"),
        ("leaving:house", "its process says: module leaving cannot be imported: SystemExit: 1", "correct"),
        ("agents_of_mine:nobody", "its process says: module agents_of_mine has no 'nobody'", "correct"),
    ],
)
async def test_one_that_cannot_be_loaded_says_why_to_who_asks_and_to_health(
    app: str, reason: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if app.startswith("hanging"):
        monkeypatch.setattr(watched, "LOAD_SECONDS", 0.5)
    monkeypatch.setattr(watched, "FIRST_PAUSE", 30.0)
    async with agent(app) as stage:
        assert await stage.say("hello") == f"house: {reason}"
        assert stage.ailing[0].startswith(f"house: {reason}; it is started again [{remedy}")


async def test_a_gateway_that_is_gone_takes_its_children_along(folder: Path) -> None:
    script = folder / "gateway_of_mine.py"
    script.write_text(
        "import asyncio, os\n"
        "from gateway.agents.process.stand_in import stand_in\n"
        "from gateway.orchestrators.rehearsal import Rehearsal\n"
        "from gateway.settings.orchestrator import AgentSettings\n"
        "async def main():\n"
        "    house = stand_in('house', AgentSettings(app='agents_of_mine:house', process=True))\n"
        "    async with Rehearsal(house) as stage:\n"
        "        print((await stage.say('pid')).text, flush=True)\n"
        "        asyncio.create_task(stage.say('blocks blocked'))\n"
        "        async with asyncio.timeout(30):\n"
        "            while not os.path.exists('blocked'): await asyncio.sleep(0.01)\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    out, _ = await process.communicate()
    pid = int(out.decode().split("\n")[-2])
    await passes(lambda: not is_alive(pid))
