"""Other people's speech servers, each in a virtual environment of its own, to measure Earshot against.

What each installs is pinned (``requirements/bench-*.txt``). RealtimeSTT and WhisperLive ask for more than their work
here needs: torchaudio, whose build for the CPU no package index has and which loads CUDA libraries when it is
imported, and WhisperLive moreover for cuBLAS, cuDNN and OpenVINO: ``requirements/peers.overrides`` leaves that out.
PyAudio, which both import, is compiled: that takes PortAudio's headers (Debian's portaudio19-dev). The engine
below, faster-whisper and CTranslate2, has our pinned versions everywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from benchmarks.instruments.cache import cached
from benchmarks.load.speaking import Heard
from benchmarks.peers import openai_audio, whisperlive, wyoming
from tests.servers.process import free_port

READY_SECONDS = 90.0
REQUIREMENTS = Path(__file__).parents[2] / "requirements"
REALTIMESTT_SERVER = Path(__file__).with_name("realtimestt.py")
PLAIN_SERVER = Path(__file__).with_name("plain.py")
WHISPERLIVE_SERVER = """
import sys
from whisper_live.server import TranscriptionServer
port, model, speakers = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
TranscriptionServer().run(
    "127.0.0.1", port=port, backend="faster_whisper", faster_whisper_custom_model_path=model,
    max_clients=4 * speakers, batch_enabled=True, batch_beam_size=1,
    batch_max_queue_wait_s=1000.0, batch_max_admissions_per_s=1000.0,
)
"""
"""Its batches are its only way to greedy search. Nobody is turned away: left alone it takes 4 clients, 5 new ones
a second, and none while a batch has waited for half a second, which on two cores is nearly always."""

Speak: TypeAlias = Callable[..., Awaitable[Heard]]
"""``await speak(pcm, speed=1.0)``, one utterance."""


class PeerMissing(Exception):
    """A peer cannot be had on this machine; the message says why."""


class Load(Struct, frozen=True):
    """What a peer is started for."""

    model: Path
    threads: int
    speakers: int = 1
    """So many speak at once."""


class Peer(Struct, frozen=True):
    """Somebody else's server: how it is installed, started and spoken to."""

    package: str
    """With the release that is pinned: ``name==1.0``."""

    command: Callable[[int, Load], list[str]]
    """What its interpreter is started with, for a port."""

    say: Callable[..., Awaitable[Heard]]
    timed: str = ""
    """What is timed, where that is a decision."""

    lingers: bool = False
    """Whether it goes on working when its speaker has gone."""

    kind: str = ""
    """Of several that are set up differently, which one."""

    is_here: bool = False
    """Whether it needs nothing but what Earshot brings."""

    @property
    def name(self) -> str:
        """For people."""
        return ", ".join(filter(None, (self.package.replace("==", " "), self.kind)))


def _wyoming_command(port: int, load: Load, *, beam_size: int = 1) -> list[str]:
    command = ["-m", "wyoming_faster_whisper", "--uri", f"tcp://127.0.0.1:{port}", "--data-dir", "."]
    command += ["--model", str(load.model), "--local-files-only", "--stt-library", "faster-whisper"]
    command += ["--language", "en", "--beam-size", str(beam_size), "--compute-type", "int8"]
    return [*command, "--cpu-threads", str(load.threads)]


def _realtimestt_command(port: int, load: Load) -> list[str]:
    options = ["--port", str(port), "--model", str(load.model), "--speakers", str(load.speakers)]
    return [str(REALTIMESTT_SERVER), *options]


def _plain_command(port: int, load: Load, *, beam_size: int = 1) -> list[str]:
    return [str(PLAIN_SERVER), str(port), str(load.model), str(load.threads), str(beam_size)]


def _whisperlive_command(port: int, load: Load) -> list[str]:
    return ["-c", WHISPERLIVE_SERVER, str(port), str(load.model), str(load.speakers)]


