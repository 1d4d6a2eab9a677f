"""PulseAudio as an ordinary program: microphones that hear what a test plays, and that come and go.

ALSA knows them by name through its plug-in for PulseAudio, and so does PortAudio, which lists all that its
configuration names; only one that is there can be opened.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import ServerProcess

PULSEAUDIO = "/usr/bin/pulseaudio"
PACTL = "/usr/bin/pactl"
NAMES = ("Desk USB Mic", "Door USB Mic", "Studio")
"""What ALSA calls the microphones that a test may plug in."""


class PulseAudio(ServerProcess):
    """One server; nothing is plugged in at first."""

    READY = b"Daemon startup complete."

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._runtime = folder / "run"
        self._runtime.mkdir(mode=0o700)
        lines = ["pcm.!default { type pulse }", *map(_pcm, NAMES)]
        (folder / ".asoundrc").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._modules: dict[str, str] = {}
        self._players: list[subprocess.Popen[bytes]] = []

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs to know to hear these microphones and no others."""
        return {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self._runtime)}

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables}

    def command(self) -> list[str]:
        quiet = [
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "-v",
            "--log-target=stderr",
        ]
        return [PULSEAUDIO, *quiet, "-L", "module-native-protocol-unix"]

    def plug(self, name: str, *, rate: int = 48_000, channels: int = 2) -> None:
        """A microphone comes."""
        place = _place(name)
        told = f"sink_name={place} rate={rate} channels={channels}"
        self._modules[name] = self._pactl("load-module", "module-null-sink", *told.split())

    def unplug(self, name: str) -> None:
        """It is pulled out. Idempotent."""
        if name in self._modules:
            self._pactl("unload-module", self._modules.pop(name))

    def play(self, name: str, wav: Path) -> None:
        """What the microphone hears from now on."""
        command = ["/usr/bin/paplay", f"--device={_place(name)}", str(wav)]
        self._players.append(subprocess.Popen(command, env=self.environment()))

    def kill(self) -> None:
        self._modules.clear()
        for player in self._players:
            player.kill()
            player.wait()
        self._players.clear()
        super().kill()

    def _pactl(self, *words: str) -> str:
        return _run([PACTL, *words], self.environment())


def _run(command: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _place(name: str) -> str:
    return name.replace(" ", "_")


def _pcm(name: str) -> str:
    return f'pcm."{name}" {{ type pulse device "{_place(name)}.monitor" }}'