WYOMING = Peer("wyoming-faster-whisper==3.8.1", _wyoming_command, wyoming.say)
WYOMING_AS_IT_COMES = Peer(
    WYOMING.package, partial(_wyoming_command, beam_size=0), wyoming.say, kind="its own beam (5)"
)
PLAIN = Peer("aiohttp + faster-whisper", _plain_command, openai_audio.say, is_here=True)
PLAIN_AS_IT_COMES = Peer(
    PLAIN.package,
    partial(_plain_command, beam_size=5),
    openai_audio.say,
    kind="faster-whisper's own beam (5)",
    is_here=True,
)
REALTIMESTT = Peer(
    "RealtimeSTT==1.1.2",
    _realtimestt_command,
    wyoming.say,
    timed="from the end of the audio, through stop(), to what text() returns; without Silero, for a held button",
)
WHISPERLIVE = Peer(
    "whisper-live==0.10.0",
    _whisperlive_command,
    whisperlive.say,
    timed=whisperlive.RULE,
    lingers=True,
)
ALL_PEERS = (WYOMING, REALTIMESTT, WHISPERLIVE)
PEERS = ALL_PEERS if os.environ.get("EARSHOT_BENCH_PEERS") == "all" else ALL_PEERS[:1]
"""Who is measured against: the last two install for minutes and 3 GB; then [latency] takes 14 minutes and
[throughput] eleven."""


@contextlib.contextmanager
def serving(peer: Peer, load: Load) -> Iterator[Speak]:
    """How to speak to a server of that peer. Raises PeerMissing."""
    python = _python(peer)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "log")
        with journal.open("w") as log:
            process = subprocess.Popen(
                [str(python), *peer.command(port, load)],
                cwd=folder,
                stdout=log,
                stderr=log,
                env=os.environ
                | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(load.threads), "ORT_DISABLE_TELEMETRY": "1"},
                start_new_session=True,  # RealtimeSTT starts processes of its own
            )
        try:
            _wait_for(port, process, journal, peer)
            yield partial(peer.say, port)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=20)


@contextlib.contextmanager
def those_here(load: Load, peers: tuple[Peer, ...]) -> Iterator[tuple[dict[str, Speak], dict[str, str]]]:
    """How to speak to those peers that can be had, by name, and why the others cannot."""
    with ExitStack() as stack:
        here: dict[str, Speak] = {}
        missing: dict[str, str] = {}
        for peer in peers:
            try:
                here[peer.name] = stack.enter_context(serving(peer, load))
            except PeerMissing as reason:
                missing[peer.name] = str(reason)
        yield here, missing


def words_about(peers: tuple[Peer, ...], missing: dict[str, str]) -> dict[str, str]:
    """What a reader of their figures has to know."""
    timed = {f"{peer.name}, timed": peer.timed for peer in peers if peer.timed and peer.name not in missing}
    return timed | {f"{name}, not measured": why for name, why in missing.items()}


def pins(peer: Peer) -> Path:
    """What is installed for it, with hashes."""
    return REQUIREMENTS / f"bench-{peer.package.partition('==')[0].lower()}.txt"


def _python(peer: Peer) -> Path:
    """The interpreter of an environment with just that peer."""
    if peer.is_here:
        return Path(sys.executable)
    return interpreter(peer.package.replace("==", "-"), pins(peer))


def interpreter(name: str, pinned: Path) -> Path:
    """That of an environment with just what is pinned there; made once and kept. Raises PeerMissing."""
    # The folder is renamed when it is whole: its scripts do not survive that, `python -m` does.
    digest = hashlib.sha256(sys.version.encode() + pinned.read_bytes()).hexdigest()
    return cached(f"{name}-{digest[:12]}", partial(install, pinned, sys.executable)) / "bin" / "python"


def install(pinned: Path, python: str, folder: Path) -> None:
    """An environment of that Python, with just what is pinned there. Raises PeerMissing."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet"]
    command += ["--python", str(folder / "bin" / "python"), "--no-deps", "--require-hashes"]
    command += ["--requirements", str(pinned), "--build-constraints", str(REQUIREMENTS / "test.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerMissing(f"cannot be installed: {reason(done.stderr)}")


def reason(stderr: str) -> str:
    """The line of what an installer or a server said that tells why it failed."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for sign in ("fatal error:", "cause: ", "ERROR: ", "error: "):
        if told := [line for line in lines if sign in line]:
            return told[0][told[0].index(sign) + len(sign) :].strip()
    return lines[-1] if lines else "it did not say why"


def _wait_for(port: int, process: subprocess.Popen[bytes], journal: Path, peer: Peer) -> None:
    """Until the server takes connections, which most do when their model is loaded."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise PeerMissing(f"{peer.name} does not start: {reason(journal.read_text())}")
